package purposes

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// An Answer is one purpose or basis of a set, or the reason why there are others that are
// not known.
type Answer struct {
	Purpose string
	Basis   Basis
	Why     string
	// Notice is the id of the notice that the scope got on its way, "" if there is none.
	Notice string
}

// A Found is an answer for a function: the one that uses the set, or one that passes it
// as an argument and so has the use made on its behalf.
type Found struct {
	Answer
	// In is the function in the form of [Place], and At is file:line.
	In, At string
}

// place has the answers for one function.
type place struct {
	in, at string
	behalf []*place // the places that work on behalf of this one, none for the user itself
	found  map[Answer]bool
}

// Trace returns all answers for a set that the function in uses, in the graph of a whole
// program. The answers for a function include those for the functions that work on its
// behalf. The function in has at least one answer.
func (g *Graph) Trace(r Ref, in, at string) []Found {
	w := newWalk(g)
	w.closed, w.traced = true, true
	w.start.climbing = true
	w.start.in, w.start.at = in, at
	w.places = []*place{w.start.place}
	w.ref(r, w.start)
	for changed := true; changed; { // functions can call each other
		changed = false
		for _, p := range w.places {
			for _, b := range p.behalf {
				before := len(b.found)
				maps.Copy(b.found, p.found)
				changed = changed || len(b.found) > before
			}
		}
	}
	if len(w.start.found) == 0 {
		w.unknown(w.start, unset)
	}
	var all []Found
	for _, p := range w.places {
		for a := range p.found {
			all = append(all, Found{a, p.in, p.at})
		}
	}
	return all
}

// unset is the reason for an empty set.
const unset = "nothing in sight sets it"

func (s state) String() string {
	path := ""
	if s.f != nil {
		path = s.f.path
	}
	return s.in + "\x00" + s.notice + "\x00" + strconv.FormatBool(s.climbing) + "\x00" + path
}

// caller returns the state of a walk in a call that passes an argument.
func (w *walk) caller(c Argument, s state) state {
	if !s.climbing || c.In == s.in {
		return s
	}
	behalf := s.place
	i := slices.IndexFunc(w.places, func(p *place) bool { return p.in == c.In })
	if i < 0 {
		i = len(w.places)
		w.places = append(w.places, &place{in: c.In, at: c.At, found: map[Answer]bool{}})
	}
	s.place = w.places[i]
	if behalf != s.place && !slices.Contains(s.behalf, behalf) {
		s.behalf = append(s.behalf, behalf)
	}
	return s
}

// calls returns the calls to follow from a parameter into its callers.
func (w *walk) calls(id string, n *Node, s state) []Argument {
	if !strings.Contains(id, "#") {
		return nil
	}
	calls, called := n.Calls, len(n.Calls) > 0
	for _, from := range n.From { // the parameter of a method of an interface, or of a function value
		if _, _, ok := s.arg(from); ok {
			called = true // the walk is in such a call
			if w.traced {
				calls = nil
			}
		}
		if d := w.g.Nodes[from]; d != nil && strings.HasPrefix(from, dynamic) {
			called = called || len(d.Calls) > 0
		}
	}
	if w.traced && !called && !strings.HasPrefix(id, dynamic) {
		w.unknown(s, "whoever calls it decides, and nobody here does")
	}
	return calls
}

// reassigned follows the assignments to a parameter whose argument is known.
func (w *walk) reassigned(n *Node, s state) {
	if n != nil {
		w.ref(n.assigned(), s)
	}
}

// assigned returns the assignments to a parameter, without the arguments that calls
// through interfaces and of function values pass.
func (n *Node) assigned() Ref {
	r := n.Ref
	r.From = slices.DeleteFunc(slices.Clone(r.From), func(from string) bool { return strings.HasPrefix(from, dynamic) })
	return r
}

// empty records that a node has no flows.
func (w *walk) empty(id string, n *Node, s state) {
	if w.traced && n.IsZero() && len(n.Calls) == 0 && !strings.Contains(id, "#") && !strings.HasSuffix(id, "map") && len(w.g.elementsOf(id)) == 0 {
		w.unknown(s, unset)
	}
}

// under follows the scope that a call of Under returns.
func (w *walk) under(n *Node, s state) {
	ids := []string{s.notice}
	if s.notice == "" {
		ids = w.notices(n, s.f)
	}
	for _, s.notice = range ids {
		w.ref(n.Ref, s)
	}
}

// notices returns the ids of the notices of a scope with a basis, at least one. The id of
// a basis without a notice is "".
func (w *walk) notices(n *Node, f *frame) []string {
	in := newWalk(w.g)
	in.closed, in.traced, in.places = true, true, []*place{in.start.place}
	in.start.f = f
	in.ref(*n.Basis, in.start)
	var ids []string
	if len(in.start.found) == 0 {
		ids = append(ids, "") // the zero Basis
	}
	for a := range in.start.found {
		switch b := a.Basis; {
		case a.Why != "":
			ids = append(ids, AtRunTime)
		case b.Part && (b.Notice == "" || len(in.start.found) > 1):
		default:
			ids = append(ids, b.Notice)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
