package flow

import (
	"go/token"
	"go/types"

	"golang.org/x/tools/go/ssa"
)

// settle replaces, in the branch that runs if err == ErrNotFound, the variable err by the
// package-level variable ErrNotFound. The text of such an error is fixed, and the branch
// has no other error. The same goes for a comparison with nil.
func settle(fn *ssa.Function) {
	for _, b := range fn.Blocks {
		if len(b.Instrs) == 0 {
			continue
		}
		branch, ok := b.Instrs[len(b.Instrs)-1].(*ssa.If)
		if !ok {
			continue
		}
		cond, ok := branch.Cond.(*ssa.BinOp)
		if !ok || cond.Op != token.EQL && cond.Op != token.NEQ {
			continue
		}
		value, fixed := cond.X, cond.Y
		if !isFixed(fixed) {
			value, fixed = fixed, value
		}
		equal := b.Succs[0]
		if cond.Op == token.NEQ {
			equal = b.Succs[1]
		}
		if !isFixed(fixed) || isFixed(value) || len(equal.Preds) != 1 {
			continue
		}
		for _, within := range fn.Blocks {
			if !equal.Dominates(within) {
				continue
			}
			for _, instr := range within.Instrs {
				for _, operand := range instr.Operands(nil) {
					if *operand == value {
						*operand = fixed
					}
				}
			}
		}
	}
}

// isFixed reports whether a value is nil, or the value of a package-level variable of an
// interface type.
func isFixed(v ssa.Value) bool {
	switch v := v.(type) {
	case *ssa.Const:
		return v.IsNil()
	case *ssa.UnOp:
		_, global := v.X.(*ssa.Global)
		return global && v.Op == token.MUL && types.IsInterface(v.Type())
	}
	return false
}
