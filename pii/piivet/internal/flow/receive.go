package flow

import (
	"fmt"
	"go/token"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// Most functions that use a revealed value do not reveal it: they call an accessor or
// have an argument. This file finds these uses.

// consume records that a function does more with values than to return them.
func (e *engine) consume(f *function, set taints) {
	for x := range set {
		if x.param != nil || x.fn != nil {
			continue
		}
		if e.consumed[f.name] == nil {
			e.consumed[f.name] = taints{}
		}
		e.consumed[f.name][taint{origin: x.origin}] = struct{}{}
	}
}

// receive records that the call of another function returned revealed values.
func (e *engine) receive(s *site, set taints, place, name string) {
	if s.results != nil || place == s.f.place || s.f.test {
		return
	}
	for x := range set {
		if x.param == nil && x.fn == nil {
			e.sinkIn(s.f, s.f.place, Receive, taint{origin: x.origin}, s.pos(), name, "", noScopes)
		}
	}
}

// hand records that a function passes its values to code outside of the main module.
func (e *engine) hand(s *site, what string) {
	for _, arg := range s.args {
		if p, name := typePath(arg.Type()); p == "context" && name == "Context" {
			continue
		}
		set := e.of(arg)
		e.consume(s.f, set)
		if isText(arg.Type()) && s.obj != nil && !logs(s.obj) {
			e.sink(s.f, Label, set, s.pos(), "is passed to "+what+" as text", "", noScopes)
		}
		for x := range set {
			e.sinkIn(s.f, s.f.place, Receive, x, s.pos(), "> "+what, "", noScopes)
		}
	}
}

// plumbing reports whether a function only returns a value.
func (e *engine) plumbing(f *function, k *sink) bool {
	if strings.HasPrefix(k.what, "> ") || k.in != f.place {
		return false
	}
	_, consumed := e.consumed[f.name][taint{origin: k.taint.origin}]
	return !consumed
}

// received returns the finding for a value that a function receives, false if there is
// none.
func (e *engine) received(f Finding, in string, src *source, from []string) (Finding, bool) {
	if in == "" || src.In == in {
		return f, false
	}
	f.In, f.InPackage = in, PackageOf(in)
	f.RevealedIn, f.RevealedPackage = src.In, known.PackagePath(src.Pkg)
	f.Among = from
	if what, ok := strings.CutPrefix(f.What, "> "); ok {
		f.What, f.Does = "", what
		f.What = shortPlace(src.In)
	}
	return f, true
}

// shortPlace returns a place in the form of a call: users.Store.Address.
func shortPlace(place string) string {
	return strings.NewReplacer("(*", "", "(", "", ")", "").Replace(place[strings.LastIndexByte(place, '/')+1:])
}

// PackageOf returns the package of a place: the part before the parenthesis of a
// receiver, or before the last dot after the last slash.
func PackageOf(place string) string {
	end, _, _ := strings.Cut(place, "(")
	slash := strings.LastIndexByte(end, '/')
	dot := strings.LastIndexByte(end, '.')
	if dot <= slash {
		return strings.TrimSuffix(end, ".")
	}
	return end[:dot]
}

// open adds an open sink of this package, once.
func (e *engine) open(o open) {
	if key := o.key(); !e.opened[key] {
		e.opened[key] = true
		e.own.Open = append(e.own.Open, o)
	}
}

// key identifies an open sink in the program.
func (o open) key() string {
	in := o.Sink.In
	if o.Sink.Kind == Egress {
		in = o.Sink.What + fmt.Sprint(o.Sink.Item.Content, o.Sink.Item.Veiled) // the transport is a field of the client
	}
	return strings.Join([]string{o.Pkg, string(o.Sink.Kind), in, o.Sink.Item.Shared, strings.Join(o.Sink.To.Names, ","), strings.Join(o.Sink.To.From, ",")}, "\x00")
}

// sinksBelow returns the open sinks and pending flows of the imported packages.
func (e *engine) sinksBelow() []*flows {
	if e.sinks == nil {
		for _, path := range e.below.paths() {
			f, ok := e.below.unpacked[path].sinks()
			if !ok {
				e.damaged = errDamaged
			}
			e.sinks = append(e.sinks, f)
		}
	}
	return e.sinks
}

// reached returns the findings of open sinks of imported packages that values from this
// package reach, and records their sources.
func (e *engine) reached() []Finding {
	if len(e.sources) == 0 {
		return nil
	}
	seen := map[string]bool{}
	for _, f := range e.sinksBelow() {
		for open, sources := range f.Seen {
			for _, src := range sources {
				seen[open+src] = true
			}
		}
	}
	var all []Finding
	for _, f := range e.sinksBelow() {
		for _, o := range f.Open {
			key := o.key()
			at := e.origin(o.Sink.Item, nil)
			for _, src := range e.reach(at) {
				if seen[key+src.key] {
					continue
				}
				seen[key+src.key] = true
				e.own.Seen[key] = append(e.own.Seen[key], src.key)
				k := &sink{sinkKey: sinkKey{kind: o.Sink.Kind, pos: e.entrance(src, at)}, what: o.Sink.What, through: o.Sink.Where, in: o.Sink.In, to: o.Sink.To}
				if found, ok := e.finding(k, src); ok {
					all = append(all, found)
				}
			}
		}
	}
	return all
}

// seeOwn records the sources that reach the open sinks of this package. Their findings are
// at the positions of the sinks.
func (e *engine) seeOwn() {
	for _, o := range e.own.Open {
		for _, src := range e.reach(e.origin(o.Sink.Item, nil)) {
			e.own.Seen[o.key()] = append(e.own.Seen[o.key()], src.key)
		}
	}
}

// entrance returns the position of the last flow in this package on the way of a source to
// an origin. If there is none, it returns the position of the package clause.
func (e *engine) entrance(src *source, to *origin) token.Pos {
	before := e.ways[src]
	if before == nil {
		before = ways(src)
		e.ways[src] = before
	}
	for o, start := to, src.place.value(); o != start && o != nil; o = before[o] {
		first := token.NoPos
		for x, at := range o.at {
			if x.origin == before[o] {
				first = earlier(first, at)
			}
		}
		if first.IsValid() {
			return first
		}
	}
	return e.pass.Files[0].Name.Pos()
}

// ways returns, for each origin that a source reaches, the origin before it on a shortest
// way from the source.
func ways(src *source) map[*origin]*origin {
	before := map[*origin]*origin{}
	work := []*origin{src.place.value()}
	for len(work) > 0 {
		o := work[0]
		work = work[1:]
		for _, to := range slices.SortedFunc(slices.Values(o.out), compareOrigins) {
			if before[to] == nil {
				before[to] = o
				work = append(work, to)
			}
		}
	}
	return before
}
