package config_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/config"
)

// tool returns the path of something to take for an executable.
func tool(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "piivet")
	write(t, path, "tool")
	return path
}

func version(t *testing.T, tool, dir string) string {
	t.Helper()
	line, err := config.VersionLine(tool, dir)
	require.NoError(t, err)
	return line
}

// form is the form of a tool's answer to -V=full that cmd/go requires.
var form = regexp.MustCompile(`^\S+ version devel buildID=[0-9a-f]{64}\n$`)

func TestVersionChangesWithTheToolAndTheFile(t *testing.T) {
	t.Setenv("GOWORK", "")
	root, exe := module(t, ""), tool(t)
	path := filepath.Join(root, config.Name)

	without := version(t, exe, root)
	require.Regexp(t, form, without)
	require.Equal(t, without, version(t, exe, filepath.Join(root, "mail")), "whatever directory of the module go vet starts in")

	write(t, path, `{"reveal": []}`)
	with := version(t, exe, root)
	require.NotEqual(t, without, with)
	require.Equal(t, with, version(t, exe, filepath.Join(root, "mail")))

	write(t, path, `{"reveal": ["example.com/shop/mail"]}`)
	changed := version(t, exe, root)
	require.NotEqual(t, with, changed)

	later := time.Now().Add(time.Hour)
	require.NoError(t, os.Chtimes(path, later, later))
	require.Equal(t, changed, version(t, exe, root), "content counts, not time")

	require.NoError(t, os.Remove(path))
	require.Equal(t, without, version(t, exe, root))

	write(t, exe, "another tool")
	require.NotEqual(t, without, version(t, exe, root))
}

func TestVersionChangesWithTheFilesOfAWorkspace(t *testing.T) {
	t.Setenv("GOWORK", "")
	exe, top := tool(t), t.TempDir()
	one, two := filepath.Join(top, "one"), filepath.Join(top, "two dirs")
	for _, root := range []string{one, two} {
		require.NoError(t, os.Mkdir(root, 0o700))
		write(t, filepath.Join(root, "go.mod"), "module example.com/"+filepath.Base(root)[:3]+"\n")
	}
	write(t, filepath.Join(top, "go.work"), "go 1.26.0\n\nuse (\n\t./one // first\n\t\"./two dirs\"\n)\n")
	before := version(t, exe, one)
	write(t, filepath.Join(two, config.Name), "{}")
	require.NotEqual(t, before, version(t, exe, one))

	t.Setenv("GOWORK", "off")
	require.Equal(t, before, version(t, exe, one))

	t.Setenv("GOWORK", filepath.Join(top, "go.work"))
	require.NotEqual(t, before, version(t, exe, one))

	t.Setenv("GOWORK", filepath.Join(top, "gone.work"))
	_, err := config.VersionLine(exe, one)
	require.ErrorIs(t, err, os.ErrNotExist)

	t.Setenv("GOWORK", "")
	write(t, filepath.Join(top, "go.work"), "go 1.26.0\nuse \"./two dirs\"\nuse ./one\n")
	require.NotEqual(t, before, version(t, exe, one))
}

func TestVersionOfAFileWithFaultsIsAnError(t *testing.T) {
	t.Setenv("GOWORK", "off")
	_, err := config.VersionLine(tool(t), module(t, `{"revael": []}`))
	require.ErrorContains(t, err, "unknown member")
}

func TestVersionWithoutAToolIsAnError(t *testing.T) {
	_, err := config.VersionLine(filepath.Join(t.TempDir(), "gone"), t.TempDir())
	require.ErrorIs(t, err, os.ErrNotExist)
}
