package flow

import (
	"fmt"
	"go/token"
	"slices"
)

// A family is a declared function with the literals in it, which share variables.
type family struct {
	members []*function
	// dependents are the families that use results of this one, such as those of
	// its callers.
	dependents map[*family]bool
	// dirty says that the family has to be followed again, and changed that
	// following it found something new.
	dirty, changed bool
	// traces says that the family follows parameters to the calls of its functions.
	traces bool
}

func (f *family) bump() {
	f.dirty = true
	for d := range f.dependents {
		d.dirty = true
	}
}

// touch notes that something new was found.
func (e *engine) touch() {
	e.changed = true
	if e.running != nil {
		e.running.changed = true
	}
}

// other notes that something new was found of a function that may belong to
// another family than the one that is followed.
func (e *engine) other(g *function) {
	if g != nil && g.family != e.running {
		g.family.bump()
	}
}

// needs notes that the family that is followed uses the facts about a function.
func (e *engine) needs(g *function) {
	if g != nil && e.running != nil && g.family != e.running {
		g.family.dependents[e.running] = true
	}
}

// solve follows everything until nothing new is found, which comes to an end
// since there is only so much to find. It goes forth and back, because plaintext that flows
// through a chain of functions goes one way or the other.
func (e *engine) solve() error {
	last := false
	for range 10_000 {
		e.changed = false
		for _, f := range e.families {
			if f.dirty || last {
				e.follow(f)
			}
		}
		if e.changed {
			last = false
			slices.Reverse(e.families)
			continue
		}
		switch {
		case !e.plugging:
			// Which slots are crowded must not depend on the order of the work, so all
			// that they hold is found before any of them is called.
			e.crowd()
			e.plugging = true
		case last:
			return nil
		}
		e.connectAll()
		// Before the end everything is looked at once more.
		last = !e.changed
	}
	return fmt.Errorf("piivet can't follow package %s to the end, which is a fault of piivet", e.pass.Pkg.Path())
}

// connectAll lets the calls of all slots reach their functions, within the bound of
// one function's work.
func (e *engine) connectAll() {
	before := e.steps
	e.limit = before + maxSteps
	e.current = token.NoPos // the content of a slot was put there elsewhere
	e.connect()
	if len(e.functions) > 0 && e.steps-before >= maxSteps {
		e.functions[0].stopped = true
	}
	for _, f := range e.families {
		f.dirty = f.dirty || e.changed
	}
}

// follow follows one family until nothing new is found in it.
func (e *engine) follow(f *family) {
	e.running = f
	some := false
	for again := true; again; again = f.changed {
		f.dirty, f.changed = false, false
		for _, m := range f.members {
			if !m.test && !m.stopped {
				e.instructions(m)
			}
		}
		some = some || f.changed
	}
	e.running = nil
	if some {
		f.bump()
	}
	f.dirty = false
}

func (e *engine) instructions(f *function) {
	before := e.steps
	e.limit = before + maxSteps - f.steps
	for _, b := range f.ssa.Blocks {
		for _, instr := range b.Instrs {
			if instr.Pos().IsValid() {
				e.current = instr.Pos()
			}
			e.at = instr
			if e.steps++; e.steps < e.limit {
				e.instruction(f, instr)
			}
		}
	}
	f.steps += e.steps - before
	f.stopped = f.steps >= maxSteps
}
