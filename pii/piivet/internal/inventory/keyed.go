package inventory

import (
	"go/ast"
	"go/types"
)

// Maps from purposes to scopes are how programs keep more than one, and most are
// filled by a loop. To take all that they hold for one would put every purpose of
// the program into every component, so their keys are followed as well.

// keyed reports whether an expression is a map whose keys are purposes and which
// holds something else that is followed.
func (c *collector) keyed(e ast.Expr) bool {
	t := c.pass.TypesInfo.TypeOf(e)
	if t == nil {
		return false
	}
	m, ok := t.Underlying().(*types.Map)
	return ok && holding(m.Key()) == purposes && holding(m.Elem()) != 0
}

// lookup refers to what a map holds by a key.
func (c *collector) lookup(e *ast.IndexExpr) []Ref {
	id := node("lookup " + c.spot(e.Lbrack))
	if !c.looked[e] {
		c.looked[e] = true
		c.out.Lookups = append(c.out.Lookups, Lookup{id, c.refs(e.X), c.refs(e.Index)})
	}
	return []Ref{id}
}

// assignKeyed notes that refs are put into a map.
func (c *collector) assignKeyed(e *ast.IndexExpr, from []Ref, same bool) {
	key := c.refs(e.Index)
	for _, to := range c.refs(e.X) {
		c.out.Flows = append(c.out.Flows, Flow{To: to, From: from, Key: key, Same: same}, Flow{To: to, From: key, Keys: true})
	}
}

// keyedElements refers to the literal of a map.
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
		return nil // what is put in later is all there is
	}
	return []Ref{id}
}

// samePurpose reports whether e opens a scope of the purpose that key is: both
// name the same variable.
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

// object returns the variable that an expression names.
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
