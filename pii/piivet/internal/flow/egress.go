package flow

import (
	"cmp"
	"encoding/json"
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/tools/go/ssa"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// A transport of package egress takes sealed text in the declared fields of a request, and
// refuses the request if sealed text stands anywhere else. The transport is tracked like
// plaintext: it flows into clients, fields and parameters. A request with sealed text is a
// sink of its client, so that the package that gives the client its transport has the
// finding.

// A transport has the rules of an egress.Transport, as far as the code shows them.
type transport struct {
	Rules []egressRule
	// Whole says that there are no other rules.
	Whole bool
}

type egressRule struct {
	Host, Method, Path string   // "" if not known
	Fields             []string // the places of the declared fields
	Whole              bool     // there are no other fields
}

// A spot is a place in a request that has sealed text.
type spot struct {
	Host, Method, Path string // of the request, "" if not known
	Format, Name       string // such as "form field" and "To"; "URL" and ""
	// Label says that the place has the printed label of a sealed value, and not sealed text.
	Label bool
}

func (p spot) String() string { return strings.TrimSpace(p.Format + " " + p.Name) }

// newTransport handles a call of egress.NewTransport.
func (e *engine) newTransport(s *site) {
	if s.expr == nil || s.results != nil || len(s.expr.Args) == 0 {
		return
	}
	t := &transport{Whole: !s.expr.Ellipsis.IsValid()}
	for _, arg := range s.expr.Args[1:] {
		r, ok := e.ruleAt(arg)
		t.Whole = t.Whole && ok
		if ok {
			t.Rules = append(t.Rules, r)
		}
	}
	e.give(s, 0, e.intern(source{Transport: t, Pkg: e.pass.Pkg.Path(), Where: e.where(s.pos()), pos: s.pos()}).taints())
}

// ruleAt returns the rule of an expression: a literal, a variable that is set once and has
// one, or a call of a function of this package that returns one.
func (e *engine) ruleAt(at ast.Expr) (egressRule, bool) {
	info := e.pass.TypesInfo
	switch x := ast.Unparen(at).(type) {
	case *ast.CompositeLit:
		k := known.RuleOf(info, x)
		r := egressRule{Host: k.Host, Method: k.Method, Path: k.Path, Whole: k.Whole}
		for _, f := range k.Fields {
			r.Fields = append(r.Fields, f.Format+" "+f.Name)
		}
		return r, true
	case *ast.Ident:
		if set := e.assigned(info.ObjectOf(x)); len(set) == 1 && set[0] != nil {
			return e.ruleAt(set[0])
		}
	case *ast.CallExpr:
		if id, ok := ast.Unparen(x.Fun).(*ast.Ident); ok {
			if returned := e.returnedBy(info.ObjectOf(id)); len(returned) == 1 {
				if lit, ok := ast.Unparen(returned[0]).(*ast.CompositeLit); ok {
					return e.ruleAt(lit)
				}
			}
		}
	}
	return egressRule{}, false
}

// assigned returns the expressions that a variable, or one of its fields, is set to. An
// element is nil if the expression is not known.
func (e *engine) assigned(v types.Object) (all []ast.Expr) {
	info := e.pass.TypesInfo
	is := func(x ast.Expr) bool {
		id, ok := ast.Unparen(x).(*ast.Ident)
		return ok && v != nil && info.ObjectOf(id) == v
	}
	for _, f := range e.pass.Files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for i, lhs := range n.Lhs {
					switch sel, ok := ast.Unparen(lhs).(*ast.SelectorExpr); {
					case is(lhs) && len(n.Lhs) == len(n.Rhs):
						all = append(all, n.Rhs[i])
					case is(lhs), ok && is(sel.X):
						all = append(all, nil)
					}
				}
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if is(name) && i < len(n.Values) && len(n.Values) == len(n.Names) {
						all = append(all, n.Values[i])
					}
				}
			case *ast.UnaryExpr:
				if n.Op == token.AND && is(n.X) {
					all = append(all, nil)
				}
			}
			return true
		})
	}
	return all
}

// returnedBy returns the expressions that a function of this package returns.
func (e *engine) returnedBy(fn types.Object) (all []ast.Expr) {
	for _, f := range e.pass.Files {
		for _, d := range f.Decls {
			decl, ok := d.(*ast.FuncDecl)
			if !ok || decl.Body == nil || fn == nil || e.pass.TypesInfo.Defs[decl.Name] != fn {
				continue
			}
			ast.Inspect(decl.Body, func(n ast.Node) bool {
				if r, ok := n.(*ast.ReturnStmt); ok {
					all = append(all, r.Results...)
				}
				return true
			})
		}
	}
	return all
}

// sealedText reports whether a method returns the text of a sealed value.
func sealedText(fn *types.Func) bool {
	recv := fn.Signature().Recv()
	return recv != nil && known.IsSealed(recv.Type()) && (fn.Name() == "MarshalText" || fn.Name() == "AppendText")
}

// sendsBy records a call that sends a request.
func (e *engine) sendsBy(s *site) {
	if s.results == nil && len(s.args) > 1 && sends(s.obj) {
		call := *s
		e.sending[s.instr] = &call
	}
}

// maxSpots is the number of places of one request that are reported.
const maxSpots = 20

// requests adds a sink for each place with sealed text in a request, to the client that
// sends the request. It runs when solve is done.
func (e *engine) requests() {
	for _, s := range slices.SortedFunc(maps.Values(e.sending), func(a, b *site) int { return cmp.Compare(a.pos(), b.pos()) }) {
		if s.f.test {
			continue
		}
		var spots []spot
		r := request{e: e, f: s.f.ssa, around: map[types.Type]bool{}}
		r.send(s)
		for _, p := range r.parts {
			at := spot{Method: r.method, Format: p.format, Name: p.name}
			at.Host, at.Path = addressOf(r.url)
			at.Label = !p.sealed && p.value != nil && e.reaches(p.value, func(src *source) bool { return src.Label })
			if p.sealed || at.Label || p.value != nil && e.reaches(p.value, func(src *source) bool { return src.Sealed }) {
				spots = append(spots, at)
			}
		}
		client := s.args[0]
		through := e.reaches(client, func(src *source) bool { return src.Transport != nil })
		if through || e.importsEgress() && !e.reaches(client, func(*source) bool { return true }) {
			for pos := range r.encoded {
				e.sent[pos] = true
			}
		}
		for _, p := range spots[:min(len(spots), maxSpots)] {
			text, _ := json.Marshal(p) // strings and a bool
			e.sink(s.f, Egress, e.of(client), s.pos(), string(text), "", noScopes)
		}
	}
}

// reaches reports whether a source that fits reaches a value, within this package.
func (e *engine) reaches(v ssa.Value, fits func(*source) bool) bool {
	for x := range e.of(v) {
		if slices.ContainsFunc(e.reach(x.origin), fits) {
			return true
		}
	}
	return false
}

func (e *engine) importsEgress() bool {
	return slices.ContainsFunc(e.pass.Pkg.Imports(), func(p *types.Package) bool { return p.Path() == known.EgressPath })
}

// undeclared returns the message for a place in a request that a transport sends, false if
// the transport takes it.
func (t *transport) undeclared(what string) (string, bool) {
	var p spot
	if json.Unmarshal([]byte(what), &p) != nil || !t.Whole {
		return "", false
	}
	taken := slices.ContainsFunc(t.Rules, func(r egressRule) bool { return r.fits(p) && r.takes(p) })
	switch {
	case p.Label && taken:
		return "the label of a sealed value in " + p.String() + ", where the transport takes sealed text: use MarshalText", true
	case p.Label || taken:
		return "", false
	case !slices.ContainsFunc(t.Rules, func(r egressRule) bool { return r.fits(p) }):
		return "a sealed value in a request that no rule of the transport is for: the transport refuses it", true
	}
	return "a sealed value in " + p.String() + ", which no rule of the transport declares: the transport refuses the request", true
}

// fits reports whether a rule may be for the request of a place.
func (r egressRule) fits(p spot) bool {
	differ := func(a, b string) bool { return a != "" && b != "" && a != b }
	return !differ(r.Host, p.Host) && !differ(r.Method, p.Method) && (r.Path == "" || p.Path == "" || samePath(r.Path, p.Path))
}

// takes reports whether a rule may declare a place.
func (r egressRule) takes(p spot) bool {
	if p.Format == "URL" {
		return false
	}
	return !r.Whole || slices.ContainsFunc(r.Fields, func(f string) bool { return samePath(f, p.String()) })
}

// samePath reports whether two paths or JSON pointers are equal, but for segments "*".
func samePath(a, b string) bool {
	as, bs := strings.Split(a, "/"), strings.Split(b, "/")
	if len(as) != len(bs) {
		return false
	}
	for i := range as {
		if as[i] != bs[i] && as[i] != "*" && bs[i] != "*" {
			return false
		}
	}
	return true
}

// addressOf returns the host and the path of a URL, as far as its constant beginning tells.
func addressOf(v ssa.Value) (host, path string) {
	text, whole := beginning(v)
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || !whole && u.Path == "" {
		return "", ""
	}
	host = strings.ToLower(strings.TrimSuffix(u.Host, ":443"))
	if whole {
		path = u.EscapedPath()
	}
	return host, path
}

// beginning returns the constant text that a value begins with, and whether this is all of
// the value.
func beginning(v ssa.Value) (text string, whole bool) {
	if c, ok := constantOf(v); ok {
		return c, true
	}
	if b, ok := v.(*ssa.BinOp); ok && b.Op == token.ADD {
		left, all := beginning(b.X)
		if !all {
			return left, false
		}
		right, all := beginning(b.Y)
		return left + right, all
	}
	return "", false
}
