package flow

import (
	"cmp"
	"encoding/json"
	"go/token"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// A source is a call that returned plaintext. Sources are interned, so that equal ones
// have the same pointer.
type source struct {
	// Label says that the call did not return plaintext but the printed label of a sealed
	// value, or is the conversion of a sealed value to an interface, which prints as the
	// label.
	Label bool `json:",omitempty"`
	// Sealed says that the call returned sealed text. Transport has the rules of the
	// transport of package egress that the call returned, nil for others.
	Sealed    bool       `json:",omitempty"`
	Transport *transport `json:",omitempty"`
	// Where is the file and line of the call. The file is without its directory.
	Where string
	// Pkg is the path of the call's package, and In its function, in the form of
	// [purposes.Place].
	Pkg, In string
	// Scope are the purposes of the scope that revealed the value.
	Scope purposes.Ref

	pos   token.Pos // if the call is in this package
	key   string    // as of sourceKey
	place *place
}

// name returns the key of the source, "" for nil.
func (s *source) name() string {
	if s == nil {
		return ""
	}
	return s.key
}

// fits reports whether a source can reach a sink of a kind.
func (s *source) fits(kind Kind) bool {
	switch {
	case s.Label:
		return kind == Label
	case s.Transport != nil:
		return kind == Egress
	case s.Sealed:
		return false
	}
	return kind != Label && kind != Egress
}

// A place is where values come from: a source, a function that is used as a value, or a
// variable of any kind, which may turn out to hold either. Exactly one of source, param,
// shared and fn is set. Equal places are one place: see [engine.shared].
type place struct {
	source *source
	// For a parameter, param is its function and index its number, counted with the
	// receiver. If result is not 0, the place is result number result-1 of the calls of
	// the function in the parameter.
	param  *function
	index  int
	result int
	// shared is the name of a field, of a package-level variable, of a slot (see
	// [slotParam]), or of a parameter of another package.
	shared string
	fn     *callable

	// slot says that the type of the place is functional, called that its functions are
	// called, and crowded that it holds too many of them. Captured says that other
	// packages know the parameter, by the name of [placeOf].
	slot, called, crowded, captured bool
	// knownSlot and knownCalled say the same of the imported packages.
	knownSlot, knownCalled bool
	// calledAt is the first position of a call in this package.
	calledAt token.Pos
	// plugged are the functions that the calls of the slot reach in an imported package.
	plugged []*callable

	// forms are the value of the place, its fields, and the fields that encoders do not
	// see.
	forms [3]origin
}

// An origin is the value of a place, or the fields of that value.
type origin struct {
	*place
	// content says that the origin is not the value of the place but the fields of that
	// value. Veiled says that encoders do not see these fields.
	content, veiled bool

	// given are the taints that flow into the origin in imported packages, and added those
	// that flow into it in this package alone. At are both, once there is one of this
	// package, with the first position of the flow in this package.
	given, added []taint
	at           map[taint]token.Pos
	// out are the origins that this one flows into.
	out []*origin
	// functions are the functions in the origin, up to maxListed.
	functions []*callable
}

// init makes the forms of a new place.
func (p *place) init() *place {
	p.forms = [3]origin{{place: p}, {place: p, content: true}, {place: p, content: true, veiled: true}}
	return p
}

// value returns the origin of the value of the place.
func (p *place) value() *origin { return &p.forms[0] }

// form returns the origin of the place itself or of its fields.
func (p *place) form(content, veiled bool) *origin {
	switch {
	case veiled:
		return &p.forms[2]
	case content:
		return &p.forms[1]
	}
	return &p.forms[0]
}

// from calls yield with each taint that flows into the origin.
func (o *origin) from(yield func(taint) bool) {
	for _, x := range o.given {
		if !yield(x) {
			return
		}
	}
	for _, x := range o.added {
		if !yield(x) {
			return
		}
	}
}

// compareOrigins orders origins in a way that does not depend on the order of the work.
func compareOrigins(a, b *origin) int {
	return cmp.Or(cmp.Compare(a.source.name(), b.source.name()), cmp.Compare(a.shared, b.shared),
		cmp.Compare(a.param.position(), b.param.position()), cmp.Compare(a.index, b.index), cmp.Compare(a.result, b.result),
		cmp.Compare(a.fn.name(), b.fn.name()), cmp.Compare(flag(a.content), flag(b.content)), cmp.Compare(flag(a.veiled), flag(b.veiled)))
}

// A taint is an origin. Inner says that not the value itself comes from it, but one of
// its fields.
type taint struct {
	*origin
	inner bool
	// hidden says that one of these fields is unexported, so that encoders leave it out.
	// Printing does not.
	hidden bool
}

// taints are all the taints of a value.
type taints map[taint]struct{}

// add adds all of other, and reports whether any was new.
func (t taints) add(other taints) bool {
	n := len(t)
	for x := range other {
		if _, ok := t[x]; !ok { // most are known, and a lookup costs less than a write
			t[x] = struct{}{}
		}
	}
	return len(t) > n
}

// each returns the taints that keep leaves, as it changes them.
func (t taints) each(keep func(*taint) bool) taints {
	out := taints{}
	for e := range t {
		if keep(&e) {
			out[e] = struct{}{}
		}
	}
	return out
}

// direct returns the taints of the value itself, without its fields.
func (t taints) direct() taints { return t.each(func(e *taint) bool { return !e.inner }) }

// within returns the taints of a struct with a field that has the taints t. Hidden says
// that encoders do not see the field.
func (t taints) within(hidden bool) taints {
	return t.each(func(e *taint) bool {
		e.inner, e.hidden = true, e.hidden || hidden
		return true
	})
}

// flat returns t without the difference between a value and its fields, as for the text
// that a value is decoded from.
func (t taints) flat() taints {
	return t.each(func(e *taint) bool {
		e.inner, e.hidden = false, false
		return true
	})
}

// data returns t without functions.
func (t taints) data() taints { return t.each(func(e *taint) bool { return e.fn == nil }) }

// encoded returns the taints that encoders see.
func (t taints) encoded() taints { return t.each(func(e *taint) bool { return !e.hidden }) }

// at returns the taints of a call's argument in the callee, where the parameter, or its
// fields if content is set, has the taint x.
func (t taints) at(content, veiled, inner, hidden bool) taints {
	return t.each(func(e *taint) bool {
		if e.fn != nil && !content {
			return true
		}
		ok := e.inner == content && e.hidden == veiled
		e.inner, e.hidden = inner, hidden
		return ok
	})
}

// taints returns the taints of a value that is the result of the source.
func (s *source) taints() taints { return single(s.place.value()) }

func single(o *origin) taints { return taints{{origin: o}: {}} }

// both returns the taints of a place and of its fields.
func both(p *place) taints {
	return taints{{origin: &p.forms[0]}: {}, {origin: &p.forms[1], inner: true}: {}, {origin: &p.forms[2], inner: true, hidden: true}: {}}
}

// shared returns the place with a name.
func (e *engine) shared(name string) *place {
	p := e.places[name]
	if p == nil {
		p = (&place{shared: name}).init()
		e.places[name] = p
	}
	return p
}

// param returns the place of a parameter, or of a result of the function in it if result
// is not 0.
func (e *engine) param(f *function, index, result int) *place {
	key := [2]int{index, result}
	p := f.places[key]
	if p == nil {
		p = (&place{param: f, index: index, result: result}).init()
		f.places[key] = p
		e.params = append(e.params, p)
	}
	return p
}

// intern returns the source that is equal to s.
func (e *engine) intern(s source) *source {
	key, _ := json.Marshal(s) // can't fail: strings and bools
	in := e.sources[string(key)]
	if in == nil {
		in = &s
		in.key = sourceKey(in)
		in.place = (&place{source: in}).init()
		e.sources[string(key)] = in
	}
	if !in.pos.IsValid() {
		in.pos = s.pos
	}
	return in
}
