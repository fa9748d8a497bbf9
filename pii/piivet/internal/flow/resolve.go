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
func (e *engine) reach(o *origin) []*source {
	if o.source != nil {
		return []*source{o.source}
	}
	if e.reaching == nil {
		e.propagate()
	}
	return e.reaching[o]
}

// propagate computes the sources that flow into each origin. It runs when solve is done.
func (e *engine) propagate() {
	e.reaching = map[*origin][]*source{}
	for _, src := range slices.SortedFunc(maps.Values(e.sources), func(a, b *source) int { return cmp.Compare(a.key, b.key) }) {
		seen := map[*origin]bool{}
		work := []*origin{src.place.value()}
		for len(work) > 0 {
			o := work[len(work)-1]
			work = work[:len(work)-1]
			for _, to := range o.out {
				if !seen[to] && len(e.reaching[to]) < enough {
					seen[to] = true
					e.reaching[to] = append(e.reaching[to], src)
					work = append(work, to)
				}
			}
		}
	}
}

// origins returns those that flow into this one in this package.
func (o *origin) origins() []*origin { return distinct(o.added) }

// distinct returns the origins of taints in a fixed order.
func distinct(all []taint) []*origin {
	set := map[*origin]bool{}
	for _, x := range all {
		set[x.origin] = true
	}
	return slices.SortedFunc(maps.Keys(set), compareOrigins)
}

// position returns the position of the function, 0 for nil.
func (f *function) position() int {
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
			cmp.Compare(a.taint.source.name(), b.taint.source.name()), cmp.Compare(flag(a.taint.content), flag(b.taint.content)),
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
