package purposes

import (
	"go/ast"
	"go/types"

	"golang.org/x/tools/go/types/typeutil"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// call adds the flows from arguments to parameters.
func (b *builder) call(call *ast.CallExpr) {
	if tv, ok := b.info.Types[call.Fun]; ok && tv.IsType() {
		b.convert(call, tv.Type)
		return
	}
	if c, ok := known.CallOf(b.info, call); ok {
		for _, scope := range c.Scopes { // adds their nodes, for other packages
			b.ref(scope)
		}
		if sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok && known.IsPurpose(b.info.TypeOf(sel.X)) {
			b.into(sel.X, Ref{Unknown: true})
		}
		return
	}
	if sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok && sel.Sel.Name == "UnmarshalText" && known.IsPurpose(b.info.TypeOf(sel.X)) {
		b.into(sel.X, Ref{Unknown: true})
		return
	}
	if fn, ok := typeutil.Callee(b.info, call).(*types.Func); !ok || !b.foreign(fn.Origin()) {
		for id, r := range b.args(call) {
			b.argument(call, id, r)
		}
	}
	// A container of another package's generic type, such as atomic.Pointer[vault.Scope],
	// holds the arguments.
	if sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok && isContainer(known.Deref(b.info.TypeOf(sel.X))) {
		for _, arg := range call.Args {
			if carries(b.info.TypeOf(arg)) {
				b.into(sel.X, b.ref(arg))
			}
		}
	}
}

// argument lets r flow into a parameter.
func (b *builder) argument(call *ast.CallExpr, id string, r Ref) {
	switch n := b.graph.node(id); {
	case b.program:
		n.pass(Argument{r, b.place, b.position(call.Pos())})
	case !r.IsZero():
		n.pass(Argument{Ref: r})
	}
}

// convert lets the fields of one struct type flow into the fields of another.
func (b *builder) convert(call *ast.CallExpr, to types.Type) {
	if len(call.Args) != 1 {
		return
	}
	from := b.info.TypeOf(call.Args[0])
	if from == nil {
		return
	}
	s, ok1 := from.Underlying().(*types.Struct)
	d, ok2 := to.Underlying().(*types.Struct)
	if !ok1 || !ok2 || s.NumFields() != d.NumFields() {
		return
	}
	for i := range s.NumFields() {
		if sf, df := s.Field(i), d.Field(i); sf.Origin() != df.Origin() && carries(sf.Type()) {
			if id := b.own(sf); id != "" {
				b.intoVar(df, Ref{From: []string{id}})
			}
		}
	}
}

// args returns the references of the arguments of a call, by the names of the callee's
// parameter nodes.
func (b *builder) args(call *ast.CallExpr) map[string]Ref {
	name, sig := b.callee(call)
	if name == "" {
		return nil
	}
	args := map[string]Ref{}
	exprs := call.Args
	if sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok {
		if s := b.info.Selections[sel]; s != nil {
			switch {
			case s.Kind() == types.MethodExpr && len(exprs) > 0:
				exprs = exprs[1:]
				if carries(b.info.TypeOf(call.Args[0])) {
					args[param(name, -1)] = b.ref(call.Args[0])
				}
			case s.Kind() == types.MethodVal && carries(b.info.TypeOf(sel.X)):
				args[param(name, -1)] = b.ref(sel.X)
			}
		}
	}
	for i, e := range exprs {
		p := min(i, sig.Params().Len()-1)
		if p < 0 || !carries(sig.Params().At(p).Type()) {
			continue
		}
		if len(exprs) == 1 && sig.Params().Len() > 1 { // f(g())
			for j := range sig.Params().Len() {
				if carries(sig.Params().At(j).Type()) {
					args[param(name, j)] = b.nth(e, j)
				}
			}
			break
		}
		args[param(name, p)] = args[param(name, p)].And(b.ref(e))
	}
	if len(exprs) == 1 && sig.Params().Len() > 1 && len(args) == 0 {
		for j := range sig.Params().Len() {
			if carries(sig.Params().At(j).Type()) {
				args[param(name, j)] = b.nth(exprs[0], j)
			}
		}
	}
	return args
}

// callee returns the name of the called function and its signature before instantiation;
// "" if it is not known.
func (b *builder) callee(call *ast.CallExpr) (string, *types.Signature) {
	switch fun := ast.Unparen(call.Fun).(type) {
	case *ast.FuncLit:
		if sig, ok := b.info.TypeOf(fun).(*types.Signature); ok {
			return b.literalName(fun), sig
		}
	case *ast.Ident:
		if v, ok := b.info.Uses[fun].(*types.Var); ok {
			if lit := b.literals[v]; lit != nil {
				if sig, ok := b.info.TypeOf(lit).(*types.Signature); ok {
					return b.literalName(lit), sig
				}
			}
		}
	}
	fn, ok := typeutil.Callee(b.info, call).(*types.Func)
	if !ok {
		if t := b.info.TypeOf(call.Fun); t != nil && b.program {
			if sig, ok := t.Underlying().(*types.Signature); ok {
				return valued(sig), sig
			}
		}
		return "", nil
	}
	fn = fn.Origin()
	if abstract(fn) {
		return called(fn), fn.Signature()
	}
	return Func(fn), fn.Signature()
}

func abstract(fn *types.Func) bool {
	recv := fn.Signature().Recv()
	return recv != nil && types.IsInterface(recv.Type())
}

func (b *builder) builtin(name string, call *ast.CallExpr) Ref {
	switch name {
	case "append":
		r := Ref{}
		for _, arg := range call.Args {
			r = r.And(b.ref(arg))
		}
		return r
	case "new", "make":
		return Ref{}
	}
	return unknown("a call that is not followed")
}

// library returns the reference of the scope or purpose that a call of the library
// returns.
func (b *builder) library(c known.Call) Ref {
	switch c.Op {
	case known.Open:
		r := Ref{}
		for _, p := range c.Purposes {
			r = r.And(b.ref(p))
		}
		return r
	case known.Narrow, known.Of:
		if b.program && c.Fn.Name() == "Under" && len(c.Expr.Args) == 1 {
			return b.under(c)
		}
		return b.receiver(c)
	case known.Parse:
		if name, ok := known.Constant(b.info, c.Text); ok {
			return Ref{Names: []string{name}}
		}
		return unknown("a purpose whose name is not a constant")
	}
	return unknown("what " + c.Fn.Pkg().Name() + "." + c.Fn.Name() + " returns")
}

// under returns the reference of a scope that a call puts under a basis.
func (b *builder) under(c known.Call) Ref {
	id := b.at(b.pass.Pkg, c.Expr.Lparen) + "under"
	n := b.graph.node(id)
	basis := b.ref(c.Expr.Args[0])
	n.Ref, n.Basis = b.receiver(c), &basis
	return Ref{From: []string{id}}
}

// receiver returns the reference of the receiver of a scope's method, also if the scope
// is embedded in a struct.
func (b *builder) receiver(c known.Call) Ref {
	if n := len(c.Path); n > 0 {
		return b.variable(c.Path[n-1])
	}
	return b.ref(c.Recv)
}

// foreign reports whether a function is unknown: it belongs to a package that does not
// use the library.
func (b *builder) foreign(fn *types.Func) bool {
	if fn.Pkg() == nil || fn.Pkg() == b.pass.Pkg {
		return false
	}
	return !b.pass.ImportPackageFact(fn.Pkg(), new(fact)) && !abstract(fn)
}

// generic returns the reference of the result of a function in a package that does not
// use the library. The function doesn't know the types of the library, so a result of
// such a type comes from its arguments.
func (b *builder) generic(call *ast.CallExpr, fn *types.Func) Ref {
	r := Ref{}
	exprs := call.Args
	if sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok && fn.Signature().Recv() != nil {
		exprs = append([]ast.Expr{sel.X}, exprs...)
	}
	for _, arg := range exprs {
		t := b.info.TypeOf(arg)
		if t == nil {
			continue
		}
		if tuple, ok := t.(*types.Tuple); ok { // must(v.Scope(ctx, p))
			for i := range tuple.Len() {
				if carries(tuple.At(i).Type()) {
					r = r.And(b.nth(arg, i))
				}
			}
			continue
		}
		if _, ok := t.Underlying().(*types.Signature); ok {
			r.Unknown = true // it may return the result of the function
			continue
		}
		if carries(t) {
			r = r.And(b.ref(arg))
		}
	}
	if r.IsZero() {
		r.Unknown = true
	}
	return r
}
