package flow

import (
	"go/types"
	"strconv"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// slotParam and slotResult name the arguments and results of all calls through a slot. A
// slot is a field or variable that holds functions, or a method of an interface.
func slotParam(slot string, i int) string  { return slot + "()#" + strconv.Itoa(i) }
func slotResult(slot string, i int) string { return slot + "()=" + strconv.Itoa(i) }

// placeOf returns the name of a function's parameter in facts.
func placeOf(key string, i int) string { return key + "#" + strconv.Itoa(i) }

// throughSlot handles a call of the functions in a slot.
func (e *engine) throughSlot(s *site, slot string) {
	if !e.imported.Slots[slot] || strings.Count(slot, "()") >= maxNested { // functions that return functions
		return
	}
	if !e.imported.Called[slot] {
		e.imported.Called[slot] = true
		e.touch()
	}
	if !e.plugging || e.crowded[slot] {
		return
	}
	for i, arg := range s.args {
		e.slot(slotParam(slot, i), arg.Type())
		e.flowBoth(origin{shared: slotParam(slot, i)}, e.of(arg))
	}
	for i := range s.count() {
		if s.results == nil {
			e.slot(slotResult(slot, i), s.instr.Common().Signature().Results().At(i).Type())
		}
		e.give(s, i, both(origin{shared: slotResult(slot, i)}))
	}
}

// slot records that a place is a slot, if its type is functional.
func (e *engine) slot(name string, t types.Type) {
	if !e.imported.Slots[name] && functional(t) {
		e.imported.Slots[name] = true
	}
}

// functional reports whether t is a type of functions, or of lists, maps, channels or
// pointers of them. A call of a value of another type comes from a struct that is
// mistaken for one of its fields.
func functional(t types.Type) bool {
	return known.Holds(t, func(t types.Type) bool {
		_, ok := t.Underlying().(*types.Signature)
		return ok
	})
}

// maxHeld is the number of functions in a slot up to which its calls are tracked. A slot
// with more functions is an event bus: each of its callers belongs to one of its
// functions, and the types do not tell to which.
const maxHeld = 3

// maxListed is the number of functions of a place that are listed, method values of
// several receivers included. A place with so many functions is crowded, and so are the
// places that it flows into.
const maxListed = 16

// crowd records the slots with too many functions to be tracked.
func (e *engine) crowd() {
	for o, fns := range e.holding() {
		names := map[string]bool{}
		for fn := range fns {
			names[base(fn.key)] = true
		}
		if o.shared != "" && !o.content && (len(names) > maxHeld || len(fns) >= maxListed) {
			e.crowded[o.shared] = true
		}
	}
}

// holding returns the functions in each place, up to maxListed of them.
func (e *engine) holding() map[origin]map[*callable]bool {
	back := map[origin][]origin{}
	holds := map[origin]map[*callable]bool{}
	var work []origin
	for o, set := range e.edges {
		for x := range set {
			switch {
			case x.fn == nil:
				back[x.origin] = append(back[x.origin], o)
			case holds[o] == nil:
				holds[o] = map[*callable]bool{x.fn: true}
				work = append(work, o)
			default:
				holds[o][x.fn] = true
			}
		}
	}
	for len(work) > 0 {
		o := work[len(work)-1]
		work = work[:len(work)-1]
		for _, to := range back[o] {
			if holds[to] == nil {
				holds[to] = map[*callable]bool{}
			}
			n := len(holds[to])
			for fn := range holds[o] {
				if len(holds[to]) < maxListed {
					holds[to][fn] = true
				}
			}
			if len(holds[to]) > n {
				work = append(work, to)
			}
		}
	}
	return holds
}

// connect lets the calls of each slot reach the functions in it.
func (e *engine) connect() {
	clear(e.libraryIn)
	for o, fns := range e.holding() {
		if e.crowded[o.shared] {
			continue
		}
		for fn := range fns {
			if fn.obj != nil && known.OpOf(fn.obj) != known.None {
				e.libraryIn[o] = append(e.libraryIn[o], fn)
			}
		}
		if o.shared == "" || o.content || !e.imported.Called[o.shared] {
			continue
		}
		for fn := range fns {
			e.plug(o.shared, fn)
		}
	}
}

// plug lets the calls of a slot reach one function in it.
func (e *engine) plug(slot string, fn *callable) {
	if fn.local == nil && fn.obj == nil && e.summary(fn) == nil || e.inPackage(slot, fn) {
		return
	}
	at := &site{f: e.functions[0]}
	if fn.local != nil {
		at.f = fn.local
	}
	at.at = at.f.ssa.Pos()
	in := e.callback(virtual{slot, nil, fn}, at, fn.params())
	for i, p := range in.args {
		e.addTo(p, both(origin{shared: slotParam(slot, i)}))
	}
	e.calling(in, fn)
	for i, r := range in.results {
		e.flowBoth(origin{shared: slotResult(slot, i)}, r)
	}
}
