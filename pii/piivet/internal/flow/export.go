package flow

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/allow"
)

// export returns the fact of this package.
func (e *engine) export() *fact {
	e.own.Uses = e.below.uses[e.pass.Pkg.Path()]
	e.own.Funcs = map[string]*summary{}
	of := func(f *function) *summary {
		if f.test || (f.obj == nil || !f.obj.Exported()) && e.callables[f.key] == nil {
			return nil
		}
		s := e.own.Funcs[f.key]
		if s == nil {
			s = &summary{}
			e.own.Funcs[f.key] = s
		}
		return s
	}
	calls := e.exportCalls()
	for _, f := range e.functions {
		e.exportResults(f, of)
		if s := of(f); s != nil {
			s.Calls = calls[f]
		}
		for _, k := range f.sorted() {
			e.exportSink(f, k, of)
		}
	}
	e.exportPlaces()
	for _, p := range e.params {
		s := of(p.param)
		if s != nil && p.captured && !slices.Contains(s.Places, p.index) {
			s.Places = append(s.Places, p.index)
		}
	}
	e.seeOwn()
	slices.SortFunc(e.own.Open, func(a, b open) int { return strings.Compare(a.key(), b.key()) })
	slices.SortFunc(e.own.Pending, func(a, b pending) int { return strings.Compare(a.key(), b.key()) })
	for _, all := range e.own.Seen {
		slices.Sort(all)
	}
	for name, s := range e.own.Funcs {
		slices.Sort(s.Places)
		if s.Results == nil && s.Sinks == nil && s.Calls == nil && s.Places == nil {
			delete(e.own.Funcs, name)
		}
	}
	out := &fact{maps.Clone(e.below.packed)}
	out.packages[e.pass.Pkg.Path()] = pack(e.own)
	return out
}

// exportPlaces adds what flows into fields, package-level variables and slots in this
// package, and into the parameters that flow into them. Importing packages know these
// parameters by the names of [placeOf].
func (e *engine) exportPlaces() {
	all := map[*place]*inflow{}
	of := func(p *place) *inflow {
		in := all[p]
		if in == nil {
			in = &inflow{Name: e.nameOf(p)}
			all[p] = in
		}
		return in
	}
	work := slices.DeleteFunc(slices.Clone(e.entered), func(o *origin) bool { return o.shared == "" })
	seen := map[*origin]bool{}
	for len(work) > 0 {
		o := work[len(work)-1]
		work = work[:len(work)-1]
		if seen[o] {
			continue
		}
		seen[o] = true
		in := of(o.place)
		i := flag(o.content) + flag(o.veiled)
		for _, x := range o.origins() {
			it := item{Source: x.source, Param: -1, Content: x.content, Veiled: x.veiled}
			switch {
			case x == o:
				continue
			case x.fn != nil:
				it.Fn = x.fn.key
			case x.param != nil:
				work = append(work, x)
				it.Shared = e.nameOf(x.place)
			default:
				it.Shared = x.shared
			}
			in.In[i] = append(in.In[i], it)
		}
	}
	for slot, fns := range e.plugs {
		in := of(slot)
		for _, fn := range fns {
			in.Reached = append(in.Reached, fn.key)
		}
		slices.Sort(in.Reached)
	}
	for _, p := range e.places {
		if p.slot && !p.knownSlot || p.called && !p.knownCalled {
			of(p)
		}
	}
	for p, in := range all {
		in.Slot, in.Called = p.slot, p.called
		e.own.Places = append(e.own.Places, *in)
	}
	slices.SortFunc(e.own.Places, func(a, b inflow) int { return strings.Compare(a.Name, b.Name) })
}

// nameOf returns the name of a place in facts. For a parameter, this makes it a place of
// the program.
func (e *engine) nameOf(p *place) string {
	if p.param == nil {
		return p.shared
	}
	f := p.param
	name := placeOf(f.key, p.index)
	if at := e.param(f, p.index, 0); !at.captured {
		at.captured = true
		at.slot = functional(f.ssa.Params[p.index].Type())
	}
	if p.result > 0 {
		return slotResult(name, p.result-1)
	}
	return name
}

// maxCalls is the number of calls of the function in one parameter that other packages
// distinguish. A function that passes its parameter on has the calls of all its callees,
// so without a bound, their number would multiply from package to package.
const maxCalls = 8

// exportCalls returns the calls of the functions in the parameters of each function. A
// parameter with more than maxCalls has one call whose arguments are places, and the
// arguments of all calls flow into these places.
func (e *engine) exportCalls() map[*function][]handed {
	all := map[*function][]handed{}
	for _, f := range e.functions {
		count := map[int]int{}
		for _, c := range f.callOrder {
			count[c.index]++
		}
		together := map[int]*handed{}
		for _, c := range f.callOrder {
			h := handed{Param: c.index}
			for _, arg := range c.args {
				h.Args = append(h.Args, e.items(f, arg))
			}
			if count[c.index] <= maxCalls {
				all[f] = append(all[f], h)
				continue
			}
			if together[c.index] == nil {
				together[c.index] = &handed{Param: c.index}
			}
			e.fold(f, together[c.index], h)
		}
		for _, i := range slices.Sorted(maps.Keys(together)) {
			all[f] = append(all[f], *together[i])
		}
	}
	return all
}

// fold merges a call into the one that stands for all.
func (e *engine) fold(f *function, all *handed, h handed) {
	for i, items := range h.Args {
		name := slotParam(placeOf(f.key, h.Param), i)
		if i == len(all.Args) {
			all.Args = append(all.Args, []item{
				{Shared: name, Param: -1},
				{Shared: name, Param: -1, Content: true, Inner: true},
				{Shared: name, Param: -1, Content: true, Veiled: true, Inner: true, Hidden: true},
			})
		}
		for _, it := range items {
			switch {
			case it.Param < 0 && it.Fn == "":
				e.flowBoth(e.shared(name), taints{{origin: e.origin(it, nil), inner: it.Inner, hidden: it.Hidden}: {}})
				e.reaching = nil
			case !slices.Contains(all.Args[i], it):
				all.Args[i] = append(all.Args[i], it)
			}
		}
	}
}

func (e *engine) exportResults(f *function, of func(*function) *summary) {
	s := of(f)
	if s == nil {
		return
	}
	var results [][]item
	some := false
	for _, r := range f.results {
		items := e.items(f, r)
		some = some || len(items) > 0
		results = append(results, items)
	}
	if some {
		s.Results = results
	}
}

// exportSink adds a sink to the summaries of the functions through which other packages
// reach it.
func (e *engine) exportSink(f *function, k *sink, of func(*function) *summary) {
	if _, allowed := allow.Allowed(e.pass, k.rule(), k.pos); allowed || k.kind == Label && e.sent[k.pos] {
		return
	}
	params, shared := behind(k.taint.origin)
	if k.kind != Label && !k.pending && !(k.kind == Receive && e.plumbing(f, k)) {
		for _, o := range shared {
			e.open(open{Pkg: e.pass.Pkg.Path(), Sink: sunk{Item: item{Shared: o.shared, Content: o.content, Veiled: o.veiled, Param: -1},
				Kind: k.kind, What: k.what, In: k.in, Where: funcName(f) + ", " + e.where(k.pos), To: k.to}})
		}
	}
	add := func(f *function, it item) {
		// One sink of each kind is enough for a parameter. Otherwise each caller would
		// have the sinks of all its callees.
		key := exportedSink{f, it, k.kind, k.in, strings.Join(k.to.Names, ",") + "\x00" + strings.Join(k.to.From, ",")}
		if k.kind == Egress {
			key.in = k.what // each place in a request is a sink of its own
		}
		if k.kind == Receive && e.receivers[f] > enough || e.sunk[key] {
			return
		}
		if s := of(f); s != nil {
			e.sunk[key] = true
			if k.kind == Receive {
				e.receivers[f]++
			}
			where := funcName(f) + ", " + e.where(k.pos)
			s.Sinks = append(s.Sinks, sunk{Item: it, Kind: k.kind, What: k.what, In: k.in, Where: where, To: k.to})
		}
	}
	if k.pending {
		for _, it := range e.items(f, taints{k.taint: {}}) {
			add(f, it)
		}
		return
	}
	for _, p := range params {
		add(p.param, item{Param: p.index, Result: p.result, Content: p.content, Veiled: p.veiled})
	}
}

// An exportedSink identifies a sink in a summary.
type exportedSink struct {
	f      *function
	item   item
	kind   Kind
	in, to string
}

// behind returns the parameters that flow into an origin, also through other functions of
// this package, and the shared origins that flow into these, or the origin itself if it is
// shared. Both are in a fixed order.
func behind(o *origin) (params, shared []*origin) {
	seen := map[*origin]bool{}
	work := []*origin{o}
	for len(work) > 0 {
		o := work[len(work)-1]
		work = work[:len(work)-1]
		if seen[o] {
			continue
		}
		seen[o] = true
		switch {
		case o.shared != "":
			shared = append(shared, o)
		case o.param != nil:
			params = append(params, o)
			for x := range o.from {
				work = append(work, x.origin)
			}
		}
	}
	slices.SortFunc(params, compareOrigins)
	slices.SortFunc(shared, compareOrigins)
	return params, shared
}

// items returns the taints of f that have a meaning outside of it, in a fixed order.
func (e *engine) items(f *function, set taints) []item {
	var all []item
	for x := range set {
		it := item{Param: -1, Result: x.result, Content: x.content, Veiled: x.veiled, Inner: x.inner, Hidden: x.hidden, Source: x.source, Shared: x.shared}
		if x.fn != nil {
			it.Fn = x.fn.key
		}
		if x.param != nil {
			if x.param == f {
				it.Param = x.index
			} else { // captured by a closure
				it.Shared, it.Result = e.nameOf(x.place), 0
			}
		}
		all = append(all, it)
	}
	slices.SortFunc(all, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.Param, b.Param), cmp.Compare(a.Result, b.Result), cmp.Compare(a.Shared, b.Shared), cmp.Compare(a.Fn, b.Fn), cmp.Compare(flag(a.Content), flag(b.Content)),
			cmp.Compare(flag(a.Veiled), flag(b.Veiled)), cmp.Compare(flag(a.Inner), flag(b.Inner)), cmp.Compare(flag(a.Hidden), flag(b.Hidden)),
			cmp.Compare(a.Source.name(), b.Source.name()))
	})
	sources := 0
	return slices.DeleteFunc(all, func(it item) bool {
		if it.Source != nil {
			sources++
		}
		return it.Source != nil && sources > enough
	})
}
