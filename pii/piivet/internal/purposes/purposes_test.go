package purposes_test

import (
	"go/ast"
	"strings"
	"testing"

	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/vettest"
)

// show reports the purposes of the argument of each call of a function show.
var show = &analysis.Analyzer{
	Name:     "show",
	Doc:      "report what is known of the argument of show",
	Requires: []*analysis.Analyzer{purposes.Analyzer},
	Run: func(pass *analysis.Pass) (any, error) {
		r := purposes.Of(pass)
		for _, f := range pass.Files {
			ast.Inspect(f, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "show" {
						names, complete := r.ScopeOf(call.Args[0])
						if !complete {
							names = append(names, "?")
						}
						pass.ReportRangef(call, "%s", strings.Join(names, " "))
					}
				}
				return true
			})
		}
		return nil, nil
	},
}

func TestPurposesAreFollowed(t *testing.T) { vettest.Run(t, show, "./scopes/...") }
