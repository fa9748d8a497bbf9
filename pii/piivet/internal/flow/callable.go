package flow

import (
	"go/types"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/ssa"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// A callable is a function that is used as a value. Callables are interned by their keys,
// so that equal ones have the same pointer.
type callable struct {
	// key is the full name of a declared function, or the position of a literal.
	key string
	// obj is the declared function, nil for a literal.
	obj *types.Func
	// local is the function in this package, nil for a function of another package.
	local *function
	// bound is the receiver of a method value, nil for others. A method without a bound
	// receiver takes it as the first argument.
	bound ssa.Value
}

// callableOf returns the callable of a function or closure, nil if it can't be tracked.
func (e *engine) callableOf(fn *ssa.Function, closure *ssa.MakeClosure) *callable {
	if o := fn.Origin(); o != nil {
		fn = o
	}
	c := callable{local: e.byFunc[fn]}
	obj, _ := fn.Object().(*types.Func)
	switch {
	case obj != nil:
		c = e.declared(obj)
		if closure != nil && isBound(fn) {
			c.bound = closure.Bindings[0]
			c.key += "\x00" + strconv.Itoa(int(closure.Pos()))
		}
	case c.local != nil:
		c.key = c.local.key
	default:
		return nil
	}
	return e.internCallable(c)
}

// declared returns the callable of a declared function. It is not interned.
func (e *engine) declared(obj *types.Func) callable {
	c := callable{obj: obj.Origin(), key: purposes.Func(obj)}
	c.local = e.byObject(c.obj)
	return c
}

func (e *engine) internCallable(c callable) *callable {
	if have := e.callables[c.key]; have != nil {
		if have.obj == nil { // it was known from a fact alone
			*have = c
		}
		return have
	}
	e.callables[c.key] = &c
	return &c
}

// callableBy returns the callable with the key in a fact.
func (e *engine) callableBy(key string) *callable {
	if have := e.callables[key]; have != nil {
		return have
	}
	c := callable{key: key}
	for _, p := range e.pass.Pkg.Imports() {
		if name, ok := strings.CutPrefix(key, p.Path()+"."); ok {
			if fn, ok := p.Scope().Lookup(name).(*types.Func); ok {
				c.obj = fn
			}
		}
	}
	return e.internCallable(c)
}

// name returns the key, "" for nil.
func (c *callable) name() string {
	if c == nil {
		return ""
	}
	return c.key
}

// summary returns the summary of a callable of another package, nil if there is none.
func (e *engine) summary(c *callable) *summary {
	return e.imported.Funcs[base(c.key)]
}

// base returns a key without the position of a method value.
func base(key string) string {
	key, _, _ = strings.Cut(key, "\x00")
	return key
}

// isBound reports whether fn is the wrapper of a method value.
func isBound(fn *ssa.Function) bool {
	return strings.HasPrefix(fn.Synthetic, "bound method wrapper")
}

// params returns the types of a callable's arguments.
func (c *callable) params() []types.Type {
	var all []types.Type
	switch {
	case c.local != nil:
		for _, p := range c.local.ssa.Params {
			all = append(all, p.Type())
		}
	case c.obj != nil:
		if recv := c.obj.Signature().Recv(); recv != nil {
			all = append(all, recv.Type())
		}
		for p := range c.obj.Signature().Params().Variables() {
			all = append(all, p.Type())
		}
	default: // a literal of another package
		for range maxResults {
			all = append(all, types.Universe.Lookup("any").Type())
		}
	}
	if c.bound != nil && len(all) > 0 {
		all = all[1:]
	}
	return all
}

// slotParam and slotResult name the arguments and results of all calls through a slot. A
// slot is a field or variable that holds functions, or a method of an interface.
func slotParam(slot string, i int) string  { return slot + "()#" + strconv.Itoa(i) }
func slotResult(slot string, i int) string { return slot + "()=" + strconv.Itoa(i) }

// placeOf returns the name of a function's parameter in facts.
func placeOf(key string, i int) string { return key + "#" + strconv.Itoa(i) }

// A virtual identifies a call that happens elsewhere than in the syntax: the call of a
// function that was passed to another one, or stored in a slot. From is the call that
// passed the function on, or the slot. Call is the call within the function that received
// it. Fn is the function that is called. Fields that do not matter are nil.
type virtual struct {
	from, call any
	fn         *callable
}

// maxResults is the number of results of a virtual call that are distinguished, and
// maxNested the number of nested virtual calls that are.
const (
	maxResults = 4
	maxNested  = 2
)

// callback returns the site of a virtual call that the call at s causes. The caller adds
// the taints of the arguments.
func (e *engine) callback(v virtual, s *site, params []types.Type) *site {
	in := e.virtuals[v]
	if in == nil {
		in = &site{f: s.f, instr: s.instr, at: s.pos(), name: v, depth: s.depth + 1, results: new([maxResults]taints)}
		for i := range in.results {
			in.results[i] = taints{}
		}
		e.virtuals[v] = in
	}
	for len(in.args) < len(params) {
		in.args = append(in.args, ssa.NewConst(nil, params[len(in.args)]))
	}
	return in
}

// id identifies a call at a site. Virtual calls that are nested too deeply share one
// identity.
func (s *site) id() any {
	switch {
	case s.results == nil:
		return s.instr
	case s.depth > maxNested:
		return nil
	}
	return s.name
}

// count returns the number of results of a site.
func (s *site) count() int {
	if s.results != nil {
		return maxResults
	}
	return s.instr.Common().Signature().Results().Len()
}

// give adds taints to a result of a call.
func (e *engine) give(s *site, i int, t taints) {
	switch {
	case s.results != nil:
		if i < maxResults && s.results[i].add(t) {
			e.touch()
		}
	case s.value != nil:
		e.setNth(s.value, i, t)
	}
}

// dynamic handles a call of a function value that may be any of the callees. Call
// distinguishes the calls at one site.
func (e *engine) dynamic(s *site, callees taints, call any) {
	if s.busy || e.steps >= e.limit { // busy: the functions call each other
		return
	}
	s.busy = true
	defer func() { s.busy = false }()
	for x := range callees {
		switch {
		case x.fn != nil:
			e.calling(s, x.fn)
			continue
		case x.content || x.inner:
			continue
		case x.param != nil && x.result == 0 && !functional(x.param.ssa.Params[x.index].Type()):
		case x.param != nil && x.result == 0:
			e.noteCall(s, x, call, s.args)
			for i := range s.count() {
				e.give(s, i, single(origin{param: x.param, index: x.index, result: i + 1}))
			}
		case x.shared != "":
			e.throughSlot(s, x.shared)
			for _, fn := range e.libraryIn[x.origin] { // this call has the scopes
				e.calling(s, fn)
			}
		}
		if x.source == nil && !iterates(s) {
			continue
		}
		// An iterator or a getter returns the data that it holds.
		data := taints{x: {}}
		for i := range s.count() {
			e.give(s, i, data)
		}
		e.feed(s, s.args, data, call)
	}
}

// iterates reports whether a call looks like the call of an iterator: its only argument
// is a function.
func iterates(s *site) bool {
	if len(s.args) != 1 {
		return false
	}
	_, ok := s.args[0].Type().Underlying().(*types.Signature)
	return ok
}

// A fed is the index of a function argument that the callee, a library function, calls.
type fed int

// feed lets data flow into the parameters of all functions among the arguments. This
// models a library function that calls its function arguments with its other arguments.
func (e *engine) feed(s *site, args []ssa.Value, data taints, call any) {
	for i, arg := range args {
		sig, ok := arg.Type().Underlying().(*types.Signature)
		if !ok {
			continue
		}
		var params []types.Type
		for p := range sig.Params().Variables() {
			params = append(params, p.Type())
		}
		in := e.callback(virtual{s.id(), fed(i), nil}, s, params)
		for _, p := range in.args {
			e.addTo(p, data)
		}
		e.dynamic(in, e.of(arg), fed(i))
	}
}

// outcomes returns the results of the functions among the arguments that [engine.feed]
// has called.
func (e *engine) outcomes(s *site, args []ssa.Value) taints {
	all := taints{}
	for i := range args {
		if in := e.virtuals[virtual{s.id(), fed(i), nil}]; in != nil {
			for _, r := range in.results {
				all.add(r)
			}
		}
	}
	return all
}

// calling handles a call of one function value.
func (e *engine) calling(s *site, fn *callable) {
	if e.steps >= e.limit {
		return
	}
	t := *s
	t.obj = fn.obj
	if fn.bound != nil {
		e.needs(e.byFunc[fn.bound.Parent()])
		t.args = append([]ssa.Value{fn.bound}, s.args...)
	}
	if fn.obj != nil {
		e.sendsBy(&t)
	}
	switch sum := e.summary(fn); {
	case fn.obj != nil && e.library(&t):
	case fn.local != nil:
		e.inside(&t, fn.local)
	case sum != nil:
		e.summarised(&t, base(fn.key), sum)
	case fn.obj != nil && len(t.args) >= len(fn.params()):
		e.outside(&t)
	}
}

// A paramCall is a call of the function in a parameter. If one function passes its
// parameter on to another one, root is the original call.
type paramCall struct {
	index int
	args  []taints
	root  any
}

type paramCallKey struct {
	at    ssa.CallInstruction
	root  any
	index int
}

// noteCall records a call of the function in a parameter. The callers know which function
// they pass.
func (e *engine) noteCall(s *site, x taint, call any, args []ssa.Value) {
	f := x.param
	if c, ok := call.(*paramCall); ok && c.root != nil {
		call = c.root
	}
	key := paramCallKey{s.instr, call, x.index}
	c := f.calls[key]
	if c == nil {
		c = &paramCall{index: x.index, root: call}
		f.calls[key] = c
		f.callOrder = append(f.callOrder, c)
		e.touch()
		e.other(f)
	}
	for i, arg := range args {
		if i == len(c.args) {
			c.args = append(c.args, taints{})
		}
		if c.args[i].add(e.of(arg)) {
			e.touch()
			e.other(f)
		}
	}
}

// handOver handles, for a call of g, the calls within g of functions in its parameters.
func (e *engine) handOver(s *site, g *function) {
	for n := 0; n < len(g.callOrder); n++ { // which may grow
		c := g.callOrder[n]
		if c.index >= len(s.args) {
			continue
		}
		in := e.callback(virtual{s.id(), c, nil}, s, anys(len(c.args)))
		for i, arg := range c.args {
			e.addTo(in.args[i], e.substitute(s, g, arg))
		}
		e.dynamic(in, e.of(s.args[c.index]), c)
		for i, r := range in.results {
			e.flowBoth(origin{param: g, index: c.index, result: i + 1}, r)
		}
	}
}

// handedOver is [engine.handOver] for a function with a summary.
func (e *engine) handedOver(s *site, key string, sum *summary) {
	for n := range sum.Calls {
		c := &sum.Calls[n]
		if c.Param >= len(s.args) {
			continue
		}
		in := e.callback(virtual{s.id(), c, nil}, s, anys(len(c.Args)))
		for i, items := range c.Args {
			for _, it := range items {
				e.addTo(in.args[i], e.resolve(s, it, sum))
			}
		}
		e.dynamic(in, e.of(s.args[c.Param]), c)
		if slices.Contains(sum.Places, c.Param) {
			for i, r := range in.results {
				e.flowBoth(origin{shared: slotResult(placeOf(key, c.Param), i)}, r)
			}
		}
	}
	for _, i := range sum.Places {
		if i < len(s.args) {
			e.flowBoth(origin{shared: placeOf(key, i)}, e.of(s.args[i]))
		}
	}
}

func anys(n int) []types.Type {
	all := make([]types.Type, n)
	for i := range all {
		all[i] = types.Universe.Lookup("any").Type()
	}
	return all
}

// resultsOfParam returns the results of the calls within g of the function that the call
// at s passes as an argument.
func (e *engine) resultsOfParam(s *site, g *function, index, result int) taints {
	all := taints{}
	for _, c := range g.callOrder {
		if in := e.virtuals[virtual{s.id(), c, nil}]; in != nil && c.index == index && result <= maxResults {
			all.add(in.results[result-1])
		}
	}
	return all
}

// throughSlot handles a call of the functions in a slot.
func (e *engine) throughSlot(s *site, slot string) {
	if !e.imported.Slots[slot] || strings.Count(slot, "()") >= maxNested { // functions that return functions
		return
	}
	if !e.imported.Called[slot] {
		e.imported.Called[slot] = true
		e.touch()
	}
	if !e.plugging || e.crowded[slot] {
		return
	}
	for i, arg := range s.args {
		e.slot(slotParam(slot, i), arg.Type())
		e.flowBoth(origin{shared: slotParam(slot, i)}, e.of(arg))
	}
	for i := range s.count() {
		if s.results == nil {
			e.slot(slotResult(slot, i), s.instr.Common().Signature().Results().At(i).Type())
		}
		e.give(s, i, both(origin{shared: slotResult(slot, i)}))
	}
}

// slot records that a place is a slot, if its type is functional.
func (e *engine) slot(name string, t types.Type) {
	if !e.imported.Slots[name] && functional(t) {
		e.imported.Slots[name] = true
	}
}

// functional reports whether t is a type of functions, or of lists, maps, channels or
// pointers of them. A call of a value of another type comes from a struct that is
// mistaken for one of its fields.
func functional(t types.Type) bool {
	for range 8 {
		switch u := t.Underlying().(type) {
		case *types.Signature:
			return true
		case *types.Pointer:
			t = u.Elem()
		case *types.Slice:
			t = u.Elem()
		case *types.Array:
			t = u.Elem()
		case *types.Map:
			t = u.Elem()
		case *types.Chan:
			t = u.Elem()
		default:
			return false
		}
	}
	return false
}

// maxHeld is the number of functions in a slot up to which its calls are tracked. A slot
// with more functions is an event bus: each of its callers belongs to one of its
// functions, and the types do not tell to which.
const maxHeld = 3

// maxListed is the number of functions of a place that are listed, method values of
// several receivers included. A place with so many functions is crowded, and so are the
// places that it flows into.
const maxListed = 16

// crowd records the slots with too many functions to be tracked.
func (e *engine) crowd() {
	for o, fns := range e.holding() {
		names := map[string]bool{}
		for fn := range fns {
			names[base(fn.key)] = true
		}
		if o.shared != "" && !o.content && (len(names) > maxHeld || len(fns) >= maxListed) {
			e.crowded[o.shared] = true
		}
	}
}

// holding returns the functions in each place, up to maxListed of them.
func (e *engine) holding() map[origin]map[*callable]bool {
	back := map[origin][]origin{}
	holds := map[origin]map[*callable]bool{}
	var work []origin
	for o, set := range e.edges {
		for x := range set {
			switch {
			case x.fn == nil:
				back[x.origin] = append(back[x.origin], o)
			case holds[o] == nil:
				holds[o] = map[*callable]bool{x.fn: true}
				work = append(work, o)
			default:
				holds[o][x.fn] = true
			}
		}
	}
	for len(work) > 0 {
		o := work[len(work)-1]
		work = work[:len(work)-1]
		for _, to := range back[o] {
			if holds[to] == nil {
				holds[to] = map[*callable]bool{}
			}
			n := len(holds[to])
			for fn := range holds[o] {
				if len(holds[to]) < maxListed {
					holds[to][fn] = true
				}
			}
			if len(holds[to]) > n {
				work = append(work, to)
			}
		}
	}
	return holds
}

// connect lets the calls of each slot reach the functions in it.
func (e *engine) connect() {
	clear(e.libraryIn)
	for o, fns := range e.holding() {
		if e.crowded[o.shared] {
			continue
		}
		for fn := range fns {
			if fn.obj != nil && known.OpOf(fn.obj) != known.None {
				e.libraryIn[o] = append(e.libraryIn[o], fn)
			}
		}
		if o.shared == "" || o.content || !e.imported.Called[o.shared] {
			continue
		}
		for fn := range fns {
			e.plug(o.shared, fn)
		}
	}
}

// plug lets the calls of a slot reach one function in it.
func (e *engine) plug(slot string, fn *callable) {
	if fn.local == nil && fn.obj == nil && e.summary(fn) == nil || e.inPackage(slot, fn) {
		return
	}
	at := &site{f: e.functions[0]}
	if fn.local != nil {
		at.f = fn.local
	}
	at.at = at.f.ssa.Pos()
	in := e.callback(virtual{slot, nil, fn}, at, fn.params())
	for i, p := range in.args {
		e.addTo(p, both(origin{shared: slotParam(slot, i)}))
	}
	e.calling(in, fn)
	for i, r := range in.results {
		e.flowBoth(origin{shared: slotResult(slot, i)}, r)
	}
}
