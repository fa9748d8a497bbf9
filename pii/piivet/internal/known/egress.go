package known

import (
	"go/ast"
	"go/types"
	"net/http"
)

// EgressPath is the package whose transport fills the declared fields of requests.
const EgressPath = PIIPath + "/egress"

// A Rule is the part of an egress.Rule or of an egress.Relay that its literal shows.
type Rule struct {
	// Host, Method and Path are "" if they are not constant.
	Host, Method, Path string
	// HostAt is the expression of the host, nil if the literal has none.
	HostAt ast.Expr
	// Fields are the declared fields with a constant name. Whole says that there are no
	// others.
	Fields []RuleField
	Whole  bool
	// Reader is the scope that fills the fields, nil if the literal has none.
	Reader ast.Expr
}

// A RuleField is a declared field of a request.
type RuleField struct {
	// Format is the place of the field, as String of egress.Field writes it, such as
	// "form field". Name is the name of the field, or its JSON pointer.
	Format, Name string
	// Type is the type of the value, such as pii.Phone.
	Type types.Type
}

// formats are the constructors of egress.Field.
var formats = map[string]string{"Form": "form field", "JSON": "JSON value", "Multipart": "multipart field", "Header": "header"}

// IsRule reports whether t is egress.Rule, egress.Relay or a pointer to one of them: the
// types that name a host to which values are sent.
func IsRule(t types.Type) bool {
	n := Named(t)
	return n != nil && in(n, EgressPath) && (n.Obj().Name() == "Rule" || n.Obj().Name() == "Relay")
}

// RuleOf returns the rule of a literal of a type that IsRule accepts. A relay with a host or
// a reader declares one field, the recipients of mail.
func RuleOf(info *types.Info, lit *ast.CompositeLit) Rule {
	r := Rule{Whole: true}
	for i, e := range lit.Elts {
		name := ""
		if pair, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := pair.Key.(*ast.Ident); ok {
				name, e = key.Name, pair.Value
			}
		} else if s, ok := Deref(info.TypeOf(lit)).Underlying().(*types.Struct); ok && i < s.NumFields() {
			name = s.Field(i).Name()
		}
		switch name {
		case "Host":
			r.Host, r.HostAt = text(info, e), e
		case "Method":
			r.Method = text(info, e)
		case "Path":
			r.Path = text(info, e)
		case "Fields":
			r.Fields, r.Whole = ruleFields(info, e)
		case "Reader":
			r.Reader = e
		}
	}
	if r.HostAt != nil || r.Reader != nil {
		r.Fields = append(r.Fields, recipients(Named(info.TypeOf(lit)))...)
	}
	return r
}

// recipients returns the field of an egress.Relay, and nil for another type.
func recipients(relay *types.Named) []RuleField {
	if relay == nil || relay.Obj().Name() != "Relay" {
		return nil
	}
	mail := relay.Obj().Pkg().Scope().Lookup("Mail")
	if mail == nil {
		return nil
	}
	to, _, _ := types.LookupFieldOrMethod(mail.Type(), false, mail.Pkg(), "To")
	list, ok := to.(*types.Var)
	if !ok {
		return nil
	}
	addresses, ok := list.Type().Underlying().(*types.Slice)
	if !ok {
		return nil
	}
	return []RuleField{{Format: "recipients", Name: "of mail", Type: addresses.Elem()}}
}

// ruleFields returns the fields of a literal of type []egress.Field. Whole says that all
// elements are calls of a constructor with a constant name.
func ruleFields(info *types.Info, e ast.Expr) (fields []RuleField, whole bool) {
	lit, ok := ast.Unparen(e).(*ast.CompositeLit)
	if !ok {
		return nil, info.Types[e].IsNil()
	}
	whole = true
	for _, e := range lit.Elts {
		f, ok := ruleField(info, e)
		if ok {
			fields = append(fields, f)
		}
		whole = whole && ok
	}
	return fields, whole
}

func ruleField(info *types.Info, e ast.Expr) (RuleField, bool) {
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok || len(call.Args) != 1 {
		return RuleField{}, false
	}
	fun := ast.Unparen(call.Fun) // egress.Form[pii.Phone], a function with an explicit type argument
	var kind ast.Expr
	switch f := fun.(type) {
	case *ast.IndexExpr:
		fun, kind = f.X, f.Index
	case *ast.IndexListExpr:
		fun, kind = f.X, f.Indices[0]
	default:
		return RuleField{}, false
	}
	var name *ast.Ident
	switch f := ast.Unparen(fun).(type) {
	case *ast.SelectorExpr:
		name = f.Sel
	case *ast.Ident: // of a dot import
		name = f
	default:
		return RuleField{}, false
	}
	fn, ok := info.Uses[name].(*types.Func)
	if !ok || fn.Pkg() == nil || fn.Pkg().Path() != EgressPath || formats[fn.Name()] == "" {
		return RuleField{}, false
	}
	f := RuleField{Format: formats[fn.Name()], Name: text(info, call.Args[0]), Type: info.TypeOf(kind)}
	if f.Format == formats["Header"] {
		f.Name = http.CanonicalHeaderKey(f.Name)
	}
	return f, f.Name != ""
}

// text returns the value of a constant string, "" for other expressions.
func text(info *types.Info, e ast.Expr) string {
	value, _ := Constant(info, e)
	return value
}
