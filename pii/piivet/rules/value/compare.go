package value

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/allow"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// Compare reports comparisons of sealed values by their bytes.
var Compare = &analysis.Analyzer{
	Name: "compare",
	Doc: "report sealed values compared with ==, used as map keys or looked for by a query\n\n" +
		"Two seals of one address differ, so a comparison finds no match where there is one. " +
		"Compare indexes of one purpose instead.",
	URL:      known.Docs + "compare.md",
	Requires: []*analysis.Analyzer{known.Analyzer, allow.Analyzer},
	Run:      runCompare,
}

type checker struct {
	*analysis.Pass
	values map[*types.Var][]ast.Expr // from variables to the values assigned to them, nil for one without an expression
}

func runCompare(pass *analysis.Pass) (any, error) {
	if !known.Uses(pass) {
		return nil, nil
	}
	c := &checker{Pass: pass}
	for file := range known.Files(pass) {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				return !c.isEqual(n)
			case *ast.BinaryExpr:
				c.binary(n)
			case *ast.SwitchStmt:
				c.switches(n)
			case *ast.MapType:
				c.mapType(n)
			case *ast.IndexExpr:
				c.lookup(n)
			case *ast.CallExpr:
				c.call(n)
			case *ast.CompositeLit:
				c.literal(n)
			case *ast.Ident:
				c.instance(n)
			}
			return true
		})
	}
	return nil, nil
}

// isEqual reports whether n is the method Equal of a sealed type. Its name says that it
// compares two copies of one seal, as diff tools do.
func (c *checker) isEqual(n *ast.FuncDecl) bool {
	return n.Recv != nil && n.Name.Name == "Equal" && len(n.Recv.List) == 1 && known.IsSealed(c.TypesInfo.TypeOf(n.Recv.List[0].Type))
}

func (c *checker) report(at analysis.Range, format string, args ...any) {
	allow.Reportf(c.Pass, "compare", at, format, args...)
}

const differ = "two seals of one address differ"

func (c *checker) binary(n *ast.BinaryExpr) {
	if n.Op != token.EQL && n.Op != token.NEQ {
		return
	}
	if c.label(n.X) && c.label(n.Y) {
		c.report(n, "labels compared with %s: GoString says the same of all values of a purpose, so compare indexes with Index.Equal", n.Op)
		return
	}
	for _, e := range []ast.Expr{n.X, n.Y} {
		if c.absent(e) {
			return // the zero value has one form alone
		}
	}
	if known.IsIndex(c.TypesInfo.TypeOf(n.X)) && known.IsIndex(c.TypesInfo.TypeOf(n.Y)) {
		c.report(n, "indexes compared with %s: one absent index is equal to another, and so to that of somebody else, so use Index.Equal, and IsZero for absence", n.Op)
		return
	}
	for _, e := range []ast.Expr{n.X, n.Y} {
		if what := c.holds(e); what != "" {
			c.report(n, "%s compared with %s: %s, so compare indexes of one purpose with Index.Equal, and call IsZero for absence", what, n.Op, differ)
			return
		}
	}
}

// label reports whether e is the printed label of a sealed value or an index.
func (c *checker) label(e ast.Expr) bool {
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
	if !ok || c.TypesInfo.Selections[sel] == nil || sel.Sel.Name != "GoString" {
		return false
	}
	t := c.TypesInfo.TypeOf(sel.X)
	return known.IsSealed(t) || known.IsIndex(t)
}

// absent reports whether e is a zero value: a literal, or a variable that is never set.
func (c *checker) absent(e ast.Expr) bool {
	switch e := ast.Unparen(e).(type) {
	case *ast.CompositeLit:
		return len(e.Elts) == 0
	case *ast.Ident:
		v, ok := c.TypesInfo.Uses[e].(*types.Var)
		if !ok {
			return c.TypesInfo.Types[e].IsNil()
		}
		values, declared := c.assigned()[v]
		return declared && len(values) == 0 && !(known.IsGlobal(v) && v.Exported())
	}
	return false
}

// holds returns a description of the sealed value that e is or contains, "" if there is
// none.
func (c *checker) holds(e ast.Expr) string {
	return holds(c.TypesInfo.TypeOf(known.Unwrap(c.TypesInfo, e)))
}

func holds(t types.Type) string {
	if t == nil {
		return ""
	}
	if isPointer(t) {
		return ""
	}
	if known.IsSealed(t) {
		return "sealed value"
	}
	if path := within(t, 6); path != "" {
		return "value with a sealed one in it (" + path[1:] + ")"
	}
	return ""
}

// within returns the path of the first sealed value that is part of t.
func within(t types.Type, depth int) string {
	if depth == 0 || t == nil {
		return ""
	}
	switch u := t.Underlying().(type) {
	case *types.Struct:
		for f := range u.Fields() {
			if isPointer(f.Type()) {
				continue
			}
			if known.IsSealed(f.Type()) {
				return "." + f.Name()
			}
			if path := within(f.Type(), depth-1); path != "" {
				return "." + f.Name() + path
			}
		}
	case *types.Array:
		if isPointer(u.Elem()) {
			return ""
		}
		if known.IsSealed(u.Elem()) {
			return ".[]"
		}
		if path := within(u.Elem(), depth-1); path != "" {
			return ".[]" + path
		}
	}
	return ""
}

func isPointer(t types.Type) bool {
	_, ok := t.Underlying().(*types.Pointer)
	return ok
}

func (c *checker) switches(n *ast.SwitchStmt) {
	if n.Tag == nil {
		return
	}
	if what := c.holds(n.Tag); what != "" {
		c.report(n.Tag, "%s compared by switch: %s, so compare indexes of one purpose with Index.Equal", what, differ)
	}
}

func (c *checker) mapType(n *ast.MapType) {
	if what := holds(c.TypesInfo.TypeOf(n.Key)); what != "" {
		c.report(n.Key, "%s as map key: %s, and so are two keys: use the id of the row", what, differ)
	}
}

// lookup reports m[email] for a map with keys of an interface type.
func (c *checker) lookup(n *ast.IndexExpr) {
	t := c.TypesInfo.TypeOf(n.X)
	if t == nil {
		return
	}
	m, ok := t.Underlying().(*types.Map)
	if !ok {
		return
	}
	if _, parameter := types.Unalias(m.Key()).(*types.TypeParam); parameter || !types.IsInterface(m.Key()) {
		return
	}
	if what := c.holds(n.Index); what != "" {
		c.report(n.Index, "%s as map key: %s, and so are two keys: use the id of the row", what, differ)
	}
}

var syncMap = map[string]bool{
	"Load": true, "Store": true, "LoadOrStore": true, "LoadAndDelete": true,
	"Delete": true, "Swap": true, "CompareAndSwap": true, "CompareAndDelete": true,
}

func (c *checker) call(n *ast.CallExpr) {
	fn := known.Func(c.TypesInfo, n.Fun)
	if fn == nil {
		return
	}
	if path := known.Qualified(fn); strings.HasPrefix(path, "sync.Map.") && syncMap[fn.Name()] && len(n.Args) > 0 {
		if what := c.holds(n.Args[0]); what != "" {
			c.report(n.Args[0], "%s as map key: %s, and so are two keys: use the id of the row", what, differ)
		}
		return
	}
	c.query(n, fn)
}

// instance reports generic functions and types with a comparable type parameter and a
// sealed type argument, such as slices.Contains.
func (c *checker) instance(id *ast.Ident) {
	inst, ok := c.TypesInfo.Instances[id]
	if !ok {
		return
	}
	var params *types.TypeParamList
	obj := c.TypesInfo.Uses[id]
	switch obj := obj.(type) {
	case *types.Func:
		params = obj.Origin().Signature().TypeParams()
	case *types.TypeName:
		switch t := obj.Type().(type) {
		case *types.Named:
			params = t.Origin().TypeParams()
		case *types.Alias:
			params = t.Origin().TypeParams()
		}
	}
	if params == nil || obj.Pkg() == nil || harmless(obj) {
		return
	}
	for i := range min(params.Len(), inst.TypeArgs.Len()) {
		constraint, ok := params.At(i).Constraint().Underlying().(*types.Interface)
		if !ok || !constraint.IsComparable() {
			continue
		}
		if what := holds(inst.TypeArgs.At(i)); what != "" {
			c.report(id, "%s compared by %s: %s, so compare indexes of one purpose with Index.Equal", what, obj.Name(), differ)
			return
		}
	}
}

// harmless reports whether a generic function compares with the zero value alone, or does
// not compare.
func harmless(obj types.Object) bool {
	switch obj.Pkg().Path() {
	case "maps", "golang.org/x/exp/maps": // reported at the type of the map
		return true
	}
	name := strings.ToLower(obj.Name())
	for _, word := range []string{"zero", "empty", "coalesce", "default"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return name == "or"
}
