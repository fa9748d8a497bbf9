package flow

import (
	"cmp"
	"encoding/json"
	"go/token"
	"maps"
	"slices"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// A source is a call that returned plaintext. Sources are interned, so that two
// of them are the same if they are equal.
type source struct {
	// Label says that the call did not return plaintext but the printed label of a
	// sealed value, or put a sealed value into an interface, which prints it.
	Label bool `json:",omitempty"`
	// Where is the file and line of the call, the file without its directory.
	Where string
	// Pkg is the path of the package that it is in, and In the function, as
	// [purposes.Place] names it.
	Pkg, In string
	// Scope is what was revealed under.
	Scope purposes.Ref

	pos token.Pos // if the call is in this package
}

// An origin is where a tainted value comes from: a source, a function that is
// used as a value, or a place that may turn out to hold either. One of source,
// param, shared and fn is set.
type origin struct {
	source *source
	// param is the function whose parameter number index the place is, counted
	// with the receiver. If result is not 0, the place is result number result-1
	// of the calls of the function that the parameter holds.
	param  *function
	index  int
	result int
	// shared is the name of a field, of a variable of a package, or of a slot: see
	// [slotParam].
	shared string
	fn     *callable
	// content says that it is not the place itself that is meant but what is in
	// fields of what it holds, and veiled that encoders do not see these.
	content, veiled bool
}

// A taint is an origin, and whether it is the value itself that comes from
// there or something in one of its fields.
type taint struct {
	origin
	inner bool
	// hidden says that one of these fields has a name that is not exported, so
	// that encoders leave it out. Printing does not.
	hidden bool
}

// taints are all that a value may come from.
type taints map[taint]struct{}

// add adds all of other, and reports whether any was new.
func (t taints) add(other taints) bool {
	n := len(t)
	maps.Copy(t, other)
	return len(t) > n
}

// direct returns what is not in fields.
func (t taints) direct() taints {
	out := taints{}
	for e := range t {
		if !e.inner {
			out[e] = struct{}{}
		}
	}
	return out
}

// within returns t as something that is in a field, which encoders may not see.
func (t taints) within(hidden bool) taints {
	out := taints{}
	for e := range t {
		e.inner = true
		e.hidden = e.hidden || hidden
		out[e] = struct{}{}
	}
	return out
}

// flat returns t without the difference between a value and its fields, as for
// the text that a value is decoded from.
func (t taints) flat() taints {
	out := taints{}
	for e := range t {
		e.inner, e.hidden = false, false
		out[e] = struct{}{}
	}
	return out
}

// data returns t without functions.
func (t taints) data() taints {
	out := taints{}
	for e := range t {
		if e.fn == nil {
			out[e] = struct{}{}
		}
	}
	return out
}

// encoded returns what encoders see of t.
func (t taints) encoded() taints {
	out := taints{}
	for e := range t {
		if !e.hidden {
			out[e] = struct{}{}
		}
	}
	return out
}

func single(o origin) taints { return taints{{origin: o}: {}} }

// both returns the taints of a place: it, and what is in its fields.
func both(o origin) taints {
	c := o
	c.content = true
	h := c
	h.veiled = true
	return taints{{origin: o}: {}, {origin: c, inner: true}: {}, {origin: h, inner: true, hidden: true}: {}}
}

// An interner makes equal sources the same.
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
