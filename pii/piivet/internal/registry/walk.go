package registry

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/inventory"
)

// A walker follows references backwards from one use.
//
// It keeps the calls that it has entered on a stack, so that an argument of one caller
// does not appear as the argument of another one. At a field or package-level variable it
// drops the stack: any function may have set it.
type walker struct {
	l       *linker
	visited map[string]bool
	places  []*placed
	byPlace map[string]*placed
	depth   int // nesting of walkers
}

// placed is the result for one place.
type placed struct {
	place, at string
	behalf    []*placed // the places that work on behalf of this one, none for the use's own
	found     map[answer]bool
}

// An answer is a resolved reference, with the notice that its scope got on the way, "" if
// none.
type answer struct {
	ref    inventory.Ref
	notice string
}

// maxStack is the depth of calls up to which callers are distinguished. Beyond it, the
// arguments of all callers are merged.
const maxStack = 8

func (l *linker) walk(place, at string, refs []inventory.Ref) *walker {
	w := &walker{l: l, visited: map[string]bool{}, byPlace: map[string]*placed{}}
	own := w.at(place, at, nil)
	w.all(refs, way{climbing: true}, own)
	return w
}

func (w *walker) at(place, at string, behalf *placed) *placed {
	p := w.byPlace[place]
	if p == nil {
		p = &placed{place: place, at: at, found: map[answer]bool{}}
		w.byPlace[place] = p
		w.places = append(w.places, p)
	}
	if behalf != nil && behalf != p && !slices.Contains(p.behalf, behalf) {
		p.behalf = append(p.behalf, behalf)
	}
	return p
}

// A way is the state of a walk at a reference.
type way struct {
	stack []string // IDs of calls
	// climbing says that the walk has passed through parameters alone, so that the
	// callers that pass the argument are the users of the value.
	climbing bool
	// key is the purpose that a map is indexed with, "" for all elements.
	key string
	// notice is the id of the notice that the scope was put under, "" if there is none. A
	// walk goes backwards, so of several notices the first that it meets counts, the last
	// in the program.
	notice string
}

func (y way) String() string {
	return strings.Join(y.stack, "\x00") + "\x00" + strconv.FormatBool(y.climbing) + y.key + "\x00" + y.notice
}

// follow adds the resolutions of r to p.
func (w *walker) follow(r inventory.Ref, y way, p *placed) {
	visit := string(r) + "\x00" + p.place + "\x00" + y.String()
	if w.visited[visit] {
		return
	}
	w.visited[visit] = true
	if r.Known() {
		p.found[answer{r, y.notice}] = true
		return
	}
	if f, i, ok := r.Parameter(); ok {
		w.parameter(r, f, i, y, p)
		return
	}
	if id, i, ok := r.Result(); ok {
		w.result(id, i, y, p)
		return
	}
	if u := w.l.unders[r]; u != nil {
		ids := []string{y.notice}
		if y.notice == "" {
			ids = w.l.walkBases(u, y.stack)
		}
		for _, y.notice = range ids {
			w.all(u.Scope, y, p)
		}
		return
	}
	if at := w.l.lookups[r]; at != nil {
		w.lookup(at, y, p)
		return
	}
	if len(w.l.flows[r]) == 0 {
		p.found[answer{inventory.Unknown("nothing in sight sets it"), y.notice}] = true
	}
	inner := y
	if !r.Local() {
		inner.stack, inner.climbing = nil, false
	}
	w.flows(r, inner, p)
}

func (w *walker) all(refs []inventory.Ref, y way, p *placed) {
	for _, r := range refs {
		w.follow(r, y, p)
	}
}

// flows follows the assignments to r.
func (w *walker) flows(r inventory.Ref, y way, p *placed) {
	for _, f := range w.l.flows[r] {
		if y.key == "" || f.Key == nil && !f.Keys {
			w.all(f.From, y, p)
			continue
		}
		if f.Keys {
			continue
		}
		out := way{stack: y.stack, climbing: y.climbing, notice: y.notice} // state of the map itself
		keys, known := w.purposes(f.Key, out, p)
		switch {
		case known && !slices.Contains(keys, y.key):
		case f.Same:
			p.found[answer{inventory.Purposed(y.key), y.notice}] = true
		default:
			w.all(f.From, out, p)
		}
	}
}

// lookup follows the element of a map at a key, or all elements if the key is not known.
func (w *walker) lookup(at *inventory.Lookup, y way, p *placed) {
	keys, known := w.purposes(at.Key, y, p)
	if !known {
		y.key = ""
		w.all(at.Map, y, p)
		return
	}
	for _, key := range keys {
		y.key = key
		w.all(at.Map, y, p)
	}
}

// purposes returns the purposes of refs. Known says that there are no others.
func (w *walker) purposes(refs []inventory.Ref, y way, p *placed) (names []string, known bool) {
	inner := &walker{l: w.l, visited: map[string]bool{}, byPlace: map[string]*placed{}, depth: w.depth + 1}
	if inner.depth > maxStack || len(refs) == 0 {
		return nil, false
	}
	own := inner.at(p.place, p.at, nil)
	y.climbing, y.key, y.notice = false, "", ""
	inner.all(refs, y, own)
	known = true
	for r := range own.found {
		name, ok := r.ref.Purpose()
		known = known && ok
		names = append(names, name)
	}
	slices.Sort(names)
	return names, known && len(names) > 0
}

func (w *walker) parameter(r inventory.Ref, f string, i int, y way, p *placed) {
	w.flows(r, y, p) // parameters can be assigned to
	if n := len(y.stack); n > 0 {
		c := w.l.calls[y.stack[n-1]]
		if slices.Contains(w.l.callees(c), f) {
			y.stack = y.stack[:n-1]
			w.all(c.Args[i], y, p)
			return
		}
	}
	callers := w.l.callers[f]
	if len(callers) == 0 {
		p.found[answer{inventory.Unknown("whoever calls it decides, and nobody here does"), y.notice}] = true
	}
	y.stack = nil
	for _, c := range callers {
		to := p
		if y.climbing && c.In != p.place {
			to = w.at(c.In, c.At, p)
		}
		w.all(c.Args[i], y, to)
	}
}

func (w *walker) result(id string, i int, y way, p *placed) {
	c := w.l.calls[id]
	if c == nil {
		p.found[answer{inventory.Unknown("a call that was not followed"), y.notice}] = true
		return
	}
	callees := w.l.callees(c)
	if len(callees) == 0 {
		// The callee was not analyzed. A function with type parameters, such as a Must,
		// returns its arguments.
		for _, refs := range c.Args {
			w.all(refs, y, p)
		}
		if len(c.Args) == 0 {
			p.found[answer{inventory.Unknown("comes out of " + short(c.Callee) + ", which was not looked at"), y.notice}] = true
		}
		return
	}
	y.stack = append(slices.Clone(y.stack), id)
	if len(y.stack) > maxStack {
		y.stack = nil // its parameters then have the arguments of all callers
	}
	y.climbing = false
	for _, f := range callees {
		from := w.l.funcs[f].Results[i]
		if len(from) == 0 {
			p.found[answer{inventory.Unknown("nothing in sight sets what " + short(f) + " returns"), y.notice}] = true
		}
		w.all(from, y, p)
	}
}

// walkBases returns the ids of the notices of a scope with a basis, at least one. The id
// of a basis without a notice is "".
func (l *linker) walkBases(u *inventory.Under, stack []string) []string {
	w := &walker{l: l, visited: map[string]bool{}, byPlace: map[string]*placed{}}
	own := w.at(u.In, u.At, nil)
	w.all(u.Basis, way{stack: stack}, own)
	var ids []string
	if len(own.found) == 0 {
		ids = append(ids, "") // the zero Basis
	}
	for r := range own.found {
		if b, ok := r.ref.Basis(); ok {
			if b.Part && (b.Notice == "" || len(own.found) > 1) {
				continue
			}
			ids = append(ids, b.Notice)
		} else {
			ids = append(ids, inventory.AtRunTime)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// findings returns the findings of each place. They include the findings of the places
// that work on its behalf.
func (w *walker) findings() []finding {
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
	if own := w.places[0]; len(own.found) == 0 {
		own.found[answer{inventory.Unknown("nothing in sight sets it"), ""}] = true
	}
	var all []finding
	for _, p := range w.places {
		for r := range p.found {
			f := finding{place: p.place, at: p.at, notice: r.notice}
			f.purpose, _ = r.ref.Purpose()
			f.why, _ = r.ref.Reason()
			f.basis, _ = r.ref.Basis()
			all = append(all, f)
		}
	}
	return all
}
