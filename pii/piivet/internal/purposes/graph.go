package purposes

import (
	"maps"
	"slices"
	"strings"
)

// A Graph is a graph of the flow of purposes and scopes through variables, fields,
// parameters and results. Nodes have names that are unique in a program, so that the
// graphs of packages can be merged.
type Graph struct {
	Nodes map[string]*Node `json:",omitempty"`

	elements map[string][]string // see elementsOf; nil if it is out of date
}

// A Node is a variable, field, parameter or result that holds scopes and purposes.
type Node struct {
	// Ref is the union of the incoming flows.
	Ref
	// Open says that packages which import the declaring package can add flows, by a call
	// of an exported function or an assignment to an exported field.
	Open bool `json:",omitempty"`
	// Shared says that the node outlives a call: it is a field or a package-level
	// variable. A value that one call stores is visible to other calls.
	Shared bool `json:",omitempty"`
	// Args is set for the result of one call. It has the references of the call's
	// arguments, by the names of the parameter nodes; the result of the function is in
	// Ref.
	Args map[string]Ref `json:",omitempty"`
	// Declared says that the node is a parameter of a function of the package, in the
	// graph of a program. A call of any other function adds nodes for its parameters, too.
	Declared bool `json:",omitempty"`
	// Calls are the calls that pass this parameter an argument, in the graph of a
	// program. In a fact, Ref has the arguments of all calls.
	Calls []Argument `json:",omitempty"`
	// Basis is set for the result of a call of Under in the graph of a program. The scope
	// is in Ref.
	Basis *Ref `json:",omitempty"`
}

// An Argument is an argument of a call.
type Argument struct {
	Ref
	// In is the function that calls, in the form of [Place], and At is file:line.
	In, At string
}

// A Ref is the set of purposes or bases that an expression may have.
type Ref struct {
	// Names are the names of purposes.
	Names []string `json:",omitempty"`
	// From are the names of nodes that it takes its purposes from.
	From []string `json:",omitempty"`
	// Unknown says that there are further purposes, which can't be tracked. Why has the
	// reasons.
	Unknown bool     `json:",omitempty"`
	Why     []string `json:",omitempty"`
	// Bases are the values of bases.
	Bases []Basis `json:",omitempty"`
}

func unknown(why string) Ref { return Ref{Unknown: true, Why: []string{why}} }

// IsZero reports whether the set is empty, as for nil.
func (r Ref) IsZero() bool {
	return len(r.Names) == 0 && len(r.From) == 0 && !r.Unknown && len(r.Bases) == 0
}

// And returns the union of r and other.
func (r Ref) And(other Ref) Ref {
	bases := r.Bases
	for _, b := range other.Bases {
		if !slices.Contains(bases, b) {
			bases = append(slices.Clip(bases), b)
		}
	}
	return Ref{union(r.Names, other.Names), union(r.From, other.From), r.Unknown || other.Unknown, union(r.Why, other.Why), bases}
}

// Bind returns r with nodes replaced, such as the parameters of a function by
// the arguments of a call.
func (r Ref) Bind(args map[string]Ref) Ref {
	out := r
	out.From = nil
	for _, id := range r.From {
		if arg, ok := args[id]; ok {
			out = out.And(arg)
		} else {
			out.From = union(out.From, []string{id})
		}
	}
	return out
}

func union(a, b []string) []string {
	if len(b) == 0 {
		return a
	}
	if len(a) == 0 {
		return b
	}
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

func (g *Graph) node(id string) *Node {
	if g.Nodes == nil {
		g.Nodes = map[string]*Node{}
	}
	n := g.Nodes[id]
	if n == nil {
		n = &Node{}
		g.Nodes[id] = n
		if _, _, ok := cutKey(id); ok {
			g.elements = nil
		}
	}
	return n
}

// Add merges other into g. It keeps no reference to other.
func (g *Graph) Add(other *Graph) {
	for id, o := range other.Nodes {
		n := g.node(id)
		n.Ref = n.And(o.Ref)
		n.Open = n.Open || o.Open
		n.Shared = n.Shared || o.Shared
		n.Declared = n.Declared || o.Declared
		n.Calls = slices.Concat(n.Calls, o.Calls)
		if o.Basis != nil {
			n.Basis = o.Basis
		}
		if o.Args != nil {
			if n.Args == nil {
				n.Args = map[string]Ref{}
			}
			maps.Copy(n.Args, o.Args)
		}
	}
}

// pruned returns a copy without the local variables and calls that no node outside of
// their function depends on.
func (g *Graph) pruned() *Graph {
	out := &Graph{Nodes: map[string]*Node{}}
	var keep func(r Ref)
	keep = func(r Ref) {
		for _, id := range r.From {
			if m, key, ok := cutKey(id); ok && g.Nodes[id] == nil {
				keep(Ref{From: []string{m, key}})
				continue
			}
			n := g.Nodes[id]
			if n == nil || out.Nodes[id] != nil {
				continue
			}
			c := *n
			c.Why = nil // for the register of a program alone
			out.Nodes[id] = &c
			for _, element := range g.elementsOf(id) {
				keep(Ref{From: []string{element}})
				if _, key, _ := cutKey(element); !strings.HasPrefix(key, "=") {
					keep(Ref{From: []string{key}})
				}
			}
			keep(n.Ref)
			for _, arg := range n.Args {
				keep(arg)
			}
		}
	}
	for id := range g.Nodes {
		if !strings.Contains(id, "@") {
			keep(Ref{From: []string{id}})
		}
	}
	return out
}

// Names returns the purposes in a set, sorted. Complete says that there are no others. If
// closed is set, g is the graph of the whole program, so that no further package adds
// flows.
func (g *Graph) Names(r Ref, closed bool) (names []string, complete bool) {
	w := newWalk(g)
	w.closed = closed
	return w.names(r, nil)
}

// Callees returns the names of the functions of the program that have a tracked
// parameter, and the names for indirect calls that may reach one of them.
func (g *Graph) Callees() map[string]bool {
	all := map[string]bool{}
	for id, n := range g.Nodes {
		if !n.Declared {
			continue
		}
		for _, id := range append([]string{id}, n.From...) {
			if function, _, ok := strings.Cut(id, "#"); ok {
				all[function] = true
			}
		}
	}
	return all
}

// Reach returns the names of all nodes that a set depends on, in the graph of a whole
// program.
func (g *Graph) Reach(r Ref) map[string]bool {
	w := newWalk(g)
	w.closed = true
	w.ref(r, w.start)
	reached := map[string]bool{}
	for key := range w.seen {
		reached[key[strings.LastIndexByte(key, 0)+1:]] = true
		id, _, _ := strings.Cut(key, "\x00")
		reached[id] = true
	}
	return reached
}

// Reduce expresses r by the parameters of the function with the given name, and by fields
// and package-level variables. The result has no local variables and calls of the
// function.
func (g *Graph) Reduce(r Ref, function string) Ref {
	w := newWalk(g)
	w.stop, w.params = function+"#", map[string]bool{}
	names, _ := w.names(r, nil)
	return Ref{Names: names, From: slices.Sorted(maps.Keys(w.params)), Unknown: !w.complete}
}

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
		w.reassigned(id, s)
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
