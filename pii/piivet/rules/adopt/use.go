package adopt

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/types/typeutil"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/adopt"
)

// A use has a field whose name does not tell its kind, and the kind that one of its uses
// tells.
type use struct {
	field *types.Var
	owner *types.TypeName // the struct
	tag   string          // of the field
	kind  adopt.Kind
	how   string
}

// uses reports fields that hold an address or number according to their use: a query
// compares them with a column for one, a message is sent to them, or they are assigned to
// or from, or compared with, a variable with such a name. It also reports the columns
// that queries compare.
func uses(pass *analysis.Pass, files []*ast.File, report func(at ast.Node, u use), lookup func(at ast.Node, l adopt.Lookup)) {
	pair := func(at ast.Node, a, b ast.Expr, how string) {
		for _, p := range [2][2]ast.Expr{{a, b}, {b, a}} {
			if u, ok := unnamed(pass, p[0]); ok {
				if name, kind, ok := called(pass, p[1]); ok {
					u.kind, u.how = kind, strings.ReplaceAll(how, "%", name)
					report(at, u)
				}
			}
		}
	}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for i := range n.Lhs {
					if len(n.Lhs) == len(n.Rhs) {
						pair(n, n.Lhs[i], n.Rhs[i], "assigned with %")
					}
				}
			case *ast.BinaryExpr:
				if n.Op == token.EQL || n.Op == token.NEQ {
					pair(n, n.X, n.Y, "compared with %")
				}
			case *ast.CompositeLit:
				literalUses(pass, n, report)
			case *ast.CallExpr:
				argumentUses(pass, n, report)
				queryUses(pass, n, report, lookup)
			}
			return true
		})
	}
}

// literalUses reports the fields of a struct literal with values that have the name of an
// address or number, and fields in a mail.Address.
func literalUses(pass *analysis.Pass, lit *ast.CompositeLit, report func(ast.Node, use)) {
	t := types.Unalias(pass.TypesInfo.TypeOf(lit))
	if p, ok := t.Underlying().(*types.Pointer); ok { // elided in a list of pointers
		t = types.Unalias(p.Elem())
	}
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		return
	}
	for _, e := range lit.Elts {
		pair, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		id, ok := pair.Key.(*ast.Ident)
		if !ok {
			continue
		}
		if typeString(pass, t) == "mail.Address" && id.Name == "Address" {
			if u, ok := unnamed(pass, pair.Value); ok {
				u.kind, u.how = adopt.Email, "used as a mail.Address"
				report(pair, u)
			}
		}
		for i := range s.NumFields() {
			if s.Field(i).Name() != id.Name {
				continue
			}
			if u, ok := candidate(pass, t, s, i); ok {
				if name, kind, ok := called(pass, pair.Value); ok {
					u.kind, u.how = kind, "assigned with "+name
					report(pair, u)
				}
			}
		}
	}
}

var (
	sends     = regexp.MustCompile(`^(?i:send|deliver|notify|invite|dispatch)`)
	byPhone   = regexp.MustCompile(`(?i:sms|whatsapp|call)`)
	byMail    = regexp.MustCompile(`(?i:e?mail)`)
	receivers = []string{"to", "recipient", "receiver", "rcpt", "dest", "destination", "tos", "recipients"}
)

// argumentUses reports fields that are passed as an address or number.
func argumentUses(pass *analysis.Pass, call *ast.CallExpr, report func(ast.Node, use)) {
	fn, ok := typeutil.Callee(pass.TypesInfo, call).(*types.Func)
	if !ok {
		return
	}
	params := fn.Signature().Params()
	for i, arg := range call.Args {
		n := min(i, params.Len()-1)
		if n < 0 {
			return
		}
		name := params.At(n).Name()
		kind, ok := adopt.NameOf(name)
		how := "passed to " + fn.Name() + " as " + name
		switch path := fullName(fn); {
		case path == "net/mail.ParseAddress", path == "net/mail.ParseAddressList":
			kind, ok, how = adopt.Email, true, "passed to mail."+fn.Name()
		case path == "net/smtp.SendMail" && i == 3, path == "net/smtp.Rcpt":
			kind, ok, how = adopt.Email, true, "mailed to"
		case !ok && sends.MatchString(fn.Name()) && slices.Contains(receivers, strings.ToLower(name)):
			how = "passed to " + fn.Name() + " as " + name
			switch {
			case byPhone.MatchString(fn.Name()):
				kind, ok = adopt.Phone, true
			case byMail.MatchString(fn.Name()):
				kind, ok = adopt.Email, true
			}
		}
		if !ok {
			continue
		}
		elements := []ast.Expr{arg}
		if lit, isLit := ast.Unparen(arg).(*ast.CompositeLit); isLit {
			elements = lit.Elts
		}
		for _, e := range elements {
			if u, ok := unnamed(pass, e); ok {
				u.kind, u.how = kind, how
				report(arg, u)
			}
		}
	}
}

func fullName(fn *types.Func) string {
	if fn.Pkg() == nil {
		return fn.Name()
	}
	return fn.Pkg().Path() + "." + fn.Name()
}

// queryUses reports the columns that a query compares, and the fields that they are
// compared with.
func queryUses(pass *analysis.Pass, call *ast.CallExpr, report func(ast.Node, use), lookup func(ast.Node, adopt.Lookup)) {
	for i, arg := range call.Args {
		v := pass.TypesInfo.Types[arg].Value
		if v == nil || v.Kind() != constant.String {
			continue
		}
		for _, c := range adopt.Comparisons(constant.StringVal(v)) {
			lookup(arg, adopt.Lookup{Tables: c.Tables, Column: c.Column})
			if c.Argument < 0 || i+1+c.Argument >= len(call.Args) {
				continue
			}
			if u, ok := unnamed(pass, call.Args[i+1+c.Argument]); ok {
				u.kind, u.how = c.Kind, "looked up as "+c.Column
				report(arg, u)
			}
		}
	}
}

// inner returns the expression that the text of e comes from, unchanged or with small
// changes such as strings.ToLower.
func inner(pass *analysis.Pass, e ast.Expr) ast.Expr {
	for {
		e = ast.Unparen(e)
		next := within(pass, e)
		if next == nil {
			return e
		}
		e = next
	}
}

// within is one step of inner, nil if there is none.
func within(pass *analysis.Pass, e ast.Expr) ast.Expr {
	switch x := e.(type) {
	case *ast.StarExpr:
		return x.X
	case *ast.UnaryExpr:
		if x.Op == token.AND {
			return x.X
		}
	case *ast.SelectorExpr: // the text of a sql.NullString
		if isText(pass, x.X) && slices.Contains([]string{"String", "V", "Text"}, x.Sel.Name) {
			return x.X
		}
	case *ast.CompositeLit: // a sql.NullString
		if !isText(pass, x) || len(x.Elts) == 0 {
			return nil
		}
		if pair, ok := x.Elts[0].(*ast.KeyValueExpr); ok {
			return pair.Value
		}
		return x.Elts[0]
	case *ast.CallExpr:
		return argument(pass, x)
	}
	return nil
}

// argument returns the text that a call returns with small changes at most, nil if the call
// does something else.
func argument(pass *analysis.Pass, x *ast.CallExpr) ast.Expr {
	if tv := pass.TypesInfo.Types[x.Fun]; tv.IsType() && len(x.Args) == 1 { // a conversion
		return x.Args[0]
	}
	fn, ok := typeutil.Callee(pass.TypesInfo, x).(*types.Func)
	if !ok {
		return nil
	}
	sel, isMethod := ast.Unparen(x.Fun).(*ast.SelectorExpr)
	switch {
	case fn.Pkg() != nil && fn.Pkg().Path() == "strings" && len(x.Args) > 0 && fn.Signature().Results().Len() == 1 && (strings.HasPrefix(fn.Name(), "To") || strings.HasPrefix(fn.Name(), "Trim")):
		return x.Args[0]
	case isMethod && fn.Name() == "String" && len(x.Args) == 0 && fn.Signature().Recv() != nil:
		return sel.X
	}
	return nil
}

// isText reports whether e is a struct of a database library for text that may be null.
func isText(pass *analysis.Pass, e ast.Expr) bool {
	t := pass.TypesInfo.TypeOf(e)
	if t == nil {
		return false
	}
	if _, isStruct := t.Underlying().(*types.Struct); !isStruct {
		return false
	}
	_, ok := adopt.Plain(t, adopt.Email)
	return ok
}

// called returns the name of the variable, field or function that e refers to, and its
// kind if the name looks like personal data and the value is text.
func called(pass *analysis.Pass, e ast.Expr) (name string, kind adopt.Kind, ok bool) {
	e = inner(pass, e)
	switch x := e.(type) {
	case *ast.Ident:
		name = x.Name
	case *ast.SelectorExpr:
		name = x.Sel.Name
	case *ast.CallExpr:
		fn, ok := typeutil.Callee(pass.TypesInfo, x).(*types.Func)
		if !ok {
			return "", "", false
		}
		name = fn.Name()
	}
	tv, known := pass.TypesInfo.Types[e]
	t := tv.Type
	if id, isIdent := e.(*ast.Ident); isIdent && !known { // declared by this assignment
		if o := pass.TypesInfo.Defs[id]; o != nil {
			t = o.Type()
		}
	}
	if t == nil || tv.Value != nil {
		return "", "", false
	}
	if kind, ok = adopt.NameOf(name); ok {
		_, ok = adopt.Plain(t, kind)
	}
	return name, kind, ok
}

// unnamed returns the field that e selects if its name does not tell its kind.
func unnamed(pass *analysis.Pass, e ast.Expr) (use, bool) {
	sel, ok := inner(pass, e).(*ast.SelectorExpr)
	if !ok {
		return use{}, false
	}
	s := pass.TypesInfo.Selections[sel]
	if s == nil || s.Kind() != types.FieldVal {
		return use{}, false
	}
	t := s.Recv()
	for depth, i := range s.Index() {
		if p, ok := types.Unalias(t).Underlying().(*types.Pointer); ok {
			t = p.Elem()
		}
		st, ok := types.Unalias(t).Underlying().(*types.Struct)
		if !ok {
			return use{}, false
		}
		if depth == len(s.Index())-1 {
			return candidate(pass, types.Unalias(t), st, i)
		}
		t = st.Field(i).Type()
	}
	return use{}, false
}

// made are words in the names of fields with a value that is computed from an address.
var made = []string{"hash", "hashed", "digest", "masked", "encrypted", "sealed", "cipher", "ciphertext", "domain", "url", "link", "subject", "body", "html", "sql", "query"}

// candidate returns field i of the struct s, the underlying type of t. The field must
// belong to this module, be plain text, and have neither a name nor a tag that looks like
// personal data.
func candidate(pass *analysis.Pass, t types.Type, s *types.Struct, i int) (use, bool) {
	f, tag := s.Field(i), s.Tag(i)
	named, ok := t.(*types.Named)
	if !ok || !own(pass, f.Pkg()) {
		return use{}, false
	}
	if _, ok := adopt.NameOf(f.Name()); ok {
		return use{}, false
	}
	if _, ok := adopt.ColumnOf(f.Name(), tag); ok || adopt.HasWord(f.Name(), made) {
		return use{}, false
	}
	if _, ok := adopt.Plain(f.Type(), adopt.Email); !ok {
		return use{}, false
	}
	if _, isSlice := f.Type().Underlying().(*types.Slice); isSlice {
		return use{}, false
	}
	return use{field: f, owner: named.Obj(), tag: tag}, true
}
