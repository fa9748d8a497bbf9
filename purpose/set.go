package purpose

import (
	"iter"
	"slices"
	"strings"
)

// A Set is an immutable set of purposes. It can be compared with == and used
// as a map key. The zero Set is empty and ready for use.
type Set struct {
	joined string // distinct names in ascending order, separated by joint
}

// joint separates the names of a set. No name of a purpose contains it.
const joint = "+"

// NewSet returns the set of the given purposes. Duplicates count once, and zero
// purposes do not count.
func NewSet(purposes ...Purpose) Set {
	if len(purposes) == 1 {
		return Set{purposes[0].name}
	}
	var names []string
	for _, p := range purposes {
		if !p.IsZero() {
			names = append(names, p.name)
		}
	}
	slices.Sort(names)
	return Set{strings.Join(slices.Compact(names), joint)}
}

// Contains reports whether p is in the set. The zero Purpose is in none.
func (s Set) Contains(p Purpose) bool {
	for q := range s.All() {
		if q == p {
			return true
		}
	}
	return false
}

// Len returns the number of purposes in the set.
func (s Set) Len() int {
	if s.IsZero() {
		return 0
	}
	return 1 + strings.Count(s.joined, joint)
}

// IsZero reports whether the set is empty.
func (s Set) IsZero() bool { return s.joined == "" }

// All returns the purposes in ascending order of their names.
func (s Set) All() iter.Seq[Purpose] {
	return func(yield func(Purpose) bool) {
		rest, more := s.joined, !s.IsZero()
		for more {
			var name string
			name, rest, more = strings.Cut(rest, joint)
			if !yield(Purpose{name}) {
				return
			}
		}
	}
}

// String returns the names in ascending order, joined by "+", such as
// "billing+security"; "" for the empty set.
func (s Set) String() string { return s.joined }

// MarshalText returns the text of [Set.String]. It implements
// [encoding.TextMarshaler].
func (s Set) MarshalText() ([]byte, error) { return []byte(s.joined), nil }

// UnmarshalText reads the text that [Set.MarshalText] writes. Names in another
// order, duplicate names and names that [Parse] refuses are [ErrSyntax], which
// leaves s as it was. It implements [encoding.TextUnmarshaler].
func (s *Set) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*s = Set{}
		return nil
	}
	if len(text) > maxSet { // before the copy: the text may be huge
		return ErrSyntax
	}
	var all []Purpose
	for name := range strings.SplitSeq(string(text), joint) {
		p, err := Parse(name)
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	set := NewSet(all...)
	if set.joined != string(text) {
		return ErrSyntax
	}
	*s = set
	return nil
}

// maxSet is the greatest length of a text that is read as a set, in bytes.
const maxSet = 64 << 10
