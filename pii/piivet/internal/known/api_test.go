package known

import (
	"go/types"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/packages"
)

// TestEveryExportedNameHasARow keeps the table of the library's API complete, and
// free of names that are gone.
func TestEveryExportedNameHasARow(t *testing.T) {
	mode := packages.NeedName | packages.NeedTypes | packages.NeedImports | packages.NeedDeps | packages.NeedSyntax
	pkgs, err := packages.Load(&packages.Config{Mode: mode, Dir: "../../testdata"}, PurposePath, VaultPath, PIIPath, BatchPath)
	require.NoError(t, err)
	require.Len(t, pkgs, len(library))
	exported := map[string]bool{}
	for _, p := range pkgs {
		require.Empty(t, p.Errors)
		for _, name := range p.Types.Scope().Names() {
			o := p.Types.Scope().Lookup(name)
			switch o := o.(type) {
			case *types.Func:
				if o.Exported() {
					exported[p.Name+"."+name] = true
					require.Contains(t, ops, p.Name+"."+name, "a function without a row in api.go")
				}
			case *types.TypeName:
				if !o.Exported() {
					continue
				}
				exported[p.Name+"."+name] = true
				require.Contains(t, roleOf, p.Name+"."+name, "a type without a row in api.go")
				methods := types.NewMethodSet(types.NewPointer(o.Type()))
				if types.IsInterface(o.Type()) {
					methods = types.NewMethodSet(o.Type())
				}
				for m := range methods.Methods() {
					fn := m.Obj().(*types.Func)
					if fn.Exported() && fn.Pkg() == p.Types && len(m.Index()) == 1 {
						row := p.Name + "." + name + "." + fn.Name()
						exported[row] = true
						require.Contains(t, ops, row, "a method without a row in api.go")
					}
				}
			}
		}
	}
	for row := range ops {
		require.Contains(t, exported, row, "a row in api.go for nothing")
	}
	for row := range roleOf {
		require.Contains(t, exported, row, "a row in api.go for nothing")
	}
}
