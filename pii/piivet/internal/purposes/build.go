package purposes

import (
	"cmp"
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/types/typeutil"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// A builder builds the graph of one package.
type builder struct {
	*Namer
	pass  *analysis.Pass
	info  *types.Info
	graph *Graph

	// Function literals by the one local variable that holds them.
	literals map[*types.Var]*ast.FuncLit
	// Functions around the present node, innermost last.
	around []around
	// The declared function around the present node in the form of [Place], or the
	// package-level variable.
	place string

	// For the graph of a program: see [Program].
	program bool
	files   []*ast.File
	imports *Graph
}

type around struct {
	name string
	sig  *types.Signature
}

func build(pass *analysis.Pass, files []*ast.File, imports *Graph, program bool) *builder {
	b := &builder{
		Namer:    NewNamer(pass.Fset),
		pass:     pass,
		info:     pass.TypesInfo,
		graph:    &Graph{Nodes: map[string]*Node{}},
		literals: map[*types.Var]*ast.FuncLit{},
		program:  program,
		files:    files,
		imports:  imports,
	}
	b.declare()
	for _, f := range files {
		b.walk(f)
	}
	return b
}

// declare adds the nodes of all functions, so that references to them are valid.
func (b *builder) declare() {
	inCalls := map[*ast.Ident]bool{}
	held := map[*types.Var]int{}
	named := map[*ast.FuncLit]bool{} // literals that are called at once
	b.each(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if fn, ok := b.info.Defs[n.Name].(*types.Func); ok {
				b.function(fn, n)
			}
		case *ast.CallExpr:
			if id := usedIdent(n.Fun); id != nil {
				inCalls[id] = true
			}
			if lit, ok := ast.Unparen(n.Fun).(*ast.FuncLit); ok {
				named[lit] = true
			}
		default:
			b.holds(held, n)
		}
	})
	for v, times := range held {
		if times != 1 {
			delete(b.literals, v)
		}
	}
	b.values(inCalls)
	for _, lit := range b.literals {
		named[lit] = true
	}
	b.each(func(n ast.Node) {
		if lit, ok := n.(*ast.FuncLit); ok {
			b.literal(lit, !named[lit])
		}
	})
}

// each calls f for each node of the package.
func (b *builder) each(f func(ast.Node)) {
	for _, file := range b.files {
		ast.Inspect(file, func(n ast.Node) bool { f(n); return true })
	}
}

// holds counts the assignments to local variables of function types.
func (b *builder) holds(held map[*types.Var]int, n ast.Node) {
	switch n := n.(type) {
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
}

// values handles functions that are used as values. They get arguments from unknown calls,
// and so does a literal, unless its variable is only called.
func (b *builder) values(inCalls map[*ast.Ident]bool) {
	b.each(func(n ast.Node) {
		id, ok := n.(*ast.Ident)
		if !ok || inCalls[id] {
			return
		}
		switch obj := b.info.Uses[id].(type) {
		case *types.Func:
			sig, _ := b.info.TypeOf(id).(*types.Signature)
			b.value(Func(obj), obj.Origin().Signature(), valued(cmp.Or(sig, obj.Signature())))
		case *types.Var:
			delete(b.literals, obj)
		}
	})
}

// value records that a function is used as a value. In the graph of a program, the calls
// of function values with its type call it.
func (b *builder) value(name string, sig *types.Signature, as string) {
	for i := range sig.Params().Len() {
		if carries(sig.Params().At(i).Type()) {
			n := b.graph.node(param(name, i))
			if b.program {
				n.From = union(n.From, []string{param(as, i)})
			} else {
				n.pass(Argument{Ref: Ref{Unknown: true}})
			}
		}
	}
	for i := range sig.Results().Len() {
		if b.program && carries(sig.Results().At(i).Type()) {
			n := b.graph.node(result(as, i))
			n.From = union(n.From, []string{result(name, i)})
		}
	}
}

// nth returns the expression for variable i of n, nil if it is one of several results of
// a call or there is none.
func nth(exprs []ast.Expr, i, n int) ast.Expr {
	if len(exprs) == n {
		return exprs[i]
	}
	return nil
}

func (b *builder) function(fn *types.Func, decl *ast.FuncDecl) {
	name, sig := Func(fn), fn.Signature()
	main := b.pass.Pkg.Name() == "main"
	open := fn.Exported() && (!main || sig.Recv() != nil)
	if recv := sig.Recv(); recv != nil {
		b.params[recv] = param(name, -1)
		if carries(recv.Type()) {
			b.graph.node(param(name, -1)).Open = fn.Exported()
		}
	}
	for i := range sig.Params().Len() {
		v := sig.Params().At(i)
		b.params[v] = param(name, i)
		if carries(v.Type()) {
			n := b.graph.node(param(name, i))
			n.Open, n.Declared = open, b.program
			if sig.Recv() != nil {
				n.From = union(n.From, []string{param(called(fn), i)})
			}
		}
	}
	for i := range sig.Results().Len() {
		v := sig.Results().At(i)
		if !carries(v.Type()) {
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

func (b *builder) literal(lit *ast.FuncLit, used bool) {
	sig, ok := b.info.TypeOf(lit).(*types.Signature)
	if !ok {
		return
	}
	name := b.literalName(lit)
	for i := range sig.Params().Len() {
		v := sig.Params().At(i)
		b.params[v] = param(name, i)
		if carries(v.Type()) {
			b.graph.node(param(name, i)).Declared = b.program
		}
	}
	if used {
		b.value(name, sig, valued(sig))
	}
	for i := range sig.Results().Len() {
		v := sig.Results().At(i)
		if carries(v.Type()) {
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

// own returns the name of the node of v, and adds the node if v is declared in this
// package.
func (b *builder) own(v *types.Var) string {
	id := b.Name(v)
	if b.program && id != "" && v.Pkg() != b.pass.Pkg && (v.IsField() || known.IsGlobal(v)) {
		b.graph.node(id).Shared = true // the declaring package need not be in the graph
	}
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

// carries is known.Carries, and also true for bases, for type parameters, whose type
// arguments are not known, and for instances of generic types with a scope or purpose as
// a type argument.
func carries(t types.Type) bool {
	return known.Holds(t, func(t types.Type) bool {
		return known.IsScope(t) || known.IsPurpose(t) || known.IsBasis(t) || isTypeParam(t) || isContainer(t)
	})
}

// isContainer reports whether t is an instance of a generic type with scopes or purposes
// as type arguments.
func isContainer(t types.Type) bool {
	named, ok := types.Unalias(t).(*types.Named)
	if !ok {
		return false
	}
	for arg := range named.TypeArgs().Types() {
		if known.Carries(arg) || known.IsScope(types.NewPointer(arg)) {
			return true
		}
	}
	return false
}

func isTypeParam(t types.Type) bool {
	_, ok := types.Unalias(t).(*types.TypeParam)
	return ok
}

// nth returns the reference of value i of an expression.
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
		return unknown("a call that is not followed")
	}
	if fn, ok := typeutil.Callee(b.info, call).(*types.Func); ok && b.foreign(fn.Origin()) {
		return b.generic(call, fn.Origin())
	}
	if i >= sig.Results().Len() {
		return unknown("a call that is not followed")
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
