package value

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// conditions are the methods of query builders that take a condition as text, of GORM,
// bun, squirrel and others.
var conditions = map[string]bool{
	"Where": true, "WhereOr": true, "Or": true, "Not": true, "Having": true, "And": true,
	"First": true, "Last": true, "Take": true, "Find": true, "Delete": true,
	"FirstOrInit": true, "FirstOrCreate": true,
}

const labelled = "label looked for by a query: GoString says the same of all values of a purpose, so pass the index itself"

// lookedFor returns the message for a query by a sealed value of type t, with the
// function to use instead.
func lookedFor(t types.Type) string {
	index := "pii.IndexOf"
	if n := known.Named(t); n != nil && (n.Obj().Name() == "Email" || n.Obj().Name() == "Phone") {
		index = "pii.Index" + n.Obj().Name()
	}
	return "sealed value looked for by a query: " + differ + ", so no row is found: keep a column of indexes, and look for what " + index + " returns"
}

// query reports sealed values that a call passes to a database for a comparison. It
// recognises a query by the shape of the call, text followed by any number of arguments,
// and by the text. So it works with any driver, and through wrappers.
func (c *checker) query(n *ast.CallExpr, fn *types.Func) {
	c.predicate(n, fn)
	c.gorm(n, fn)
	sig := fn.Signature()
	switch known.Package(fn) {
	case "fmt", "log", "log/slog", "testing", "errors":
		return
	}
	if strings.HasPrefix(fn.Name(), "Named") && len(n.Args) >= 2 { // sqlx
		c.arguments(n, n.Args[len(n.Args)-2], n.Args[len(n.Args)-1:], other)
		return
	}
	if !sig.Variadic() {
		return
	}
	fixed := sig.Params().Len() - 1
	if last, ok := sig.Params().At(fixed).Type().(*types.Slice); !ok || !isAny(last.Elem()) {
		return
	}
	begin := other
	if conditions[fn.Name()] {
		begin = cond
	}
	switch {
	case len(n.Args) <= fixed:
	case fixed > 0 && isText(c.TypesInfo.TypeOf(n.Args[fixed-1])):
		c.arguments(n, n.Args[fixed-1], c.spread(n, fixed), begin)
	case begin == cond && isText(c.TypesInfo.TypeOf(n.Args[fixed])):
		c.arguments(n, n.Args[fixed], n.Args[fixed+1:], begin)
	}
}

// spread returns the arguments of n from the given one on. A slice literal before "..."
// is replaced by its elements.
func (c *checker) spread(n *ast.CallExpr, from int) []ast.Expr {
	if !n.Ellipsis.IsValid() {
		return n.Args[from:]
	}
	last := c.resolve(n.Args[len(n.Args)-1])
	if lit, ok := last.(*ast.CompositeLit); ok {
		return lit.Elts
	}
	return nil
}

// arguments matches the placeholders of a query with its arguments.
func (c *checker) arguments(call *ast.CallExpr, query ast.Expr, args []ast.Expr, begin clause) {
	var sealed bool
	for _, arg := range args {
		sealed = sealed || c.message(arg) != "" || c.named(arg) != nil
	}
	if !sealed {
		return
	}
	text := c.text(query, 0)
	if strings.Trim(text, unknown+" ") == "" {
		return
	}
	if begin == cond && isStatement(text) {
		begin = other
	}
	found, complete := scanQuery(text, begin)
	if !complete && len(found) != len(args) {
		found = nil
	}
	for _, p := range found {
		if !p.compared {
			continue
		}
		if p.n >= 0 && p.n < len(args) {
			if message := c.message(args[p.n]); message != "" {
				c.report(at(args[p.n], call), "%s", message)
			}
		}
		if p.n < 0 {
			for _, arg := range args {
				if value := c.named(arg)[p.name]; value != nil {
					c.report(at(value, call), "%s", c.message(value))
				}
			}
		}
	}
}

// at returns the node to report an argument at: the call, if the argument was built
// elsewhere.
func at(arg ast.Expr, call *ast.CallExpr) ast.Expr {
	if arg.Pos() < call.Pos() || call.End() < arg.End() {
		return call
	}
	return arg
}

// message returns the message for a query by e, "" if there is nothing to report.
func (c *checker) message(e ast.Expr) string {
	e = known.Unwrap(c.TypesInfo, e)
	if c.label(e) {
		return labelled
	}
	t := c.TypesInfo.TypeOf(e)
	if t == nil {
		return ""
	}
	if known.IsSealed(t) {
		return lookedFor(t)
	}
	switch u := t.Underlying().(type) {
	case *types.Slice:
		if known.IsSealed(u.Elem()) {
			return lookedFor(u.Elem())
		}
	case *types.Array:
		if known.IsSealed(u.Elem()) {
			return lookedFor(u.Elem())
		}
	}
	// pq.Array(emails), bun.In(emails)
	if call, ok := e.(*ast.CallExpr); ok && len(call.Args) == 1 {
		if fn := known.Func(c.TypesInfo, call.Fun); fn != nil && (fn.Name() == "Array" || fn.Name() == "In" || fn.Name() == "List") {
			return c.message(call.Args[0])
		}
	}
	return ""
}

// named returns the sealed values of an argument with names: sql.Named, or a map such as
// pgx.NamedArgs.
func (c *checker) named(e ast.Expr) map[string]ast.Expr {
	found := map[string]ast.Expr{}
	add := func(key, value ast.Expr) {
		if name, ok := known.Constant(c.TypesInfo, key); ok && c.message(value) != "" {
			found[name] = value
		}
	}
	switch e := c.resolve(known.Unwrap(c.TypesInfo, e)).(type) {
	case *ast.CallExpr:
		if fn := known.Func(c.TypesInfo, e.Fun); fn != nil && fn.Name() == "Named" && len(e.Args) == 2 {
			add(e.Args[0], e.Args[1])
		}
	case *ast.CompositeLit:
		if t := c.TypesInfo.TypeOf(e); t != nil {
			if _, ok := t.Underlying().(*types.Map); ok {
				for _, elt := range e.Elts {
					if kv, ok := elt.(*ast.KeyValueExpr); ok {
						add(kv.Key, kv.Value)
					}
				}
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	return found
}

// text returns the text of an expression, with [unknown] in place of parts that are not
// constant.
func (c *checker) text(e ast.Expr, depth int) string {
	if s, ok := known.Constant(c.TypesInfo, e); ok {
		return s
	}
	if depth > 8 {
		return unknown
	}
	switch e := c.resolve(known.Unwrap(c.TypesInfo, e)).(type) {
	case *ast.BasicLit:
		s, _ := known.Constant(c.TypesInfo, e)
		return s
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return c.text(e.X, depth+1) + c.text(e.Y, depth+1)
		}
	case *ast.CallExpr:
		fn := known.Func(c.TypesInfo, e.Fun)
		switch {
		case known.Qualified(fn) == "fmt.Sprintf" && len(e.Args) > 0:
			return verbs(c.text(e.Args[0], depth+1))
		case fn != nil && len(e.Args) == 1 && isText(c.TypesInfo.TypeOf(e)): // db.Rebind, strings.TrimSpace
			return c.text(e.Args[0], depth+1)
		case c.TypesInfo.Types[e.Fun].IsType() && len(e.Args) == 1:
			return c.text(e.Args[0], depth+1)
		}
	default:
		if s, ok := known.Constant(c.TypesInfo, e); ok {
			return s
		}
	}
	return unknown
}

// verbs replaces the verbs of a format by [unknown].
func verbs(format string) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		for i++; i < len(format) && strings.IndexByte("+-# 0123456789.[]*", format[i]) >= 0; i++ {
		}
		if i < len(format) && format[i] == '%' {
			b.WriteByte('%')
		} else {
			b.WriteString(unknown)
		}
	}
	return b.String()
}

// resolve returns the value of a variable that is set once in the package, and e for any
// other expression.
func (c *checker) resolve(e ast.Expr) ast.Expr {
	e = ast.Unparen(e)
	id, ok := e.(*ast.Ident)
	if !ok {
		return e
	}
	v, ok := c.TypesInfo.Uses[id].(*types.Var)
	if !ok || v.IsField() || known.IsGlobal(v) && v.Exported() {
		return e
	}
	if values := c.assigned()[v]; len(values) == 1 && values[0] != nil {
		return ast.Unparen(values[0])
	}
	return e
}

// assigned returns the values that are assigned to each variable of the package. There is
// none for a variable that is declared and never set.
func (c *checker) assigned() map[*types.Var][]ast.Expr {
	if c.values == nil {
		c.values = map[*types.Var][]ast.Expr{}
		for _, file := range c.Files {
			ast.Inspect(file, func(n ast.Node) bool { c.sets(n); return true })
		}
	}
	return c.values
}

// set records an assignment. The value is nil if it is not known.
func (c *checker) set(to, value ast.Expr) {
	if _, ok := ast.Unparen(to).(*ast.Ident); !ok {
		value = nil // a part of the variable
	}
	if v := known.Root(c.TypesInfo, to); v != nil {
		c.values[v] = append(c.values[v], value)
	}
}

// sets records the assignments of a node.
func (c *checker) sets(n ast.Node) {
	switch n := n.(type) {
	case *ast.AssignStmt:
		for i, to := range n.Lhs {
			switch id, ok := to.(*ast.Ident); {
			case ok && id.Name == "_":
			case len(n.Lhs) == len(n.Rhs) && (n.Tok == token.ASSIGN || n.Tok == token.DEFINE):
				c.set(to, n.Rhs[i])
			default:
				c.set(to, nil)
			}
		}
	case *ast.ValueSpec:
		c.declares(n)
	case *ast.RangeStmt:
		for _, to := range []ast.Expr{n.Key, n.Value} {
			if to != nil {
				c.set(to, nil)
			}
		}
	case *ast.FuncType:
		for _, field := range n.Params.List {
			for _, name := range field.Names {
				c.set(name, nil) // an argument of a caller
			}
		}
	case *ast.UnaryExpr: // code with the address may set the variable
		if n.Op == token.AND {
			c.set(n.X, nil)
		}
	case *ast.SelectorExpr: // and so may a method
		if s := c.TypesInfo.Selections[n]; s != nil && s.Kind() == types.MethodVal {
			if f, ok := s.Obj().(*types.Func); ok && isPointer(f.Signature().Recv().Type()) {
				c.set(n.X, nil)
			}
		}
	}
}

func (c *checker) declares(n *ast.ValueSpec) {
	for i, name := range n.Names {
		if len(n.Names) == len(n.Values) {
			c.set(name, n.Values[i])
		} else if len(n.Values) > 0 {
			c.set(name, nil)
		} else if v, ok := c.TypesInfo.Defs[name].(*types.Var); ok && c.values[v] == nil {
			c.values[v] = []ast.Expr{} // declared, and zero
		}
	}
}

func isStatement(text string) bool {
	word := strings.ToUpper(prefix(strings.TrimLeft(text, " \t\r\n("), isLetter))
	switch word {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "MERGE", "REPLACE":
		return true
	}
	return false
}

func isAny(t types.Type) bool {
	i, ok := t.Underlying().(*types.Interface)
	return ok && i.Empty()
}

func isText(t types.Type) bool {
	if t == nil {
		return false
	}
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsString != 0
}
