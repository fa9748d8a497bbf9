package flow_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/packages"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/flow"
)

// TestWorkGrowsWithTheModule is about a module whose packages each call functions of
// three others and hand on callbacks: there are more ways through it than anybody can
// follow one by one.
func TestWorkGrowsWithTheModule(t *testing.T) {
	work := func(n int) (steps, size int) {
		before := flow.Steps()
		graph, err := checker.Analyze([]*analysis.Analyzer{flow.Analyzer}, chained(t, n), &checker.Options{Sequential: true})
		require.NoError(t, err)
		for _, a := range graph.Roots {
			require.NoError(t, a.Err)
			size = max(size, flow.FactSize(a))
		}
		return flow.Steps() - before, size
	}
	small, size := work(25)
	large, sizeOfLarge := work(100)
	t.Logf("steps: %d for 25 packages, %d for 100; bytes of the largest fact's own flows: %d and %d", small, large, size, sizeOfLarge)
	require.NotZero(t, small)
	require.Less(t, large, 5*small)
	require.NotZero(t, size)
	require.Less(t, sizeOfLarge, 2*size, "a package repeats the flows of those below it")
}

// chained returns n packages of one module. Each calls the three packages before it.
func chained(t *testing.T, n int) []*packages.Package {
	fset := token.NewFileSet()
	module := &packages.Module{Path: "example.com/chained", Main: true}
	var all []*packages.Package
	for i := range n {
		p := &packages.Package{
			ID: fmt.Sprintf("example.com/chained/p%d", i), Name: fmt.Sprintf("p%d", i), Fset: fset, Module: module, Imports: map[string]*packages.Package{},
			TypesSizes: types.SizesFor("gc", "amd64"),
			TypesInfo: &types.Info{
				Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}, Implicits: map[ast.Node]types.Object{},
				Selections: map[*ast.SelectorExpr]*types.Selection{}, Scopes: map[ast.Node]*types.Scope{}, Instances: map[*ast.Ident]types.Instance{}, FileVersions: map[*ast.File]string{},
			},
		}
		p.PkgPath = p.ID
		var imports, calls, direct strings.Builder
		for back := 1; back <= min(i, 3); back++ {
			dep := all[i-back]
			p.Imports[dep.PkgPath] = dep
			fmt.Fprintf(&imports, "import %q\n", dep.PkgPath)
			fmt.Fprintf(&calls, "\ts += %s.Each(s, f)\n\ts += %s.Each(s, func(s string) string { return f(s) })\n", dep.Name, dep.Name)
			fmt.Fprintf(&direct, "\tb.Listen(%s.Last)\n\ts += %s.Tell(s)\n", dep.Name, dep.Name)
		}
		text := fmt.Sprintf(`package %s

%s
type Bus struct{ listeners []func(string) string }

var bus Bus

func (b *Bus) Listen(f func(string) string) { b.listeners = append(b.listeners, f) }

func Last(s string) string { return s }

func Each(s string, f func(string) string) string {
%s	return f(s)
}

func Tell(s string) string {
	b := &bus
	b.Listen(Last)
%s	for _, f := range b.listeners {
		s += f(s)
	}
	return s
}
`, p.Name, imports.String(), calls.String(), direct.String())
		file, err := parser.ParseFile(fset, p.Name+".go", text, parser.ParseComments)
		require.NoError(t, err)
		p.Syntax = []*ast.File{file}
		conf := types.Config{Importer: importer(p.Imports)}
		p.Types, err = conf.Check(p.PkgPath, fset, p.Syntax, p.TypesInfo)
		require.NoError(t, err)
		all = append(all, p)
	}
	return all
}

type importer map[string]*packages.Package

func (in importer) Import(path string) (*types.Package, error) { return in[path].Types, nil }
