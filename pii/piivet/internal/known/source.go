package known

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"iter"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// Docs is the URL of the doc pages of the rules.
const Docs = "https://github.com/onlyfor/onlyfor/blob/main/pii/piivet/docs/"

// Files returns the files of a package that are part of the program. Test files are left
// out: tests use keys of their own, and do on purpose what the rules report.
func Files(pass *analysis.Pass) iter.Seq[*ast.File] {
	return func(yield func(*ast.File) bool) {
		for _, f := range pass.Files {
			if !IsTest(pass, f) && !yield(f) {
				return
			}
		}
	}
}

// IsTest reports whether a file is a test file.
func IsTest(pass *analysis.Pass, f *ast.File) bool {
	return strings.HasSuffix(pass.Fset.PositionFor(f.FileStart, false).Filename, "_test.go")
}

// Constant returns the value of a constant string expression.
func Constant(info *types.Info, e ast.Expr) (string, bool) {
	v := info.Types[e].Value
	if v == nil || v.Kind() != constant.String {
		return "", false
	}
	return constant.StringVal(v), true
}

// Func returns the function or method that an identifier or a selection refers to, called
// or not, and nil for other expressions. For an instance of a generic function it returns
// the generic function.
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

// Qualified returns the package path and the name of a function. For a method, the name
// of the receiver's type is in between: "sync.Map.Load".
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

// Unwrap removes parentheses and conversions to interfaces, which hide the type of their
// operand.
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

// Root returns the variable at the start of a path of fields, elements and dereferences,
// nil if there is none.
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

// IsGlobal reports whether v is a package-level variable.
func IsGlobal(v *types.Var) bool {
	return v != nil && !v.IsField() && v.Pkg() != nil && v.Parent() == v.Pkg().Scope()
}

// PackagePath returns the import path of a package without a driver's suffix for tests,
// as in "p [p.test]".
func PackagePath(path string) string {
	path, _, _ = strings.Cut(path, " ")
	return path
}
