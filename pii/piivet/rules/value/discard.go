package value

import (
	"go/ast"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/allow"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// Discard reports discarded errors of the library.
var Discard = &analysis.Analyzer{
	Name: "discard",
	Doc: "report discarded errors of Reveal, Hint, Index, Seal and the like\n\n" +
		"The error is the refusal. Without it, an empty address, an absent value or an index that matches nobody " +
		"goes on as if it were the answer.",
	URL:      known.Docs + "discard.md",
	Requires: []*analysis.Analyzer{known.Analyzer, allow.Analyzer},
	Run:      runDiscard,
}

func runDiscard(pass *analysis.Pass) (any, error) {
	if !known.Uses(pass) {
		return nil, nil
	}
	for file := range known.Files(pass) {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ExprStmt:
				discarded(pass, n.X)
			case *ast.GoStmt:
				discarded(pass, n.Call)
			case *ast.DeferStmt:
				discarded(pass, n.Call)
			case *ast.AssignStmt:
				if len(n.Rhs) == 1 && len(n.Lhs) > 0 && isBlank(n.Lhs[len(n.Lhs)-1]) {
					assigned(pass, n.Rhs[0], len(n.Lhs))
				} else if len(n.Lhs) == len(n.Rhs) {
					for i := range n.Lhs {
						if isBlank(n.Lhs[i]) {
							assigned(pass, n.Rhs[i], 1)
						}
					}
				}
			case *ast.RangeStmt:
				if n.Value == nil || isBlank(n.Value) {
					ranged(pass, n.X)
				}
			case *ast.ValueSpec:
				if len(n.Values) == 1 && isBlank(n.Names[len(n.Names)-1]) {
					assigned(pass, n.Values[0], len(n.Names))
				}
			}
			return true
		})
	}
	return nil, nil
}

func isBlank(e ast.Expr) bool {
	id, ok := ast.Unparen(e).(*ast.Ident)
	return ok && id.Name == "_"
}

// discarded checks a call whose results are all discarded.
func discarded(pass *analysis.Pass, e ast.Expr) {
	if call, ok := ast.Unparen(e).(*ast.CallExpr); ok {
		checkResult(pass, call)
	}
}

// assigned checks a call if the last of its n results is assigned to the blank
// identifier.
func assigned(pass *analysis.Pass, e ast.Expr, n int) {
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok {
		return
	}
	results := 1
	if tuple, ok := pass.TypesInfo.TypeOf(call).(*types.Tuple); ok {
		results = tuple.Len()
	}
	if results == n {
		checkResult(pass, call)
	}
}

// ranged checks the sequence of a loop that does not look at its second element, which is
// the error in the sequences of package batch.
func ranged(pass *analysis.Pass, e ast.Expr) {
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok {
		return
	}
	fn := known.Func(pass.TypesInfo, call.Fun)
	if fn == nil || fn.Pkg() == nil || fn.Pkg().Path() != known.BatchPath {
		return
	}
	name, consequence := ofFunc(fn)
	if name == "" { // Map
		name, consequence = fn.Name(), "a result that failed is no result"
	}
	allow.Reportf(pass, "discard", call, "error of %s discarded: %s; look at it", name, consequence)
}

func checkResult(pass *analysis.Pass, call *ast.CallExpr) {
	sig, ok := coreSignature(pass.TypesInfo.TypeOf(call.Fun))
	if !ok {
		return
	}
	results := sig.Results()
	if results.Len() == 0 || !known.IsError(results.At(results.Len()-1).Type()) {
		return
	}
	name, consequence := "", ""
	fn := known.Func(pass.TypesInfo, call.Fun)
	if fn != nil {
		name, consequence = ofFunc(fn)
	}
	if name == "" {
		name, consequence = ofSignature(call.Fun, fn, sig)
	}
	if name != "" {
		allow.Reportf(pass, "discard", call, "error of %s discarded: %s; look at it", name, consequence)
	}
}

// ofFunc returns the name of a function of the library, and the consequence of a
// discarded error. Both are empty for other functions, for functions that encoders and
// databases call, and for Close.
func ofFunc(fn *types.Func) (name, consequence string) {
	if fn.Pkg() == nil {
		return "", ""
	}
	switch known.OpOf(fn) {
	case known.Reveal, known.Hint:
		return fn.Name(), "a refusal looks like an empty value"
	case known.Index:
		return fn.Name(), "an index that failed matches nobody"
	case known.Seal, known.Extend, known.Reseal:
		return fn.Name(), "what failed is an absent value, and is stored as one"
	case known.Open:
		return fn.Name(), "without the keys of the purpose the result is nil"
	case known.Manage, known.Erase:
		return fn.Name(), "keys are not as they should be"
	case known.Parse:
		return fn.Name(), "what failed is the zero purpose"
	}
	switch fn.Pkg().Path() {
	case known.PIIPath, known.VaultPath:
	default:
		return "", ""
	}
	switch fn.Name() {
	case "Open", "OpenAdmin":
		return fn.Name(), "without keys the result is nil"
	case "Add": // of pii.IndexSet
		return fn.Name(), "a poisoned index adds none of the indexes"
	case "ParseSealed":
		return fn.Name(), "what was altered is an absent value"
	case "Pseudonym", "Prefetch", "Audit":
		return fn.Name(), "nothing tells that it failed"
	}
	return "", ""
}

// ofSignature does the same for calls of interface methods and function values that look
// like one of the library's functions: they take a scope, and return plaintext, an index
// or a sealed value.
func ofSignature(fun ast.Expr, fn *types.Func, sig *types.Signature) (name, consequence string) {
	if sig.Results().Len() != 2 {
		return "", ""
	}
	takes := false
	for p := range sig.Params().Variables() {
		takes = takes || known.Carries(p.Type()) && !known.IsPurpose(p.Type())
	}
	if !takes {
		return "", ""
	}
	fun = ast.Unparen(fun)
	name = "a function value"
	switch fun := fun.(type) {
	case *ast.Ident:
		name = fun.Name
	case *ast.SelectorExpr:
		name = fun.Sel.Name
	}
	verb := strings.ToLower(name)
	t := sig.Results().At(0).Type()
	basic, _ := t.Underlying().(*types.Basic)
	switch {
	case known.IsIndex(t):
		return name, "an index that failed matches nobody"
	case known.IsSealed(t):
		return name, "what failed is an absent value, and is stored as one"
	case basic != nil && basic.Kind() == types.String && (strings.Contains(verb, "reveal") || strings.Contains(verb, "hint")):
		return name, "a refusal looks like an empty value"
	case basic != nil && basic.Kind() == types.String && fn == nil && isMethodOfSealed(sig):
		return name, "a refusal looks like an empty value"
	}
	return "", ""
}

// isMethodOfSealed reports whether sig is the signature of a method value or method
// expression of Reveal or Hint: (context.Context, scope), after the receiver for an
// expression.
func isMethodOfSealed(sig *types.Signature) bool {
	n := sig.Params().Len()
	return (n == 2 || n == 3 && known.IsSealed(sig.Params().At(0).Type())) && known.IsScope(sig.Params().At(n-1).Type())
}

// coreSignature returns the signature of a function type, false for other types, as in a
// conversion.
func coreSignature(t types.Type) (*types.Signature, bool) {
	if t == nil {
		return nil, false
	}
	sig, ok := t.Underlying().(*types.Signature)
	return sig, ok
}
