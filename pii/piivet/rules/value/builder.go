package value

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// predicate reports sealed values in the arguments of a predicate that ent generates,
// such as user.EmailEQ(email).
func (c *checker) predicate(n *ast.CallExpr, fn *types.Func) {
	results := fn.Signature().Results()
	if results.Len() != 1 {
		return
	}
	made := known.Named(results.At(0).Type())
	if made == nil || made.Obj().Pkg() == nil || made.Obj().Pkg().Name() != "predicate" {
		return
	}
	for _, arg := range n.Args {
		if message := c.message(arg); message != "" {
			c.report(arg, "%s", message)
		}
	}
}

// gorm reports sealed values in the conditions that GORM makes from structs and maps:
// db.Where(&User{Email: email}).
func (c *checker) gorm(n *ast.CallExpr, fn *types.Func) {
	if known.Package(fn) != "gorm.io/gorm" || !conditions[fn.Name()] {
		return
	}
	for i, arg := range n.Args {
		if i == 0 && fn.Signature().Params().Len() > 1 && fn.Name() != "Where" && fn.Name() != "Or" && fn.Name() != "Not" && fn.Name() != "Having" {
			continue // the destination of the result
		}
		e := known.Unwrap(c.TypesInfo, arg)
		if u, ok := e.(*ast.UnaryExpr); ok && u.Op == token.AND {
			e = ast.Unparen(u.X)
		}
		lit, ok := e.(*ast.CompositeLit)
		if !ok {
			continue
		}
		_, isStruct := c.TypesInfo.TypeOf(lit).Underlying().(*types.Struct)
		if _, isMap := c.TypesInfo.TypeOf(lit).Underlying().(*types.Map); !isMap && !isStruct {
			continue
		}
		for _, elt := range lit.Elts {
			value := elt
			if kv, ok := elt.(*ast.KeyValueExpr); ok {
				value = kv.Value
			}
			if message := c.message(value); message != "" && !c.absent(value) {
				c.report(value, "%s", message)
			} else if isStruct && c.mayBeZero(value) {
				c.report(value, `index in a struct condition, which GORM leaves out if it is zero, and finds every row: write Where("email_index = ?", index)`)
			}
		}
	}
}

// mayBeZero reports whether e may be the zero index: it is a field or a literal. The
// result of a failed computation is not zero, and matches no row.
func (c *checker) mayBeZero(e ast.Expr) bool {
	e = ast.Unparen(e)
	if !known.IsIndex(c.TypesInfo.TypeOf(e)) {
		return false
	}
	switch e := e.(type) {
	case *ast.SelectorExpr:
		return c.TypesInfo.Selections[e] != nil
	case *ast.CompositeLit:
		return true
	}
	return false
}

// literal reports sealed values in conditions that are maps: Eq of squirrel, Ex of goqu.
func (c *checker) literal(n *ast.CompositeLit) {
	t := known.Named(c.TypesInfo.TypeOf(n))
	if t == nil || t.Obj().Pkg() == nil {
		return
	}
	path := t.Obj().Pkg().Path()
	if !strings.Contains(path, "squirrel") && !strings.Contains(path, "goqu") {
		return
	}
	switch t.Obj().Name() {
	case "Eq", "NotEq", "Like", "NotLike", "ILike", "NotILike", "Lt", "LtOrEq", "Gt", "GtOrEq", "Ex", "ExOr":
	default:
		return
	}
	for _, elt := range n.Elts {
		if kv, ok := elt.(*ast.KeyValueExpr); ok {
			if message := c.message(kv.Value); message != "" {
				c.report(kv.Value, "%s", message)
			}
		}
	}
}
