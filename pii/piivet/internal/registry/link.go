package registry

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/inventory"
)

// A linker resolves references through the inventories of all packages.
type linker struct {
	packages []inventory.Package
	looked   map[string]bool // paths of the analyzed packages
	funcs    map[string]*inventory.Func
	calls    map[string]*inventory.Call
	callers  map[string][]*inventory.Call // by ID of a Func
	aliases  map[string][]string          // IDs of Funcs by Alias.As
	flows    map[inventory.Ref][]inventory.Flow
	lookups  map[inventory.Ref]*inventory.Lookup
	unders   map[inventory.Ref]*inventory.Under
	docs     map[string]string
}

func newLinker(packages []inventory.Package) *linker {
	l := &linker{
		packages: slices.Clone(packages),
		looked:   map[string]bool{},
		funcs:    map[string]*inventory.Func{},
		calls:    map[string]*inventory.Call{},
		callers:  map[string][]*inventory.Call{},
		aliases:  map[string][]string{},
		flows:    map[inventory.Ref][]inventory.Flow{},
		lookups:  map[inventory.Ref]*inventory.Lookup{},
		unders:   map[inventory.Ref]*inventory.Under{},
		docs:     map[string]string{},
	}
	slices.SortFunc(l.packages, func(a, b inventory.Package) int { return strings.Compare(a.Path, b.Path) })
	l.packages = slices.CompactFunc(l.packages, func(a, b inventory.Package) bool { return a.Path == b.Path })
	for _, p := range l.packages {
		l.looked[p.Path] = true
		for i := range p.Funcs {
			f := &p.Funcs[i]
			l.funcs[f.ID] = f
			if f.Doc != "" {
				l.docs[f.In] = f.Doc
			}
		}
		for _, a := range p.Aliases {
			if !slices.Contains(l.aliases[a.As], a.Func) {
				l.aliases[a.As] = append(l.aliases[a.As], a.Func)
			}
		}
		for _, f := range p.Flows {
			l.flows[f.To] = append(l.flows[f.To], f)
		}
		for i := range p.Lookups {
			l.lookups[p.Lookups[i].ID] = &p.Lookups[i]
		}
		for i := range p.Unders {
			l.unders[p.Unders[i].ID] = &p.Unders[i]
		}
	}
	for _, p := range l.packages {
		for i := range p.Calls {
			c := &p.Calls[i]
			l.calls[c.ID] = c
			for _, f := range l.callees(c) {
				l.callers[f] = append(l.callers[f], c)
			}
		}
	}
	return l
}

// seen reports whether a package was analyzed as one that uses the library.
func (l *linker) seen(path string) bool {
	return l.looked[path] && !inventory.OfLibrary(path)
}

// callees returns the IDs of the functions that a call may reach.
func (l *linker) callees(c *inventory.Call) []string {
	if c.Indirect {
		return l.aliases[c.Callee]
	}
	if l.funcs[c.Callee] == nil {
		return nil
	}
	return []string{c.Callee}
}

// outside reports whether no analyzed function is a callee of the call.
func (l *linker) outside(c inventory.Call) bool { return len(l.callees(&c)) == 0 }

func (l *linker) scopesOf(c inventory.Call) []inventory.Ref {
	var all []inventory.Ref
	for _, refs := range c.Args {
		all = append(all, refs...)
	}
	slices.Sort(all)
	return all
}

// A finding is one resolution of a reference.
type finding struct {
	purpose string          // "" if it is not known
	why     string          // the reason if it is not known
	basis   inventory.Basis // for references to bases
	place   string          // the function that the use is for
	at      string
	notice  string
}

// resolve finds the purposes of a use. There is one finding for each purpose and for each
// reason why a purpose is not known. The findings are of the place itself and of the
// places that it works on behalf of, which are the callers that pass the scope.
func (l *linker) resolve(u inventory.Use, add func(inventory.Use, finding)) {
	w := l.walk(u.In, u.At, u.Scope)
	for _, f := range w.findings() {
		if f.basis != (inventory.Basis{}) {
			continue
		}
		if u.Op != inventory.Collect && u.Op != inventory.ExtendInto {
			f.notice = ""
		}
		add(u, f)
	}
}

// received finds the purposes of a value that a place received: the purposes of the
// function that revealed it.
func (l *linker) received(u inventory.Use, add func(inventory.Use, finding)) {
	if u.Of == "" {
		l.resolve(u, add)
		return
	}
	seen := map[finding]bool{}
	for _, p := range l.packages {
		if p.Path != u.OfPackage {
			continue
		}
		for _, r := range p.Uses {
			if r.Op != inventory.Reveal || r.In != u.Of {
				continue
			}
			u.Kind = r.Kind
			for _, f := range l.walk(r.In, r.At, r.Scope).findings() {
				f = finding{purpose: f.purpose, why: f.why, place: u.In, at: u.At}
				if (f.purpose != "" || f.why != "") && !seen[f] {
					seen[f] = true
					add(u, f)
				}
			}
		}
	}
	if len(seen) == 0 {
		add(u, finding{why: "revealed in a way that is not followed", place: u.In, at: u.At})
	}
}

// notices finds the purposes and bases of a scope with a basis.
func (l *linker) notices(u inventory.Under, add func(purpose string, b inventory.Basis, place string)) {
	purposes := l.walk(u.In, u.At, u.Scope).findings()
	bases := whole(l.walk(u.In, u.At, u.Basis).findings())
	for _, p := range purposes {
		if p.purpose == "" || p.place != u.In {
			continue
		}
		for _, b := range bases {
			switch {
			case b.place != u.In:
			case b.basis != (inventory.Basis{}):
				add(p.purpose, b.basis, u.In)
			case b.why != "":
				add(p.purpose, inventory.Basis{Notice: inventory.AtRunTime}, u.In)
			}
		}
	}
}

// whole merges bases that are only parts, fields that are assigned one by one, into the
// bases that they belong to.
func whole(all []finding) []finding {
	var parts inventory.Basis
	var rest []finding
	for _, f := range all {
		if f.basis.Part {
			parts = parts.Over(f.basis)
		} else {
			rest = append(rest, f)
		}
	}
	for i := range rest {
		if rest[i].basis != (inventory.Basis{}) {
			rest[i].basis = rest[i].basis.Over(parts)
		}
	}
	if len(rest) == 0 && parts != (inventory.Basis{}) {
		rest = append(rest, all[0])
		rest[0].basis = parts
	}
	return rest
}

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

// short returns the name of a function without the path of its package.
func short(id string) string {
	return id[strings.LastIndexByte(id, '/')+1:]
}
