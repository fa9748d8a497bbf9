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
	// Calls are the calls that pass this parameter an argument. Ref has the assignments to
	// the parameter.
	Calls []Argument `json:",omitempty"`
	// Basis is set for the result of a call of Under in the graph of a program. The scope
	// is in Ref.
	Basis *Ref `json:",omitempty"`
}

// An Argument is an argument of a call.
type Argument struct {
	Ref
	// In is the function that calls, in the form of [Place], and At is file:line. Both are
	// for the graph of a program. Otherwise one Argument has those of all calls.
	In string `json:",omitempty"`
	At string `json:",omitempty"`
}

// plain returns a copy without the reasons why purposes are not known, which are for the
// register of a program alone.
func (n *Node) plain() *Node {
	c := *n
	c.Why = nil
	c.Calls = slices.Clone(n.Calls)
	for i := range c.Calls {
		c.Calls[i].Why = nil
	}
	c.Args = maps.Clone(n.Args)
	for id, arg := range c.Args {
		arg.Why = nil
		c.Args[id] = arg
	}
	return &c
}

// pass adds an argument to a parameter.
func (n *Node) pass(a Argument) {
	if a.In == "" && len(n.Calls) > 0 {
		a.Ref = a.And(n.Calls[0].Ref)
		n.Calls = nil
	}
	n.Calls = append(n.Calls, a)
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
		for _, a := range o.Calls {
			n.pass(a)
		}
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
			out.Nodes[id] = n.plain()
			for _, element := range g.elementsOf(id) {
				keep(Ref{From: []string{element}})
				if _, key, _ := cutKey(element); !strings.HasPrefix(key, "=") {
					keep(Ref{From: []string{key}})
				}
			}
			keep(n.Ref)
			for _, a := range n.Calls {
				keep(a.Ref)
			}
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
