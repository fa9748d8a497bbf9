package inventory

import (
	"go/ast"
	"go/types"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
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
	if reader := c.readerOf(c.pass.TypesInfo.TypeOf(lit)); reader != nil {
		u.Scope = []Ref{c.variable(reader)} // of a reader that is assigned later
		if r.Reader != nil {
			u.Scope = c.refs(r.Reader)
			c.flow(c.variable(reader), u.Scope)
		}
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
	if reader := c.readerOf(c.pass.TypesInfo.TypeOf(sel.X)); reader != nil {
		u.Scope = []Ref{c.variable(reader)}
	}
	c.use(u)
}

// readerOf returns the field Reader of egress.Rule or egress.Relay, nil if the type has none.
func (c *collector) readerOf(rule types.Type) *types.Var {
	field, _, _ := types.LookupFieldOrMethod(rule, true, c.pass.Pkg, "Reader")
	reader, _ := field.(*types.Var)
	return reader
}
