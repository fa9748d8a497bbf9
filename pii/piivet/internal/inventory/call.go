package inventory

import (
	"go/ast"
	"go/constant"
	"go/types"
	"strings"

	"golang.org/x/tools/go/types/typeutil"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// An invocation is a call with its receiver and arguments in the order of the parameters.
type invocation struct {
	f        *types.Func // nil for function values
	sig      *types.Signature
	receiver ast.Expr   // nil if there is none
	embedded *types.Var // the field of the receiver that the method is promoted from, nil if it is its own
	args     []argument // in the order of the parameters; the arguments of a variadic parameter one by one
}

// An argument is an expression of one value, or one of the values of a call that returns
// several.
type argument struct {
	expr  ast.Expr
	index int
	typ   types.Type
}

// invoked returns the invocation of a call, false for conversions and built-in functions.
func (c *collector) invoked(call *ast.CallExpr) (invocation, bool) {
	info := c.pass.TypesInfo
	tv := info.Types[call.Fun]
	if tv.IsType() || tv.IsBuiltin() || tv.Type == nil {
		return invocation{}, false
	}
	sig, ok := tv.Type.Underlying().(*types.Signature)
	if !ok {
		return invocation{}, false // a type parameter whose core type is a function
	}
	v := invocation{sig: sig}
	v.f, _ = typeutil.Callee(info, call).(*types.Func)
	for _, e := range call.Args {
		if tuple, ok := info.TypeOf(e).(*types.Tuple); ok {
			for i := range tuple.Len() {
				v.args = append(v.args, argument{e, i, tuple.At(i).Type()})
			}
		} else {
			v.args = append(v.args, argument{e, 0, info.TypeOf(e)})
		}
	}
	if v.f != nil && v.f.Signature().Recv() != nil {
		if sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok {
			if s := info.Selections[sel]; s != nil && s.Kind() == types.MethodExpr {
				// T.M(receiver, …)
				if len(v.args) > 0 {
					v.receiver, v.args = v.args[0].expr, v.args[1:]
				}
				v.sig = v.f.Signature()
			} else {
				v.receiver, v.embedded = sel.X, promotedFrom(s)
			}
		}
	}
	return v, true
}

// promotedFrom returns the innermost of the embedded fields that a method is promoted
// through.
func promotedFrom(s *types.Selection) *types.Var {
	if s == nil || len(s.Index()) < 2 {
		return nil
	}
	t := s.Recv()
	var field *types.Var
	for _, i := range s.Index()[:len(s.Index())-1] {
		if p, ok := t.Underlying().(*types.Pointer); ok {
			t = p.Elem()
		}
		st, ok := t.Underlying().(*types.Struct)
		if !ok || i >= st.NumFields() {
			return nil
		}
		field = st.Field(i)
		t = field.Type()
	}
	return field
}

// receiverRefs returns the references of a call's receiver, if its type holds one of h.
func (c *collector) receiverRefs(v *invocation, h holds) []Ref {
	switch {
	case v.receiver == nil:
		return nil
	case v.embedded != nil && holding(v.embedded.Type())&h != 0:
		return []Ref{c.variable(v.embedded)}
	case holding(c.pass.TypesInfo.TypeOf(v.receiver))&h != 0:
		return c.refs(v.receiver)
	}
	return nil
}

// call lists the uses of a call, and the references in its arguments.
func (c *collector) call(call *ast.CallExpr) {
	v, ok := c.invoked(call)
	if !ok {
		return
	}
	if v.f != nil && v.f.Pkg() != nil && ofLibrary(v.f.Pkg().Path()) {
		for _, u := range c.uses(v.f, &v, call.Fun) {
			u.At = c.at(call.Pos())
			c.use(u)
		}
		if v.f.Name() == "Under" && v.receiver != nil && len(v.args) == 1 {
			c.mark()
			c.out.Unders = append(c.out.Unders, Under{
				ID: c.under(call), Scope: c.receiverRefs(&v, scopes), Basis: c.arg(v.args[0]), In: c.in(), At: c.at(call.Pos()),
			})
		}
		return
	}
	callee, indirect := c.callee(call, v)
	out := Call{ID: c.spot(call.Lparen), Callee: callee, Indirect: indirect, In: c.in(), Args: map[int][]Ref{}, At: c.at(call.Pos())}
	n := v.sig.Params().Len()
	for i, a := range v.args {
		if refs := c.arg(a); len(refs) > 0 {
			at := i
			if v.sig.Variadic() && i >= n {
				at = n - 1
			}
			out.Args[at] = append(out.Args[at], refs...)
			if holding(a.typ)&scopes != 0 {
				out.Scopes = true
			}
		}
	}
	if refs := c.receiverRefs(&v, scopes|purposes|bases|anything); len(refs) > 0 {
		out.Args[-1] = refs
	}
	results := false
	for r := range v.sig.Results().Variables() {
		results = results || holding(r.Type()) != 0
	}
	if len(out.Args) == 0 && !results {
		return
	}
	c.mark()
	if indirect && v.f != nil && c.throughInterface(v, call) {
		out.Scopes = false // the use is known, so this is no hand-over
	}
	c.out.Calls = append(c.out.Calls, out)
}

// throughInterface lists the use of a value if the call is of an interface that has a
// method of the library's types, and reports whether it is one.
func (c *collector) throughInterface(v invocation, call *ast.CallExpr) bool {
	var scoped []Ref
	for _, a := range v.args {
		if holding(a.typ)&scopes != 0 {
			scoped = append(scoped, c.arg(a)...)
		}
	}
	op, ok := map[string]Op{"Reveal": Reveal, "Hint": Hint, "Index": Index, "Reseal": Reseal}[v.f.Name()]
	if !ok || len(scoped) == 0 {
		return false
	}
	c.use(Use{Op: op, Scope: scoped, At: c.at(call.Pos())})
	return true
}

// callee returns the ID of the called function. For an indirect call it returns the alias
// of all functions that the call may reach.
func (c *collector) callee(call *ast.CallExpr, v invocation) (id string, indirect bool) {
	if v.f == nil {
		if lit, ok := ast.Unparen(call.Fun).(*ast.FuncLit); ok {
			return "literal " + c.spot(lit.Pos()), false
		}
		return valueAlias(v.sig), true
	}
	if recv := v.f.Signature().Recv(); recv != nil && types.IsInterface(recv.Type()) {
		return methodAlias(v.f.Name(), v.f.Signature()), true
	}
	return funcID(v.f), false
}

func (c *collector) arg(a argument) []Ref { return c.refsAt(a.expr, a.index) }

func (c *collector) under(call *ast.CallExpr) Ref { return node("under " + c.spot(call.Lparen)) }

// callRefs returns the references of result i of a call.
func (c *collector) callRefs(call *ast.CallExpr, i int) []Ref {
	info := c.pass.TypesInfo
	switch tv := info.Types[call.Fun]; {
	case tv.IsType():
		if len(call.Args) == 1 && holding(info.TypeOf(call.Args[0])) == 0 {
			return []Ref{Unknown("converted from something else")}
		}
		fallthrough
	case tv.IsBuiltin(): // such as append
		var all []Ref
		for _, e := range call.Args {
			if tv := info.Types[e]; !tv.IsType() {
				all = append(all, c.refs(e)...)
			}
		}
		return all
	}
	v, ok := c.invoked(call)
	if !ok {
		return []Ref{Unknown("a call that is not followed")}
	}
	if v.f == nil || v.f.Pkg() == nil || !ofLibrary(v.f.Pkg().Path()) {
		return []Ref{result(c.spot(call.Lparen), i)}
	}
	switch path, name := v.f.Pkg().Path(), v.f.Name(); {
	case path == purposePath && (name == "MustParse" || name == "Parse") && len(v.args) == 1:
		if value := info.Types[v.args[0].expr].Value; value != nil && value.Kind() == constant.String {
			return []Ref{Purposed(constant.StringVal(value))}
		}
		return []Ref{Unknown("a purpose whose name is not a constant")}
	case name == "Under" && v.receiver != nil:
		return []Ref{c.under(call)}
	}
	// The result of Scope.For, Vault.Scope, Scope.Purpose and similar methods has the
	// purposes of the receiver and the arguments.
	all := c.given(&v, scopes|purposes)
	if len(all) == 0 {
		return []Ref{Unknown("what " + v.f.Pkg().Name() + "." + v.f.Name() + " returns")}
	}
	return all
}

// given returns the references in the receiver and the arguments of a call whose types
// hold one of h.
func (c *collector) given(v *invocation, h holds) []Ref {
	if v == nil {
		return nil
	}
	all := c.receiverRefs(v, h)
	for _, a := range v.args {
		if holding(a.typ)&h != 0 {
			all = append(all, c.arg(a)...)
		}
	}
	return all
}

// uses returns the uses of personal data by a function of the library. v is nil if the
// function is taken as a value and not called.
func (c *collector) uses(f *types.Func, v *invocation, fun ast.Expr) []Use {
	path, name := f.Pkg().Path(), f.Name()
	one := func(op Op) []Use {
		return []Use{{Op: op, Kind: c.kind(f, fun), Scope: c.given(v, scopes|purposes)}}
	}
	op := known.OpOf(f)
	if path != vaultPath && path != piiPath && op == known.None {
		// Packages such as pii/migrate work with the scopes that they are given.
		if handed := c.given(v, scopes); path != purposePath && len(handed) > 0 {
			return []Use{{Op: HandOver, Scope: handed, Outside: path, To: f.Pkg().Name() + "." + name}}
		}
		return nil
	}
	switch op {
	case known.Seal:
		if !strings.HasSuffix(name, "Indexed") {
			return one(Collect)
		}
		collect := one(Collect)[0]
		index := collect
		index.Op = Index
		if scoped := c.scoped(v); len(scoped) > 0 { // the first scope alone indexes
			index.Scope = scoped[0]
		}
		return []Use{collect, index}
	case known.Extend:
		from, to := one(ExtendFrom)[0], one(ExtendInto)[0]
		if scoped := c.scoped(v); len(scoped) == 2 {
			from.Scope, to.Scope = scoped[0], scoped[1]
		}
		return []Use{from, to}
	default:
		if use, ok := uses[op]; ok {
			return one(use)
		}
	}
	return nil
}

// uses maps the operations of the library that are one use each.
var uses = map[known.Op]Op{
	known.Reveal: Reveal, known.Hint: Hint, known.Index: Index, known.Reseal: Reseal, known.Without: Withdraw,
	known.Open: Open, known.Manage: Keys, known.Erase: Erase,
}

// scoped returns the references in the arguments that are scopes, for each argument.
func (c *collector) scoped(v *invocation) [][]Ref {
	var all [][]Ref
	if v != nil {
		for _, a := range v.args {
			if holding(a.typ)&scopes != 0 {
				all = append(all, c.arg(a))
			}
		}
	}
	return all
}

// receiver returns the name of the receiver's type, "" for a function.
func receiver(sig *types.Signature) string {
	if sig.Recv() == nil {
		return ""
	}
	if named := known.Named(sig.Recv().Type()); named != nil {
		return named.Obj().Name()
	}
	return ""
}

// kind returns the kind of value that a function works on, "" if it is not known.
func (c *collector) kind(f *types.Func, fun ast.Expr) string {
	if kind := known.KindOf(f); kind != "" {
		return kind
	}
	switch e := ast.Unparen(fun).(type) {
	case *ast.IndexExpr: // pii.Seal[taxID]
		return typeName(c.pass.TypesInfo.TypeOf(e.Index))
	case *ast.SelectorExpr:
		if s := c.pass.TypesInfo.Selections[e]; s != nil {
			return typeName(s.Recv())
		}
	}
	return ""
}

func typeName(t types.Type) string {
	named := known.Named(t)
	if named == nil {
		return ""
	}
	o := named.Obj()
	switch {
	case o.Pkg() == nil:
		return ""
	case o.Pkg().Path() == piiPath && o.Name() == "Sealed" && named.TypeArgs().Len() == 1:
		return typeName(named.TypeArgs().At(0))
	case o.Pkg().Path() == piiPath:
		return strings.ToLower(o.Name())
	case o.Pkg().Path() == vaultPath:
		return ""
	}
	return o.Pkg().Name() + "." + o.Name()
}
