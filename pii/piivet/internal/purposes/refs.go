package purposes

import (
	"go/ast"
	"go/token"
	"go/types"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// ref returns the reference of an expression.
func (b *builder) ref(e ast.Expr) Ref {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return b.ref(e.X)
	case *ast.StarExpr:
		return b.ref(e.X)
	case *ast.IndexExpr:
		if keys := b.keys(e); keys != nil {
			return b.elements(e.X, keys)
		}
		return b.ref(e.X)
	case *ast.SliceExpr:
		return b.ref(e.X)
	case *ast.KeyValueExpr:
		r := Ref{}
		for _, x := range []ast.Expr{e.Key, e.Value} {
			if carries(b.info.TypeOf(x)) {
				r = r.And(b.ref(x))
			}
		}
		return r
	case *ast.UnaryExpr:
		if e.Op == token.AND || e.Op == token.ARROW {
			return b.ref(e.X)
		}
	case *ast.Ident:
		switch obj := b.info.ObjectOf(e).(type) {
		case *types.Var:
			return b.variable(obj)
		case *types.Nil:
			return Ref{}
		}
	case *ast.SelectorExpr:
		if v, ok := b.info.ObjectOf(e.Sel).(*types.Var); ok {
			return b.variable(v)
		}
	case *ast.CompositeLit:
		return b.composite(e)
	case *ast.TypeAssertExpr:
		if t := b.info.TypeOf(e.X); t != nil && known.IsScope(t) {
			return b.ref(e.X)
		}
		return unknown("comes out of an interface value")
	case *ast.CallExpr:
		return b.nth(e, 0)
	}
	return unknown("an expression that is not followed")
}

// composite returns the reference of a literal.
func (b *builder) composite(e *ast.CompositeLit) Ref {
	t := b.info.TypeOf(e)
	if t == nil {
		return Ref{Unknown: true}
	}
	if known.IsBasis(t) {
		return Ref{Bases: []Basis{b.basis(e)}}
	}
	if _, ok := t.Underlying().(*types.Struct); ok {
		return Ref{} // a zero scope or purpose
	}
	if b.keyed(t) {
		return b.literalMap(e)
	}
	r := Ref{}
	for _, x := range e.Elts {
		r = r.And(b.ref(x))
	}
	return r
}

func (b *builder) variable(v *types.Var) Ref {
	if r, ok := b.imported(v); ok {
		return r
	}
	if id := b.own(v); id != "" {
		return Ref{From: []string{id}}
	}
	return Ref{Unknown: true}
}

// imported returns the purpose or the basis of a package-level variable of another
// package, which need not be analyzed in the run that makes the register. Ok is false if
// the variable has several.
func (b *builder) imported(v *types.Var) (r Ref, ok bool) {
	if !b.program || v.Pkg() == b.pass.Pkg || !known.IsGlobal(v) {
		return Ref{}, false
	}
	id := b.Name(v)
	if known.IsPurpose(v.Type()) {
		names, complete := b.imports.Names(Ref{From: []string{id}}, false)
		return Ref{Names: names}, complete && len(names) == 1
	}
	n := b.imports.Nodes[id]
	if n == nil || len(n.Bases) != 1 || len(n.From) > 0 || n.Unknown {
		return Ref{}, false
	}
	return Ref{Bases: n.Bases}, true
}
