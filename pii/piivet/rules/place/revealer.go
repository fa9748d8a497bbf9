package place

import (
	"go/ast"
	"go/types"

	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/allow"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/config"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// Revealer reports Reveal outside the listed packages, and masks that reveal.
var Revealer = &analysis.Analyzer{
	Name: "revealer",
	Doc: "report Reveal outside the packages that .piivet.json lists\n\n" +
		"Where the file has a list \"reveal\", only the packages in it may reveal values. " +
		"With or without it, a mask that returns or keeps the plaintext is reported.",
	URL:      known.Docs + "revealer.md",
	Requires: []*analysis.Analyzer{known.Analyzer, allow.Analyzer},
	Run:      runRevealer,
}

func runRevealer(pass *analysis.Pass) (any, error) {
	if !known.Uses(pass) {
		return nil, nil
	}
	c, err := config.Of(pass)
	if err != nil {
		return nil, err
	}
	path := known.PackagePath(pass.Pkg.Path())
	allowed, stated := c.Reveals(path)
	m := &masks{Pass: pass}
	for file := range known.Files(pass) {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if stated && !allowed && reveals(pass, n) {
					allow.Reportf(pass, "revealer", n.Sel, "Reveal in %s, which is not in the list \"reveal\" of %s: hand the sealed value to a package that is, or have this one added",
						path, config.Name)
				}
			case *ast.CallExpr:
				m.call(n)
			case *ast.FuncDecl:
				m.method(n)
			}
			return true
		})
	}
	return nil, nil
}

// reveals reports whether n refers to a Reveal of the library, called or not, or to an
// interface method with its name and a scope.
func reveals(pass *analysis.Pass, n *ast.SelectorExpr) bool {
	fn, ok := pass.TypesInfo.Uses[n.Sel].(*types.Func)
	if !ok {
		return false
	}
	if known.OpOf(fn) == known.Reveal {
		return true
	}
	recv := fn.Signature().Recv()
	if fn.Name() != "Reveal" || recv == nil || !types.IsInterface(recv.Type()) {
		return false
	}
	for p := range fn.Signature().Params().Variables() {
		if known.IsScope(p.Type()) {
			return true
		}
	}
	return false
}
