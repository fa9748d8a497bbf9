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
	out := &fact{Funcs: maps.Clone(e.imported.Funcs), Shared: map[string][]held{}, Called: e.imported.Called, Slots: e.imported.Slots, Open: e.imported.Open, Pending: e.imported.Pending, Ours: e.imported.Ours}
	calls := e.exportCalls()
	of := func(f *function) *summary {
		if f.test || (f.obj == nil || !f.obj.Exported()) && e.callables[f.key] == nil {
			return nil
		}
		s := out.Funcs[f.key]
		if s == nil {
			s = &summary{}
			out.Funcs[f.key] = s
		}
		return s
	}
	for _, f := range e.functions {
		e.exportResults(f, of)
		if s := of(f); s != nil {
			s.Calls = calls[f]
		}
		for _, k := range f.sorted() {
			e.exportSink(f, k, of)
		}
	}
	for o := range e.captured {
		if s := of(o.param); s != nil {
			s.Places = append(s.Places, o.index)
			slices.Sort(s.Places)
		}
	}
	e.exportShared(out, of)
	e.reached() // records the known sources of the open sinks of this package
	out.Open = e.imported.Open
	slices.SortFunc(out.Open, func(a, b open) int { return strings.Compare(openKey(a), openKey(b)) })
	slices.SortFunc(out.Pending, func(a, b pending) int {
		return cmp.Or(cmp.Compare(a.Pkg, b.Pkg), cmp.Compare(a.Where, b.Where), cmp.Compare(a.What, b.What),
			slices.Compare(a.From.Names, b.From.Names), slices.Compare(a.From.From, b.From.From),
			slices.Compare(a.To.Names, b.To.Names), slices.Compare(a.To.From, b.To.From))
	})
	for name, s := range out.Funcs {
		if s.Results == nil && s.Sinks == nil && s.Stores == nil && s.Calls == nil && s.Places == nil {
			delete(out.Funcs, name)
		}
	}
	return out
}

// exportShared adds the taints of fields, package-level variables and slots to a fact, and
// the parameters that flow into them to the summaries of their functions.
func (e *engine) exportShared(out *fact, of func(*function) *summary) {
	hold := func(o origin, it item) {
		out.Shared[o.shared] = append(out.Shared[o.shared], held{it, o.content, o.veiled})
	}
	shared := slices.SortedFunc(maps.Keys(e.edges), func(a, b origin) int {
		return cmp.Or(cmp.Compare(a.shared, b.shared), cmp.Compare(flag(a.content), flag(b.content)), cmp.Compare(flag(a.veiled), flag(b.veiled)))
	})
	for _, o := range shared {
		if o.shared == "" {
			continue
		}
		for _, src := range e.reach(o) {
			hold(o, item{Source: src, Param: -1})
		}
		for _, x := range e.ordered(o) {
			switch {
			case x.fn != nil:
				hold(o, item{Fn: x.fn.key, Param: -1})
			case x.shared != "":
				hold(o, item{Shared: x.shared, Param: -1, Content: x.content, Veiled: x.veiled})
			}
		}
		for _, p := range e.params(e.edges[o]) {
			s := of(p.param)
			if s != nil && e.captured[origin{param: p.param, index: p.index}] {
				// The parameter itself is a place, so importing packages continue from
				// it. Otherwise each caller would repeat all flows behind the parameter.
				from := item{Shared: placeOf(p.param.key, p.index), Param: -1, Content: p.content, Veiled: p.veiled}
				if p.result > 0 {
					from.Shared = slotResult(from.Shared, p.result-1)
				}
				if from.Shared != o.shared {
					hold(o, from)
				}
				continue
			}
			if s != nil {
				s.Stores = append(s.Stores, stored{item{Param: p.index, Result: p.result, Content: p.content, Veiled: p.veiled}, o.shared, o.content, o.veiled})
			}
		}
	}
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
	e.reaching = nil
	clear(e.order)
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
				e.flowBoth(origin{shared: name}, taints{{origin: e.origin(it, nil), inner: it.Inner, hidden: it.Hidden}: {}})
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
	if o := k.taint.origin; o.shared != "" && k.kind != Label && !k.pending && !(k.kind == Receive && e.plumbing(f, k)) {
		e.open(open{Pkg: e.pass.Pkg.Path(), Sink: sunk{Item: item{Shared: o.shared, Content: o.content, Veiled: o.veiled, Param: -1},
			Kind: k.kind, What: k.what, In: k.in, Where: funcName(f) + ", " + e.where(k.pos), To: k.to}})
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
	for _, p := range e.params(taints{k.taint: {}}) {
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

// params returns the parameters that flow into a set of taints, also through other
// functions of this package, in a fixed order.
func (e *engine) params(set taints) []origin {
	seen := map[origin]bool{}
	var found []origin
	var visit func(o origin)
	visit = func(o origin) {
		if o.param == nil || seen[o] {
			return
		}
		seen[o] = true
		found = append(found, o)
		for x := range e.edges[o] {
			visit(x.origin)
		}
	}
	for x := range set {
		visit(x.origin)
	}
	slices.SortFunc(found, func(a, b origin) int {
		return cmp.Or(cmp.Compare(a.param.key, b.param.key), cmp.Compare(a.index, b.index), cmp.Compare(a.result, b.result), cmp.Compare(flag(a.content), flag(b.content)), cmp.Compare(flag(a.veiled), flag(b.veiled)))
	})
	return found
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
				it.Shared, it.Result = placeOf(x.param.key, x.index), 0
				e.slot(it.Shared, x.param.ssa.Params[x.index].Type())
				if x.result > 0 {
					it.Shared = slotResult(it.Shared, x.result-1)
				}
				e.captured[origin{param: x.param, index: x.index}] = true
			}
		}
		all = append(all, it)
	}
	slices.SortFunc(all, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.Param, b.Param), cmp.Compare(a.Result, b.Result), cmp.Compare(a.Shared, b.Shared), cmp.Compare(a.Fn, b.Fn), cmp.Compare(flag(a.Content), flag(b.Content)),
			cmp.Compare(flag(a.Veiled), flag(b.Veiled)), cmp.Compare(flag(a.Inner), flag(b.Inner)), cmp.Compare(flag(a.Hidden), flag(b.Hidden)),
			cmp.Compare(sourceKey(a.Source), sourceKey(b.Source)))
	})
	sources := 0
	return slices.DeleteFunc(all, func(it item) bool {
		if it.Source != nil {
			sources++
		}
		return it.Source != nil && sources > enough
	})
}
