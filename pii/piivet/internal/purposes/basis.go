package purposes

import (
	"go/ast"
	"go/constant"
	"strconv"
	"time"
)

// A Basis is the part of a purpose.Basis that is known from the code.
type Basis struct {
	Legal   string `json:"legal,omitempty"`
	Notice  string `json:"notice,omitempty"`
	Consent string `json:"consent,omitempty"`
	Retain  string `json:"retain,omitempty"`
	// Collected is the day of a collection before the sealing, or [AtRunTime] if it is
	// not a constant in the code. It is empty if values are sealed when they are
	// collected.
	Collected string `json:"collected,omitempty"`
	// Part says that this is not a whole basis, but fields that are assigned to another
	// one.
	Part bool `json:"part,omitempty"`
}

// AtRunTime stands in a [Basis] for a value that only the running program knows.
const AtRunTime = "(set at run time)"

// Over returns b with the fields of over that are set.
func (b Basis) Over(over Basis) Basis {
	part := b.Part
	b = merge(b, over)
	b.Part = part
	return b
}

// basis returns the Basis of a purpose.Basis literal.
func (b *builder) basis(lit *ast.CompositeLit) Basis {
	var basis Basis
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
		if tv := b.info.Types[e]; tv.Value != nil {
			value = written(name, tv.Value)
		}
		if zero, ok := ast.Unparen(e).(*ast.CompositeLit); ok && len(zero.Elts) == 0 {
			value = "" // the zero Time states nothing
		}
		if day, ok := b.day(e); ok {
			value = day
		}
		basis = merge(basis, basisWith(name, value))
	}
	return basis
}

// day returns the day of a call of time.Date with constants and time.UTC.
func (b *builder) day(e ast.Expr) (string, bool) {
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok || len(call.Args) != 8 || !b.ofTime(call.Fun, "Date") || !b.ofTime(call.Args[7], "UTC") {
		return "", false
	}
	var n [7]int
	for i := range n {
		v := b.info.Types[call.Args[i]].Value
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
func (b *builder) ofTime(e ast.Expr, name string) bool {
	s, ok := ast.Unparen(e).(*ast.SelectorExpr)
	if !ok {
		return false
	}
	obj := b.info.Uses[s.Sel]
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
