package place

import (
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/allow"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// ScopePlace reports scopes and vaults in contexts and in package-level variables.
var ScopePlace = &analysis.Analyzer{
	Name: "scopeplace",
	Doc: "report scopes in contexts and in package-level variables\n\n" +
		"There, code that was not given a purpose can take it. " +
		"A component gets its scope when it is made, and keeps it in a field.",
	URL:      known.Docs + "scopeplace.md",
	Requires: []*analysis.Analyzer{known.Analyzer, allow.Analyzer},
	Run:      runScopePlace,
}

const instead = "where code that was not given it can take it: hand it over when the component is made, and keep it in a field"

type scopeChecker struct{ *analysis.Pass }

func runScopePlace(pass *analysis.Pass) (any, error) {
	if !known.Uses(pass) {
		return nil, nil
	}
	c := scopeChecker{pass}
	for file := range known.Files(pass) {
		for _, decl := range file.Decls {
			if decl, ok := decl.(*ast.GenDecl); ok && decl.Tok == token.VAR {
				for _, spec := range decl.Specs {
					c.globals(spec.(*ast.ValueSpec))
				}
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				c.call(n)
			case *ast.AssignStmt:
				c.assign(n)
			case *ast.StructType:
				c.structType(n)
			}
			return true
		})
	}
	return nil, nil
}

func (c scopeChecker) report(at analysis.Range, format string, args ...any) {
	allow.Reportf(c.Pass, "scopeplace", at, format, args...)
}

// globals checks the declaration of package-level variables.
func (c scopeChecker) globals(spec *ast.ValueSpec) {
	for i, name := range spec.Names {
		if name.Name == "_" {
			continue
		}
		what := c.grants(c.TypesInfo.TypeOf(name))
		if what == "" && len(spec.Values) == len(spec.Names) { // var x any = scope
			what = c.grants(c.TypesInfo.TypeOf(known.Unwrap(c.TypesInfo, spec.Values[i])))
		}
		if what != "" {
			c.report(name, "%s in a package-level variable, %s", what, instead)
		}
	}
}

// assign checks assignments to a package-level variable, or to a part of one, whose type
// does not tell that it holds scopes: the type any, a map of it, an unexported field.
func (c scopeChecker) assign(n *ast.AssignStmt) {
	if len(n.Lhs) != len(n.Rhs) {
		return
	}
	for i, to := range n.Lhs {
		v := known.Root(c.TypesInfo, to)
		if !known.IsGlobal(v) || c.grants(v.Type()) != "" {
			continue // its declaration is reported
		}
		if what := c.grants(c.TypesInfo.TypeOf(known.Unwrap(c.TypesInfo, n.Rhs[i]))); what != "" {
			c.report(n, "%s in a package-level variable, %s", what, instead)
		}
	}
}

// call checks values that are stored in contexts and in package-level containers.
func (c scopeChecker) call(n *ast.CallExpr) {
	fn := known.Func(c.TypesInfo, n.Fun)
	if fn == nil {
		return
	}
	name := known.Qualified(fn)
	if name == "context.WithValue" && len(n.Args) == 3 {
		c.context(n.Args[2])
		return
	}
	sel, ok := ast.Unparen(n.Fun).(*ast.SelectorExpr)
	if !ok || c.TypesInfo.Selections[sel] == nil {
		return
	}
	switch fn.Name() {
	case "Set", "SetValue", "SetUserValue", "Locals", "Put":
		if isContext(c.TypesInfo.TypeOf(sel.X)) {
			for _, arg := range n.Args {
				c.context(arg)
			}
			return
		}
	case "Store", "Swap", "LoadOrStore", "CompareAndSwap":
	default:
		return
	}
	v := known.Root(c.TypesInfo, sel.X)
	if !known.IsGlobal(v) || c.grants(v.Type()) != "" {
		return
	}
	for _, arg := range n.Args {
		if what := c.grants(c.TypesInfo.TypeOf(known.Unwrap(c.TypesInfo, arg))); what != "" {
			c.report(arg, "%s in a package-level variable, %s", what, instead)
		}
	}
}

func (c scopeChecker) context(value ast.Expr) {
	if what := c.grants(c.TypesInfo.TypeOf(known.Unwrap(c.TypesInfo, value))); what != "" {
		c.report(value, "%s in a context, %s", what, instead)
	}
}

// isContext reports whether t is the context of a web framework, which passes values from
// handler to handler.
func isContext(t types.Type) bool {
	n := known.Named(t)
	if n == nil {
		return false
	}
	switch n.Obj().Name() {
	case "Context", "Ctx", "RequestCtx":
		return true
	}
	return false
}

// structType checks user-defined contexts: structs that embed a context and hold a scope.
func (c scopeChecker) structType(n *ast.StructType) {
	s, ok := c.TypesInfo.TypeOf(n).(*types.Struct)
	if !ok {
		return
	}
	embeds := false
	for f := range s.Fields() {
		if t := known.Named(f.Type()); f.Embedded() && t != nil && t.Obj().Pkg() != nil && t.Obj().Pkg().Path() == "context" {
			embeds = true
		}
	}
	if !embeds {
		return
	}
	for _, field := range n.Fields.List {
		if what := c.grants(c.TypesInfo.TypeOf(field.Type)); what != "" {
			c.report(field, "%s in a context, %s", what, instead)
		}
	}
}

// grants returns "scope" or "vault" if code with a value of type t can get at one, ""
// otherwise.
func (c scopeChecker) grants(t types.Type) string { return within(t, map[string]bool{}, 16) }

// within is grants for a part of a type. It visits each named type once, since types can
// be recursive.
func within(t types.Type, seen map[string]bool, depth int) string {
	if t == nil || depth == 0 {
		return ""
	}
	if known.IsScope(t) {
		return "scope"
	}
	if known.IsVault(t) {
		return "vault"
	}
	t = types.Unalias(t)
	if n, ok := t.(*types.Named); ok {
		name := types.TypeString(n, nil) // instances of generic types can be many
		if seen[name] {
			return ""
		}
		seen[name] = true
		if n.TypeArgs() != nil { // atomic.Pointer[vault.Scope]
			for arg := range n.TypeArgs().Types() {
				if what := within(arg, seen, depth-1); what != "" {
					return what
				}
			}
		}
	}
	for element := range known.Elements(t) {
		if what := within(element, seen, depth-1); what != "" {
			return what
		}
	}
	switch u := t.Underlying().(type) {
	case *types.Signature: // a function that returns one, as of sync.OnceValue
		if u.Params().Len() > 0 {
			return "" // it needs an argument, as Vault.Scope does
		}
		for r := range u.Results().Variables() {
			if what := within(r.Type(), seen, depth-1); what != "" {
				return what
			}
		}
	case *types.Struct:
		return fields(u, seen, depth)
	}
	return ""
}

// fields checks the fields that other code can reach: exported and embedded ones. A
// component with a scope in an unexported field does not give it away. A struct with no
// other fields is a container of scopes, and is reported even if they are unexported.
func fields(s *types.Struct, seen map[string]bool, depth int) string {
	found, others := "", false
	for f := range s.Fields() {
		what := within(f.Type(), seen, depth-1)
		switch {
		case what == "":
			others = true
		case f.Exported() || f.Embedded():
			return what
		default:
			found = what
		}
	}
	if others {
		return ""
	}
	return found
}
