package flow

import (
	"go/token"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// A use of a revealed value need not be where it is revealed: most functions get
// it from an accessor, or as an argument. This file finds these.

// consume notes that a function does more with values than to return them.
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

// receive notes that a call of another function returned revealed values.
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

// hand notes that a function hands its values to code outside of the main module.
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

// plumbing reports whether all that a function does with a value is to return it.
func (e *engine) plumbing(f *function, k *sink) bool {
	if strings.HasPrefix(k.what, "> ") || k.in != f.place {
		return false
	}
	_, consumed := e.consumed[f.name][taint{origin: k.taint.origin}]
	return !consumed
}

// received returns the finding of a value that a function receives, false if there
// is none.
func (e *engine) received(f Finding, in string, src *source, from []string) (Finding, bool) {
	if in == "" || src.In == in {
		return f, false
	}
	f.In, f.InPackage = in, PackageOf(in)
	f.RevealedIn, f.RevealedPackage = src.In, purposes.PackagePath(src.Pkg)
	f.Among = from
	if what, ok := strings.CutPrefix(f.What, "> "); ok {
		f.What, f.Does = "", what
		f.What = shortPlace(src.In)
	}
	return f, true
}

// shortPlace returns a place as a function is called: users.Store.Address.
func shortPlace(place string) string {
	return strings.NewReplacer("(*", "", "(", "", ")", "").Replace(place[strings.LastIndexByte(place, '/')+1:])
}

// PackageOf returns the package of a place: all before the first dot that follows
// the last slash, which may itself be within the parentheses of a type.
func PackageOf(place string) string {
	end, _, _ := strings.Cut(place, "(")
	slash := strings.LastIndexByte(end, '/')
	dot := strings.LastIndexByte(end, '.')
	if dot <= slash {
		return strings.TrimSuffix(end, ".")
	}
	return end[:dot]
}

// open adds a sink of another package to those that are open, once.
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
	return strings.Join([]string{o.Pkg, string(o.Sink.Kind), o.Sink.In, o.Sink.Item.Shared, strings.Join(o.Sink.To.Names, ","), strings.Join(o.Sink.To.From, ",")}, "\x00")
}

// opened returns the findings of sinks of imported packages that this package lets
// values into, and notes the sources that are known for each.
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
				continue // which is found where it is
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

// entrance returns where this package puts something into a place, or lets a place
// have it that others read.
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
