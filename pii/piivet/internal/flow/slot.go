package flow

import (
	"cmp"
	"go/types"
	"slices"
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
func (e *engine) throughSlot(s *site, slot *place) {
	if !slot.slot || strings.Count(slot.shared, "()") >= maxNested { // functions that return functions
		return
	}
	if !slot.called {
		slot.called = true
		e.touch()
	}
	slot.calledAt = earlier(slot.calledAt, e.current)
	if !e.plugging || slot.crowded {
		return
	}
	for i, arg := range s.args {
		e.flowBoth(e.slot(slotParam(slot.shared, i), arg.Type()), e.of(arg))
	}
	for i := range s.count() {
		result := e.shared(slotResult(slot.shared, i))
		if s.results == nil {
			e.slot(result.shared, s.instr.Common().Signature().Results().At(i).Type())
		}
		e.give(s, i, both(result))
	}
}

// slot returns the place with a name and a type. It is a slot if the type is functional.
func (e *engine) slot(name string, t types.Type) *place {
	p := e.shared(name)
	p.slot = p.slot || functional(t)
	return p
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
	for _, o := range e.holders {
		if o.shared != "" && !o.content && len(o.functions) > maxHeld {
			names := map[string]bool{}
			for _, fn := range o.functions {
				names[base(fn.key)] = true
			}
			o.crowded = len(names) > maxHeld || len(o.functions) >= maxListed
		}
	}
}

// hold records that a function is in an origin, and in those that the origin flows into.
func (e *engine) hold(o *origin, fn *callable) {
	work := []*origin{o}
	for len(work) > 0 {
		o := work[len(work)-1]
		work = work[:len(work)-1]
		if len(o.functions) >= maxListed || slices.Contains(o.functions, fn) {
			continue
		}
		if o.functions == nil {
			e.holders = append(e.holders, o)
		}
		o.functions = append(o.functions, fn)
		work = append(work, o.out...)
	}
}

// connect lets the calls of each slot reach the functions in it, but for those that they
// reach in an imported package: what follows from that is in its fact.
func (e *engine) connect() {
	clear(e.libraryIn)
	for _, o := range slices.Clone(e.holders) {
		if o.crowded || len(o.functions) >= maxListed {
			continue
		}
		for _, fn := range o.functions {
			if fn.library {
				e.libraryIn[o] = append(e.libraryIn[o], fn)
			}
		}
		if o.shared == "" || o.content || !o.called {
			continue
		}
		for _, fn := range slices.Clone(o.functions) {
			if !slices.Contains(o.plugged, fn) {
				e.plug(o.place, fn)
			}
		}
	}
}

// plug lets the calls of a slot reach one function in it.
func (e *engine) plug(slot *place, fn *callable) {
	if fn.local == nil && fn.obj == nil && e.summary(fn) == nil || e.inPackage(slot.shared, fn) {
		return
	}
	if !slices.Contains(e.plugs[slot], fn) {
		e.plugs[slot] = append(e.plugs[slot], fn)
	}
	at := &site{f: e.functions[0]}
	if fn.local != nil {
		at.f = fn.local
	}
	at.at = at.f.ssa.Pos()
	e.current = slot.value().at[taint{origin: fn.value()}]
	if pos := cmp.Or(e.current, slot.calledAt); pos.IsValid() {
		at.at = pos
	}
	in := e.callback(virtual{slot, nil, fn}, at, fn.params())
	for i, p := range in.args {
		e.addTo(p, both(e.shared(slotParam(slot.shared, i))))
	}
	e.calling(in, fn)
	for i, r := range in.results {
		e.flowBoth(e.shared(slotResult(slot.shared, i)), r)
	}
}
