package purposes

import (
	"maps"
	"slices"
	"strings"
)

// A Graph says what flows into what: purposes, and the scopes that were opened
// for them, through variables, fields, parameters and results. Nodes go by
// name, so that the graphs of packages add up to the one of a program.
type Graph struct {
	Nodes map[string]*Node `json:",omitempty"`

	elements map[string][]string // see elementsOf; nil if a new one is not in it
}

// A Node is a place that scopes and purposes are kept in or come out of.
type Node struct {
	// Ref is what flows in.
	Ref
	// Open says that code not seen by the package that declares the place can
	// put something in: another package's call of an exported function, or
	// assignment to an exported field.
	Open bool `json:",omitempty"`
	// Shared says that the place outlives a call: a field, or a variable of a
	// package. What one call puts in, another one finds.
	Shared bool `json:",omitempty"`
	// Args are, for a node that is the result of one call, what the call hands to
	// the parameters of the function; the result of the function is in Ref.
	Args map[string]Ref `json:",omitempty"`
}

// A Ref is what an expression stands for.
type Ref struct {
	// Names are the names of purposes.
	Names []string `json:",omitempty"`
	// From are the names of nodes.
	From []string `json:",omitempty"`
	// Unknown says that there is more, which can't be followed.
	Unknown bool `json:",omitempty"`
}

// IsZero reports whether a ref stands for nothing, as nil does.
func (r Ref) IsZero() bool { return len(r.Names) == 0 && len(r.From) == 0 && !r.Unknown }

// And returns both together.
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

// Add adds what other knows. It keeps nothing of other.
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

// pruned returns a copy without the variables and calls inside functions that
// nothing outside takes anything from.
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

// Names returns the purposes that a ref may stand for, sorted. complete says
// that there are no others. It takes the graph for the whole program if closed
// is set, so that what no package puts in is not there.
func (g *Graph) Names(r Ref, closed bool) (names []string, complete bool) {
	w := walk{g: g, closed: closed, seen: map[string]bool{}, found: map[string]bool{}, complete: true}
	w.ref(r, nil)
	names = slices.Sorted(maps.Keys(w.found))
	// Nothing at all is nil, or what was not understood: never none.
	return names, w.complete && len(names) > 0
}

// Reach returns the names of all nodes that a ref goes back to, in the graph of a
// whole program.
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

// Reduce returns what r stands for in terms of the parameters of the function
// with the given name, and of fields and variables of packages: without the
// variables and calls inside the function.
func (g *Graph) Reduce(r Ref, function string) Ref {
	w := walk{g: g, seen: map[string]bool{}, found: map[string]bool{}, complete: true, stop: function + "#", params: map[string]bool{}}
	w.ref(r, nil)
	return Ref{slices.Sorted(maps.Keys(w.found)), slices.Sorted(maps.Keys(w.params)), !w.complete}
}

// A walk goes backwards from a ref to where its purposes come from.
type walk struct {
	g        *Graph
	closed   bool
	seen     map[string]bool
	found    map[string]bool
	complete bool
	keys     int // how many keys of maps within each other are being looked for

	// For Reduce: nodes whose name begins with stop, and shared ones, are noted
	// and not gone through.
	stop   string
	params map[string]bool
}

// A frame is a call that was gone into, from its result: parameters of the
// function are the arguments of this call, not those of all calls.
type frame struct {
	args   map[string]Ref
	parent *frame
	path   string
	depth  int
}

// maxDepth is how many calls are told apart: deeper ones get the arguments of
// all callers together.
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
		// A place in a package that nothing is known of; calls through an
		// interface that nobody makes are the exception.
		if !strings.HasPrefix(id, dynamic) {
			w.complete = false
		}
		return
	}
	if n.Open && !w.closed {
		w.complete = false
	}
	for _, element := range w.g.elementsOf(id) { // all that a map holds
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
		// Another call may have put in what this one takes out.
		w.ref(n.Ref, nil)
	default:
		w.ref(n.Ref, f)
	}
}
