package piitest_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/vault"
)

var update = flag.Bool("update", false, "make golden files anew")

// What a service stored when its golden file was made opens today.
func TestGoldenOpensWhatWasSealedThen(t *testing.T) {
	kit := piitest.Golden(t, "testdata/golden.keys", security, advertising)
	scope, ctx := kit.Scope(security), t.Context()
	file := filepath.Join("testdata", "golden.txt")
	if *update {
		var lines []string
		for _, s := range []vault.Sealer{scope, scope.For("user-1")} {
			e, err := pii.SealEmail(ctx, "golden@example.com", s)
			require.NoError(t, err)
			text, err := e.MarshalText()
			require.NoError(t, err)
			lines = append(lines, string(text)+"\n")
		}
		require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "")), 0o644))
	}
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	lines := strings.Fields(string(b))
	require.Len(t, lines, 2)
	for i, s := range []*vault.Scope{scope, scope.For("user-1")} {
		var e pii.Email
		require.NoError(t, e.UnmarshalText([]byte(lines[i])))
		address, err := e.Reveal(ctx, s)
		require.NoError(t, err)
		require.Equal(t, "golden@example.com", address)
	}
	piitest.Separate(t, kit.Vault)
}

func TestGoldenMakesItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "testdata", "keys")
	complains(t, func(tb testing.TB) { piitest.Golden(tb, path, security) },
		"there is no keys: run this test once with -update or PIITEST_UPDATE=1, and commit the file")
	require.NoFileExists(t, path)

	var email, own pii.Email
	seal := func(t *testing.T) {
		kit := piitest.Golden(t, path, security)
		email, own = kit.Email(kit.Scope(security)), kit.Email(kit.Scope(security).For("user-1"))
	}
	t.Run("made", func(t *testing.T) {
		t.Setenv("PIITEST_UPDATE", "1")
		seal(t)
	})
	first, err := os.ReadFile(path)
	require.NoError(t, err)
	t.Run("found", func(t *testing.T) {
		kit := piitest.Golden(t, path, security)
		for e, s := range map[pii.Email]*vault.Scope{email: kit.Scope(security), own: kit.Scope(security).For("user-1")} {
			_, err := e.Reveal(t.Context(), s)
			require.NoError(t, err)
		}
	})
	t.Run("another purpose", func(t *testing.T) {
		complains(t, func(tb testing.TB) { piitest.Golden(tb, path, security, billing) }, "keys has no keys of billing: run this test once with -update")
		t.Setenv("PIITEST_UPDATE", "1")
		piitest.Golden(t, path, security, billing)
	})
	second, err := os.ReadFile(path)
	require.NoError(t, err)
	for line := range strings.Lines(string(first)) {
		require.True(t, strings.Contains(string(second), line), "a key was replaced")
	}
	require.Contains(t, string(second), "\nbilling/keys ")
	require.True(t, strings.HasPrefix(string(second), "# Keys for tests"))
}

func TestGoldenRefuses(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.keys")
	t.Run("made", func(t *testing.T) {
		t.Setenv("PIITEST_UPDATE", "1")
		piitest.Golden(t, good, security)
	})
	b, err := os.ReadFile(good)
	require.NoError(t, err)
	for name, text := range map[string]string{
		"empty":        "",
		"no header":    strings.SplitN(string(b), "\n", 2)[1],
		"no base64":    string(b) + "billing/keys ???\n",
		"no data":      string(b) + "billing/keys\n",
		"a name twice": string(b) + strings.SplitAfter(string(b), "\n")[1],
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bad.keys")
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			complains(t, func(tb testing.TB) { piitest.Golden(tb, path, security) },
				"bad.keys is not a file that Golden wrote: check it out again")
		})
	}
	t.Run("no record", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "bad.keys")
		require.NoError(t, os.WriteFile(path, append(b, "../keys AAAA\n"...), 0o600))
		complains(t, func(tb testing.TB) { piitest.Golden(tb, path, security) }, "bad.keys holds a record that is none")
	})
	t.Run("directory", func(t *testing.T) {
		complains(t, func(tb testing.TB) { piitest.Golden(tb, dir, security) }, "can't be read")
	})
	t.Run("line ends of another system", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "crlf.keys")
		require.NoError(t, os.WriteFile(path, []byte(strings.ReplaceAll(string(b), "\n", "\r\n")), 0o600))
		piitest.Golden(t, path, security).Scope(security)
	})
	t.Run("keys that were changed", func(t *testing.T) {
		t.Setenv("PIITEST_UPDATE", "1")
		rec := &cleaning{failing: failing{TB: t}}
		kit := piitest.Golden(rec, good, security)
		require.NoError(t, kit.Admin.Rotate(t.Context(), security, vault.RoleSeal))
		rec.clean()
		require.Len(t, rec.log, 1)
		require.Contains(t, rec.log[0], "the record security/keys in good.keys was changed by this test: a golden vault keeps its keys")
		now, err := os.ReadFile(good)
		require.NoError(t, err)
		require.True(t, string(b) == string(now))
	})
	t.Run("file that can't be written", func(t *testing.T) {
		t.Setenv("PIITEST_UPDATE", "1")
		path := filepath.Join(t.TempDir(), "far.keys")
		require.NoError(t, os.Symlink(filepath.Join(t.TempDir(), "none", "keys"), path))
		rec := &cleaning{failing: failing{TB: t}}
		piitest.Golden(rec, path, security)
		require.Equal(t, []string{"piitest: far.keys can't be written"}, rec.log)
	})
}

// cleaning is a test that ends when clean is called.
type cleaning struct {
	failing
	cleanups []func()
}

func (c *cleaning) Cleanup(f func()) { c.cleanups = append(c.cleanups, f) }
func (c *cleaning) clean() {
	for i := range c.cleanups {
		c.cleanups[len(c.cleanups)-1-i]()
	}
}

func TestLabels(t *testing.T) {
	kit := piitest.New(t, security, advertising)
	email, err := kit.Email(kit.Scope(security), kit.Scope(advertising)).MarshalText()
	require.NoError(t, err)
	phone, err := kit.Phone(kit.Scope(security)).MarshalText()
	require.NoError(t, err)
	require.Equal(t, `{"email":"pii1.email.advertising~security.…","phone":"pii1.phone.security.…","x":"pii1.email.x.y"}`,
		piitest.Labels(`{"email":"`+string(email)+`","phone":"`+string(phone)+`","x":"pii1.email.x.y"}`))
	require.Equal(t, "", piitest.Labels(""))
}
