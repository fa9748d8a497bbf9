package flow

import (
	"fmt"
	"go/token"
	"slices"
)

// A family is a declared function with the function literals in it, which share its
// variables.
type family struct {
	members []*function
	// dependents are the families that use results of this one, such as the families of
	// its callers.
	dependents map[*family]bool
	// dirty says that the family has to be analyzed again. Changed says that the analysis
	// found new facts.
	dirty, changed bool
	// traces says that the analysis of the family follows parameters to the calls of its
	// functions.
	traces bool
}

func (f *family) bump() {
	f.dirty = true
	for d := range f.dependents {
		d.dirty = true
	}
}

// touch records that a new fact was found.
func (e *engine) touch() {
	e.changed = true
	if e.running != nil {
		e.running.changed = true
	}
}

// other records that a new fact was found about a function that may belong to another
// family than the present one.
func (e *engine) other(g *function) {
	if g != nil && g.family != e.running {
		g.family.bump()
	}
}

// needs records that the present family uses the facts about a function.
func (e *engine) needs(g *function) {
	if g != nil && e.running != nil && g.family != e.running {
		g.family.dependents[e.running] = true
	}
}

// solve analyzes all families until there are no new facts. It terminates, since the
// number of facts is finite. It reverses the order of the families in each round, because
// taints flow through chains of functions in both directions.
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
			// Whether a slot is crowded must not depend on the order of the work, so all
			// functions in slots are found before any of them is called.
			e.crowd()
			e.plugging = true
		case last:
			return nil
		}
		e.connectAll()
		// At the end all families are analyzed once more.
		last = !e.changed
	}
	return fmt.Errorf("piivet can't follow package %s to the end, which is a fault of piivet", e.pass.Pkg.Path())
}

// connectAll lets the calls of all slots reach their functions, within the bound on the
// work for one function.
func (e *engine) connectAll() {
	before := e.steps
	e.limit = before + maxSteps
	e.current = token.NoPos // the functions in a slot come from elsewhere
	e.connect()
	if len(e.functions) > 0 && e.steps-before >= maxSteps {
		e.functions[0].stopped = true
	}
	for _, f := range e.families {
		f.dirty = f.dirty || e.changed
	}
}

// follow analyzes one family until there are no new facts about it.
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
	e.current = f.ssa.Pos()
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
