package place

import (
	"go/ast"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/allow"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/config"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/flow"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// Boundary reports packages bound to a purpose that name another one or receive
// its scope.
var Boundary = &analysis.Analyzer{
	Name: "boundary",
	Doc: "report packages bound to a purpose that name another one or receive its scope\n\n" +
		"//piivet:purpose advertising above the package clause binds a package, and so does .piivet.json. " +
		"Values that other packages pass to it are reported in those packages.",
	URL:       known.Docs + "boundary.md",
	Requires:  []*analysis.Analyzer{known.Analyzer, allow.Analyzer, purposes.Analyzer, flow.Analyzer},
	FactTypes: []analysis.Fact{new(bound)},
	Run:       runBoundary,
}

type boundaryChecker struct {
	*analysis.Pass
	path     string // of the package
	config   *config.Config
	purposes *purposes.Result
	bound    map[string][]string // from packages that are bound by a comment to their purposes
	handed   map[ast.Expr]bool   // expressions that are reported already
	own      []string            // the purposes that this package is bound to
	isBound  bool
}

func runBoundary(pass *analysis.Pass) (any, error) {
	received := flow.Of(pass)
	if !known.Uses(pass) && len(received) == 0 {
		return nil, nil
	}
	file, err := config.Of(pass)
	if err != nil {
		return nil, err
	}
	c := &boundaryChecker{Pass: pass, path: known.PackagePath(pass.Pkg.Path()), config: file, purposes: purposes.Of(pass), handed: map[ast.Expr]bool{}}
	c.facts()
	c.own, c.isBound = c.boundOf(c.path)
	seen := map[string]bool{}
	for _, f := range received {
		c.plaintext(f, seen)
	}
	for file := range known.Files(pass) {
		done := map[ast.Node]bool{}
		ast.Inspect(file, func(n ast.Node) bool {
			if c.isBound && !done[n] {
				c.inside(n, done)
			}
			switch n := n.(type) {
			case *ast.CallExpr:
				c.call(n)
			case *ast.CompositeLit:
				c.literal(n)
			case *ast.AssignStmt:
				if len(n.Lhs) == len(n.Rhs) {
					for i, to := range n.Lhs {
						c.put(n.Rhs[i], to)
					}
				}
			case *ast.SendStmt:
				c.put(n.Value, n.Chan)
			}
			return true
		})
	}
	return nil, nil
}

// plaintext checks the revealed values that a bound package receives. Each function is
// reported once, at the call that receives the value and not at its uses.
func (c *boundaryChecker) plaintext(f flow.Finding, seen map[string]bool) {
	list, bound := c.boundOf(f.InPackage)
	if f.Kind != flow.Receive || !bound {
		return
	}
	others := slices.DeleteFunc(slices.Concat(f.From, f.Among), func(name string) bool { return slices.Contains(list, name) })
	if len(others) == 0 || seen[f.In] {
		return
	}
	seen[f.In] = true
	slices.Sort(others)
	allow.Report(c.Pass, "boundary", analysis.Diagnostic{
		Pos: f.Pos,
		Message: "plaintext of " + only(slices.Compact(others)) + " reaches " + f.In + ", which is for " + only(list) + " only, through " + f.What +
			f.Place() + ": ask for consent and Extend, or leave it to a package that is for it",
		Related: f.Related(),
	})
}

func (c *boundaryChecker) report(at analysis.Range, format string, args ...any) {
	allow.Reportf(c.Pass, "boundary", at, format, args...)
}

// boundOf returns the purposes that a package is bound to. If both its comment and the
// file bind it, these are the purposes that both name.
func (c *boundaryChecker) boundOf(path string) ([]string, bool) {
	names, bound := c.bound[path]
	listed, also := c.config.Boundary(path)
	switch {
	case bound && also:
		names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !slices.Contains(listed, name) })
	case also:
		names = listed
	}
	return names, bound || also
}

// beyond returns the known purposes of an expression that are not in the list.
func (c *boundaryChecker) beyond(e ast.Expr, list []string) []string {
	names, _ := c.purposes.ScopeOf(e)
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(list, name) })
}

// holds reports whether a value of type t is or contains a purpose or scope.
func holds(t types.Type) bool { return t != nil && (known.Carries(t) || known.Embedded(t) != nil) }

// inside checks the expressions of a bound package that refer to declarations of other
// packages: variables, fields and results. It also checks the scopes that the package
// opens. Variables and parameters of its own are left out, since the values that flow
// into them are reported there. Nodes within a checked one are in done.
func (c *boundaryChecker) inside(n ast.Node, done map[ast.Node]bool) {
	e, ok := n.(ast.Expr)
	if !ok {
		return
	}
	switch e := e.(type) {
	case *ast.Ident:
		v, _ := c.TypesInfo.Uses[e].(*types.Var)
		if !known.IsGlobal(v) {
			return
		}
	case *ast.SelectorExpr:
		done[e.Sel] = true
		v, _ := c.TypesInfo.Uses[e.Sel].(*types.Var)
		if v == nil || v.IsField() && v.Pkg() == c.Pkg {
			return
		}
	case *ast.CallExpr:
		fn := known.Func(c.TypesInfo, e.Fun)
		switch known.OpOf(fn) {
		case known.Parse:
		case known.Open:
			c.opens(e)
			return
		case known.None:
			if fn != nil && fn.Pkg() == c.Pkg || c.TypesInfo.Types[e.Fun].IsType() {
				return
			}
			if slices.ContainsFunc(e.Args, func(arg ast.Expr) bool { return named(c.TypesInfo, arg) && len(c.beyond(arg, c.own)) > 0 }) {
				return // the argument is reported
			}
		default: // a method of a scope or value that is reported already
			return
		}
	default:
		return
	}
	t := c.TypesInfo.TypeOf(e)
	if !holds(t) {
		return
	}
	if others := c.beyond(e, c.own); len(others) > 0 {
		c.report(e, "package is for %s only, and %s %s: leave that to a package that is for it", only(c.own), verb(t), only(others))
	}
}

func verb(t types.Type) string {
	if known.IsPurpose(t) {
		return "names"
	}
	return "receives what is for"
}

// opens checks a call of Vault.Scope and similar methods. [boundaryChecker.inside] reports a
// purpose that the call names.
func (c *boundaryChecker) opens(n *ast.CallExpr) {
	call, ok := known.CallOf(c.TypesInfo, n)
	if !ok {
		return
	}
	for _, p := range call.Purposes {
		if named(c.TypesInfo, p) {
			continue
		}
		_, complete := c.purposes.ScopeOf(p)
		if others := c.beyond(p, c.own); len(others) > 0 {
			c.report(n, "package is for %s only, and opens a scope for %s: leave that to a package that is for it", only(c.own), only(others))
		} else if !complete {
			c.report(n, "package is for %s only, and opens a scope for a purpose that can't be told: name the purpose", only(c.own))
		}
	}
}

// named reports whether [boundaryChecker.inside] checks e itself.
func named(info *types.Info, e ast.Expr) bool {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		v, _ := info.Uses[e].(*types.Var)
		return known.IsGlobal(v)
	case *ast.SelectorExpr:
		v, _ := info.Uses[e.Sel].(*types.Var)
		return known.IsGlobal(v)
	case *ast.CallExpr:
		return known.OpOf(known.Func(info, e.Fun)) == known.Parse
	}
	return false
}

// call checks the arguments of functions and methods of bound packages, and of
// conversions to their types.
func (c *boundaryChecker) call(n *ast.CallExpr) {
	var to *types.Package
	if c.TypesInfo.Types[n.Fun].IsType() {
		if t := known.Named(c.TypesInfo.TypeOf(n.Fun)); t != nil {
			to = t.Obj().Pkg()
		}
	} else if fn := known.Func(c.TypesInfo, n.Fun); fn != nil {
		to = fn.Pkg()
	}
	for _, arg := range n.Args {
		c.hand(arg, to)
	}
}

// literal checks the fields of struct literals whose types are declared in bound
// packages.
func (c *boundaryChecker) literal(n *ast.CompositeLit) {
	t := known.Named(c.TypesInfo.TypeOf(n))
	if t == nil {
		return
	}
	for _, elt := range n.Elts {
		if kv, ok := elt.(*ast.KeyValueExpr); ok {
			elt = kv.Value
		}
		c.hand(elt, t.Obj().Pkg())
	}
}

// put checks an assignment or a send to a field or variable of a bound package.
func (c *boundaryChecker) put(value, to ast.Expr) {
	for {
		element, ok := ast.Unparen(to).(*ast.IndexExpr)
		if !ok {
			break
		}
		to = element.X
	}
	if sel, ok := ast.Unparen(to).(*ast.SelectorExpr); ok {
		if v, ok := c.TypesInfo.Uses[sel.Sel].(*types.Var); ok {
			c.hand(value, v.Pkg())
		}
	}
}

// hand checks one value that is passed to a package.
func (c *boundaryChecker) hand(value ast.Expr, to *types.Package) {
	if to == nil || to == c.Pkg {
		return
	}
	path := known.PackagePath(to.Path())
	list, bound := c.boundOf(path)
	if !bound {
		return
	}
	value = known.Unwrap(c.TypesInfo, value)
	t := c.TypesInfo.TypeOf(value)
	if !holds(t) {
		return
	}
	if others := c.beyond(value, list); len(others) > 0 && !c.handed[value] {
		c.handed[value] = true
		what := "scope"
		if known.IsPurpose(t) {
			what = "purpose"
		}
		c.report(value, "%s of %s handed to %s, which is for %s only", what, only(others), path, only(list))
	}
}

func only(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, " and ")
}
