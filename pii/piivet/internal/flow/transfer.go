package flow

import (
	"go/token"
	"go/types"

	"golang.org/x/tools/go/ssa"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// flow adds taints to an origin.
func (e *engine) flow(o *origin, t taints) {
	if len(t) == 0 {
		return
	}
	e.steps += len(t)
	if o.at == nil {
		o.at = make(map[taint]token.Pos, len(o.given)+len(t))
		for _, x := range o.given {
			o.at[x] = token.NoPos
		}
	}
	for x := range t {
		at, known := o.at[x]
		if first := earlier(at, e.current); !known || first != at {
			o.at[x] = first
		}
		if known {
			continue
		}
		if len(o.added) == 0 {
			e.entered = append(e.entered, o)
		}
		o.added = append(o.added, x)
		e.link(x, o)
		e.touch()
	}
}

// earlier returns the first of two positions that are valid.
func earlier(a, b token.Pos) token.Pos {
	if !a.IsValid() || b.IsValid() && b < a {
		return b
	}
	return a
}

// link records that a taint flows into an origin, and lets its functions flow with it.
func (e *engine) link(x taint, o *origin) {
	x.out = append(x.out, o)
	if x.fn != nil {
		e.hold(o, x.fn)
	}
	for _, fn := range x.functions {
		e.hold(o, fn)
	}
}

// flowBoth adds taints to a place and to its fields.
func (e *engine) flowBoth(p *place, t taints) {
	var split [3]taints
	for x := range t {
		i := 0
		switch {
		case x.hidden:
			i = 2
		case x.inner:
			i = 1
		}
		if split[i] == nil {
			split[i] = taints{}
		}
		split[i][x] = struct{}{}
	}
	for i := range split {
		e.flow(&p.forms[i], split[i])
	}
}

func (e *engine) instruction(f *function, instr ssa.Instruction) {
	if v, ok := instr.(ssa.Value); ok {
		if x := operand(v); x != nil {
			e.set(v, e.of(x))
			return
		}
	}
	switch i := instr.(type) {
	case *ssa.Phi:
		for _, edge := range i.Edges {
			e.set(i, e.of(edge))
		}
	case *ssa.BinOp:
		switch i.Op {
		case token.ADD:
			e.set(i, e.of(i.X))
			e.set(i, e.of(i.Y))
		case token.EQL, token.NEQ:
			e.compared(f, i)
		}
	case *ssa.UnOp:
		switch i.Op {
		case token.MUL:
			e.set(i, e.load(i.X))
		case token.ARROW:
			e.setNth(i, 0, e.of(i.X))
		}
	case *ssa.ChangeInterface:
		e.implement(i.X.Type(), i.Type())
		e.set(i, e.of(i.X))
	case *ssa.MakeClosure:
		if c := e.callableOf(i.Fn.(*ssa.Function), i); c != nil {
			e.set(i, single(c.value()))
		}
	case *ssa.MakeInterface:
		e.boxed(f, i)
	case *ssa.TypeAssert:
		e.setNth(i, 0, e.of(i.X))
	case *ssa.Extract:
		e.set(i, e.tuples[i.Tuple][i.Index])
	case *ssa.Panic:
		e.sink(f, Panic, e.of(i.X), i.Pos(), "panic", "", purposes.Ref{})
	case ssa.CallInstruction:
		e.call(f, i)
	default:
		e.access(f, instr)
	}
}

// operand returns the operand of an instruction whose value has all taints of it, nil for
// other instructions.
func operand(v ssa.Value) ssa.Value {
	switch v := v.(type) {
	case *ssa.ChangeType:
		return v.X
	case *ssa.Convert:
		return v.X
	case *ssa.MultiConvert:
		return v.X
	case *ssa.SliceToArrayPointer:
		return v.X
	case *ssa.Index:
		return v.X
	case *ssa.Slice:
		return v.X
	}
	return nil
}

// boxed handles a conversion to an interface.
func (e *engine) boxed(f *function, i *ssa.MakeInterface) {
	e.implement(i.X.Type(), i.Type())
	if printsLabel(i.X.Type()) {
		e.set(i, e.label(position(i)))
	}
	if !e.redacts(i.X.Type()) {
		e.set(i, e.of(i.X))
	}
	if known.IsError(i.Type()) {
		e.sink(f, Error, e.of(i.X), position(i), typeName(i.X.Type()), "", purposes.Ref{})
	}
}

// access handles an instruction that reads or stores a field or an element, and a return.
func (e *engine) access(f *function, instr ssa.Instruction) {
	switch i := instr.(type) {
	case *ssa.Field:
		e.set(i, e.field(i.X, fieldOf(i.X.Type(), i.Field)))
	case *ssa.FieldAddr:
		e.addTo(i, e.field(i.X, fieldOf(i.X.Type(), i.Field)))
	case *ssa.IndexAddr:
		e.addTo(i, e.of(i.X))
	case *ssa.Lookup:
		e.keyed(f, i.Index, i.Pos())
		e.setNth(i, 0, e.entries(i.X))
	case *ssa.Range:
		e.addTo(i, e.of(i.X))
	case *ssa.Next:
		if !named(i.Iter) {
			e.setNth(i, 1, e.entries(i.Iter))
		}
		e.setNth(i, 2, e.entries(i.Iter))
	case *ssa.Select:
		n := 2
		for _, s := range i.States {
			if s.Dir == types.RecvOnly {
				e.setNth(i, n, e.of(s.Chan))
				n++
			} else {
				e.store(s.Chan, e.of(s.Send))
			}
		}
	case *ssa.Store:
		if _, local := i.Addr.(*ssa.Alloc); !local {
			e.consume(f, e.of(i.Val))
		}
		e.store(i.Addr, e.of(i.Val))
	case *ssa.MapUpdate:
		e.consume(f, e.of(i.Value))
		e.consume(f, e.of(i.Key))
		e.keyed(f, i.Key, i.Pos())
		e.store(i.Map, e.of(i.Value))
		e.store(i.Map, e.of(i.Key))
	case *ssa.Send:
		e.consume(f, e.of(i.X))
		e.store(i.Chan, e.of(i.X))
	case *ssa.Return:
		for n, r := range i.Results {
			if f.results[n].add(e.of(r)) {
				e.touch()
			}
		}
	}
}

// load returns the taints of the value at an address.
func (e *engine) load(addr ssa.Value) taints {
	if g, ok := addr.(*ssa.Global); ok {
		return e.global(g)
	}
	return e.of(addr)
}

func (e *engine) global(g *ssa.Global) taints {
	if g.Pkg == nil || !e.ours(g.Pkg.Pkg) || !text(g.Type()) {
		return nil
	}
	return both(e.slot(g.Pkg.Pkg.Path()+"."+g.Name(), g.Type()))
}

// field returns the taints of a field of x, which is a struct or a pointer to one.
func (e *engine) field(x ssa.Value, v *types.Var) taints {
	if v == nil || !text(v.Type()) {
		return nil
	}
	t := e.of(x).direct()
	if g, ok := x.(*ssa.Global); ok {
		t.add(e.global(g).direct())
	}
	if e.ours(v.Pkg()) {
		t.add(both(e.slot(e.fieldName(v), v.Type())))
	} else {
		t.add(e.local[localField{root(x), v.Origin()}])
	}
	return t
}

// store adds taints to the value at an address, or to the elements of a map, a slice or a
// channel.
func (e *engine) store(to ssa.Value, t taints) {
	e.storeInto(to, t, 0)
}

func (e *engine) storeInto(to ssa.Value, t taints, depth int) {
	if len(t) == 0 || depth > 20 {
		return
	}
	if x := container(to); x != nil {
		e.addTo(to, t)
		e.storeInto(x, t, depth+1)
		return
	}
	switch v := to.(type) {
	case *ssa.Global:
		if v.Pkg != nil && text(v.Type()) {
			e.flowBoth(e.shared(v.Pkg.Pkg.Path()+"."+v.Name()), t)
		}
	case *ssa.FieldAddr:
		e.storeField(v, t, depth)
	case *ssa.UnOp:
		e.addTo(v, t)
		if v.Op == token.MUL { // the value at the address is a slice, map or pointer
			e.storeInto(v.X, t, depth+1)
		}
	case *ssa.Phi:
		e.addTo(v, t)
		for _, edge := range v.Edges {
			e.storeInto(edge, t, depth+7) // loops lead back here
		}
	case *ssa.FreeVar:
		if out := e.free[v]; out != nil {
			e.storeInto(out, t, depth+1)
		}
	case *ssa.Call:
		if _, several := v.Type().(*types.Tuple); !several {
			e.addTo(v, t)
		}
	case *ssa.Const, *ssa.Function, *ssa.Builtin:
	case *ssa.MakeMap:
		if inOrder(v) {
			e.put(v, t)
		} else {
			e.addTo(v, t)
		}
	default:
		e.addTo(v, t)
	}
}

// container returns the value that v is an element or another form of, so that a value
// stored in v is stored in the container as well. It is nil for others.
func container(v ssa.Value) ssa.Value {
	switch v := v.(type) {
	case *ssa.IndexAddr:
		return v.X
	case *ssa.Slice:
		return v.X
	case *ssa.Lookup: // the element is a channel, slice, map or pointer
		return v.X
	}
	return wrapped(v)
}

// wrapped returns the value that v is another form of, nil if there is none.
func wrapped(v ssa.Value) ssa.Value {
	switch v := v.(type) {
	case *ssa.MakeInterface:
		return v.X
	case *ssa.ChangeInterface:
		return v.X
	case *ssa.ChangeType:
		return v.X
	case *ssa.TypeAssert:
		return v.X
	case *ssa.Extract:
		return v.Tuple
	}
	return nil
}

// storeField adds taints to a field, and to the struct around it.
func (e *engine) storeField(v *ssa.FieldAddr, t taints, depth int) {
	field := fieldOf(v.X.Type(), v.Field)
	if field == nil || !text(field.Type()) {
		return
	}
	if e.ours(field.Pkg()) {
		e.flowBoth(e.shared(e.fieldName(field)), t)
	} else {
		key := localField{root(v.X), field.Origin()}
		if e.local[key] == nil {
			e.local[key] = taints{}
		}
		if e.local[key].add(t) {
			e.touch()
		}
	}
	e.storeInto(v.X, t.within(!field.Exported() && !field.Embedded()), depth+1)
}

// root returns the variable that contains a struct, as far as it can be told.
func root(v ssa.Value) ssa.Value {
	for range 20 {
		switch x := v.(type) {
		case *ssa.UnOp:
			if x.Op != token.MUL {
				return v
			}
			v = x.X
		case *ssa.FieldAddr:
			v = x.X
		case *ssa.IndexAddr:
			v = x.X
		default:
			return v
		}
	}
	return v
}
