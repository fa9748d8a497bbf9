package inventory

import (
	"go/ast"
	"go/types"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// rule lists the recipient of a literal of type egress.Rule or egress.Relay. A rule without fields and
// without a reader fills nothing, so its host is no recipient.
func (c *collector) rule(lit *ast.CompositeLit) {
	r := known.RuleOf(c.pass.TypesInfo, lit)
	if len(r.Fields) == 0 && r.Whole && r.Reader == nil {
		return
	}
	u := Use{Op: Send, Host: r.Host, At: c.at(lit.Pos())}
	if r.HostAt != nil {
		u.At = c.at(r.HostAt.Pos())
	}
	for _, f := range r.Fields {
		u.Fields = append(u.Fields, Field{typeName(f.Type), f.Format + " " + f.Name})
	}
	if r.Reader != nil {
		u.Scope = c.purposes.Ref(r.Reader)
	} else {
		u.Scope = c.readers(c.pass.TypesInfo.TypeOf(lit)) // one that is assigned later
	}
	c.use(u)
}

// hostSet lists the recipient if lhs is the host of an egress.Rule or of an egress.Relay. The
// fields of the rule are not known, and its purposes are those of all readers that rules are given.
func (c *collector) hostSet(lhs, host ast.Expr) {
	sel, ok := ast.Unparen(lhs).(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "Host" || !known.IsRule(c.pass.TypesInfo.TypeOf(sel.X)) {
		return
	}
	u := Use{Op: Send, At: c.at(host.Pos())}
	u.Host, _ = known.Constant(c.pass.TypesInfo, host)
	u.Scope = c.readers(c.pass.TypesInfo.TypeOf(sel.X))
	c.use(u)
}

// readers returns the readers that rules of a type are given, empty if the type has none.
func (c *collector) readers(rule types.Type) purposes.Ref {
	field, _, _ := types.LookupFieldOrMethod(rule, true, c.pass.Pkg, "Reader")
	if reader, ok := field.(*types.Var); ok {
		return c.purposes.Variable(reader)
	}
	return purposes.Ref{}
}
