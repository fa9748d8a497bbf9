package inventory

import (
	"go/ast"
	"go/types"
	"strings"

	"golang.org/x/tools/go/types/typeutil"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// call lists the uses of a call.
func (c *collector) call(call *ast.CallExpr) {
	at := c.at(call.Pos())
	if lib, ok := known.CallOf(c.pass.TypesInfo, call); ok {
		for _, u := range c.uses(lib) {
			u.At = at
			c.use(u)
		}
		if lib.Fn.Name() == "Under" && len(call.Args) == 1 {
			c.out.Unders = append(c.out.Unders, Under{Scope: c.purposes.ScopeRef(lib, 0), Basis: c.purposes.Ref(call.Args[0]), In: c.in, At: at})
		}
		return
	}
	scopes := purposes.Ref{}
	for _, arg := range call.Args {
		if t := c.pass.TypesInfo.TypeOf(arg); t != nil && holdsScopes(t) {
			scopes = scopes.And(c.purposes.Ref(arg))
		}
	}
	if scopes.IsZero() || c.pass.TypesInfo.Types[call.Fun].IsType() || c.pass.TypesInfo.Types[call.Fun].IsBuiltin() {
		return
	}
	u := Use{Op: HandOver, Scope: scopes, At: at}
	fn, _ := typeutil.Callee(c.pass.TypesInfo, call).(*types.Func)
	switch {
	case fn == nil:
		u.To = types.ExprString(call.Fun)
		u.Callee = c.purposes.Callee(call)
	case fn.Pkg() != nil && known.Part(fn.Pkg().Path()):
		// Packages such as pii/migrate work with the scopes that they are given.
		if known.Library(fn.Pkg()) {
			return
		}
		u.To, u.Outside = fn.Pkg().Name()+"."+fn.Name(), fn.Pkg().Path()
	default:
		u.To, u.Callee = purposes.Place(fn), c.purposes.Callee(call)
		op, ok := map[string]Op{"Reveal": Reveal, "Hint": Hint, "Index": Index, "Reseal": Reseal}[fn.Name()]
		if recv := fn.Signature().Recv(); ok && recv != nil && types.IsInterface(recv.Type()) {
			u = Use{Op: op, Scope: scopes, At: at} // the interface has a method of the library's types
		}
	}
	c.use(u)
}

// taken lists the uses of a function of the library that is a value.
func (c *collector) taken(e ast.Expr, name *ast.Ident) {
	f, ok := c.pass.TypesInfo.Uses[name].(*types.Func)
	if !ok || c.called[e] || known.OpOf(f) == known.None {
		return
	}
	for _, u := range c.uses(known.Call{Op: known.OpOf(f), Fn: f.Origin(), Expr: &ast.CallExpr{Fun: e}}) {
		u.Scope = purposes.Ref{Unknown: true, Why: []string{"taken as a function value"}}
		u.At = c.at(e.Pos())
		c.use(u)
	}
}

// uses returns the uses of personal data by a call of the library.
func (c *collector) uses(call known.Call) []Use {
	one := func(op Op) Use {
		u := Use{Op: op, Kind: c.kind(call.Fn, call.Expr.Fun)}
		for i := range call.Scopes {
			u.Scope = u.Scope.And(c.purposes.ScopeRef(call, i))
		}
		for _, p := range call.Purposes {
			u.Scope = u.Scope.And(c.purposes.Ref(p))
		}
		return u
	}
	switch call.Op {
	case known.Seal:
		collect, index := one(Collect), one(Index)
		if !strings.HasSuffix(call.Fn.Name(), "Indexed") {
			return []Use{collect}
		}
		if len(call.Scopes) > 0 { // the first scope alone indexes
			index.Scope = c.purposes.ScopeRef(call, 0)
		}
		return []Use{collect, index}
	case known.Extend:
		from, to := one(ExtendFrom), one(ExtendInto)
		if len(call.Scopes) == 2 {
			from.Scope, to.Scope = c.purposes.ScopeRef(call, 0), c.purposes.ScopeRef(call, 1)
		}
		return []Use{from, to}
	}
	if op, ok := uses[call.Op]; ok {
		return []Use{one(op)}
	}
	return nil
}

// uses maps the operations of the library that are one use each.
var uses = map[known.Op]Op{
	known.Reveal: Reveal, known.Hint: Hint, known.Index: Index, known.Reseal: Reseal, known.Without: Withdraw,
	known.Open: Open, known.Manage: Keys, known.Erase: Erase,
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
	case o.Pkg().Path() == known.PIIPath && o.Name() == "Sealed" && named.TypeArgs().Len() == 1:
		return typeName(named.TypeArgs().At(0))
	case o.Pkg().Path() == known.PIIPath:
		return strings.ToLower(o.Name())
	case o.Pkg().Path() == known.VaultPath:
		return ""
	}
	return o.Pkg().Name() + "." + o.Name()
}
