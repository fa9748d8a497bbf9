package inventory

import (
	"go/ast"
	"go/types"
)

// Programs keep several scopes in a map from purposes to scopes, and most fill it in a
// loop. If all elements of the map were one node, every component would seem to use every
// purpose of the program. So the analysis tracks the keys as well.

// keyed reports whether an expression is a map whose keys are purposes and whose elements
// are tracked.
func (c *collector) keyed(e ast.Expr) bool {
	t := c.pass.TypesInfo.TypeOf(e)
	if t == nil {
		return false
	}
	m, ok := t.Underlying().(*types.Map)
	return ok && holding(m.Key()) == purposes && holding(m.Elem()) != 0
}

// lookup returns the reference to the element of a map at a key.
func (c *collector) lookup(e *ast.IndexExpr) []Ref {
	id := node("lookup " + c.spot(e.Lbrack))
	if !c.looked[e] {
		c.looked[e] = true
		c.out.Lookups = append(c.out.Lookups, Lookup{id, c.refs(e.X), c.refs(e.Index)})
	}
	return []Ref{id}
}

// assignKeyed records that refs are assigned to an element of a map.
func (c *collector) assignKeyed(e *ast.IndexExpr, from []Ref, same bool) {
	key := c.refs(e.Index)
	for _, to := range c.refs(e.X) {
		c.out.Flows = append(c.out.Flows, Flow{To: to, From: from, Key: key, Same: same}, Flow{To: to, From: key, Keys: true})
	}
}

// keyedElements returns the reference to a map literal.
func (c *collector) keyedElements(lit *ast.CompositeLit) []Ref {
	id := node("map " + c.spot(lit.Lbrace))
	if c.literals[lit] {
		return []Ref{id}
	}
	c.literals[lit] = true
	for _, e := range lit.Elts {
		if pair, ok := e.(*ast.KeyValueExpr); ok {
			key := c.refs(pair.Key)
			c.out.Flows = append(c.out.Flows,
				Flow{To: id, From: c.refs(pair.Value), Key: key, Same: c.samePurpose(pair.Key, pair.Value)},
				Flow{To: id, From: key, Keys: true})
		}
	}
	if len(lit.Elts) == 0 {
		return nil // the flows into the variable are all of its content
	}
	return []Ref{id}
}

// samePurpose reports whether e opens a scope of the purpose key: both name the same
// variable.
func (c *collector) samePurpose(key, e ast.Expr) bool {
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok {
		return false
	}
	v, ok := c.invoked(call)
	if !ok || v.f == nil || v.f.Pkg() == nil || v.f.Pkg().Path() != vaultPath || receiver(v.f.Signature()) != "Vault" {
		return false
	}
	o := c.object(key)
	for _, a := range v.args {
		if holding(a.typ) == purposes {
			return o != nil && c.object(a.expr) == o
		}
	}
	return false
}

// object returns the variable that an expression refers to.
func (c *collector) object(e ast.Expr) types.Object {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		return c.pass.TypesInfo.ObjectOf(e)
	case *ast.SelectorExpr:
		if _, qualified := c.pass.TypesInfo.Selections[e]; !qualified {
			return c.pass.TypesInfo.ObjectOf(e.Sel) // of another package
		}
	}
	return nil
}
