package flow

import (
	"slices"

	"golang.org/x/tools/go/ssa"
)

// Programs often send a map twice, before and after adding an element. So the analysis
// tracks the order of instructions for maps that one function makes, fills and passes on.

// maxPuts is the number of instructions that may add to a map with a tracked order.
const maxPuts = 100

// inOrder reports whether all uses of a map put elements into it, read it, return it or
// pass it to functions. Other code that keeps the map may read it later.
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
				case *ssa.Store: // into variadic arguments
					_, element := r.Addr.(*ssa.IndexAddr)
					return !element
				}
				return true
			})
		}
		return true
	})
}

// put records that the present instruction adds to a map.
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

// putBefore returns the taints that may be in a map at the present instruction.
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
