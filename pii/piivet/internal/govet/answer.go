package govet

import (
	"bytes"
	"context"
	"fmt"
	"go/token"
	"os/exec"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// Answer is an analyzer that reports one diagnostic for each package, so that a package
// without findings differs from a package whose findings are lost. The tool of a [Run]
// needs it beside its own analyzers.
//
// The findings of a package can be lost for good: go vet stores the facts of a package in
// its cache before it prints and stores the findings. If go vet is killed between, or if
// nobody reads its output any more, later runs take the stored facts for a package that
// has no findings.
var Answer = &analysis.Analyzer{
	Name: "answer",
	Doc:  "reports one diagnostic for each package",
	Run: func(pass *analysis.Pass) (any, error) {
		at := token.NoPos
		if len(pass.Files) > 0 {
			at = pass.Files[0].Package
		}
		pass.Report(analysis.Diagnostic{Pos: at, Message: "analyzed"})
		return nil, nil
	},
}

func init() {
	Answer.Flags.String("again", "", "a `text` that no earlier run had: go vet keeps the results of other flags apart, and so analyzes all packages")
}

// take removes the diagnostics of Answer from all, and returns the other findings and the
// import paths of the packages that answered.
func take(all []Finding) (findings []Finding, answered map[string]bool) {
	answered = map[string]bool{}
	for _, f := range all {
		if f.Rule == Answer.Name {
			answered[f.Package] = true
		}
	}
	return slices.DeleteFunc(all, func(f Finding) bool { return f.Rule == Answer.Name }), answered
}

// missing returns the import paths of the packages that the patterns name, that have Go
// files, and that did not answer. A package may have no other files than those of its
// external test.
func (r Run) missing(ctx context.Context, answered map[string]bool) (paths []string, err error) {
	args := append([]string{"list", "-e", "-f", "{{if or .GoFiles .CgoFiles .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}"}, r.Build...)
	cmd := exec.CommandContext(ctx, "go", append(args, r.Patterns...)...)
	cmd.Dir = r.Dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: listing packages: %s", ErrFailed, strings.TrimSpace(stderr.String()))
	}
	for path := range strings.FieldsSeq(string(out)) {
		if !answered[path] && !answered[path+"_test"] {
			paths = append(paths, path)
		}
	}
	return paths, nil
}
