package adopt

import (
	"go/ast"
	"go/types"
	"regexp"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/types/typeutil"
)

// stores are libraries that store structs, all exported fields of them, by the
// paths of their packages.
var stores = map[string]string{
	"gorm.io/gorm": "gorm", "github.com/jinzhu/gorm": "gorm", "xorm.io/xorm": "xorm", "github.com/go-xorm/xorm": "xorm",
	"github.com/uptrace/bun": "bun", "github.com/go-pg/pg": "pg", "github.com/go-pg/pg/orm": "pg",
}

var version = regexp.MustCompile(`/v[0-9]+(/|$)`)

// given returns the types of the package that it gives to such a library, or that say
// themselves that one stores them, and the library: fields of these need no tag to be
// columns.
func given(pass *analysis.Pass) map[types.Object]string {
	all := map[types.Object]string{}
	for _, file := range pass.Files {
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if s, ok := ast.Unparen(spec.Type).(*ast.StructType); ok {
					if library := stored(pass, s); library != "" {
						all[pass.TypesInfo.Defs[spec.Name]] = library
					}
				}
			}
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			f, ok := typeutil.Callee(pass.TypesInfo, call).(*types.Func)
			if !ok || f.Pkg() == nil {
				return true
			}
			if library := stores[version.ReplaceAllString(f.Pkg().Path(), "$1")]; library != "" {
				for _, arg := range call.Args {
					mark(pass, pass.TypesInfo.TypeOf(arg), library, all)
				}
			}
			return true
		})
	}
	return all
}

// mark notes that values of t are stored: a struct of this package, a pointer to
// one, a slice of them, with all that is embedded in it.
func mark(pass *analysis.Pass, t types.Type, library string, all map[types.Object]string) {
	for range 4 {
		switch u := types.Unalias(t).(type) {
		case *types.Pointer:
			t = u.Elem()
		case *types.Slice:
			t = u.Elem()
		}
	}
	named, ok := types.Unalias(t).(*types.Named)
	if !ok {
		return
	}
	s, ok := named.Underlying().(*types.Struct)
	if !ok || named.Obj().Pkg() != pass.Pkg || all[named.Obj()] != "" {
		return
	}
	all[named.Obj()] = library
	for f := range s.Fields() {
		if f.Embedded() {
			mark(pass, f.Type(), library, all)
		}
	}
}
