package flow

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/allow"
)

// enough is how many sources of one place are told: nobody reads more, and a
// package where all flows into all would take forever.
const enough = 50

// reach returns the sources that flow into an origin, in this package.
func (e *engine) reach(o origin) []*source {
	found := map[*source]bool{}
	seen := map[origin]bool{}
	var visit func(o origin)
	visit = func(o origin) {
		if seen[o] || len(found) >= enough {
			return
		}
		seen[o] = true
		if o.source != nil {
			found[o.source] = true
		}
		for _, x := range e.ordered(o) {
			visit(x)
		}
	}
	visit(o)
	return sorted(found)
}

// ordered returns what flows into a place in a fixed order, so that of too many
// sources it is always the same ones that are told.
func (e *engine) ordered(o origin) []origin {
	if done, ok := e.order[o]; ok {
		return done
	}
	set := map[origin]bool{}
	for x := range e.edges[o] {
		set[x.origin] = true
	}
	all := slices.SortedFunc(maps.Keys(set), func(a, b origin) int {
		return cmp.Or(cmp.Compare(sourceKey(a.source), sourceKey(b.source)), cmp.Compare(a.shared, b.shared),
			cmp.Compare(place(a.param), place(b.param)), cmp.Compare(a.index, b.index), cmp.Compare(flag(a.content), flag(b.content)), cmp.Compare(flag(a.veiled), flag(b.veiled)))
	})
	e.order[o] = all
	return all
}

func place(f *function) int {
	if f == nil {
		return 0
	}
	return int(f.ssa.Pos())
}

// findings returns what is wrong in this package, in the order of the source
// files.
func (e *engine) findings() []Finding {
	type key struct {
		kind     Kind
		pos      int
		from, to string
	}
	seen := map[key]bool{}
	var all []Finding
	for _, f := range e.functions {
		for _, k := range f.sorted() {
			if k.pending {
				continue
			}
			for _, src := range e.reach(k.taint.origin) {
				found, ok := e.finding(k, src)
				if !ok {
					continue
				}
				id := key{found.Kind, int(found.Pos), strings.Join(found.From, ","), strings.Join(found.To, ",")}
				if !seen[id] {
					seen[id] = true
					all = append(all, found)
				}
			}
		}
	}
	all = append(all, e.decided()...)
	slices.SortStableFunc(all, func(a, b Finding) int { return cmp.Compare(a.Pos, b.Pos) })
	return all
}

func (f *function) sorted() []*sink {
	return slices.SortedFunc(maps.Values(f.sinks), func(a, b *sink) int {
		return cmp.Or(cmp.Compare(a.pos, b.pos), cmp.Compare(a.kind, b.kind), cmp.Compare(a.through, b.through),
			cmp.Compare(a.where, b.where), cmp.Compare(a.taint.index, b.taint.index), cmp.Compare(a.taint.shared, b.taint.shared),
			cmp.Compare(sourceKey(a.taint.source), sourceKey(b.taint.source)), cmp.Compare(flag(a.taint.content), flag(b.taint.content)),
			cmp.Compare(flag(a.taint.veiled), flag(b.taint.veiled)))
	})
}

// finding returns what is to be said of a source that ends up in a sink, false
// if nothing is.
func (e *engine) finding(k *sink, src *source) (Finding, bool) {
	from, complete := e.purposes.Names(src.Scope)
	f := Finding{
		Kind: k.kind, Pos: k.pos, What: k.what, Through: k.through,
		Revealed: src.Where, RevealedAt: src.pos,
	}
	if complete {
		f.From = from
	}
	if k.kind != Reuse {
		return f, true
	}
	to, known := e.purposes.Names(k.to)
	if overlap(from, to) {
		return f, false
	}
	if !complete || !known {
		e.suspect(k, src)
		return f, false
	}
	f.To = to
	return f, true
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// export returns what other packages have to know.
func (e *engine) export() *fact {
	out := &fact{Funcs: maps.Clone(e.imported.Funcs), Shared: map[string][]item{}, Pending: e.imported.Pending, Ours: e.imported.Ours}
	of := func(f *function) *summary {
		if f.obj == nil || f.test || !f.obj.Exported() {
			return nil
		}
		s := out.Funcs[f.name]
		if s == nil {
			s = &summary{}
			out.Funcs[f.name] = s
		}
		return s
	}
	for _, f := range e.functions {
		e.exportResults(f, of)
		for _, k := range f.sorted() {
			e.exportSink(f, k, of)
		}
	}
	shared := slices.SortedFunc(maps.Keys(e.edges), func(a, b origin) int {
		return cmp.Or(cmp.Compare(a.shared, b.shared), cmp.Compare(flag(a.content), flag(b.content)), cmp.Compare(flag(a.veiled), flag(b.veiled)))
	})
	for _, o := range shared {
		if o.shared == "" {
			continue
		}
		for _, src := range e.reach(o) {
			out.Shared[o.shared] = append(out.Shared[o.shared], item{Source: src, Param: -1, Content: o.content, Veiled: o.veiled})
		}
		for _, p := range e.params(e.edges[o]) {
			if s := of(p.param); s != nil {
				s.Stores = append(s.Stores, stored{item{Param: p.index, Content: p.content, Veiled: p.veiled}, o.shared, o.content, o.veiled})
			}
		}
	}
	slices.SortFunc(out.Pending, func(a, b pending) int {
		return cmp.Or(cmp.Compare(a.Pkg, b.Pkg), cmp.Compare(a.Where, b.Where), cmp.Compare(a.What, b.What),
			slices.Compare(a.From.Names, b.From.Names), slices.Compare(a.From.From, b.From.From),
			slices.Compare(a.To.Names, b.To.Names), slices.Compare(a.To.From, b.To.From))
	})
	for name, s := range out.Funcs {
		if s.Results == nil && s.Sinks == nil && s.Stores == nil {
			delete(out.Funcs, name)
		}
	}
	return out
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (e *engine) exportResults(f *function, of func(*function) *summary) {
	s := of(f)
	if s == nil {
		return
	}
	var results [][]item
	some := false
	for _, r := range f.results {
		items := items(f, r)
		some = some || len(items) > 0
		results = append(results, items)
	}
	if some {
		s.Results = results
	}
}

// exportSink adds a sink to the functions that other packages can reach it by.
func (e *engine) exportSink(f *function, k *sink, of func(*function) *summary) {
	if _, allowed := allow.Allowed(e.pass, k.rule(), k.pos); allowed {
		return
	}
	add := func(f *function, it item) {
		if s := of(f); s != nil {
			where := short(f.obj) + ", " + e.where(k.pos)
			s.Sinks = append(s.Sinks, sunk{Item: it, Kind: k.kind, What: k.what, Where: where, To: k.to})
		}
	}
	if k.pending {
		for _, it := range items(f, taints{k.taint: {}}) {
			add(f, it)
		}
		return
	}
	for _, p := range e.params(taints{k.taint: {}}) {
		add(p.param, item{Param: p.index, Content: p.content, Veiled: p.veiled})
	}
}

// rule returns the rule that reports a sink.
func (k *sink) rule() string {
	switch k.kind {
	case Hash:
		return "hash"
	case Reuse:
		return "repurpose"
	}
	return "leak"
}

// params returns the parameters that flow into a set, through other functions
// of this package, too, in a fixed order.
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
		return cmp.Or(cmp.Compare(a.param.name, b.param.name), cmp.Compare(a.index, b.index), cmp.Compare(flag(a.content), flag(b.content)), cmp.Compare(flag(a.veiled), flag(b.veiled)))
	})
	return found
}

// items returns the taints that mean something outside of f, in a fixed order.
func items(f *function, set taints) []item {
	var all []item
	for x := range set {
		it := item{Param: -1, Content: x.content, Veiled: x.veiled, Inner: x.inner, Hidden: x.hidden, Source: x.source, Shared: x.shared}
		if x.param != nil {
			if x.param != f {
				continue
			}
			it.Param = x.index
		}
		all = append(all, it)
	}
	slices.SortFunc(all, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.Param, b.Param), cmp.Compare(a.Shared, b.Shared), cmp.Compare(flag(a.Content), flag(b.Content)),
			cmp.Compare(flag(a.Veiled), flag(b.Veiled)), cmp.Compare(flag(a.Inner), flag(b.Inner)), cmp.Compare(flag(a.Hidden), flag(b.Hidden)),
			cmp.Compare(sourceKey(a.Source), sourceKey(b.Source)))
	})
	return all
}

func sourceKey(s *source) string {
	if s == nil {
		return ""
	}
	return s.Pkg + "\x00" + s.Where + "\x00" + strings.Join(s.Scope.Names, ",") + "\x00" + strings.Join(s.Scope.From, ",")
}
