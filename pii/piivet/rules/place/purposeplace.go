package place

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/allow"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/config"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// PurposePlace reports purposes that are not constants of the one package that lists them.
var PurposePlace = &analysis.Analyzer{
	Name: "purposeplace",
	Doc: "report purposes made from text that is not constant, or outside the package that declares them\n\n" +
		"The list of purposes is what a privacy officer reads. A purpose that is made elsewhere, or of " +
		"whatever text comes along, is not in it.",
	URL:       known.Docs + "purposeplace.md",
	Requires:  []*analysis.Analyzer{known.Analyzer, allow.Analyzer},
	FactTypes: []analysis.Fact{new(declared)},
	Run:       runPurposePlace,
}

type purposeChecker struct {
	*analysis.Pass
	path   string // of the package
	config *config.Config
	listed bool // the file lists the package as one that may declare purposes
	stated bool // the file has a list of packages that may declare purposes
	others []list
}

func runPurposePlace(pass *analysis.Pass) (any, error) {
	if !known.Uses(pass) {
		return nil, nil
	}
	if ofLibrary(known.PackagePath(pass.Pkg.Path())) {
		return nil, nil
	}
	file, err := config.Of(pass)
	if err != nil {
		return nil, err
	}
	c := &purposeChecker{Pass: pass, path: known.PackagePath(pass.Pkg.Path()), config: file}
	c.listed, c.stated = file.Declares(c.path)
	c.facts()
	for file := range known.Files(pass) {
		called := map[ast.Expr]bool{}
		inspect(file, func(n ast.Node, inside bool) {
			switch n := n.(type) {
			case *ast.CallExpr:
				called[ast.Unparen(n.Fun)] = true
				c.call(file, n, inside)
			case *ast.SelectorExpr:
				if !called[n] {
					c.function(n)
				}
			}
		})
	}
	return nil, nil
}

// ofLibrary reports whether a package is part of the library. The library parses names of
// purposes in stored data, and declares none.
func ofLibrary(path string) bool {
	for _, top := range []string{known.PurposePath, known.VaultPath, known.PIIPath} {
		if path == top || strings.HasPrefix(path, top+"/") {
			return true
		}
	}
	return false
}

// inspect calls f for every node. Inside is false for the declaration of a package-level
// variable.
func inspect(file *ast.File, f func(n ast.Node, inside bool)) {
	for _, decl := range file.Decls {
		general, ok := decl.(*ast.GenDecl)
		inside := !ok || general.Tok != token.VAR
		ast.Inspect(decl, func(n ast.Node) bool {
			f(n, inside)
			return true
		})
	}
}

func (c *purposeChecker) report(d analysis.Diagnostic) { allow.Report(c.Pass, "purposeplace", d) }

func (c *purposeChecker) reportf(at analysis.Range, format string, args ...any) {
	allow.Reportf(c.Pass, "purposeplace", at, format, args...)
}

const notConstant = "purpose made from text that is not constant, so it is in no list that can be read: choose among those that the package of purposes declares"

// function reports purpose.Parse and purpose.MustParse as function values, since their
// arguments are not known.
func (c *purposeChecker) function(n *ast.SelectorExpr) {
	if known.OpOf(known.Func(c.TypesInfo, n)) == known.Parse {
		c.reportf(n, notConstant)
	}
}

func (c *purposeChecker) call(file *ast.File, n *ast.CallExpr, inside bool) {
	fn := known.Func(c.TypesInfo, n.Fun)
	if known.Qualified(fn) == known.PurposePath+".Purpose.UnmarshalText" {
		c.reportf(n, notConstant)
		return
	}
	if known.OpOf(fn) != known.Parse || len(n.Args) == 0 {
		return
	}
	name, constant := known.Constant(c.TypesInfo, n.Args[0])
	switch {
	case !constant:
		c.reportf(n, notConstant)
		return
	case !config.ValidPurpose(name):
		c.reportf(n, "not the name of a purpose, so %s refuses it: want a-z, then up to 62 of a-z, 0-9 and -", fn.Name())
		return
	case c.listed && !inside:
		return
	}
	where := ""
	if c.stated && !c.listed {
		where = fmt.Sprintf("outside the packages that %s lists under \"purposes\" (%s)", config.Name, strings.Join(c.config.Purposes(), ", "))
	}
	for _, l := range c.others {
		if c.stated && !l.stated(c.config) {
			continue
		}
		if v := l.Vars[name]; token.IsExported(v) {
			c.report(analysis.Diagnostic{
				Pos: n.Pos(), End: n.End(),
				Message:        fmt.Sprintf("purpose %q is declared already: use %s.%s", name, l.Name, v),
				SuggestedFixes: c.use(file, n, l, v, fn),
			})
			return
		}
		if where == "" {
			where = fmt.Sprintf("outside %s, which declares purposes", l.Path)
		}
	}
	switch {
	case where != "":
		c.reportf(n, "purpose declared %s: declare it there, with the others", where)
	case inside:
		c.reportf(n, "purpose declared inside a function: make it a variable of the package that lists all purposes")
	}
}

// use returns the fix that replaces a call of MustParse by a variable, if the file
// imports its package under a name.
func (c *purposeChecker) use(file *ast.File, n *ast.CallExpr, l list, name string, fn *types.Func) []analysis.SuggestedFix {
	if fn.Name() != "MustParse" {
		return nil
	}
	for _, spec := range file.Imports {
		imported := c.TypesInfo.PkgNameOf(spec)
		if imported == nil || known.PackagePath(imported.Imported().Path()) != l.Path || imported.Name() == "_" || imported.Name() == "." {
			continue
		}
		// The name may refer to another object here.
		scope := c.Pkg.Scope().Innermost(n.Pos())
		if scope == nil {
			return nil
		}
		if _, found := scope.LookupParent(imported.Name(), n.Pos()); found != imported {
			return nil
		}
		text := imported.Name() + "." + name
		return []analysis.SuggestedFix{{
			Message:   "use " + text,
			TextEdits: []analysis.TextEdit{{Pos: n.Pos(), End: n.End(), NewText: []byte(text)}},
		}}
	}
	return nil
}
