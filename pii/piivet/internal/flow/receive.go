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

// open adds an open sink of another package, once.
func (e *engine) open(o open) {
	key := openKey(o)
	if i, ok := e.opened[key]; ok {
		have := &e.imported.Open[i]
		for _, src := range o.Seen {
			if !slices.Contains(have.Seen, src) {
				have.Seen = append(have.Seen, src)
			}
		}
		return
	}
	e.opened[key] = len(e.imported.Open)
	o.Seen = slices.Clone(o.Seen)
	e.imported.Open = append(e.imported.Open, o)
}

func openKey(o open) string {
	in := o.Sink.In
	if o.Sink.Kind == Egress {
		in = o.Sink.What + fmt.Sprint(o.Sink.Item.Content, o.Sink.Item.Veiled) // the transport is a field of the client
	}
	return strings.Join([]string{o.Pkg, string(o.Sink.Kind), in, o.Sink.Item.Shared, strings.Join(o.Sink.To.Names, ","), strings.Join(o.Sink.To.From, ",")}, "\x00")
}

// reached returns the findings of open sinks of imported packages that values from this
// package reach, and records the known sources of each.
func (e *engine) reached() []Finding {
	var all []Finding
	for i := range e.imported.Open {
		o := &e.imported.Open[i]
		place := origin{shared: o.Sink.Item.Shared, content: o.Sink.Item.Content, veiled: o.Sink.Item.Veiled}
		for _, src := range e.reach(place) {
			key := sourceKey(src)
			if slices.Contains(o.Seen, key) {
				continue
			}
			o.Seen = append(o.Seen, key)
			if o.Pkg == e.pass.Pkg.Path() {
				continue // found at its position
			}
			k := &sink{sinkKey: sinkKey{kind: o.Sink.Kind, pos: e.entrance(place)}, what: o.Sink.What, through: o.Sink.Where, in: o.Sink.In, to: o.Sink.To}
			if found, ok := e.finding(k, src); ok {
				all = append(all, found)
			}
		}
		slices.Sort(o.Seen)
	}
	return all
}

// entrance returns the position of the first flow in this package into a place, or into a
// place that flows into it. If there is none, it returns the position of the package
// clause.
func (e *engine) entrance(o origin) token.Pos {
	seen := map[origin]bool{}
	found := token.NoPos
	var visit func(o origin)
	visit = func(o origin) {
		if seen[o] || found.IsValid() {
			return
		}
		seen[o] = true
		slot, _, through := strings.Cut(o.shared, "()")
		if through {
			found = e.entry[origin{shared: slot}]
		} else {
			found = e.entry[o]
		}
		for _, x := range e.ordered(o) {
			visit(x)
		}
	}
	visit(o)
	if !found.IsValid() {
		found = e.pass.Files[0].Name.Pos()
	}
	return found
}
