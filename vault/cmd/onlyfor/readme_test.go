package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

// The commands of README.md run as they are written, in a directory that has the module at
// the place where the repository has it.
func TestTheFirstFiveMinutes(t *testing.T) {
	t.Parallel()
	section := readPage(t, "README.md", "").section(t, "The first five minutes")
	script := section.of("sh")
	require.Equal(t, 5, strings.Count(script, "go -C vault/cmd/onlyfor run ."))

	root := t.TempDir()
	module := filepath.Join(root, "vault/cmd/onlyfor")
	copyModule(t, module)
	c := exec.Command("bash", "-e", "-c", script)
	c.Dir = root
	c.Env = append(os.Environ(), "COLUMNS=100")
	out, err := c.CombinedOutput()
	require.NoError(t, err, string(out))
	require.FileExists(t, filepath.Join(module, "onlyfor.toml"))
	// Every line that README shows is printed, except for the random end of the value.
	for line := range strings.Lines(section.of("")) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "Z29v")
		require.Contains(t, string(out), line)
	}
}

// Every command that README.md shows is one: its words and flags are on the command line.
func TestReadmeShowsCommands(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	shown := map[string]bool{}
	for line := range strings.Lines(string(readme)) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "  #")
		line, _, _ = strings.Cut(line, " < ")
		line, _, _ = strings.Cut(line, " > ")
		args, ok := strings.CutPrefix(line, "onlyfor ")
		if !ok || strings.HasPrefix(args, "inspect shows") {
			continue
		}
		parser, err := kong.New(new(cli), kong.Name("onlyfor"), kong.Vars{"version": ""})
		require.NoError(t, err)
		parsed, err := parser.Parse(strings.Fields(regexp.MustCompile(`"[^"]*"`).ReplaceAllString(args, "words")))
		require.NoError(t, err, line)
		shown[strings.Join(strings.Fields(parsed.Selected().FullPath())[1:], " ")] = true
	}
	parser, err := kong.New(new(cli), kong.Name("onlyfor"), kong.Vars{"version": ""})
	require.NoError(t, err)
	for _, leaf := range parser.Model.Leaves(true) {
		name := strings.TrimPrefix(leaf.FullPath(), "onlyfor ")
		if name != "init" && name != "seal" && name != "completion" { // these are in the text
			require.True(t, shown[name], "README.md does not show %s", name)
		}
	}
}

// copyModule copies this module without its tests. The modules that it replaces stay where
// they are.
func copyModule(t *testing.T, to string) {
	require.NoError(t, os.CopyFS(to, os.DirFS(".")))
	data, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	text := regexp.MustCompile(`=> (\.\./\S+)`).ReplaceAllStringFunc(string(data), func(s string) string {
		path, err := filepath.Abs(strings.TrimPrefix(s, "=> "))
		require.NoError(t, err)
		return "=> " + path
	})
	require.NoError(t, os.WriteFile(filepath.Join(to, "go.mod"), []byte(text), 0o600))
}
