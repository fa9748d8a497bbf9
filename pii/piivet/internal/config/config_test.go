package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/config"
)

// module returns the directory of a new module example.com/shop, with the
// packages ads, mail and sms/provider, and with the file if there is content.
func module(t *testing.T, content string) string {
	t.Helper()
	root := t.TempDir()
	write(t, filepath.Join(root, "go.mod"), "// A shop.\nmodule example.com/shop // really\n\ngo 1.26.0\n")
	for _, dir := range []string{"ads/inner", "mail", "sms/provider"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, dir), 0o700))
	}
	if content != "" {
		write(t, filepath.Join(root, config.Name), content)
	}
	return root
}

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

const whole = `{
	"purposes": ["example.com/shop/mail", "example.com/legal"],
	"reveal": ["example.com/shop/mail", "example.com/shop/sms/..."],
	"boundaries": {
		"example.com/shop/ads/...": ["advertising"],
		"example.com/shop/ads/inner": ["advertising", "security"]
	}
}`

func TestWhatIsStatedHolds(t *testing.T) {
	c, err := config.Load(module(t, whole))
	require.NoError(t, err)
	for pkg, want := range map[string]bool{
		"example.com/shop/mail":         true,
		"example.com/shop/mail/inner":   false,
		"example.com/shop/sms":          true,
		"example.com/shop/sms/provider": true,
		"example.com/shop/smsx":         false,
		"example.com/shop":              false,
		"":                              false,
	} {
		allowed, stated := c.Reveals(pkg)
		require.True(t, stated)
		require.Equal(t, want, allowed, pkg)
	}
	allowed, stated := c.Declares("example.com/legal")
	require.True(t, stated)
	require.True(t, allowed)
	allowed, _ = c.Declares("example.com/shop/sms")
	require.False(t, allowed)
	require.Equal(t, []string{"example.com/shop/mail", "example.com/legal"}, c.Purposes())

	names, bound := c.Boundary("example.com/shop/ads")
	require.True(t, bound)
	require.Equal(t, []string{"advertising"}, names)
	names, bound = c.Boundary("example.com/shop/ads/inner")
	require.True(t, bound)
	require.Equal(t, []string{"advertising", "security"}, names, "the longest pattern counts")
	_, bound = c.Boundary("example.com/shop/adsense")
	require.False(t, bound)
}

func TestWhatIsNotStatedIsToldFromWhatIsEmpty(t *testing.T) {
	for _, content := range []string{"", "{}", `{"boundaries": {}}`} {
		c, err := config.Load(module(t, content))
		require.NoError(t, err)
		_, stated := c.Reveals("example.com/shop/mail")
		require.False(t, stated)
		_, stated = c.Declares("example.com/shop/mail")
		require.False(t, stated)
		_, bound := c.Boundary("example.com/shop/mail")
		require.False(t, bound)
		require.Empty(t, c.Purposes())
	}
	c, err := config.Load(module(t, `{"reveal": []}`))
	require.NoError(t, err)
	allowed, stated := c.Reveals("example.com/shop/mail")
	require.True(t, stated, "an empty list allows nobody")
	require.False(t, allowed)
}

func TestFileIsFoundFromAnyPackage(t *testing.T) {
	root := module(t, whole)
	c, err := config.Load(filepath.Join(root, "ads", "inner"))
	require.NoError(t, err)
	require.NotNil(t, c)
}

func TestNestedModuleHasAFileOfItsOwn(t *testing.T) {
	root := module(t, whole)
	write(t, filepath.Join(root, "ads", "go.mod"), "module example.com/shop/ads\n")
	c, err := config.Load(filepath.Join(root, "ads", "inner"))
	require.NoError(t, err)
	require.Nil(t, c)
}

func TestChangedFileIsReadAgain(t *testing.T) {
	root := module(t, `{"reveal": ["example.com/shop/mail"]}`)
	c, err := config.Load(root)
	require.NoError(t, err)
	allowed, _ := c.Reveals("example.com/shop/ads")
	require.False(t, allowed)

	path := filepath.Join(root, config.Name)
	write(t, path, `{"reveal": ["example.com/shop/ads"]}`)
	later := time.Now().Add(time.Hour)
	require.NoError(t, os.Chtimes(path, later, later))
	c, err = config.Load(root)
	require.NoError(t, err)
	allowed, _ = c.Reveals("example.com/shop/ads")
	require.True(t, allowed)
}

func TestFaultsAreNamedWithTheirLine(t *testing.T) {
	for fault, test := range map[string]struct{ content, want string }{
		"misspelt member":                {"{\n\"revael\": []}", `line 2: unknown member "revael": want purposes, reveal or boundaries`},
		"member in another case":         {`{"Reveal": []}`, `line 1: unknown member "Reveal"`},
		"member twice":                   {"{\"reveal\": [],\n\n\"reveal\": []}", `line 3: "reveal" is there twice`},
		"boundary twice":                 {`{"boundaries": {"a": ["b"], "a": ["c"]}}`, `"a" is there twice`},
		"package twice":                  {`{"reveal": ["a", "a"]}`, `"a" is there twice`},
		"text in place of a list":        {`{"reveal": "a"}`, "want a list"},
		"null in place of a list":        {`{"reveal": null}`, "want a list"},
		"object in place of a list":      {`{"reveal": {}}`, "want a list"},
		"number in a list":               {`{"reveal": [1]}`, "want a list of strings"},
		"list in a list":                 {`{"reveal": [["a"]]}`, "want a list of strings"},
		"list in place of an object":     {`{"boundaries": []}`, "want an object"},
		"list in place of all":           {`[]`, "want an object"},
		"null in place of all":           {`null`, "want an object"},
		"boundary for no purpose":        {`{"boundaries": {"a": []}}`, `"a" is bound to no purpose`},
		"boundary for no purpose's name": {`{"boundaries": {"a": ["Security"]}}`, `"Security" is not the name of a purpose`},
		"relative path":                  {`{"reveal": ["./mail"]}`, `"./mail" is neither the import path of a package nor one with /... at its end`},
		"wildcard":                       {`{"reveal": ["example.com/*"]}`, "neither"},
		"dots in the middle":             {`{"reveal": ["a/.../b"]}`, "neither"},
		"dots without a slash":           {`{"reveal": ["example.com/mail..."]}`, "neither"},
		"dots alone":                     {`{"reveal": ["..."]}`, "neither"},
		"slash at the end":               {`{"reveal": ["a/"]}`, "neither"},
		"empty path":                     {`{"reveal": [""]}`, "neither"},
		"boundary of a relative path":    {`{"boundaries": {"./ads": ["b"]}}`, "neither"},
		"package that is not there":      {`{"boundaries": {"example.com/shop/adds/...": ["advertising"]}}`, `"example.com/shop/adds/...": there is no such directory in module example.com/shop`},
		"no JSON":                        {"{\n\n\"reveal\"; []}", "line 3: not JSON"},
		"unclosed":                       {`{"reveal": [`, "not JSON"},
		"comment":                        {"// a\n{}", "not JSON"},
		"two values":                     {`{} {}`, "not JSON"},
		"nothing":                        {" ", "not JSON"},
		"not UTF-8":                      {"{\"reveal\": [\"\xff\"]}", "not UTF-8"},
		"byte order mark":                {"\ufeff{}", "not JSON"},
		"too large":                      {strings.Repeat(" ", 1<<20) + "{}", "larger than"},
	} {
		t.Run(fault, func(t *testing.T) {
			root := module(t, test.content)
			c, err := config.Load(root)
			require.ErrorContains(t, err, test.want)
			require.ErrorContains(t, err, filepath.Join(root, config.Name))
			require.Nil(t, c)
		})
	}
}

func TestDirectoryOfThatNameIsRefused(t *testing.T) {
	root := module(t, "")
	require.NoError(t, os.Mkdir(filepath.Join(root, config.Name), 0o700))
	_, err := config.Load(root)
	require.ErrorContains(t, err, "not a file")
}

func TestWithoutModuleThereIsNoFile(t *testing.T) {
	c, err := config.Load(string(filepath.Separator))
	require.NoError(t, err)
	require.Nil(t, c)
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{whole, "{}", `{"reveal":[`, `[[[`, `{"a":{"b":1}}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		c, err := config.Parse([]byte(content))
		require.Equal(t, err != nil, c == nil)
	})
}
