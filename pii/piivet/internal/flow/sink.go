package flow

import (
	"go/token"
	"go/types"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// sink records that values reach a sink.
func (e *engine) sink(f *function, kind Kind, set taints, pos token.Pos, what, through string, to purposes.Ref) {
	for x := range set {
		e.sinkOne(f, kind, x, pos, what, through, to)
	}
}

func (e *engine) sinkOne(f *function, kind Kind, x taint, pos token.Pos, what, through string, to purposes.Ref) {
	e.sinkIn(f, "", kind, x, pos, what, through, to)
}

// atCalls reports whether a sink of a parameter is reported at the calls of the function.
// This is so if the parameter takes values of any type, as in a function that writes all
// responses of a service, and for labels: only the caller knows that the value is a
// label.
func atCalls(f *function, kind Kind, x taint) bool {
	if x.param != f || f.obj == nil || x.result != 0 || kind == Receive || kind == Reuse {
		return false
	}
	if kind == Label {
		return true
	}
	t := f.ssa.Params[x.index].Type()
	if s, ok := t.Underlying().(*types.Slice); ok && f.ssa.Signature.Variadic() && x.index == len(f.ssa.Params)-1 {
		t = s.Elem()
	}
	i, ok := t.Underlying().(*types.Interface)
	return ok && i.NumMethods() == 0
}

// sinkIn is [engine.sinkOne] with the name of the function that receives the value, for
// [Receive].
func (e *engine) sinkIn(f *function, in string, kind Kind, x taint, pos token.Pos, what, through string, to purposes.Ref) {
	if x.fn != nil {
		return
	}
	x.inner, x.hidden = x.inner && x.param != nil, x.hidden && x.param != nil // fields of other origins make no difference in a sink
	where := through
	if kind == Reuse {
		where += "\x00" + strings.Join(to.Names, ",") + "\x00" + strings.Join(to.From, ",")
	}
	if kind == Receive {
		where = what + "\x00" + in
	}
	if kind == Egress {
		where += "\x00" + what
	}
	key := sinkKey{x, pos, kind, where}
	if f.sinks[key] != nil {
		return
	}
	pending := atCalls(f, kind, x) || kind == Reuse && f.obj != nil && (depends(to, f.name) || x.source != nil && depends(x.source.Scope, f.name))
	f.sinks[key] = &sink{key, what, through, in, to, pending}
	e.touch()
	e.other(f)
}
