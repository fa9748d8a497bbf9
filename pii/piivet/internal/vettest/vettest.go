// Package vettest runs analyzers over programs that use the real library.
package vettest

import (
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/analysistest"
)

// Dir returns the directory of the module with all test programs.
func Dir() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "testdata")
}

// Run applies a to packages of the testdata module and to their imports, and compares its
// findings with the "want" comments, as [analysistest.Run] does. Patterns are as for go
// list, such as "./leak/...". It downloads nothing.
func Run(t *testing.T, a *analysis.Analyzer, patterns ...string) []*analysistest.Result {
	t.Helper()
	return analysistest.Run(t, Dir(), a, patterns...)
}

// RunWithSuggestedFixes is [Run], and compares each fixed file with the file of the same
// name and ".golden" beside it.
func RunWithSuggestedFixes(t *testing.T, a *analysis.Analyzer, patterns ...string) []*analysistest.Result {
	t.Helper()
	return analysistest.RunWithSuggestedFixes(t, Dir(), a, patterns...)
}

// Lines returns the lines of the findings of a in one package, in order, for
// programs whose "want" comments are about another analyzer.
func Lines(t *testing.T, a *analysis.Analyzer, pattern string) []int {
	t.Helper()
	var lines []int
	for _, r := range Quietly(t, a, pattern) {
		for _, d := range r.Diagnostics {
			lines = append(lines, r.Pass.Fset.PositionFor(d.Pos, false).Line)
		}
	}
	slices.Sort(lines)
	return lines
}

// Quietly is [Run] for programs without "want" comments.
func Quietly(t *testing.T, a *analysis.Analyzer, patterns ...string) []*analysistest.Result {
	t.Helper()
	results := analysistest.Run(silent{}, Dir(), a, patterns...)
	for _, r := range results {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	return results
}

// silent ignores "want" comments.
type silent struct{}

func (silent) Errorf(string, ...any) {}
