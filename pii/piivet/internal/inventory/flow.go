package inventory

import (
	"cmp"
	"go/ast"
	"go/token"
	"go/types"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// walk lists the uses and the flows within n.
func (c *collector) walk(n ast.Node) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			c.literal(n)
			return false
		case *ast.CallExpr:
			c.called[function(n.Fun)] = true
			c.call(n)
		case *ast.AssignStmt:
			c.assignment(n)
		case *ast.DeclStmt:
			if decl, ok := n.Decl.(*ast.GenDecl); ok {
				for _, spec := range decl.Specs {
					if spec, ok := spec.(*ast.ValueSpec); ok {
						c.values(spec)
					}
				}
			}
		case *ast.RangeStmt:
			c.ranging(n)
		case *ast.SendStmt:
			c.assign(n.Chan, c.refs(n.Value))
		case *ast.ReturnStmt:
			c.returning(n)
		case *ast.TypeSwitchStmt:
			c.typeSwitch(n)
		case *ast.CompositeLit:
			c.fields(n)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				c.address(n)
			}
		case *ast.SelectorExpr:
			c.taken(n, n.Sel)
			c.called[n.Sel] = true // not a second time, as an identifier
		case *ast.Ident:
			c.taken(n, n)
		}
		return true
	})
}

// function returns the function of a call without parentheses and type arguments.
func function(e ast.Expr) ast.Expr {
	switch e := ast.Unparen(e).(type) {
	case *ast.IndexExpr:
		return ast.Unparen(e.X)
	case *ast.IndexListExpr:
		return ast.Unparen(e.X)
	default:
		return e
	}
}

func (c *collector) literal(lit *ast.FuncLit) {
	sig, ok := c.pass.TypesInfo.TypeOf(lit).(*types.Signature)
	if !ok {
		return
	}
	id := "literal " + c.spot(lit.Pos())
	if !c.called[lit] && holdsAny(sig) {
		c.out.Aliases = append(c.out.Aliases, Alias{id, valueAlias(sig)})
	}
	c.function(id, c.in(), sig, lit.Body, "", lit.Pos())
}

// taken records that a function is used as a value, so that any indirect call may reach
// it.
func (c *collector) taken(e ast.Expr, name *ast.Ident) {
	f, ok := c.pass.TypesInfo.Uses[name].(*types.Func)
	if !ok || c.called[e] || f.Pkg() == nil {
		return
	}
	if ofLibrary(f.Pkg().Path()) {
		for _, u := range c.uses(f, nil, e) {
			u.Scope = []Ref{Unknown("taken as a function value")}
			u.At = c.at(e.Pos())
			c.use(u)
		}
		return
	}
	sig, ok := c.pass.TypesInfo.TypeOf(e).(*types.Signature)
	if !ok || !holdsAny(sig) && !holdsAny(f.Signature()) {
		return
	}
	c.out.Aliases = append(c.out.Aliases, Alias{funcID(f), valueAlias(sig)})
	if sel, ok := e.(*ast.SelectorExpr); ok && f.Signature().Recv() != nil {
		c.flow(parameter(funcID(f), -1), c.refs(sel.X))
	}
}

func (c *collector) assignment(n *ast.AssignStmt) {
	for i, lhs := range n.Lhs {
		from, at := n.Rhs[0], i
		if len(n.Lhs) == len(n.Rhs) {
			from, at = n.Rhs[i], 0
		}
		c.hostSet(lhs, from)
		if e, ok := ast.Unparen(lhs).(*ast.IndexExpr); ok && c.keyed(e.X) {
			c.assignKeyed(e, c.refsAt(from, at), at == 0 && c.samePurpose(e.Index, from))
			continue
		}
		c.assign(lhs, c.refsAt(from, at))
	}
}

func (c *collector) values(spec *ast.ValueSpec) {
	for i, name := range spec.Names {
		switch {
		case len(spec.Values) == len(spec.Names):
			c.assign(name, c.refs(spec.Values[i]))
		case len(spec.Values) == 1:
			c.assign(name, c.refsAt(spec.Values[0], i))
		}
	}
}

func (c *collector) ranging(n *ast.RangeStmt) {
	from := c.refs(n.X)
	if _, ok := c.pass.TypesInfo.TypeOf(n.X).Underlying().(*types.Signature); ok {
		from = []Ref{Unknown("what an iterator yields")}
	}
	for _, e := range []ast.Expr{n.Key, n.Value} {
		if e != nil {
			c.assign(e, from)
		}
	}
}

func (c *collector) returning(n *ast.ReturnStmt) {
	f := c.around
	if f == nil || f.sig == nil {
		return
	}
	for i := range f.sig.Results().Len() {
		if holding(f.sig.Results().At(i).Type()) == 0 {
			continue
		}
		switch {
		case len(n.Results) == f.sig.Results().Len():
			f.results[i] = append(f.results[i], c.refs(n.Results[i])...)
		case len(n.Results) == 1:
			f.results[i] = append(f.results[i], c.refsAt(n.Results[0], i)...)
		}
	}
}

func (c *collector) typeSwitch(n *ast.TypeSwitchStmt) {
	assign, ok := n.Assign.(*ast.AssignStmt)
	if !ok || len(assign.Rhs) != 1 {
		return
	}
	for _, clause := range n.Body.List {
		if v, ok := c.pass.TypesInfo.Implicits[clause].(*types.Var); ok && holding(v.Type()) != 0 {
			c.flow(c.variable(v), c.refs(assign.Rhs[0]))
		}
	}
}

// fields records the flows into the fields of a struct literal.
func (c *collector) fields(lit *ast.CompositeLit) {
	t := c.pass.TypesInfo.TypeOf(lit)
	if t == nil {
		return
	}
	if p, ok := t.Underlying().(*types.Pointer); ok { // an elided &T in a literal
		t = p.Elem()
	}
	s, ok := t.Underlying().(*types.Struct)
	if !ok || holding(t) == bases {
		return
	}
	if known.IsRule(t) {
		c.rule(lit)
		return
	}
	for i, e := range lit.Elts {
		var field *types.Var
		if pair, ok := e.(*ast.KeyValueExpr); ok {
			name, _ := pair.Key.(*ast.Ident)
			field, _ = c.pass.TypesInfo.Uses[name].(*types.Var)
			e = pair.Value
		} else if i < s.NumFields() {
			field = s.Field(i)
		}
		if field != nil {
			c.store(typeName(t), field, c.refs(e), e)
		}
	}
}

// store records that a field of a type is set.
func (c *collector) store(owner string, field *types.Var, from []Ref, at ast.Expr) {
	h := holding(field.Type())
	if h == 0 {
		return
	}
	c.flow(c.variable(field), from)
	if pkg := field.Pkg(); h&scopes != 0 && pkg != nil && pkg != c.pass.Pkg && len(from) > 0 {
		c.use(Use{Op: HandOver, Scope: from, Outside: pkg.Path(), To: cmp.Or(owner, pkg.Name()) + "." + field.Name(), At: c.at(at.Pos())})
	}
}

// address records that code with the address of a variable may set it.
func (c *collector) address(n *ast.UnaryExpr) {
	if _, ok := ast.Unparen(n.X).(*ast.CompositeLit); ok || holding(c.pass.TypesInfo.TypeOf(n.X)) == 0 {
		return
	}
	c.assign(n.X, []Ref{Unknown("set through its address")})
}

// assign records that refs are assigned to lhs.
func (c *collector) assign(lhs ast.Expr, from []Ref) {
	switch e := ast.Unparen(lhs).(type) {
	case *ast.Ident:
		if v, ok := c.pass.TypesInfo.ObjectOf(e).(*types.Var); ok && e.Name != "_" && holding(v.Type()) != 0 {
			c.flow(c.variable(v), from)
		}
	case *ast.SelectorExpr:
		v, ok := c.pass.TypesInfo.Uses[e.Sel].(*types.Var)
		if !ok {
			return
		}
		if holding(c.pass.TypesInfo.TypeOf(e.X)) == bases {
			part := basisWith(e.Sel.Name, AtRunTime)
			part.Part = true
			c.assign(e.X, []Ref{Based(part)})
			return
		}
		c.store(typeName(c.pass.TypesInfo.TypeOf(e.X)), v, from, e)
	case *ast.IndexExpr:
		c.assign(e.X, from)
	case *ast.StarExpr:
		c.assign(e.X, from)
	}
}

func (c *collector) flow(to Ref, from []Ref) {
	if len(from) > 0 {
		c.out.Flows = append(c.out.Flows, Flow{To: to, From: from})
	}
}

// variable returns the reference to a variable, a parameter or a field.
func (c *collector) variable(v *types.Var) Ref {
	v = v.Origin()
	if r, ok := c.params[v]; ok {
		return r
	}
	pkg := c.out.Path
	if v.Pkg() != nil {
		pkg = known.PackagePath(v.Pkg().Path())
	}
	if v.IsField() {
		if path, err := c.paths.For(v); err == nil {
			return node(pkg + " " + string(path))
		}
	} else if v.Pkg() != nil && v.Parent() == v.Pkg().Scope() {
		return node(pkg + " " + v.Name())
	}
	return node("local " + c.spot(v.Pos()))
}

// refs returns the references of an expression's value. There is none if the type is not
// tracked, and for nil.
func (c *collector) refs(e ast.Expr) []Ref { return c.refsAt(e, 0) }

// refsAt is refs for the value of index i of an expression that has several.
func (c *collector) refsAt(e ast.Expr, i int) []Ref {
	e = ast.Unparen(e)
	t := c.pass.TypesInfo.TypeOf(e)
	if tuple, ok := t.(*types.Tuple); ok {
		if i >= tuple.Len() {
			return nil
		}
		t = tuple.At(i).Type()
	} else if i > 0 {
		return nil // the ok of a comma-ok
	}
	if t == nil || holding(t) == 0 || c.pass.TypesInfo.Types[e].IsNil() {
		return nil
	}
	switch e := e.(type) {
	case *ast.Ident:
		switch o := c.pass.TypesInfo.ObjectOf(e).(type) {
		case *types.Var:
			return c.declaredElsewhere(o, e)
		}
	case *ast.SelectorExpr:
		if v, ok := c.pass.TypesInfo.Uses[e.Sel].(*types.Var); ok {
			return c.declaredElsewhere(v, e)
		}
	case *ast.StarExpr:
		return c.refs(e.X)
	case *ast.UnaryExpr:
		return c.refs(e.X)
	case *ast.IndexExpr:
		if c.keyed(e.X) {
			return c.lookup(e)
		}
		return c.refs(e.X)
	case *ast.SliceExpr:
		return c.refs(e.X)
	case *ast.TypeAssertExpr:
		if holding(c.pass.TypesInfo.TypeOf(e.X)) == 0 {
			return []Ref{Unknown("comes out of an interface value")}
		}
		return c.refs(e.X)
	case *ast.CompositeLit:
		return c.elements(e)
	case *ast.CallExpr:
		return c.callRefs(e, i)
	}
	return []Ref{Unknown("an expression that is not followed")}
}

// declaredElsewhere returns the references of a variable. Purposes and bases may be
// declared in a package that is not analyzed in this run, such as a module that all
// programs of a company share. Facts have them.
func (c *collector) declaredElsewhere(v *types.Var, e ast.Expr) []Ref {
	if v.Pkg() == nil || v.Pkg() == c.pass.Pkg || v.Parent() != v.Pkg().Scope() {
		return []Ref{c.variable(v)}
	}
	switch holding(v.Type()) {
	case purposes:
		if name, ok := c.purposes.PurposeOf(e); ok {
			return []Ref{Purposed(name)}
		}
	case bases:
		if b := new(basisFact); c.pass.ImportObjectFact(v, b) {
			return []Ref{Based(b.Basis)}
		}
	}
	return []Ref{c.variable(v)}
}

// elements returns the references in a literal.
func (c *collector) elements(lit *ast.CompositeLit) []Ref {
	switch holding(c.pass.TypesInfo.TypeOf(lit)) {
	case bases:
		if _, ok := c.pass.TypesInfo.TypeOf(lit).Underlying().(*types.Struct); ok {
			return []Ref{Based(c.basis(lit))}
		}
	case purposes:
		if _, ok := c.pass.TypesInfo.TypeOf(lit).Underlying().(*types.Struct); ok {
			return nil // the zero Purpose
		}
	}
	if c.keyed(lit) {
		return c.keyedElements(lit)
	}
	var all []Ref
	for _, e := range lit.Elts {
		if pair, ok := e.(*ast.KeyValueExpr); ok {
			if _, isMap := c.pass.TypesInfo.TypeOf(lit).Underlying().(*types.Map); isMap {
				all = append(all, c.refs(pair.Key)...)
			}
			e = pair.Value
		}
		all = append(all, c.refs(e)...)
	}
	return all
}
