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

// A site is a call with the function that it calls, as far as that is known.
type site struct {
	f     *function
	instr ssa.CallInstruction
	value ssa.Value // the value of the results, nil for go and defer
	args  []ssa.Value
	expr  *ast.CallExpr // nil if the call is not in the syntax
	obj   *types.Func   // nil for function values

	// For a virtual call: its identity, the position of its findings, the number of
	// virtual calls around it, whether it is being handled, and its results.
	name    virtual
	at      token.Pos
	depth   int
	busy    bool
	results *[maxResults]taints
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
		e.sendsBy(s)
		if e.library(s) {
			return
		}
		if s.obj.Pkg() == nil {
			// The text of an error comes from the arguments that made it. If the Error
			// methods of all types of this package were callees here, one type that
			// quotes its input would taint all errors.
			e.outside(s)
			return
		}
		for _, g := range e.methods[s.obj.Name()] {
			if implements(g.obj.Signature().Recv().Type(), common.Value.Type()) {
				e.inside(s, g)
			}
		}
		if e.ours(s.obj.Pkg()) {
			slot := e.shared(purposes.Func(s.obj))
			slot.slot = true // a method of an interface is a slot
			e.throughSlot(s, slot)
			for i := range s.count() {
				e.receive(s, both(e.shared(slotResult(purposes.Func(s.obj), i))), purposes.Place(s.obj), short(s.obj))
			}
		}
		e.outside(s)
		return
	}
	switch v := common.Value.(type) {
	case *ssa.Function:
		if c := e.callableOf(v, nil); c != nil {
			e.calling(s, c)
		}
	case *ssa.MakeClosure:
		if c := e.callableOf(v.Fn.(*ssa.Function), v); c != nil {
			e.calling(s, c)
		}
	default:
		e.dynamic(s, e.of(v), nil)
	}
}

// byObject returns the function of this package with the given object, nil if there is
// none.
func (e *engine) byObject(obj *types.Func) *function { return e.byDecl[obj] }

// implement adds the methods of a type to the slots of an interface that a value of the
// type is converted to.
func (e *engine) implement(t, to types.Type) {
	iface, ok := to.Underlying().(*types.Interface)
	if !ok || iface.NumMethods() == 0 {
		return
	}
	for m := range iface.Methods() {
		if !e.ours(m.Pkg()) {
			continue
		}
		slot := e.shared(purposes.Func(m)).value()
		obj, _, _ := types.LookupFieldOrMethod(t, true, m.Pkg(), m.Name())
		fn, ok := obj.(*types.Func)
		switch {
		case !ok || fn.Pkg() == nil:
		case types.IsInterface(t):
			if from := purposes.Func(fn); from != slot.shared && e.ours(fn.Pkg()) {
				e.flow(slot, single(e.shared(from).value()))
			}
		default:
			e.flow(slot, single(e.internCallable(e.declared(fn)).value()))
		}
	}
}

// inPackage reports whether a slot is a method of an interface of this package and fn a
// method of this package. Their calls are resolved one by one, without the slot.
func (e *engine) inPackage(slot string, fn *callable) bool {
	return fn.local != nil && fn.obj != nil && strings.HasPrefix(slot, "("+e.pass.Pkg.Path()+".")
}

func implements(t, iface types.Type) bool {
	i, ok := iface.Underlying().(*types.Interface)
	return ok && (types.Implements(t, i) || types.Implements(types.NewPointer(t), i))
}

func (e *engine) builtin(s *site, name string) {
	switch name {
	case "append", "min", "max":
		for _, arg := range s.args {
			e.give(s, 0, e.of(arg))
		}
	case "copy":
		e.store(s.args[0], e.of(s.args[1]))
	case "print", "println":
		for _, arg := range s.args {
			e.sink(s.f, Log, e.of(arg), s.pos(), name, "", purposes.Ref{})
		}
	}
}

// pos returns the position of a call.
func (s *site) pos() token.Pos {
	if s.results != nil || s.instr == nil {
		return s.at
	}
	if s.expr != nil {
		// In a chain of calls over several lines, the position is the method's, not the
		// beginning of the chain.
		if sel, ok := ast.Unparen(s.expr.Fun).(*ast.SelectorExpr); ok {
			return sel.Sel.Pos()
		}
		return s.expr.Pos()
	}
	return s.instr.Pos()
}

// library handles a call of onlyfor, and reports whether s is one.
func (e *engine) library(s *site) bool {
	op := known.OpOf(s.obj)
	if sealedText(s.obj) {
		e.give(s, 0, e.intern(source{Sealed: true, Pkg: e.pass.Pkg.Path(), Where: e.where(s.pos()), pos: s.pos()}).taints())
		return true
	}
	if recv := s.obj.Signature().Recv(); s.obj.Name() == "String" && recv != nil && printsLabel(recv.Type()) {
		e.give(s, 0, e.label(s.pos()))
		return true
	}
	if op == known.None {
		return false
	}
	if op != known.Reveal && op != known.Hint && op != known.Seal && op != known.Index {
		return true
	}
	var c known.Call
	ok := false
	if s.expr != nil && s.results == nil {
		if c, ok = known.CallOf(e.pass.TypesInfo, s.expr); !ok {
			c, ok = known.CallBy(s.obj, s.expr), true
		}
	}
	scope := purposes.Ref{Unknown: true}
	if ok && len(c.Scopes) > 0 {
		scope = purposes.Ref{}
		for i := range c.Scopes {
			scope = scope.And(e.purposes.Reduce(e.purposes.ScopeRef(c, i), s.f.name))
		}
	}
	src := e.intern(source{Pkg: e.pass.Pkg.Path(), In: s.f.place, Where: e.where(s.pos()), Scope: scope, pos: s.pos()})
	plaintext := src.taints()
	switch {
	case op == known.Reveal:
		e.give(s, 0, plaintext)
	case c.Text != nil:
		plaintext = e.text(s, c, op)
	}
	e.feed(s, s.args, plaintext, nil) // of Scope.Hint and Scope.IndexSealed
	e.kind(s, plaintext)
	return true
}

// text handles the text argument of a call that seals or indexes, and returns its taints.
func (e *engine) text(s *site, c known.Call, op known.Op) taints {
	all := taints{}
	for _, arg := range s.args {
		if !known.IsText(arg.Type()) {
			continue
		}
		all.add(e.of(arg))
		for i := range c.Scopes {
			to := e.purposes.Reduce(e.purposes.ScopeRef(c, i), s.f.name)
			verb := "sealed"
			if op == known.Index {
				verb = "indexed"
			}
			e.sink(s.f, Reuse, e.of(arg), s.pos(), verb, "", to)
		}
	}
	return all
}

// kind lets plaintext flow into the methods of a user's own kind. The library calls them
// with plaintext.
func (e *engine) kind(s *site, plaintext taints) {
	var kinds []types.Type
	if call, ok := s.instr.(*ssa.Call); ok && s.results == nil {
		if callee := call.Common().StaticCallee(); callee != nil {
			kinds = append(kinds, callee.TypeArgs()...)
		}
	}
	if len(s.args) > 0 {
		kinds = append(kinds, known.Kinds(s.args[0].Type())...)
	}
	for _, kind := range kinds {
		for _, name := range []string{"Parse", "Canonical", "Mask"} {
			obj, _, _ := types.LookupFieldOrMethod(kind, true, e.pass.Pkg, name)
			method, ok := obj.(*types.Func)
			if !ok || known.OfLibrary(method.Pkg()) {
				continue
			}
			fn := e.internCallable(e.declared(method))
			in := e.callback(virtual{s.id(), nil, fn}, s, fn.params())
			for _, arg := range in.args[1:] {
				e.addTo(arg, plaintext)
			}
			e.calling(in, fn)
		}
	}
}

// inside handles a call of a function of this package.
func (e *engine) inside(s *site, g *function) {
	if g.test {
		return
	}
	e.needs(g)
	if e.callers[g.ssa] == nil {
		e.callers[g.ssa] = map[any][]ssa.Value{}
	}
	if _, ok := e.callers[g.ssa][s.id()]; !ok {
		e.callers[g.ssa][s.id()] = s.args
		e.touch()
		for _, f := range e.families { // the family may trace a parameter to all calls
			f.dirty = f.dirty || f.traces
		}
	}
	for i, arg := range s.args {
		if i < len(g.ssa.Params) && text(g.ssa.Params[i].Type()) {
			e.flowBoth(e.param(g, i, 0), e.of(arg))
		}
	}
	e.passed(s, g.obj)
	e.handOver(s, g)
	for i, r := range g.results {
		set := taints{}
		for x := range r {
			through := e.substitute(s, g, taints{x: {}})
			if x.param == g && x.index < len(s.args) && !isText(s.args[x.index].Type()) {
				through = through.unlabelled()
			}
			set.add(through)
		}
		e.give(s, i, set)
		e.receive(s, set, g.place, funcName(g))
	}
	for _, arg := range s.args {
		e.consume(s.f, e.of(arg))
	}
	for _, k := range g.sinks {
		if !k.pending {
			continue
		}
		to := e.bind(s, k.to)
		for x := range e.substitute(s, g, taints{k.taint: {}}) {
			e.sinkOne(s.f, k.kind, x, s.pos(), k.what, funcName(g)+", "+e.where(k.pos), to)
		}
	}
}

// funcName returns the name of a function for messages.
func funcName(g *function) string {
	if g.obj == nil {
		return "a function literal"
	}
	return short(g.obj)
}

// short returns the qualified name of a function: package.Func or package.Type.Method.
func short(fn *types.Func) string {
	name := fn.Name()
	if recv := fn.Signature().Recv(); recv != nil {
		if n := known.Named(recv.Type()); n != nil {
			name = n.Obj().Name() + "." + name
		}
	}
	if fn.Pkg() != nil {
		name = fn.Pkg().Name() + "." + name
	}
	return name
}
