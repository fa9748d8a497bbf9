package purposes

import (
	"go/ast"
	"go/token"
	"go/types"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

func (b *builder) hold(held map[*types.Var]int, lhs, rhs ast.Expr) {
	id, ok := lhs.(*ast.Ident)
	if !ok {
		return
	}
	v, ok := b.info.ObjectOf(id).(*types.Var)
	if !ok || v.Pkg() != nil && v.Parent() == v.Pkg().Scope() {
		return
	}
	if _, isFunc := v.Type().Underlying().(*types.Signature); !isFunc {
		return
	}
	if rhs == nil {
		if b.info.Defs[id] == nil {
			held[v] = 2
		}
		return // var f func(), assigned later
	}
	held[v]++
	if lit, ok := ast.Unparen(rhs).(*ast.FuncLit); ok {
		b.literals[v] = lit
	}
}

// usedIdent returns the identifier of a call's function.
func usedIdent(fun ast.Expr) *ast.Ident {
	switch fun := ast.Unparen(fun).(type) {
	case *ast.Ident:
		return fun
	case *ast.SelectorExpr:
		return fun.Sel
	case *ast.IndexExpr:
		return usedIdent(fun.X)
	case *ast.IndexListExpr:
		return usedIdent(fun.X)
	}
	return nil
}

// into lets r flow into the variable, field or element on the left-hand side of an
// assignment.
func (b *builder) into(lhs ast.Expr, r Ref) {
	if r.IsZero() {
		return
	}
	switch lhs := ast.Unparen(lhs).(type) {
	case *ast.Ident:
		if v, ok := b.info.ObjectOf(lhs).(*types.Var); ok {
			b.intoVar(v, r)
		}
	case *ast.SelectorExpr:
		if v, ok := b.info.ObjectOf(lhs.Sel).(*types.Var); ok {
			b.intoVar(v, r)
		}
	case *ast.IndexExpr:
		keys := b.keys(lhs)
		if keys == nil {
			b.into(lhs.X, r)
			break
		}
		for _, id := range b.elements(lhs.X, keys).From {
			n := b.graph.node(id)
			n.Ref = n.And(r)
		}
	case *ast.StarExpr:
		b.into(lhs.X, r)
	case *ast.CallExpr:
		// f().x is a selector. An assignment to *f() is not tracked.
	}
}

func (b *builder) intoVar(v *types.Var, r Ref) {
	if id := b.own(v); id != "" {
		n := b.graph.node(id)
		n.Ref = n.And(r)
	}
}

func (b *builder) walk(root ast.Node) {
	ast.Inspect(root, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if fn, ok := b.info.Defs[n.Name].(*types.Func); ok && n.Body != nil {
				b.place = Place(fn)
				b.inside(around{Func(fn), fn.Signature()}, n.Body)
			}
			return false
		case *ast.FuncLit:
			if sig, ok := b.info.TypeOf(n).(*types.Signature); ok {
				b.inside(around{b.literalName(n), sig}, n.Body)
			}
			return false
		case *ast.AssignStmt:
			b.assign(n.Lhs, n.Rhs)
		case *ast.ValueSpec:
			if len(b.around) == 0 {
				b.place = known.PackagePath(b.pass.Pkg.Path()) + "." + n.Names[0].Name
			}
			lhs := make([]ast.Expr, len(n.Names))
			for i, name := range n.Names {
				lhs[i] = name
			}
			b.assign(lhs, n.Values)
		case *ast.RangeStmt:
			b.rangeOver(n)
		case *ast.TypeSwitchStmt:
			b.typeSwitch(n)
		case *ast.ReturnStmt:
			b.results(n)
		case *ast.SendStmt:
			if carries(b.info.TypeOf(n.Value)) {
				b.into(n.Chan, b.ref(n.Value))
			}
		case *ast.CompositeLit:
			b.structure(n)
		case *ast.CallExpr:
			b.call(n)
		case *ast.UnaryExpr:
			// Code with the address may store any value.
			if n.Op == token.AND && (known.Carries(b.info.TypeOf(n.X)) || known.IsBasis(b.info.TypeOf(n.X))) {
				if _, ok := ast.Unparen(n.X).(*ast.CompositeLit); !ok {
					b.into(n.X, unknown("set through its address"))
				}
			}
		}
		return true
	})
}

func (b *builder) inside(a around, body *ast.BlockStmt) {
	b.around = append(b.around, a)
	b.walk(body)
	b.around = b.around[:len(b.around)-1]
}

func (b *builder) assign(lhs, rhs []ast.Expr) {
	for i, l := range lhs {
		if id, ok := l.(*ast.Ident); ok && id.Name == "_" {
			continue
		}
		if sel, ok := ast.Unparen(l).(*ast.SelectorExpr); ok && known.IsBasis(b.info.TypeOf(sel.X)) {
			part := basisWith(sel.Sel.Name, AtRunTime)
			part.Part = true
			b.into(sel.X, Ref{Bases: []Basis{part}})
			continue
		}
		if !carries(b.info.TypeOf(l)) {
			continue
		}
		switch {
		case len(rhs) == len(lhs):
			b.into(l, b.ref(rhs[i]))
		case len(rhs) == 1:
			b.into(l, b.nth(rhs[0], i))
		}
	}
}

func (b *builder) rangeOver(n *ast.RangeStmt) {
	for _, l := range []ast.Expr{n.Key, n.Value} {
		if l == nil || !carries(b.info.TypeOf(l)) {
			continue
		}
		if _, isFunc := b.info.TypeOf(n.X).Underlying().(*types.Signature); isFunc {
			b.into(l, unknown("what an iterator yields"))
			continue
		}
		b.into(l, b.ref(n.X))
	}
}

func (b *builder) typeSwitch(n *ast.TypeSwitchStmt) {
	assign, ok := n.Assign.(*ast.AssignStmt)
	if !ok || len(assign.Rhs) != 1 {
		return
	}
	for _, clause := range n.Body.List {
		if v, ok := b.info.Implicits[clause].(*types.Var); ok && carries(v.Type()) {
			b.intoVar(v, b.ref(assign.Rhs[0]))
		}
	}
}

func (b *builder) results(n *ast.ReturnStmt) {
	if len(b.around) == 0 {
		return
	}
	a := b.around[len(b.around)-1]
	for i := range a.sig.Results().Len() {
		if !carries(a.sig.Results().At(i).Type()) {
			continue
		}
		to := b.graph.node(result(a.name, i))
		switch {
		case len(n.Results) == a.sig.Results().Len():
			to.Ref = to.And(b.ref(n.Results[i]))
		case len(n.Results) == 1:
			to.Ref = to.And(b.nth(n.Results[0], i))
		}
	}
}

// structure adds the flows into the fields of a struct literal.
func (b *builder) structure(lit *ast.CompositeLit) {
	t := b.info.TypeOf(lit)
	if t == nil {
		return
	}
	if p, ok := t.Underlying().(*types.Pointer); ok { // elided &T
		t = p.Elem()
	}
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		return
	}
	for i, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			id, ok := kv.Key.(*ast.Ident)
			if !ok {
				continue
			}
			if f, ok := b.info.Uses[id].(*types.Var); ok && carries(f.Type()) {
				b.intoVar(f, b.ref(kv.Value))
			}
		} else if i < s.NumFields() && carries(s.Field(i).Type()) {
			b.intoVar(s.Field(i), b.ref(e))
		}
	}
}
