package flow

import (
	"go/types"
	"slices"

	"golang.org/x/tools/go/ssa"
)

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
				e.give(s, i, single(e.param(x.param, x.index, i+1).value()))
			}
		case x.shared != "":
			e.throughSlot(s, x.place)
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
			e.flowBoth(e.param(g, c.index, i+1), r)
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
				e.flowBoth(e.shared(slotResult(placeOf(key, c.Param), i)), r)
			}
		}
	}
	for _, i := range sum.Places {
		if i < len(s.args) {
			e.flowBoth(e.shared(placeOf(key, i)), e.of(s.args[i]))
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
