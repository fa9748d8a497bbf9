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
}

// A Ref is the set of purposes that an expression may have.
type Ref struct {
	// Names are the names of purposes.
	Names []string `json:",omitempty"`
	// From are the names of nodes that it takes its purposes from.
	From []string `json:",omitempty"`
	// Unknown says that there are further purposes, which can't be tracked.
	Unknown bool `json:",omitempty"`
}

// IsZero reports whether the set is empty, as for nil.
func (r Ref) IsZero() bool { return len(r.Names) == 0 && len(r.From) == 0 && !r.Unknown }

// And returns the union of r and other.
func (r Ref) And(other Ref) Ref {
	return Ref{union(r.Names, other.Names), union(r.From, other.From), r.Unknown || other.Unknown}
}

// Bind returns r with nodes replaced, such as the parameters of a function by
// the arguments of a call.
func (r Ref) Bind(args map[string]Ref) Ref {
	out := Ref{Names: r.Names, Unknown: r.Unknown}
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
	w := walk{g: g, closed: closed, seen: map[string]bool{}, found: map[string]bool{}, complete: true}
	w.ref(r, nil)
	names = slices.Sorted(maps.Keys(w.found))
	// An empty set comes from nil or from unsupported code. It is never complete.
	return names, w.complete && len(names) > 0
}

// Reach returns the names of all nodes that a set depends on, in the graph of a whole
// program.
func (g *Graph) Reach(r Ref) map[string]bool {
	w := walk{g: g, closed: true, seen: map[string]bool{}, found: map[string]bool{}}
	w.ref(r, nil)
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
	w := walk{g: g, seen: map[string]bool{}, found: map[string]bool{}, complete: true, stop: function + "#", params: map[string]bool{}}
	w.ref(r, nil)
	return Ref{slices.Sorted(maps.Keys(w.found)), slices.Sorted(maps.Keys(w.params)), !w.complete}
}

// A walk follows a set backwards to its purposes.
type walk struct {
	g        *Graph
	closed   bool
	seen     map[string]bool
	found    map[string]bool
	complete bool
	keys     int // the nesting of map keys that are being resolved

	// For Reduce: the walk records shared nodes and nodes whose names begin with stop,
	// and does not go on from them.
	stop   string
	params map[string]bool
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

func (w *walk) ref(r Ref, f *frame) {
	for _, name := range r.Names {
		w.found[name] = true
	}
	if r.Unknown {
		w.complete = false
	}
	for _, id := range r.From {
		w.node(id, f)
	}
}

func (w *walk) node(id string, f *frame) {
	key := id
	if f != nil {
		key += "\x00" + f.path
	}
	if w.seen[key] {
		return
	}
	w.seen[key] = true
	if f != nil {
		if arg, ok := f.args[id]; ok {
			w.ref(arg, f.parent)
			return
		}
	}
	if m, key, ok := cutKey(id); ok {
		if n := w.g.Nodes[m]; w.stop != "" && (strings.HasPrefix(m, w.stop) || n != nil && n.Shared) {
			w.params[id] = true
			return
		}
		w.element(m, key, f)
		return
	}
	n := w.g.Nodes[id]
	if w.stop != "" && (strings.HasPrefix(id, w.stop) || n != nil && n.Shared) {
		w.params[id] = true
		return
	}
	if n == nil {
		// A node without an entry belongs to a package without a graph, and is unknown.
		// The exception is a parameter for calls through an interface that no package
		// makes.
		if !strings.HasPrefix(id, dynamic) {
			w.complete = false
		}
		return
	}
	if n.Open && !w.closed {
		w.complete = false
	}
	for _, element := range w.g.elementsOf(id) { // all elements of a map
		w.ref(w.g.Nodes[element].Ref, f)
	}
	switch {
	case n.Args != nil:
		if f != nil && f.depth >= maxDepth {
			w.ref(n.Ref, nil)
			return
		}
		in := &frame{args: n.Args, parent: f, path: id, depth: 1}
		if f != nil {
			in.path, in.depth = f.path+"\x00"+id, f.depth+1
		}
		w.ref(n.Ref, in)
	case n.Shared:
		// Another call may have stored the value.
		w.ref(n.Ref, nil)
	default:
		w.ref(n.Ref, f)
	}
}
