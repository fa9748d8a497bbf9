package flow

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/ssa"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// A site is one call, as far as it is known what is called.
type site struct {
	f     *function
	instr ssa.CallInstruction
	value ssa.Value // of the results, nil for go and defer
	args  []ssa.Value
	expr  *ast.CallExpr // nil if it is not one that is written
	obj   *types.Func   // nil for function values
}

func (e *engine) call(f *function, instr ssa.CallInstruction) {
	common := instr.Common()
	s := &site{f: f, instr: instr, args: common.Args, expr: e.calls[common.Pos()]}
	if v, ok := instr.(*ssa.Call); ok {
		s.value = v
	}
	if b, ok := common.Value.(*ssa.Builtin); ok {
		e.builtin(s, b.Name())
		return
	}
	if common.IsInvoke() {
		s.obj = common.Method.Origin()
		s.args = append([]ssa.Value{common.Value}, common.Args...)
		if e.library(s) {
			return
		}
		if s.obj.Pkg() == nil {
			// What an error says is what was put into it. That any type of this
			// package may be behind it would make one that quotes its input
			// speak for all.
			e.outside(s)
			return
		}
		for _, g := range e.methods[s.obj.Name()] {
			if implements(g.obj.Signature().Recv().Type(), common.Value.Type()) {
				e.inside(s, g)
			}
		}
		e.outside(s)
		return
	}
	for _, callee := range callees(common.Value, 0) {
		e.callee(s, callee, common)
	}
}

// callees returns the functions that a function value may be, as far as it is
// a constant of the function or a variable that is assigned nothing else.
func callees(v ssa.Value, depth int) []ssa.Value {
	if depth > 4 {
		return nil
	}
	switch v := v.(type) {
	case *ssa.Function, *ssa.MakeClosure:
		return []ssa.Value{v}
	case *ssa.ChangeType:
		return callees(v.X, depth+1)
	case *ssa.Phi:
		var all []ssa.Value
		for _, edge := range v.Edges {
			all = append(all, callees(edge, depth+1)...)
		}
		return all
	case *ssa.UnOp:
		if alloc, ok := v.X.(*ssa.Alloc); ok && v.Op == token.MUL {
			var all []ssa.Value
			for _, r := range *alloc.Referrers() {
				if s, ok := r.(*ssa.Store); ok && s.Addr == alloc {
					all = append(all, callees(s.Val, depth+1)...)
				}
			}
			return all
		}
	}
	return nil
}

func (e *engine) callee(s *site, v ssa.Value, common *ssa.CallCommon) {
	t := *s
	fn, _ := v.(*ssa.Function)
	if c, ok := v.(*ssa.MakeClosure); ok {
		fn = c.Fn.(*ssa.Function)
		if strings.HasPrefix(fn.Synthetic, "bound method wrapper") {
			// f := email.Reveal; f(ctx, scope)
			t.args = append([]ssa.Value{c.Bindings[0]}, common.Args...)
		}
	}
	if fn == nil {
		return
	}
	if o := fn.Origin(); o != nil {
		fn = o
	}
	if obj, ok := fn.Object().(*types.Func); ok {
		t.obj = obj.Origin()
		if e.library(&t) {
			return
		}
		if g := e.byFunc[fn]; g == nil {
			// A wrapper of a method of this package, or another package's.
			if g := e.byObject(t.obj); g != nil {
				e.inside(&t, g)
				return
			}
			e.outside(&t)
			return
		}
	}
	if g := e.byFunc[fn]; g != nil {
		e.inside(&t, g)
	}
}

func (e *engine) byObject(obj *types.Func) *function {
	if obj.Pkg() != e.pass.Pkg {
		return nil
	}
	for _, g := range e.methods[obj.Name()] {
		if g.obj == obj {
			return g
		}
	}
	return nil
}

func implements(t, iface types.Type) bool {
	i, ok := iface.Underlying().(*types.Interface)
	return ok && (types.Implements(t, i) || types.Implements(types.NewPointer(t), i))
}

func (e *engine) builtin(s *site, name string) {
	switch name {
	case "append", "min", "max":
		for _, arg := range s.args {
			if s.value != nil {
				e.set(s.value, e.of(arg))
			}
		}
	case "copy":
		e.store(s.args[0], e.of(s.args[1]))
	case "print", "println":
		for _, arg := range s.args {
			e.sink(s.f, Log, e.of(arg), s.pos(), name, "", purposes.Ref{})
		}
	}
}

// pos returns where a call is, which is the line of its parenthesis.
func (s *site) pos() token.Pos {
	if s.expr != nil {
		// The method of a chain of calls over several lines, not its beginning.
		if sel, ok := ast.Unparen(s.expr.Fun).(*ast.SelectorExpr); ok {
			return sel.Sel.Pos()
		}
		return s.expr.Pos()
	}
	return s.instr.Pos()
}

// library handles calls of onlyfor, and reports whether s is one.
func (e *engine) library(s *site) bool {
	op := known.OpOf(s.obj)
	if op == known.None {
		return false
	}
	var c known.Call
	ok := false
	if s.expr != nil {
		c, ok = known.CallOf(e.pass.TypesInfo, s.expr)
	}
	switch op {
	case known.Reveal:
		scope := purposes.Ref{Unknown: true}
		if ok {
			scope = purposes.Ref{}
			for i := range c.Scopes {
				scope = scope.And(e.purposes.Reduce(e.purposes.ScopeRef(c, i), s.f.name))
			}
		}
		if s.value != nil {
			src := e.intern(source{Pkg: e.pass.Pkg.Path(), Where: e.where(s.pos()), Scope: scope, pos: s.pos()})
			e.setNth(s.value, 0, single(origin{source: src}))
		}
	case known.Seal, known.Index:
		if !ok || c.Text == nil {
			break
		}
		for _, arg := range s.args {
			if b, isBasic := arg.Type().Underlying().(*types.Basic); !isBasic || b.Info()&types.IsString == 0 {
				continue
			}
			for i := range c.Scopes {
				to := e.purposes.Reduce(e.purposes.ScopeRef(c, i), s.f.name)
				verb := "sealed"
				if op == known.Index {
					verb = "indexed"
				}
				e.sink(s.f, Reuse, e.of(arg), s.pos(), verb, "", to)
			}
		}
	}
	return true
}

func (e *engine) intern(s source) *source {
	in := e.sources.intern(s)
	if !in.pos.IsValid() {
		in.pos = s.pos
	}
	return in
}

// inside handles the call of a function of this package.
func (e *engine) inside(s *site, g *function) {
	if g.test {
		return
	}
	if e.callers[g.ssa] == nil {
		e.callers[g.ssa] = map[ssa.CallInstruction][]ssa.Value{}
	}
	if _, ok := e.callers[g.ssa][s.instr]; !ok {
		e.callers[g.ssa][s.instr] = s.args
		e.changed = true
	}
	for i, arg := range s.args {
		if i < len(g.ssa.Params) && text(g.ssa.Params[i].Type()) {
			e.flowBoth(origin{param: g, index: i}, e.of(arg))
		}
	}
	if s.value != nil {
		for i, r := range g.results {
			e.setNth(s.value, i, e.substitute(s, g, r))
		}
	}
	for _, k := range g.sinks {
		if !k.pending {
			continue
		}
		to := e.bind(s, k.to)
		for x := range e.substitute(s, g, taints{k.taint: {}}) {
			e.sinkOne(s.f, Reuse, x, s.pos(), k.what, purposeName(g)+", "+e.where(k.pos), to)
		}
	}
}

func purposeName(g *function) string {
	if g.obj == nil {
		return "a function literal"
	}
	return short(g.obj)
}

// short returns the name of a function as it is called: package.Func, or
// Type.Method.
func short(fn *types.Func) string {
	name := fn.Name()
	if recv := fn.Signature().Recv(); recv != nil {
		t := recv.Type()
		if p, ok := t.(*types.Pointer); ok {
			t = p.Elem()
		}
		if n, ok := types.Unalias(t).(*types.Named); ok {
			name = n.Obj().Name() + "." + name
		}
	}
	if fn.Pkg() != nil {
		name = fn.Pkg().Name() + "." + name
	}
	return name
}

// substitute replaces the parameters of g by the arguments of a call.
func (e *engine) substitute(s *site, g *function, set taints) taints {
	out := taints{}
	for x := range set {
		switch {
		case x.param == g:
			if x.index >= len(s.args) {
				continue
			}
			for a := range e.of(s.args[x.index]) {
				if a.inner == x.content && a.hidden == x.veiled {
					a.inner, a.hidden = x.inner, x.hidden
					out[a] = struct{}{}
				}
			}
		case x.source != nil && g.obj != nil && depends(x.source.Scope, g.name):
			src := *x.source
			src.Scope = e.bind(s, src.Scope)
			x.source = e.intern(src)
			out[x] = struct{}{}
		default:
			out[x] = struct{}{}
		}
	}
	return out
}

// bind replaces the parameters of the function that is called in a ref by the
// arguments of the call.
func (e *engine) bind(s *site, r purposes.Ref) purposes.Ref {
	if s.expr == nil {
		return purposes.Ref{Unknown: true}
	}
	args, ok := e.args[s.expr]
	if !ok {
		args = e.purposes.Args(s.expr)
		e.args[s.expr] = args
	}
	return e.purposes.Reduce(r.Bind(args), s.f.name)
}

// outside handles the call of a function of another package, or of one that is
// not known.
func (e *engine) outside(s *site) {
	if sum := e.imported.Funcs[purposes.Func(s.obj)]; sum != nil {
		e.summarised(s, sum)
		return
	}
	if s.obj.Pkg() == nil { // error.Error
		if s.value != nil && s.obj.Name() == "Error" {
			e.set(s.value, e.of(s.args[0]))
		}
		return
	}
	e.effect(s)
}

// summarised handles the call of a function that a fact is known of.
func (e *engine) summarised(s *site, sum *summary) {
	if s.value != nil {
		for i, items := range sum.Results {
			for _, it := range items {
				e.setNth(s.value, i, e.resolve(s, it))
			}
		}
	}
	for _, st := range sum.Stores {
		e.flow(origin{shared: st.Shared, content: st.Content, veiled: st.Veiled}, e.resolve(s, st.Item))
	}
	for _, k := range sum.Sinks {
		to := e.bind(s, k.To)
		for x := range e.resolve(s, k.Item) {
			e.sinkOne(s.f, k.Kind, x, s.pos(), k.What, k.Where, to)
		}
	}
}

// resolve returns what an item of a fact is at a call.
func (e *engine) resolve(s *site, it item) taints {
	if it.Param >= 0 {
		if it.Param >= len(s.args) {
			return nil
		}
		out := taints{}
		for a := range e.of(s.args[it.Param]) {
			if a.inner == it.Content && a.hidden == it.Veiled {
				a.inner, a.hidden = it.Inner, it.Hidden
				out[a] = struct{}{}
			}
		}
		return out
	}
	return taints{{origin: e.origin(it, s), inner: it.Inner, hidden: it.Hidden}: {}}
}

// origin returns the origin that an item stands for, at a call if s is not nil.
func (e *engine) origin(it item, s *site) origin {
	if it.Source != nil {
		src := *it.Source
		if s != nil {
			src.Scope = e.bind(s, src.Scope)
		}
		return origin{source: e.intern(src)}
	}
	return origin{shared: it.Shared, content: it.Content, veiled: it.Veiled}
}

// sink notes that values end up in a sink.
func (e *engine) sink(f *function, kind Kind, set taints, pos token.Pos, what, through string, to purposes.Ref) {
	for x := range set {
		e.sinkOne(f, kind, x, pos, what, through, to)
	}
}

func (e *engine) sinkOne(f *function, kind Kind, x taint, pos token.Pos, what, through string, to purposes.Ref) {
	x.inner, x.hidden = x.inner && x.param != nil, x.hidden && x.param != nil // of no matter any more
	where := through
	if kind == Reuse {
		where += "\x00" + strings.Join(to.Names, ",") + "\x00" + strings.Join(to.From, ",")
	}
	key := sinkKey{x, pos, kind, where}
	if f.sinks[key] != nil {
		return
	}
	pending := kind == Reuse && f.obj != nil && (depends(to, f.name) || x.source != nil && depends(x.source.Scope, f.name))
	f.sinks[key] = &sink{key, what, through, to, pending}
	e.changed = true
}
