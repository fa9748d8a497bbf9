package flow

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// enough is the number of sources of one place that are reported. More are of no use to a
// reader, and without a bound, a package with flows from all values into all others would
// take too long.
const enough = 50

// reach returns the sources that flow into an origin in this package.
func (e *engine) reach(o origin) []*source {
	if o.source != nil {
		return []*source{o.source}
	}
	if e.reaching == nil {
		e.propagate()
	}
	return e.reaching[o]
}

// propagate computes the sources that flow into each place. It runs when solve is done.
func (e *engine) propagate() {
	e.reaching = map[origin][]*source{}
	into := map[origin][]origin{}
	sources := map[*source]bool{}
	for to, set := range e.edges {
		for x := range set {
			into[x.origin] = append(into[x.origin], to)
			if x.source != nil {
				sources[x.source] = true
			}
		}
	}
	for _, src := range sorted(sources) {
		seen := map[origin]bool{}
		work := []origin{{source: src}}
		for len(work) > 0 {
			o := work[len(work)-1]
			work = work[:len(work)-1]
			for _, to := range into[o] {
				if !seen[to] && len(e.reaching[to]) < enough {
					seen[to] = true
					e.reaching[to] = append(e.reaching[to], src)
					work = append(work, to)
				}
			}
		}
	}
}

// ordered returns the origins that flow into a place in a fixed order, so that a bound on
// their number always leaves the same ones.
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
			cmp.Compare(place(a.param), place(b.param)), cmp.Compare(a.index, b.index), cmp.Compare(a.result, b.result), cmp.Compare(a.fn.name(), b.fn.name()), cmp.Compare(flag(a.content), flag(b.content)), cmp.Compare(flag(a.veiled), flag(b.veiled)))
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

// findings returns the findings of this package in the order of the source files.
func (e *engine) findings() []Finding {
	type key struct {
		kind         Kind
		pos          int
		from, to, in string
	}
	seen := map[key]bool{}
	var all []Finding
	for _, f := range e.functions {
		if f.stopped {
			all = append(all, Finding{Kind: Stopped, Pos: f.ssa.Pos(), What: funcName(f)})
		}
		for _, k := range f.sorted() {
			if k.pending || k.kind == Label && (k.taint.shared != "" || e.sent[k.pos]) || k.kind == Receive && e.plumbing(f, k) {
				continue
			}
			for _, src := range e.reach(k.taint.origin) {
				found, ok := e.finding(k, src)
				if !ok {
					continue
				}
				id := key{found.Kind, int(found.Pos), strings.Join(found.From, ","), strings.Join(found.To, ","), found.In + "\x00" + found.What + "\x00" + found.Does + found.RevealedIn}
				switch {
				case k.kind == Label:
					id = key{kind: Label, pos: id.pos}
				case found.Through != "" && k.rule() == "leak": // the error of an encoder repeats the finding of its response
					id.kind, id.in = "leak", ""
				}
				if !seen[id] {
					seen[id] = true
					all = append(all, found)
				}
			}
		}
	}
	all = append(all, e.reached()...)
	all = append(all, e.decided()...)
	slices.SortStableFunc(all, func(a, b Finding) int { return cmp.Compare(a.Pos, b.Pos) })
	return all
}

func (f *function) sorted() []*sink {
	return slices.SortedFunc(maps.Values(f.sinks), func(a, b *sink) int {
		return cmp.Or(cmp.Compare(a.pos, b.pos), cmp.Compare(flag(a.kind != Response), flag(b.kind != Response)), cmp.Compare(a.kind, b.kind), cmp.Compare(a.through, b.through),
			cmp.Compare(a.where, b.where), cmp.Compare(a.taint.index, b.taint.index), cmp.Compare(a.taint.result, b.taint.result), cmp.Compare(a.taint.shared, b.taint.shared),
			cmp.Compare(sourceKey(a.taint.source), sourceKey(b.taint.source)), cmp.Compare(flag(a.taint.content), flag(b.taint.content)),
			cmp.Compare(flag(a.taint.veiled), flag(b.taint.veiled)))
	})
}

// finding returns the finding for a source that reaches a sink, false if there is none.
func (e *engine) finding(k *sink, src *source) (Finding, bool) {
	if !src.fits(k.kind) {
		return Finding{}, false
	}
	if k.kind == Egress {
		what, ok := src.Transport.undeclared(k.what)
		return Finding{Kind: Egress, Pos: k.pos, What: what, Through: k.through, Revealed: src.Where}, ok
	}
	names := e.purposes.Names
	if e.pass.Pkg.Name() == "main" { // a whole program with its imports
		names = e.purposes.Closed
	}
	from, complete := names(src.Scope)
	f := Finding{
		Kind: k.kind, Pos: k.pos, What: k.what, Through: k.through,
		Revealed: src.Where, RevealedAt: src.pos,
	}
	if complete {
		f.From = from
	}
	if k.kind == Receive {
		f, ok := e.received(f, k.in, src, from)
		if ok && len(from) == 0 {
			e.suspectReceiver(f, src)
		}
		return f, ok
	}
	if k.kind != Reuse {
		return f, true
	}
	to, known := names(k.to)
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

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// rule returns the name of the rule that reports a sink.
func (k *sink) rule() string {
	switch k.kind {
	case Hash:
		return "hash"
	case Reuse:
		return "repurpose"
	case Label:
		return "label"
	case Egress:
		return "egress"
	}
	return "leak"
}

func sourceKey(s *source) string {
	if s == nil {
		return ""
	}
	sort := fmt.Sprint(s.Label)
	switch {
	case s.Sealed:
		sort = "~sealed"
	case s.Transport != nil:
		sort = "~transport"
	}
	return sort + s.Pkg + "\x00" + s.Where + "\x00" + strings.Join(s.Scope.Names, ",") + "\x00" + strings.Join(s.Scope.From, ",")
}
