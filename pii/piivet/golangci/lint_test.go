package golangci_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piivet"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/govet"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/vettest"
)

// A finding is one, however it was found.
type finding struct {
	file      string
	line, col int
	text      string
}

// TestGolangciLintFindsWhatGoVetFinds builds golangci-lint with the plugin, and
// compares it with go vet over programs whose findings come through facts of
// other packages. The configuration is that of the doc page.
func TestGolangciLintFindsWhatGoVetFinds(t *testing.T) {
	if testing.Short() {
		t.Skip("building golangci-lint takes two minutes the first time")
	}
	lint, vet := build(t, filepath.Join("testdata", "lint")), build(t, filepath.Join("..", "cmd", "piivet"))
	config := filepath.Join(t.TempDir(), ".golangci.yml")
	require.NoError(t, os.WriteFile(config, []byte(sample(t, ".golangci.yml")), 0o600))
	packages := []string{"./hash", "./leak/...", "./repurpose/...", "./scopes/..."}

	want := byGoVet(t, vet, packages...)
	require.Greater(t, len(want), 100)
	through := 0
	for _, f := range want {
		if strings.Contains(f.text, "(through lib.") {
			through++
		}
	}
	require.Positive(t, through, "findings that take facts of another package")

	t.Run("facts of dependencies are made when there are none", func(t *testing.T) {
		l := linter{lint, config, t.TempDir()}
		require.ElementsMatch(t, byGoVet(t, vet, "./leak/app"), l.findings(t, "./leak/app"))
	})
	l := linter{lint, config, t.TempDir()}
	t.Run("facts of dependencies come from the cache", func(t *testing.T) {
		l.findings(t, "./leak/lib")
		require.ElementsMatch(t, byGoVet(t, vet, "./leak/app"), l.findings(t, "./leak/app"))
	})
	t.Run("all packages", func(t *testing.T) {
		require.ElementsMatch(t, want, l.findings(t, packages...))
	})
	t.Run("all findings come from the cache", func(t *testing.T) {
		require.ElementsMatch(t, want, l.findings(t, packages...))
	})
}

// TestTheSampleIsOfTheVersionThatIsTested compares .custom-gcl.yml in the doc page
// with the go.mod of the golangci-lint that these tests build.
func TestTheSampleIsOfTheVersionThatIsTested(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join("testdata", "lint", "go.mod"))
	require.NoError(t, err)
	version := regexp.MustCompile(`github\.com/golangci/golangci-lint/v2 (v\S+)`).FindSubmatch(mod)
	require.NotNil(t, version)
	require.Contains(t, sample(t, ".custom-gcl.yml"), "\nversion: "+string(version[1])+"\n")
}

// sample returns the YAML in the doc page that says by a comment which file it is.
func sample(t *testing.T, name string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "docs", "golangci.md"))
	require.NoError(t, err)
	_, after, ok := strings.Cut(string(page), "```yaml\n# "+name+"\n")
	require.True(t, ok, name)
	text, _, ok := strings.Cut(after, "```\n")
	require.True(t, ok, name)
	return "\n" + text
}

func build(t *testing.T, dir string) (executable string) {
	t.Helper()
	executable = filepath.Join(t.TempDir(), filepath.Base(dir)+".exe")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", executable, ".")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return executable
}

func byGoVet(t *testing.T, tool string, packages ...string) []finding {
	t.Helper()
	var rules []string
	for _, a := range piivet.Analyzers() {
		rules = append(rules, a.Name)
	}
	found, err := govet.Run{Tool: tool, Analyzers: rules, Patterns: packages, Dir: vettest.Dir()}.Findings(t.Context())
	require.NoError(t, err)
	var all []finding
	for _, f := range found {
		all = append(all, finding{f.File, f.Line, f.Column, f.Rule + ": " + f.Message})
	}
	require.NotEmpty(t, all)
	return all
}

type linter struct{ executable, config, cache string }

func (l linter) findings(t *testing.T, packages ...string) []finding {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.json")
	args := append([]string{"run", "--config=" + l.config, "--allow-parallel-runners", "--path-mode=abs",
		"--issues-exit-code=0", "--output.json.path=" + out, "--output.text.path=" + os.DevNull}, packages...)
	cmd := exec.CommandContext(t.Context(), l.executable, args...)
	cmd.Dir = vettest.Dir()
	cmd.Env = append(os.Environ(), "GOLANGCI_LINT_CACHE="+l.cache)
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, string(said))
	text, err := os.ReadFile(out)
	require.NoError(t, err)
	var report struct {
		Issues []struct {
			FromLinter, Text string
			Pos              struct {
				Filename     string
				Line, Column int
			}
		}
	}
	require.NoError(t, json.Unmarshal(text, &report))
	var all []finding
	for _, issue := range report.Issues {
		require.Equal(t, "piivet", issue.FromLinter, issue.Text)
		// A related position, which go vet lists below its finding, is an issue of its
		// own here.
		if rule, _, _ := strings.Cut(issue.Text, ":"); !strings.HasSuffix(rule, "(related information)") {
			all = append(all, finding{issue.Pos.Filename, issue.Pos.Line, issue.Pos.Column, issue.Text})
		}
	}
	return all
}
