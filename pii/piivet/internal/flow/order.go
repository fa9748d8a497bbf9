package flow

import (
	"slices"

	"golang.org/x/tools/go/ssa"
)

// A map is often sent twice, before and after something is put into it. So for maps
// that one function makes, fills and hands out, the order is followed.

// maxPuts is how many places may put something into a map whose order is followed.
const maxPuts = 100

// inOrder reports whether all that is done with a map is to put values into it, to
// read it, to return it and to hand it to functions. Whoever keeps it otherwise may
// read it later.
func inOrder(m *ssa.MakeMap) bool {
	return !slices.ContainsFunc(*m.Referrers(), func(r ssa.Instruction) bool {
		switch r := r.(type) {
		case *ssa.MapUpdate:
			return r.Map != m || r.Value == m
		case *ssa.Lookup, *ssa.Range, *ssa.Call, *ssa.Return, *ssa.DebugRef:
			return false
		case *ssa.MakeInterface:
			return slices.ContainsFunc(*r.Referrers(), func(r ssa.Instruction) bool {
				switch r := r.(type) {
				case *ssa.Call, *ssa.Return, *ssa.DebugRef:
					return false
				case *ssa.Store: // of variadic arguments
					_, element := r.Addr.(*ssa.IndexAddr)
					return !element
				}
				return true
			})
		}
		return true
	})
}

// put notes that the instruction at hand puts something into a map.
func (e *engine) put(m *ssa.MakeMap, t taints) {
	if e.puts[m] == nil {
		e.puts[m] = map[ssa.Instruction]taints{}
	}
	if e.puts[m][e.at] == nil {
		e.puts[m][e.at] = taints{}
	}
	e.steps += len(t)
	if e.puts[m][e.at].add(t) {
		e.touch()
	}
}

// putBefore returns what may be in a map at the instruction at hand.
func (e *engine) putBefore(m *ssa.MakeMap) taints {
	all := taints{}
	for from, t := range e.puts[m] {
		if len(e.puts[m]) > maxPuts || e.before(from, e.at) {
			all.add(t)
		}
	}
	return all
}

// before reports whether one instruction may run before another one.
func (e *engine) before(from, to ssa.Instruction) bool {
	if from.Parent() != to.Parent() {
		return true
	}
	a, b := from.Block(), to.Block()
	if a == b && slices.Index(a.Instrs, from) < slices.Index(a.Instrs, to) {
		return true
	}
	key := [2]*ssa.BasicBlock{a, b}
	reached, ok := e.paths[key]
	if !ok {
		seen := map[*ssa.BasicBlock]bool{}
		work := slices.Clone(a.Succs)
		for len(work) > 0 && !seen[b] {
			next := work[len(work)-1]
			work = work[:len(work)-1]
			if !seen[next] {
				seen[next] = true
				work = append(work, next.Succs...)
			}
		}
		reached = seen[b]
		e.paths[key] = reached
	}
	return reached
}
