package adopt

import (
	"go/ast"
	"go/types"
	"regexp"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/types/typeutil"
)

// stores maps the package paths of libraries that store all exported fields of a struct
// to the keys of their tags.
var stores = map[string]string{
	"gorm.io/gorm": "gorm", "github.com/jinzhu/gorm": "gorm", "xorm.io/xorm": "xorm", "github.com/go-xorm/xorm": "xorm",
	"github.com/uptrace/bun": "bun", "github.com/go-pg/pg": "pg", "github.com/go-pg/pg/orm": "pg",
}

var version = regexp.MustCompile(`/v[0-9]+(/|$)`)

// given returns the struct types of the package that such a library stores, with the
// library: types that the package passes to the library, and types with its embedded
// model or its tags. Fields of these types are columns without a tag.
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

// mark records that values of t are stored: a struct of this package, a pointer to one,
// or a slice of them. Embedded structs are stored with it.
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
