package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The commands of README.md run as they are written, in a directory that has the module at
// the place where the repository has it.
func TestTheFirstFiveMinutes(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, section, _ := strings.Cut(string(readme), "\n## The first five minutes\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var script, output strings.Builder
	for i, block := range strings.Split(section, "```") {
		if commands, ok := strings.CutPrefix(block, "sh\n"); ok {
			script.WriteString(commands)
		} else if i%2 == 1 {
			output.WriteString(block)
		}
	}
	require.Equal(t, 5, strings.Count(script.String(), "go -C vault/cmd/onlyfor run ."))

	root := t.TempDir()
	module := filepath.Join(root, "vault/cmd/onlyfor")
	copyModule(t, module)
	c := exec.Command("bash", "-e", "-c", script.String())
	c.Dir = root
	c.Env = append(os.Environ(), "COLUMNS=100")
	out, err := c.CombinedOutput()
	require.NoError(t, err, string(out))
	require.FileExists(t, filepath.Join(module, "onlyfor.toml"))
	// Every line that README shows is printed, except for the random end of the value.
	for line := range strings.Lines(output.String()) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "Z29v")
		require.Contains(t, string(out), line)
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
