package known

import (
	"go/ast"
	"go/types"

	"golang.org/x/tools/go/types/typeutil"
)

// An Op is the operation of a call of the library.
type Op int

// The operations. Reveal, Hint, Index, Seal, Extend and Reseal work with values. Open
// takes a scope or a narrower handle from a vault. Narrow is Under and For. Manage is any
// other operation with the keys of a purpose.
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
	Describe    // Provenance, Purposes, OnPrimaryKey and others that need no key
)

// A Call is a call of the library, taken apart.
type Call struct {
	// Op is the operation.
	Op Op
	// Fn is the called function or method, not instantiated.
	Fn *types.Func
	// Expr is the call itself.
	Expr *ast.CallExpr
	// Recv is the receiver, nil for functions. If the method is promoted, its type is
	// that of the outer struct, and Path leads to the method's own receiver.
	Recv ast.Expr
	// Path are the embedded fields between Recv and the method's receiver, outermost
	// first.
	Path []*types.Var
	// Text is the plaintext argument of Seal, Index and Parse, nil if there is
	// none.
	Text ast.Expr
	// Value is the sealed value: the receiver of e.Reveal(ctx, s), the last
	// argument but one of s.Reveal(ctx, kind, v). Nil if there is none.
	Value ast.Expr
	// Scopes are the scopes of the call, receivers included. For Extend they are From and
	// To, in this order. If the last argument is spread (scopes...), the last element is
	// the slice.
	Scopes []ast.Expr
	// Purposes are the arguments that are purposes, or a slice of them if spread.
	Purposes []ast.Expr
	// Spread says that the last argument is a slice followed by "...".
	Spread bool
}

// CallOf returns the parts of a call, false if it is no call of the library. It takes
// method expressions, such as pii.Email.Reveal(e, ctx, s). It does not take calls of
// function values, such as f := e.Reveal; f(ctx, s): use [OpOf] where the method value is
// made.
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

// CallBy returns the parts of the call of a function value that holds fn, a function of
// the library. The receiver is not known: a method value hides it.
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
		default: // of f(g()), where g returns several values
			continue
		}
		switch {
		case IsScope(t):
			c.Scopes = append(c.Scopes, arg)
		case IsPurpose(t):
			c.Purposes = append(c.Purposes, arg)
		case IsSealed(t):
			c.Value = arg
		case c.Text == nil && IsText(t) && (op == Seal || op == Index || op == Parse):
			c.Text = arg
		}
	}
}

// path returns the embedded fields in the path of a selection.
func path(s *types.Selection) []*types.Var {
	var fields []*types.Var
	t := s.Recv()
	index := s.Index()
	for _, i := range index[:len(index)-1] {
		st, ok := Deref(t).Underlying().(*types.Struct)
		if !ok || i >= st.NumFields() {
			return fields
		}
		if IsVault(t) { // the embedded Vault of an Admin is part of the library
			return fields
		}
		fields = append(fields, st.Field(i))
		t = st.Field(i).Type()
	}
	return fields
}

// IsText reports whether t holds plaintext that is sealed or indexed: a string, or a
// sequence of strings (iter.Seq) for the functions of package batch.
func IsText(t types.Type) bool {
	seq, ok := t.Underlying().(*types.Signature) // func(yield func(string) bool)
	if !ok || seq.Params().Len() != 1 {
		return isString(t)
	}
	yield, ok := seq.Params().At(0).Type().Underlying().(*types.Signature)
	return ok && yield.Params().Len() == 1 && isString(yield.Params().At(0).Type())
}

func isString(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsString != 0
}
