package inventory

import (
	"go/ast"
	"go/constant"
	"strconv"
	"time"
)

// A basisFact is the fact that a package-level variable has a known basis: its package
// assigns this one and no other.
type basisFact struct{ Basis Basis }

// AFact implements [analysis.Fact].
func (*basisFact) AFact() {}

// basis returns the Basis of a purpose.Basis literal.
func (c *collector) basis(lit *ast.CompositeLit) Basis {
	var b Basis
	names := []string{"Legal", "Notice", "Consent", "Retain", "Collected"}
	for i, e := range lit.Elts {
		name := ""
		if pair, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := pair.Key.(*ast.Ident); ok {
				name, e = key.Name, pair.Value
			}
		} else if i < len(names) {
			name = names[i]
		}
		value := AtRunTime
		if tv := c.pass.TypesInfo.Types[e]; tv.Value != nil {
			value = written(name, tv.Value)
		}
		if zero, ok := ast.Unparen(e).(*ast.CompositeLit); ok && len(zero.Elts) == 0 {
			value = "" // the zero Time states nothing
		}
		if day, ok := c.day(e); ok {
			value = day
		}
		b = merge(b, basisWith(name, value))
	}
	return b
}

// day returns the day of a call of time.Date with constants and time.UTC.
func (c *collector) day(e ast.Expr) (string, bool) {
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok || len(call.Args) != 8 || !c.ofTime(call.Fun, "Date") || !c.ofTime(call.Args[7], "UTC") {
		return "", false
	}
	var n [7]int
	for i := range n {
		v := c.pass.TypesInfo.Types[call.Args[i]].Value
		if v == nil {
			return "", false
		}
		exact, ok := constant.Int64Val(constant.ToInt(v))
		if n[i] = int(exact); !ok || int64(n[i]) != exact {
			return "", false
		}
	}
	return time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], n[6], time.UTC).Format(time.DateOnly), true
}

// ofTime reports whether e is a name of package time.
func (c *collector) ofTime(e ast.Expr, name string) bool {
	s, ok := ast.Unparen(e).(*ast.SelectorExpr)
	if !ok {
		return false
	}
	obj := c.pass.TypesInfo.Uses[s.Sel]
	return obj != nil && obj.Pkg() != nil && obj.Pkg().Path() == "time" && obj.Parent() == obj.Pkg().Scope() && obj.Name() == name
}

func basisWith(field, value string) Basis {
	switch field {
	case "Legal":
		return Basis{Legal: value}
	case "Notice":
		return Basis{Notice: value}
	case "Consent":
		return Basis{Consent: value}
	case "Retain":
		return Basis{Retain: value}
	case "Collected":
		return Basis{Collected: value}
	}
	return Basis{}
}

func merge(a, b Basis) Basis {
	for _, f := range []struct{ to, from *string }{{&a.Legal, &b.Legal}, {&a.Notice, &b.Notice}, {&a.Consent, &b.Consent}, {&a.Retain, &b.Retain}, {&a.Collected, &b.Collected}} {
		if *f.from != "" {
			*f.to = *f.from
		}
	}
	return a
}

// legal are the names of the values of purpose.Legal, by number. The numbers never
// change.
var legal = []string{"", "consent", "contract", "legal obligation", "vital interests", "public task", "legitimate interests"}

func written(field string, v constant.Value) string {
	switch field {
	case "Notice", "Consent":
		if v.Kind() == constant.String {
			return constant.StringVal(v)
		}
	case "Legal":
		if n, ok := constant.Int64Val(v); ok && n >= 0 && int(n) < len(legal) {
			return legal[n]
		}
	case "Retain":
		if n, ok := constant.Int64Val(v); ok {
			return span(time.Duration(n))
		}
	}
	return AtRunTime
}

// span formats a retention period.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return ""
	case d == day:
		return "1 day"
	case d%day == 0:
		return strconv.FormatInt(int64(d/day), 10) + " days"
	}
	return d.String()
}
