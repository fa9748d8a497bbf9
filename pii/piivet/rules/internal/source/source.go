// Package source is what rules share that look at code place by place.
package source

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"iter"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// Docs is where the doc pages of the rules are.
const Docs = "https://github.com/onlyfor/onlyfor/blob/main/pii/piivet/docs/"

// Files returns the files of a package that are part of the program. Tests are
// left out: they run on keys of their own, and do on purpose what programs must
// not.
func Files(pass *analysis.Pass) iter.Seq[*ast.File] {
	return func(yield func(*ast.File) bool) {
		for _, f := range pass.Files {
			if !IsTest(pass, f) && !yield(f) {
				return
			}
		}
	}
}

// IsTest reports whether a file is one of tests.
func IsTest(pass *analysis.Pass, f *ast.File) bool {
	return strings.HasSuffix(pass.Fset.PositionFor(f.FileStart, false).Filename, "_test.go")
}

// Constant returns the value of a constant expression of text.
func Constant(info *types.Info, e ast.Expr) (string, bool) {
	v := info.Types[e].Value
	if v == nil || v.Kind() != constant.String {
		return "", false
	}
	return constant.StringVal(v), true
}

// Func returns the function or method that an identifier or a selection names,
// called or not, and nil for anything else. Instances of generic functions are
// given as what they are instances of.
func Func(info *types.Info, e ast.Expr) *types.Func {
	var id *ast.Ident
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		id = e
	case *ast.SelectorExpr:
		id = e.Sel
	case *ast.IndexExpr:
		return Func(info, e.X)
	case *ast.IndexListExpr:
		return Func(info, e.X)
	default:
		return nil
	}
	fn, _ := info.Uses[id].(*types.Func)
	if fn != nil {
		fn = fn.Origin()
	}
	return fn
}

// Qualified returns a function's package path and name, with that of its
// receiver's type in between if it is a method: "sync.Map.Load".
func Qualified(fn *types.Func) string {
	if fn == nil || fn.Pkg() == nil {
		return ""
	}
	name := fn.Name()
	if recv := fn.Signature().Recv(); recv != nil {
		if n := Named(recv.Type()); n != nil {
			name = n.Obj().Name() + "." + name
		}
	}
	return fn.Pkg().Path() + "." + name
}

// Package returns the path of a function's package, "" for methods of predeclared
// types, such as error.
func Package(fn *types.Func) string {
	if fn == nil || fn.Pkg() == nil {
		return ""
	}
	return fn.Pkg().Path()
}

// Named returns the named type that t is or points to, nil if there is none.
func Named(t types.Type) *types.Named {
	if t == nil {
		return nil
	}
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		t = p.Elem()
	}
	n, _ := types.Unalias(t).(*types.Named)
	return n
}

// Unwrap removes parentheses and conversions to interfaces, which hide the type
// of what they hold.
func Unwrap(info *types.Info, e ast.Expr) ast.Expr {
	for {
		e = ast.Unparen(e)
		call, ok := e.(*ast.CallExpr)
		if !ok || len(call.Args) != 1 || !info.Types[call.Fun].IsType() || !types.IsInterface(info.TypeOf(e)) {
			return e
		}
		e = call.Args[0]
	}
}

// Root returns the variable at the start of a path of fields, elements and
// dereferences, nil if there is none.
func Root(info *types.Info, e ast.Expr) *types.Var {
	for {
		switch x := ast.Unparen(e).(type) {
		case *ast.Ident:
			v, _ := info.ObjectOf(x).(*types.Var)
			return v
		case *ast.SelectorExpr:
			if info.Selections[x] == nil { // of a package
				v, _ := info.Uses[x.Sel].(*types.Var)
				return v
			}
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.UnaryExpr:
			if x.Op != token.AND {
				return nil
			}
			e = x.X
		default:
			return nil
		}
	}
}

// IsGlobal reports whether v is a variable of a package.
func IsGlobal(v *types.Var) bool {
	return v != nil && !v.IsField() && v.Pkg() != nil && v.Parent() == v.Pkg().Scope()
}
