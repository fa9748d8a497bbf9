package flow

import (
	"cmp"
	"encoding/json"
	"go/token"
	"maps"
	"slices"

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

	pos token.Pos // if the call is in this package
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

// An origin is where a tainted value comes from: a source, a function that is used as a
// value, or a place that may turn out to hold either. Exactly one of source, param,
// shared and fn is set.
type origin struct {
	source *source
	// For a parameter, param is its function and index its number, counted with the
	// receiver. If result is not 0, the origin is result number result-1 of the calls of
	// the function in the parameter.
	param  *function
	index  int
	result int
	// shared is the name of a field, of a package-level variable, or of a slot: see
	// [slotParam].
	shared string
	fn     *callable
	// content says that the origin is not the value of the place but the fields of that
	// value. Veiled says that encoders do not see these fields.
	content, veiled bool
}

// A taint is an origin. Inner says that not the value itself comes from it, but one of
// its fields.
type taint struct {
	origin
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

// at returns the taints of a call's argument as those of the place x, which is the
// parameter or its fields, in the callee.
func (t taints) at(x taint) taints {
	return t.each(func(e *taint) bool {
		if e.fn != nil && !x.content {
			return true
		}
		ok := e.inner == x.content && e.hidden == x.veiled
		e.inner, e.hidden = x.inner, x.hidden
		return ok
	})
}

func single(o origin) taints { return taints{{origin: o}: {}} }

// both returns the taints of a place and of its fields.
func both(o origin) taints {
	c := o
	c.content = true
	h := c
	h.veiled = true
	return taints{{origin: o}: {}, {origin: c, inner: true}: {}, {origin: h, inner: true, hidden: true}: {}}
}

// An interner makes equal sources share one pointer.
type interner map[string]*source

func (in interner) intern(s source) *source {
	key, _ := json.Marshal(s) // can't fail: strings and a bool
	if known := in[string(key)]; known != nil {
		return known
	}
	in[string(key)] = &s
	return &s
}

// sorted returns the sources in a fixed order.
func sorted(set map[*source]bool) []*source {
	return slices.SortedFunc(maps.Keys(set), func(a, b *source) int { return cmp.Compare(sourceKey(a), sourceKey(b)) })
}
