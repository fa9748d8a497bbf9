package vault

import (
	"go/ast"
	"testing"

	"github.com/stretchr/testify/require"
)

// Reseal with the scopes of n slots is linear in n: nothing that a loop over the scopes
// calls decodes the whole value.
func TestResealDecodesTheValueOnce(t *testing.T) {
	decodes := map[string]bool{
		"decode": true, "slot": true, "unseal": true, "Provenance": true, "KeyID": true, "ID": true, "ByCollector": true,
		"newValueEvent": true, "describe": true, "DecodeBody": true, "Split": true, "WellFormed": true, "Purposes": true,
	}
	calls := 0
	ast.Inspect(productionFiles(t)["reseal.go"], func(n ast.Node) bool {
		var body *ast.BlockStmt
		switch n := n.(type) {
		case *ast.ForStmt:
			body = n.Body
		case *ast.RangeStmt:
			body = n.Body
		default:
			return true
		}
		ast.Inspect(body, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			calls++
			name := ""
			switch f := call.Fun.(type) {
			case *ast.Ident:
				name = f.Name
			case *ast.SelectorExpr:
				name = f.Sel.Name
			}
			require.False(t, decodes[name], "a loop of reseal.go calls %s, which decodes the value for each scope", name)
			return true
		})
		return true
	})
	require.Greater(t, calls, 5, "no loops were found, so nothing was searched")
}
