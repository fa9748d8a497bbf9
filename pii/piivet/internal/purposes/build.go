package purposes

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/types/typeutil"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// A builder makes the graph of one package.
type builder struct {
	*namer
	pass  *analysis.Pass
	info  *types.Info
	graph *Graph

	// Function literals by the one local variable that holds them.
	literals map[*types.Var]*ast.FuncLit
	// Functions around what is being walked, innermost last.
	around []around
}

type around struct {
	name string
	sig  *types.Signature
}

func build(pass *analysis.Pass) *builder {
	b := &builder{
		namer: &namer{
			fset:   pass.Fset,
			params: map[*types.Var]string{},
			fields: map[*types.Var]string{},
			hidden: map[*types.Var]bool{},
			done:   map[*types.Package]bool{},
		},
		pass:     pass,
		info:     pass.TypesInfo,
		graph:    &Graph{Nodes: map[string]*Node{}},
		literals: map[*types.Var]*ast.FuncLit{},
	}
	b.declare()
	for _, f := range pass.Files {
		b.walk(f)
	}
	return b
}

// declare makes the nodes of all functions, so that references to them find
// something.
func (b *builder) declare() {
	inCalls := map[*ast.Ident]bool{}
	held := map[*types.Var]int{}
	for _, f := range b.pass.Files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if fn, ok := b.info.Defs[n.Name].(*types.Func); ok {
					b.function(fn, n)
				}
			case *ast.CallExpr:
				if id := usedIdent(n.Fun); id != nil {
					inCalls[id] = true
				}
			case *ast.AssignStmt:
				for i, lhs := range n.Lhs {
					b.hold(held, lhs, nth(n.Rhs, i, len(n.Lhs)))
				}
			case *ast.ValueSpec:
				for i, name := range n.Names {
					b.hold(held, name, nth(n.Values, i, len(n.Names)))
				}
			case *ast.UnaryExpr:
				if id, ok := n.X.(*ast.Ident); ok && n.Op == token.AND {
					if v, ok := b.info.Uses[id].(*types.Var); ok {
						held[v] = 2
					}
				}
			}
			return true
		})
	}
	for v, times := range held {
		if times != 1 {
			delete(b.literals, v)
		}
	}
	// What is used other than by calling it gets arguments that nobody sees. So
	// does a literal unless all that its variable is used for is to call it.
	for id, obj := range b.info.Uses {
		if inCalls[id] {
			continue
		}
		switch obj := obj.(type) {
		case *types.Func:
			for i := range obj.Origin().Signature().Params().Len() {
				if b.carries(obj.Origin().Signature().Params().At(i).Type()) {
					b.graph.node(Param(obj, i)).Unknown = true
				}
			}
		case *types.Var:
			delete(b.literals, obj)
		}
	}
	named := map[*ast.FuncLit]bool{}
	for _, lit := range b.literals {
		named[lit] = true
	}
	for _, f := range b.pass.Files {
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if lit, ok := ast.Unparen(call.Fun).(*ast.FuncLit); ok {
					named[lit] = true
				}
			}
			return true
		})
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.FuncLit); ok {
				b.literal(lit, !named[lit])
			}
			return true
		})
	}
}

// nth returns the expression for the i-th of n variables, nil if it is one of
// several results of a call or there is none.
func nth(exprs []ast.Expr, i, n int) ast.Expr {
	if len(exprs) == n {
		return exprs[i]
	}
	return nil
}

func (b *builder) hold(held map[*types.Var]int, lhs, rhs ast.Expr) {
	id, ok := lhs.(*ast.Ident)
	if !ok {
		return
	}
	v, ok := b.info.ObjectOf(id).(*types.Var)
	if !ok || v.Pkg() != nil && v.Parent() == v.Pkg().Scope() {
		return
	}
	if _, isFunc := v.Type().Underlying().(*types.Signature); !isFunc {
		return
	}
	if rhs == nil {
		if b.info.Defs[id] == nil {
			held[v] = 2
		}
		return // var f func(), assigned later
	}
	held[v]++
	if lit, ok := ast.Unparen(rhs).(*ast.FuncLit); ok {
		b.literals[v] = lit
	}
}

// usedIdent returns the identifier that names the function of a call.
func usedIdent(fun ast.Expr) *ast.Ident {
	switch fun := ast.Unparen(fun).(type) {
	case *ast.Ident:
		return fun
	case *ast.SelectorExpr:
		return fun.Sel
	case *ast.IndexExpr:
		return usedIdent(fun.X)
	case *ast.IndexListExpr:
		return usedIdent(fun.X)
	}
	return nil
}

func (b *builder) function(fn *types.Func, decl *ast.FuncDecl) {
	name, sig := Func(fn), fn.Signature()
	main := b.pass.Pkg.Name() == "main"
	open := fn.Exported() && (!main || sig.Recv() != nil)
	if recv := sig.Recv(); recv != nil {
		b.params[recv] = param(name, -1)
		if b.carries(recv.Type()) {
			b.graph.node(param(name, -1)).Open = fn.Exported()
		}
	}
	for i := range sig.Params().Len() {
		v := sig.Params().At(i)
		b.params[v] = param(name, i)
		if b.carries(v.Type()) {
			n := b.graph.node(param(name, i))
			n.Open = open
			if sig.Recv() != nil {
				n.From = union(n.From, []string{param(called(fn), i)})
			}
		}
	}
	for i := range sig.Results().Len() {
		v := sig.Results().At(i)
		if !b.carries(v.Type()) {
			continue
		}
		n := b.graph.node(result(name, i))
		n.Unknown = n.Unknown || decl.Body == nil
		if v.Name() != "" && v.Name() != "_" {
			n.Ref = n.And(Ref{From: []string{b.own(v)}})
		}
		if sig.Recv() != nil {
			d := b.graph.node(result(called(fn), i))
			d.Open = true
			d.From = union(d.From, []string{result(name, i)})
		}
	}
}

func (b *builder) literal(lit *ast.FuncLit, unknown bool) {
	sig, ok := b.info.TypeOf(lit).(*types.Signature)
	if !ok {
		return
	}
	name := b.literalName(lit)
	for i := range sig.Params().Len() {
		v := sig.Params().At(i)
		b.params[v] = param(name, i)
		if b.carries(v.Type()) {
			n := b.graph.node(param(name, i))
			n.Unknown = n.Unknown || unknown
		}
	}
	for i := range sig.Results().Len() {
		v := sig.Results().At(i)
		if b.carries(v.Type()) {
			n := b.graph.node(result(name, i))
			if v.Name() != "" && v.Name() != "_" {
				n.Ref = n.And(Ref{From: []string{b.own(v)}})
			}
		}
	}
}

func (b *builder) literalName(lit *ast.FuncLit) string {
	return "func:" + b.at(b.pass.Pkg, lit.Pos())
}

// own returns the name of the node of v, and makes the node if v is declared in
// this package.
func (b *builder) own(v *types.Var) string {
	id := b.name(v)
	if id == "" || v.Pkg() != b.pass.Pkg {
		return id
	}
	if _, ok := b.graph.Nodes[id]; ok {
		return id
	}
	n := b.graph.node(id)
	switch {
	case v.IsField():
		n.Shared = true
		n.Open = v.Exported() && !b.hidden[v.Origin()]
		if known.IsPurpose(v.Type()) && v.Exported() {
			n.Unknown = true // a decoder may fill it in
		}
	case v.Parent() == b.pass.Pkg.Scope():
		n.Shared = true
	}
	return id
}

// carries is known.Carries, and holds for type parameters, which may stand for
// anything, and for instances of generic types that hold a scope or purpose.
func (b *builder) carries(t types.Type) bool { return carries(t, 6) }

func carries(t types.Type, depth int) bool {
	if t == nil || depth == 0 {
		return false
	}
	if known.Carries(t) {
		return true
	}
	switch u := types.Unalias(t).(type) {
	case *types.TypeParam:
		return true
	case *types.Pointer:
		return carries(u.Elem(), depth-1)
	case *types.Slice:
		return carries(u.Elem(), depth-1)
	case *types.Array:
		return carries(u.Elem(), depth-1)
	case *types.Chan:
		return carries(u.Elem(), depth-1)
	case *types.Map:
		return carries(u.Elem(), depth-1) || carries(u.Key(), depth-1)
	case *types.Named:
		for arg := range u.TypeArgs().Types() {
			if known.Carries(arg) || known.IsScope(types.NewPointer(arg)) {
				return true
			}
		}
	}
	return false
}

// into lets r flow into what an expression on the left-hand side names.
func (b *builder) into(lhs ast.Expr, r Ref) {
	if r.IsZero() {
		return
	}
	switch lhs := ast.Unparen(lhs).(type) {
	case *ast.Ident:
		if v, ok := b.info.ObjectOf(lhs).(*types.Var); ok {
			b.intoVar(v, r)
		}
	case *ast.SelectorExpr:
		if v, ok := b.info.ObjectOf(lhs.Sel).(*types.Var); ok {
			b.intoVar(v, r)
		}
	case *ast.IndexExpr:
		b.into(lhs.X, r)
	case *ast.StarExpr:
		b.into(lhs.X, r)
	case *ast.CallExpr:
		// f().x was a selector; *f() = s puts it where nobody looks for it.
	}
}

func (b *builder) intoVar(v *types.Var, r Ref) {
	if id := b.own(v); id != "" {
		n := b.graph.node(id)
		n.Ref = n.And(r)
	}
}

func (b *builder) walk(root ast.Node) {
	ast.Inspect(root, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if fn, ok := b.info.Defs[n.Name].(*types.Func); ok && n.Body != nil {
				b.inside(around{Func(fn), fn.Signature()}, n.Body)
			}
			return false
		case *ast.FuncLit:
			if sig, ok := b.info.TypeOf(n).(*types.Signature); ok {
				b.inside(around{b.literalName(n), sig}, n.Body)
			}
			return false
		case *ast.AssignStmt:
			b.assign(n.Lhs, n.Rhs)
		case *ast.ValueSpec:
			lhs := make([]ast.Expr, len(n.Names))
			for i, name := range n.Names {
				lhs[i] = name
			}
			b.assign(lhs, n.Values)
		case *ast.RangeStmt:
			b.rangeOver(n)
		case *ast.ReturnStmt:
			b.results(n)
		case *ast.SendStmt:
			if b.carries(b.info.TypeOf(n.Value)) {
				b.into(n.Chan, b.ref(n.Value))
			}
		case *ast.CompositeLit:
			b.structure(n)
		case *ast.CallExpr:
			b.call(n)
		case *ast.UnaryExpr:
			// Through a pointer to it, anything may be put in.
			if n.Op == token.AND && known.Carries(b.info.TypeOf(n.X)) {
				if _, ok := ast.Unparen(n.X).(*ast.CompositeLit); !ok {
					b.into(n.X, Ref{Unknown: true})
				}
			}
		}
		return true
	})
}

func (b *builder) inside(a around, body *ast.BlockStmt) {
	b.around = append(b.around, a)
	b.walk(body)
	b.around = b.around[:len(b.around)-1]
}

func (b *builder) assign(lhs, rhs []ast.Expr) {
	for i, l := range lhs {
		if id, ok := l.(*ast.Ident); ok && id.Name == "_" {
			continue
		}
		if !b.carries(b.info.TypeOf(l)) {
			continue
		}
		switch {
		case len(rhs) == len(lhs):
			b.into(l, b.ref(rhs[i]))
		case len(rhs) == 1:
			b.into(l, b.nth(rhs[0], i))
		}
	}
}

func (b *builder) rangeOver(n *ast.RangeStmt) {
	for _, l := range []ast.Expr{n.Key, n.Value} {
		if l == nil || !b.carries(b.info.TypeOf(l)) {
			continue
		}
		if _, isFunc := b.info.TypeOf(n.X).Underlying().(*types.Signature); isFunc {
			b.into(l, Ref{Unknown: true}) // an iterator
			continue
		}
		b.into(l, b.ref(n.X))
	}
}

func (b *builder) results(n *ast.ReturnStmt) {
	if len(b.around) == 0 {
		return
	}
	a := b.around[len(b.around)-1]
	for i := range a.sig.Results().Len() {
		if !b.carries(a.sig.Results().At(i).Type()) {
			continue
		}
		to := b.graph.node(result(a.name, i))
		switch {
		case len(n.Results) == a.sig.Results().Len():
			to.Ref = to.And(b.ref(n.Results[i]))
		case len(n.Results) == 1:
			to.Ref = to.And(b.nth(n.Results[0], i))
		}
	}
}

// structure follows the fields of a composite literal of a struct.
func (b *builder) structure(lit *ast.CompositeLit) {
	t := b.info.TypeOf(lit)
	if t == nil {
		return
	}
	if p, ok := t.Underlying().(*types.Pointer); ok { // elided &T
		t = p.Elem()
	}
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		return
	}
	for i, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			id, ok := kv.Key.(*ast.Ident)
			if !ok {
				continue
			}
			if f, ok := b.info.Uses[id].(*types.Var); ok && b.carries(f.Type()) {
				b.intoVar(f, b.ref(kv.Value))
			}
		} else if i < s.NumFields() && b.carries(s.Field(i).Type()) {
			b.intoVar(s.Field(i), b.ref(e))
		}
	}
}

// call hands arguments to parameters.
func (b *builder) call(call *ast.CallExpr) {
	if tv, ok := b.info.Types[call.Fun]; ok && tv.IsType() {
		b.convert(call, tv.Type)
		return
	}
	if _, ok := known.CallOf(b.info, call); ok {
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
			if !r.IsZero() {
				n := b.graph.node(id)
				n.Ref = n.And(r)
			}
		}
	}
	// Into a container of another package's generic type, such as
	// atomic.Pointer[vault.Scope].
	if sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok && b.container(b.info.TypeOf(sel.X)) {
		for _, arg := range call.Args {
			if b.carries(b.info.TypeOf(arg)) {
				b.into(sel.X, b.ref(arg))
			}
		}
	}
}

// container reports whether t is an instance of a generic type that holds
// scopes or purposes.
func (b *builder) container(t types.Type) bool {
	return t != nil && !known.Carries(t) && carries(t, 2) && !isTypeParam(t)
}

func isTypeParam(t types.Type) bool {
	_, ok := types.Unalias(t).(*types.TypeParam)
	return ok
}

// convert lets the fields of one struct type flow into those of another.
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
		if sf, df := s.Field(i), d.Field(i); sf.Origin() != df.Origin() && b.carries(sf.Type()) {
			if id := b.own(sf); id != "" {
				b.intoVar(df, Ref{From: []string{id}})
			}
		}
	}
}

// args returns what a call hands to the parameters of what it calls, by the
// name of their nodes.
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
				if b.carries(b.info.TypeOf(call.Args[0])) {
					args[param(name, -1)] = b.ref(call.Args[0])
				}
			case s.Kind() == types.MethodVal && b.carries(b.info.TypeOf(sel.X)):
				args[param(name, -1)] = b.ref(sel.X)
			}
		}
	}
	for i, e := range exprs {
		p := min(i, sig.Params().Len()-1)
		if p < 0 || !b.carries(sig.Params().At(p).Type()) {
			continue
		}
		if len(exprs) == 1 && sig.Params().Len() > 1 { // f(g())
			for j := range sig.Params().Len() {
				if b.carries(sig.Params().At(j).Type()) {
					args[param(name, j)] = b.nth(e, j)
				}
			}
			break
		}
		args[param(name, p)] = args[param(name, p)].And(b.ref(e))
	}
	if len(exprs) == 1 && sig.Params().Len() > 1 && len(args) == 0 {
		for j := range sig.Params().Len() {
			if b.carries(sig.Params().At(j).Type()) {
				args[param(name, j)] = b.nth(exprs[0], j)
			}
		}
	}
	return args
}

// callee returns the name of the function that is called, and its signature
// before instantiation; "" if that is not known.
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

// ref returns what an expression stands for.
func (b *builder) ref(e ast.Expr) Ref {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return b.ref(e.X)
	case *ast.StarExpr:
		return b.ref(e.X)
	case *ast.IndexExpr:
		return b.ref(e.X)
	case *ast.SliceExpr:
		return b.ref(e.X)
	case *ast.KeyValueExpr:
		r := Ref{}
		for _, x := range []ast.Expr{e.Key, e.Value} {
			if b.carries(b.info.TypeOf(x)) {
				r = r.And(b.ref(x))
			}
		}
		return r
	case *ast.UnaryExpr:
		if e.Op == token.AND || e.Op == token.ARROW {
			return b.ref(e.X)
		}
	case *ast.Ident:
		switch obj := b.info.ObjectOf(e).(type) {
		case *types.Var:
			return b.variable(obj)
		case *types.Nil:
			return Ref{}
		}
	case *ast.SelectorExpr:
		if v, ok := b.info.ObjectOf(e.Sel).(*types.Var); ok {
			return b.variable(v)
		}
	case *ast.CompositeLit:
		t := b.info.TypeOf(e)
		if t == nil {
			break
		}
		if _, ok := t.Underlying().(*types.Struct); ok {
			return Ref{} // a zero scope or purpose
		}
		r := Ref{}
		for _, x := range e.Elts {
			if kv, ok := x.(*ast.KeyValueExpr); ok {
				r = r.And(b.ref(kv))
			} else {
				r = r.And(b.ref(x))
			}
		}
		return r
	case *ast.TypeAssertExpr:
		if t := b.info.TypeOf(e.X); t != nil && known.IsScope(t) {
			return b.ref(e.X)
		}
	case *ast.CallExpr:
		return b.nth(e, 0)
	}
	return Ref{Unknown: true}
}

func (b *builder) variable(v *types.Var) Ref {
	if id := b.own(v); id != "" {
		return Ref{From: []string{id}}
	}
	return Ref{Unknown: true}
}

// nth returns what the i-th value of an expression stands for.
func (b *builder) nth(e ast.Expr, i int) Ref {
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok { // v, ok := m[k], <-c, x.(T)
		if i == 0 {
			if _, again := ast.Unparen(e).(*ast.CallExpr); !again {
				return b.ref(ast.Unparen(e))
			}
		}
		return Ref{}
	}
	if tv, ok := b.info.Types[call.Fun]; ok && tv.IsType() && len(call.Args) == 1 {
		return b.ref(call.Args[0])
	}
	if obj, ok := typeutil.Callee(b.info, call).(*types.Builtin); ok {
		return b.builtin(obj.Name(), call)
	}
	if c, ok := known.CallOf(b.info, call); ok {
		return b.library(c)
	}
	name, sig := b.callee(call)
	if name == "" {
		return Ref{Unknown: true}
	}
	if fn, ok := typeutil.Callee(b.info, call).(*types.Func); ok && b.foreign(fn.Origin()) {
		return b.generic(call, fn.Origin())
	}
	if i >= sig.Results().Len() {
		return Ref{Unknown: true}
	}
	from := result(name, i)
	args := b.args(call)
	if len(args) == 0 {
		return Ref{From: []string{from}}
	}
	id := b.at(b.pass.Pkg, call.Lparen) + result("", i)
	n := b.graph.node(id)
	n.From, n.Args = []string{from}, args
	return Ref{From: []string{id}}
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
	return Ref{Unknown: true}
}

// library returns what the scope or purpose that a call of the library returns
// stands for.
func (b *builder) library(c known.Call) Ref {
	switch c.Op {
	case known.Open:
		r := Ref{}
		for _, p := range c.Purposes {
			r = r.And(b.ref(p))
		}
		return r
	case known.Narrow, known.Of:
		return b.receiver(c)
	case known.Parse:
		if c.Text == nil {
			return Ref{Unknown: true}
		}
		if v := b.info.Types[c.Text].Value; v != nil && v.Kind() == constant.String {
			return Ref{Names: []string{constant.StringVal(v)}}
		}
	}
	return Ref{Unknown: true}
}

// receiver returns what the scope stands for whose method is called, also if it
// is embedded in something else.
func (b *builder) receiver(c known.Call) Ref {
	if n := len(c.Path); n > 0 {
		return b.variable(c.Path[n-1])
	}
	return b.ref(c.Recv)
}

// foreign reports whether nothing is known of a function: it belongs to a
// package that does not use the library.
func (b *builder) foreign(fn *types.Func) bool {
	if fn.Pkg() == nil || fn.Pkg() == b.pass.Pkg {
		return false
	}
	return !b.pass.ImportPackageFact(fn.Pkg(), new(fact)) && !abstract(fn)
}

// generic returns what a function of a package that does not know the library
// returns: what it returns of a type that it does not know, it was given.
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
				if b.carries(tuple.At(i).Type()) {
					r = r.And(b.nth(arg, i))
				}
			}
			continue
		}
		if _, ok := t.Underlying().(*types.Signature); ok {
			r.Unknown = true // it may return what the function returns
			continue
		}
		if b.carries(t) {
			r = r.And(b.ref(arg))
		}
	}
	if r.IsZero() {
		r.Unknown = true
	}
	return r
}
