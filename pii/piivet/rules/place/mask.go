package place

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/allow"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// masks checks the functions that the library calls with plaintext: the masks of Hint,
// the canonical forms of IndexSealed, and the methods of kinds. The audit log has such a
// call as another operation than Reveal.
type masks struct {
	*analysis.Pass
	checked map[ast.Node]bool
}

const (
	returned = "mask returns the plaintext, so what is audited as a hint is a Reveal: return the little that its owner recognises"
	kept     = "plaintext kept by a function that is only to look at it: call Reveal, which is audited as such"
)

// call checks the function arguments of Scope.Hint and Scope.IndexSealed.
func (m *masks) call(n *ast.CallExpr) {
	fn := known.Func(m.TypesInfo, n.Fun)
	op := known.OpOf(fn)
	if op != known.Hint && op != known.Index {
		return
	}
	for _, arg := range n.Args {
		sig, ok := m.TypesInfo.TypeOf(arg).(*types.Signature)
		if !ok || !isText(sig) {
			continue
		}
		arg = ast.Unparen(arg)
		if lit, ok := arg.(*ast.FuncLit); ok {
			m.check(lit, lit.Type, lit.Body, op == known.Hint)
			continue
		}
		given := known.Func(m.TypesInfo, arg)
		if given == nil {
			continue
		}
		if op == known.Hint && whole[known.Qualified(given)] {
			allow.Reportf(m.Pass, "revealer", arg, returned)
			continue
		}
		if decl := m.declared(given); decl != nil && decl.Body != nil {
			m.check(decl, decl.Type, decl.Body, op == known.Hint)
		}
	}
}

// method checks the methods Mask and Canonical of a kind.
func (m *masks) method(n *ast.FuncDecl) {
	if n.Recv == nil || n.Body == nil {
		return
	}
	switch n.Name.Name {
	case "Mask", "Canonical":
	default:
		return
	}
	fn, ok := m.TypesInfo.Defs[n.Name].(*types.Func)
	if !ok || !isText(fn.Signature()) || !isKind(fn.Signature().Recv().Type()) {
		return
	}
	m.check(n, n.Type, n.Body, n.Name.Name == "Mask")
}

// isKind reports whether t has the methods of pii.Kind.
func isKind(t types.Type) bool {
	set := types.NewMethodSet(t)
	for _, name := range []string{"Kind", "Parse", "Canonical", "Mask"} {
		if set.Lookup(nil, name) == nil {
			return false
		}
	}
	kind, ok := set.Lookup(nil, "Kind").Obj().(*types.Func)
	if !ok || kind.Signature().Results().Len() != 1 {
		return false
	}
	n := known.Named(kind.Signature().Results().At(0).Type())
	return n != nil && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == known.VaultPath && n.Obj().Name() == "Kind"
}

// isText reports whether sig is func(string) string or func(string) (string, bool).
func isText(sig *types.Signature) bool {
	text := types.Typ[types.String]
	if sig.Params().Len() != 1 || sig.Variadic() || !types.Identical(sig.Params().At(0).Type(), text) {
		return false
	}
	results := sig.Results()
	switch results.Len() {
	case 1: // a mask
	case 2: // a canonical form, which can refuse
		if !types.Identical(results.At(1).Type(), types.Typ[types.Bool]) {
			return false
		}
	default:
		return false
	}
	return types.Identical(results.At(0).Type(), text)
}

func (m *masks) declared(fn *types.Func) *ast.FuncDecl {
	for _, file := range m.Files {
		for _, d := range file.Decls {
			if d, ok := d.(*ast.FuncDecl); ok && m.TypesInfo.Defs[d.Name] == fn {
				return d
			}
		}
	}
	return nil
}

// whole are functions that return all of their argument, in some form.
var whole = map[string]bool{
	"strings.Clone": true, "strings.TrimSpace": true, "strings.ToLower": true, "strings.ToUpper": true,
	"strings.ToTitle": true, "html.EscapeString": true, "net/url.QueryEscape": true, "net/url.PathEscape": true,
	"strconv.Quote": true, "fmt.Sprint": true, "fmt.Sprintf": true, "fmt.Sprintln": true,
}

// check tracks the plaintext through one function, by local variables alone.
func (m *masks) check(at ast.Node, typ *ast.FuncType, body *ast.BlockStmt, mask bool) {
	if m.checked[at] {
		return
	}
	if m.checked == nil {
		m.checked = map[ast.Node]bool{}
	}
	m.checked[at] = true

	w := &tracked{masks: m, at: at, typ: typ, names: map[types.Object]bool{}}
	for _, field := range typ.Params.List {
		for _, name := range field.Names {
			w.names[m.TypesInfo.Defs[name]] = true
		}
	}
	delete(w.names, nil)
	ast.Inspect(body, func(n ast.Node) bool {
		if _, ok := n.(*ast.FuncLit); ok {
			return false // not called with the plaintext
		}
		if r, ok := n.(*ast.ReturnStmt); ok && mask {
			w.returns(r)
		}
		w.keeps(n)
		return true
	})
}

// tracked is a function with the names of its variables that hold the plaintext.
type tracked struct {
	*masks
	at    ast.Node
	typ   *ast.FuncType
	names map[types.Object]bool
}

// keeps reports a node that keeps the plaintext outside of the function, and adds the
// variables that it assigns the plaintext to.
func (w *tracked) keeps(n ast.Node) {
	switch n := n.(type) {
	case *ast.AssignStmt:
		for i := range n.Lhs {
			if len(n.Lhs) == len(n.Rhs) {
				w.assign(n, n.Lhs[i], n.Rhs[i])
			}
		}
	case *ast.ValueSpec:
		for i := range n.Names {
			if len(n.Names) == len(n.Values) {
				w.assign(n, n.Names[i], n.Values[i])
			}
		}
	case *ast.SendStmt:
		if w.whole(w.names, n.Value) {
			allow.Reportf(w.Pass, "revealer", n, kept)
		}
	}
}

func (w *tracked) assign(n ast.Node, to, value ast.Expr) {
	if !w.whole(w.names, value) {
		return
	}
	id, isName := ast.Unparen(to).(*ast.Ident)
	if v := known.Root(w.TypesInfo, to); v != nil && w.at.Pos() <= v.Pos() && v.Pos() <= w.at.End() {
		if isName {
			w.names[v] = true
		}
	} else if !isName || id.Name != "_" {
		allow.Reportf(w.Pass, "revealer", n, kept)
	}
}

// returns reports the results of a mask that are the whole plaintext.
func (w *tracked) returns(n *ast.ReturnStmt) {
	results := n.Results
	if len(results) == 0 && w.typ.Results != nil && len(w.typ.Results.List) == 1 {
		for _, name := range w.typ.Results.List[0].Names {
			results = append(results, name)
		}
	}
	for _, r := range results {
		if w.whole(w.names, r) {
			allow.Reportf(w.Pass, "revealer", n, returned)
		}
	}
}

// whole reports whether e contains the whole value of one of the names.
func (m *masks) whole(names map[types.Object]bool, e ast.Expr) bool {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		return names[m.TypesInfo.ObjectOf(e)]
	case *ast.BinaryExpr:
		return e.Op == token.ADD && (m.whole(names, e.X) || m.whole(names, e.Y))
	case *ast.SliceExpr:
		return e.Low == nil && e.High == nil && m.whole(names, e.X)
	case *ast.CallExpr:
		through := m.TypesInfo.Types[e.Fun].IsType() // a conversion
		if id, ok := ast.Unparen(e.Fun).(*ast.Ident); ok && id.Name == "append" {
			through = true
		}
		if fn := known.Func(m.TypesInfo, e.Fun); fn != nil {
			name := known.Qualified(fn)
			through = through || whole[name]
			if name == "fmt.Sprintf" && len(e.Args) > 1 { // %.2s is a mask
				format, ok := known.Constant(m.TypesInfo, e.Args[0])
				through = ok && !strings.Contains(format, ".")
			}
		}
		if !through {
			return false
		}
		for _, arg := range e.Args {
			if m.whole(names, arg) {
				return true
			}
		}
	}
	return false
}
