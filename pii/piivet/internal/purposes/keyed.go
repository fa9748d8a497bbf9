package purposes

import (
	"go/ast"
	"go/types"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// Programs keep several scopes in a map from purposes to scopes, and most fill it in a
// loop. Each element has a node of its own. Its name has the map and the key:
// "example.com/app.scopes[example.com/keys.Security]". A key is the name of a node, or a
// purpose after "=".

// keyed reports whether t is a map with purposes as keys and scopes or purposes as
// elements.
func (b *builder) keyed(t types.Type) bool {
	if t == nil {
		return false
	}
	m, ok := t.Underlying().(*types.Map)
	return ok && known.IsPurpose(m.Key()) && carries(m.Elem())
}

// keys returns the keys of an element of such a map, nil for other expressions.
func (b *builder) keys(e *ast.IndexExpr) []string {
	if !b.keyed(b.info.TypeOf(e.X)) {
		return nil
	}
	return keysOf(b.ref(e.Index))
}

func keysOf(r Ref) []string {
	keys := slices.Clone(r.From)
	for _, name := range r.Names {
		keys = append(keys, "="+name)
	}
	if r.Unknown || len(keys) == 0 {
		keys = append(keys, "?")
	}
	return keys
}

// elements returns the nodes of the elements of a map with the given keys.
func (b *builder) elements(m ast.Expr, keys []string) Ref {
	of := b.ref(m)
	r := of
	r.From = nil
	for _, id := range of.From {
		for _, key := range keys {
			r.From = union(r.From, []string{id + "[" + key + "]"})
		}
	}
	return r
}

// literalMap returns the node of a literal of such a map.
func (b *builder) literalMap(lit *ast.CompositeLit) Ref {
	id := b.at(b.pass.Pkg, lit.Lbrace) + "map"
	b.graph.node(id)
	for _, e := range lit.Elts {
		if pair, ok := e.(*ast.KeyValueExpr); ok {
			for _, key := range keysOf(b.ref(pair.Key)) {
				n := b.graph.node(id + "[" + key + "]")
				n.Ref = n.And(b.ref(pair.Value))
			}
		}
	}
	return Ref{From: []string{id}}
}

// cutKey splits the name of an element into map and key. Ok is false for other names.
func cutKey(id string) (m, key string, ok bool) {
	if !strings.HasSuffix(id, "]") {
		return "", "", false
	}
	open := strings.LastIndexByte(id, '[')
	if open < 0 {
		return "", "", false
	}
	return id[:open], id[open+1 : len(id)-1], true
}

// elementsOf returns the names of all elements of a map.
func (g *Graph) elementsOf(m string) []string {
	if g.elements == nil {
		g.elements = map[string][]string{}
		for id := range g.Nodes {
			if m, _, ok := cutKey(id); ok {
				g.elements[m] = append(g.elements[m], id)
			}
		}
	}
	return g.elements[m]
}

// purposesOf returns the purposes of a key within the call f.
func (w *walk) purposesOf(key string, f *frame) (names []string, complete bool) {
	switch {
	case key == "?" || w.keys >= maxDepth: // a key may come from the map itself
		return nil, false
	case strings.HasPrefix(key, "="):
		return []string{key[1:]}, true
	}
	in := newWalk(w.g)
	in.closed, in.traced, in.keys = w.closed, w.traced, w.keys+1
	return in.names(Ref{From: []string{key}}, f)
}

// element follows an element of a map backwards: to the elements with a key that may be
// equal, and to the maps that were assigned to this one.
func (w *walk) element(m, key string, s state) {
	want, all := w.purposesOf(key, s.f)
	if arg, caller, ok := s.arg(m); ok {
		keys := []string{key}
		if all { // the key is a variable of the callee
			keys = keysOf(Ref{Names: want})
		}
		w.elementOf(arg, keys, caller)
		if n := w.g.Nodes[m]; n != nil {
			w.elementOf(n.assigned(), []string{key}, s)
		}
		return
	}
	for _, id := range w.g.elementsOf(m) {
		_, have, _ := cutKey(id)
		of := w.g.Nodes[id].Ref
		names, complete := w.purposesOf(have, nil)
		same := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !slices.Contains(want, name) })
		switch {
		case all && complete && len(same) == 0:
		case all && !of.Unknown && len(of.Names) == 0 && slices.Equal(of.From, []string{have}):
			// m[p] = v.Scope(ctx, p), for any p.
			w.ref(Ref{Names: want}, s)
		default:
			w.ref(of, s)
		}
	}
	n := w.g.Nodes[m]
	if n == nil {
		w.complete = false
		w.missing(m, s)
		return
	}
	w.empty(m, n, s)
	if n.Open && !w.closed {
		w.complete = false
	}
	w.elementOf(n.Ref, []string{key}, s)
	for _, c := range w.calls(m, n, s) {
		w.elementOf(c.Ref, []string{key}, w.caller(c, s))
	}
}

// elementOf follows the elements with the given keys of a set of maps.
func (w *walk) elementOf(maps Ref, keys []string, s state) {
	for _, id := range maps.From {
		for _, key := range keys {
			w.node(id+"["+key+"]", s)
		}
	}
	maps.From = nil
	w.ref(maps, s)
}
