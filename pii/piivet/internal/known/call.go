package known

import (
	"go/ast"
	"go/types"

	"golang.org/x/tools/go/types/typeutil"
)

// An Op is what a call of the library does.
type Op int

// The operations. Reveal, Hint, Index, Seal, Extend and Reseal are what is done
// with values; Open takes a scope or a narrower handle from a vault; Narrow is
// Under and For; Manage is the rest of what is done with a purpose's keys.
const (
	None     Op = iota
	Reveal      // returns plaintext
	Hint        // returns a masked form
	Index       // of text, or of a sealed value
	Seal        // text
	Extend      // a sealed value from one purpose to another
	Reseal      // a sealed value
	Without     // drops a purpose from a sealed value
	Open        // Vault.Scope, Collector, Lookup, Reader
	Narrow      // Scope.Under, Scope.For and the like
	Manage      // Admin.Generate, Rotate, …
	Erase       // Vault.Erase
	Parse       // purpose.Parse, purpose.MustParse
	Of          // Scope.Purpose
	Describe    // Provenance, Purposes, OnPrimaryKey, …: what needs no key
)

// A Call is a call of the library, taken apart.
type Call struct {
	// Op is what it does.
	Op Op
	// Fn is the function or method that is called, not instantiated.
	Fn *types.Func
	// Expr is the call itself.
	Expr *ast.CallExpr
	// Recv is the receiver, nil for functions. Its type need not be the method's
	// own: the method may be promoted through Path.
	Recv ast.Expr
	// Path is the embedded fields between Recv and the method's receiver,
	// outermost first.
	Path []*types.Var
	// Text is the plaintext argument of Seal, Index and Parse, nil if there is
	// none.
	Text ast.Expr
	// Value is the sealed value: the receiver of e.Reveal(ctx, s), the last
	// argument but one of s.Reveal(ctx, kind, v). Nil if there is none.
	Value ast.Expr
	// Scopes are the scopes used, receivers included; of Extend these are From
	// and To, in this order. With a spread argument (scopes...) the last one is
	// the slice.
	Scopes []ast.Expr
	// Purposes are the arguments that are purposes, or a slice of them if spread.
	Purposes []ast.Expr
	// Spread says that the last argument is a slice followed by "...".
	Spread bool
}

// CallOf takes a call apart, and reports false if it is not one of the
// library's. Method expressions, such as pii.Email.Reveal(e, ctx, s), are
// understood; calls of function values, such as f := e.Reveal; f(ctx, s), are
// not: find those by [OpOf] where the method value is made.
func CallOf(info *types.Info, call *ast.CallExpr) (Call, bool) {
	fn, ok := typeutil.Callee(info, call).(*types.Func)
	if !ok {
		return Call{}, false
	}
	fn = fn.Origin()
	op := OpOf(fn)
	if op == None {
		return Call{}, false
	}
	c := Call{Op: op, Fn: fn, Expr: call, Spread: call.Ellipsis.IsValid()}
	args := call.Args
	if sig := fn.Signature(); sig.Recv() != nil {
		sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
		if !ok {
			return Call{}, false
		}
		if s := info.Selections[sel]; s != nil {
			switch s.Kind() {
			case types.MethodVal:
				c.Recv = sel.X
			case types.MethodExpr:
				if len(args) == 0 {
					return Call{}, false
				}
				c.Recv, args = args[0], args[1:]
			}
			c.Path = path(s)
		}
		if c.Recv == nil {
			return Call{}, false
		}
		if recv := sig.Recv().Type(); IsScope(recv) {
			c.Scopes = append(c.Scopes, c.Recv)
		} else if !IsVault(recv) {
			c.Value = c.Recv
		}
	}
	c.arguments(args)
	return c, true
}

// CallBy takes the call of a function value apart that holds fn, which is a
// function of the library. Its receiver is not known: a method value hides it.
func CallBy(fn *types.Func, call *ast.CallExpr) Call {
	c := Call{Op: OpOf(fn), Fn: fn.Origin(), Expr: call, Spread: call.Ellipsis.IsValid()}
	c.arguments(call.Args)
	return c
}

func (c *Call) arguments(args []ast.Expr) {
	sig, op := c.Fn.Signature(), c.Op
	for i, arg := range args {
		var t types.Type
		switch n := sig.Params().Len(); {
		case i < n-1 || i < n && !sig.Variadic():
			t = sig.Params().At(i).Type()
		case n > 0 && sig.Variadic():
			t = sig.Params().At(n - 1).Type().(*types.Slice).Elem()
		default: // f(g()), where g returns several values, has fewer
			continue
		}
		switch {
		case IsScope(t):
			c.Scopes = append(c.Scopes, arg)
		case IsPurpose(t):
			c.Purposes = append(c.Purposes, arg)
		case IsSealed(t):
			c.Value = arg
		case c.Text == nil && isString(t) && (op == Seal || op == Index || op == Parse):
			c.Text = arg
		}
	}
}

// path returns the embedded fields that a selection goes through.
func path(s *types.Selection) []*types.Var {
	var fields []*types.Var
	t := s.Recv()
	index := s.Index()
	for _, i := range index[:len(index)-1] {
		st, ok := deref(t).Underlying().(*types.Struct)
		if !ok || i >= st.NumFields() {
			return fields
		}
		if IsVault(t) { // an Admin embeds its Vault, which is no business of the caller's
			return fields
		}
		fields = append(fields, st.Field(i))
		t = st.Field(i).Type()
	}
	return fields
}

func isString(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsString != 0
}
