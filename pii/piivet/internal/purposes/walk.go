package purposes

import (
	"slices"
	"strings"
)

// A walk follows a set backwards to its purposes.
type walk struct {
	g        *Graph
	closed   bool
	seen     map[string]bool
	complete bool
	keys     int // the nesting of map keys that are being resolved
	start    state

	// For Reduce: the walk records shared nodes and nodes whose names begin with stop,
	// and does not go on from them.
	stop   string
	params map[string]bool

	// For Trace: the walk tells places apart, and records why purposes are not known.
	traced bool
	places []*place
}

// A state is the state of a walk at a node.
type state struct {
	f *frame
	*place
	// climbing says that the walk has passed through parameters alone, so that the
	// callers that pass the argument are the users of the value.
	climbing bool
	// notice is the id of the notice that the scope was put under, "" if there is none. A
	// walk goes backwards, so of several notices the first that it meets counts, the last
	// in the program.
	notice string
}

// A frame is a call that the walk entered through its result. The parameters of the
// function are the arguments of this call alone.
type frame struct {
	args   map[string]Ref
	parent *frame
	path   string
	depth  int
}

// maxDepth is the number of nested calls that are distinguished. A deeper call gets the
// arguments of all calls of its function.
const maxDepth = 6

func newWalk(g *Graph) *walk {
	return &walk{g: g, seen: map[string]bool{}, complete: true, start: state{place: &place{found: map[Answer]bool{}}}}
}

// names returns the purposes in a set within the call f.
func (w *walk) names(r Ref, f *frame) (names []string, complete bool) {
	w.start.f = f
	w.ref(r, w.start)
	for a := range w.start.found {
		if a.Purpose != "" {
			names = append(names, a.Purpose)
		}
	}
	slices.Sort(names)
	// An empty set comes from nil or from unsupported code. It is never complete.
	return names, w.complete && len(names) > 0
}

func (w *walk) ref(r Ref, s state) {
	for _, name := range r.Names {
		s.found[Answer{Purpose: name, Notice: s.notice}] = true
	}
	for _, basis := range r.Bases {
		s.found[Answer{Basis: basis}] = true
	}
	if r.Unknown {
		w.unknown(s, r.Why...)
	}
	for _, id := range r.From {
		w.node(id, s)
	}
}

func (w *walk) unknown(s state, why ...string) {
	w.complete = false
	for _, reason := range why {
		s.found[Answer{Why: reason, Notice: s.notice}] = true
	}
}

// arg returns the argument of the call that the walk is in, if id is its parameter.
func (s state) arg(id string) (arg Ref, caller state, ok bool) {
	if s.f == nil {
		return Ref{}, s, false
	}
	arg, ok = s.f.args[id]
	caller = s
	caller.f = s.f.parent
	return arg, caller, ok
}

func (w *walk) node(id string, s state) {
	key := id
	if w.traced {
		key += "\x00" + s.String()
	} else if s.f != nil {
		key += "\x00" + s.f.path
	}
	if w.seen[key] {
		return
	}
	w.seen[key] = true
	if arg, caller, ok := s.arg(id); ok {
		w.ref(arg, caller)
		w.reassigned(w.g.Nodes[id], s)
		return
	}
	m, key, isElement := cutKey(id)
	of := id
	if isElement {
		of = m
	}
	n := w.g.Nodes[of]
	if w.stop != "" && (strings.HasPrefix(of, w.stop) || n != nil && n.Shared) {
		w.params[id] = true
		if n != nil && !n.Shared && !isElement {
			w.reassigned(n, s)
		}
		return
	}
	if isElement {
		w.element(m, key, s)
		return
	}
	if n == nil {
		w.missing(id, s)
		return
	}
	if n.Open && !w.closed {
		w.complete = false
	}
	for _, element := range w.g.elementsOf(id) { // all elements of a map
		w.ref(w.g.Nodes[element].Ref, s)
	}
	switch {
	case n.Args != nil:
		w.call(id, n, s)
	case n.Basis != nil:
		w.under(n, s)
	case n.Shared:
		// Another call may have stored the value.
		s.f, s.climbing = nil, false
		w.ref(n.Ref, s)
		w.empty(id, n, s)
	default:
		w.ref(n.Ref, s)
		for _, c := range w.calls(id, n, s) {
			w.ref(c.Ref, w.caller(c, s))
		}
		w.empty(id, n, s)
	}
}

// missing handles a node without an entry. It belongs to a package without a graph, and
// is unknown. The exception is a parameter for calls through an interface that no package
// makes.
func (w *walk) missing(id string, s state) {
	function, isResult := cutResult(id)
	switch {
	case w.traced && isResult:
		w.unknown(s, "comes out of "+function[strings.LastIndexByte(function, '/')+1:]+", which was not looked at")
	case strings.HasPrefix(id, dynamic):
	default:
		w.unknown(s)
		w.calls(id, &Node{}, s)
		w.empty(id, &Node{}, s)
	}
}

// call enters a call through its result.
func (w *walk) call(id string, n *Node, s state) {
	s.climbing = false
	if w.traced && w.g.Nodes[n.From[0]] == nil {
		// The callee was not analyzed. A function with type parameters, such as a Must,
		// returns its arguments.
		for _, arg := range n.Args {
			w.ref(arg, s)
		}
		return
	}
	outer := s.f
	switch {
	case outer == nil:
		s.f = &frame{args: n.Args, path: id, depth: 1}
	case outer.depth >= maxDepth:
		s.f = nil
	default:
		s.f = &frame{args: n.Args, parent: outer, path: outer.path + "\x00" + id, depth: outer.depth + 1}
	}
	w.ref(n.Ref, s)
}
