package known_test

import (
	"go/ast"
	"go/types"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/vettest"
)

var names = map[known.Op]string{
	known.Reveal: "Reveal", known.Hint: "Hint", known.Index: "Index", known.Seal: "Seal",
	known.Extend: "Extend", known.Reseal: "Reseal", known.Without: "Without", known.Open: "Open",
	known.Narrow: "Narrow", known.Manage: "Manage", known.Parse: "Parse", known.Of: "Of",
	known.Describe: "Describe",
}

// describe reports how each call of the library is understood.
var describe = &analysis.Analyzer{
	Name:     "describe",
	Doc:      "report how each call of the library is understood",
	Requires: []*analysis.Analyzer{known.Analyzer},
	Run: func(pass *analysis.Pass) (any, error) {
		if !known.Uses(pass) {
			return nil, nil
		}
		for _, f := range pass.Files {
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				c, ok := known.CallOf(pass.TypesInfo, call)
				if !ok {
					return true
				}
				text := names[c.Op]
				for _, part := range []struct {
					name  string
					exprs []ast.Expr
				}{
					{"recv", []ast.Expr{c.Recv}},
					{"path", nil},
					{"value", []ast.Expr{c.Value}},
					{"text", []ast.Expr{c.Text}},
					{"scopes", c.Scopes},
					{"purposes", c.Purposes},
				} {
					var words []string
					for _, e := range part.exprs {
						if e != nil {
							words = append(words, types.ExprString(e))
						}
					}
					if part.name == "path" {
						for _, v := range c.Path {
							words = append(words, v.Name())
						}
						if words != nil {
							words = []string{strings.Join(words, ".")}
						}
					}
					if words != nil {
						text += " " + part.name + "=" + strings.Join(words, ",")
					}
				}
				if c.Spread {
					text += " spread"
				}
				pass.ReportRangef(call, "%s", text)
				return true
			})
		}
		return nil, nil
	},
}

func TestCallsAreTakenApart(t *testing.T) { vettest.Run(t, describe, "./known") }

// A package is a part of the library by its path alone.
func TestPart(t *testing.T) {
	for path, part := range map[string]bool{
		known.PIIPath: true, known.PIIPath + "_test": true, known.PIIPath + "/migrate": true, known.PurposePath: true,
		known.VaultPath + "/internal/format": true, known.VaultPath + "/cmd/onlyfor": false, known.PIIPath + "/piivet/internal/known": false,
		known.Module + "/examples/separate": false, known.VaultPath + "s": false, "example.com/vault": false,
	} {
		require.Equal(t, part, known.Part(path), path)
	}
}

func TestPackagePath(t *testing.T) {
	require.Equal(t, "example.com/shop", known.PackagePath("example.com/shop"))
	require.Equal(t, "example.com/shop", known.PackagePath("example.com/shop [example.com/shop.test]"))
}
