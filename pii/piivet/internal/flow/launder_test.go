package flow_test

import (
	"go/ast"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/vettest"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/place"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/plaintext"
)

// missed are the functions of the test program without a finding, with the
// reason. docs/leak.md names them.
var missed = map[string]string{
	"file":       "the value leaves the program",
	"guess":      "nothing is revealed: indexes of guesses are compared",
	"crowdedBus": "nothing tells which caller belongs to which of four functions",
	"clean":      "nothing is wrong there",
}

// TestLaundering checks the functions of the test program. Each brings a number from
// security to advertising in a way of its own.
func TestLaundering(t *testing.T) {
	found := map[string]bool{}
	var functions []string
	// A mask that returns all of its argument is no use for another purpose. Rule
	// revealer reports it.
	results := slices.Concat(vettest.Quietly(t, plaintext.Repurpose, "./launder"), vettest.Quietly(t, place.Revealer, "./launder"))
	for _, r := range results {
		for _, f := range r.Pass.Files {
			for _, d := range f.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok {
					continue
				}
				name := strings.TrimSuffix(fn.Name.Name, "2")
				if r.Action.Analyzer == plaintext.Repurpose && fn.Recv != nil && name == fn.Name.Name && fn.Type.Results == nil {
					functions = append(functions, name)
				}
				for _, d := range r.Diagnostics {
					if fn.Pos() <= d.Pos && d.Pos < fn.End() {
						found[name] = true
					}
				}
			}
		}
	}
	require.Greater(t, len(functions), 40)
	for _, name := range functions {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, missed[name] == "", found[name], missed[name])
		})
	}
}
