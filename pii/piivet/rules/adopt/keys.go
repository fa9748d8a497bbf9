package adopt

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/types/typeutil"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/adopt"
)

// keyed are database packages whose functions take maps, or whose map types are rows,
// documents or conditions.
var keyed = []string{
	"gorm.io/gorm", "github.com/jinzhu/gorm", "xorm.io/xorm", "github.com/uptrace/bun", "github.com/go-pg/pg",
	"go.mongodb.org/mongo-driver/mongo", "go.mongodb.org/mongo-driver/bson", "go.mongodb.org/mongo-driver/bson/primitive", "gopkg.in/mgo.v2", "gopkg.in/mgo.v2/bson",
	"cloud.google.com/go/firestore", "cloud.google.com/go/datastore", "cloud.google.com/go/spanner",
	"github.com/Masterminds/squirrel", "github.com/doug-martin/goqu", "github.com/pocketbase/dbx", "github.com/go-ozzo/ozzo-dbx", "github.com/upper/db",
	"github.com/jmoiron/sqlx", "github.com/jackc/pgx", "github.com/redis/go-redis", "github.com/go-redis/redis", "github.com/couchbase/gocb",
}

// conditions are map types of such packages that only select rows.
var conditions = []string{"Eq", "NotEq", "Like", "ILike", "HashExp", "Ex", "ExOr", "Cond"}

func isKeyed(p *types.Package) bool {
	return p != nil && slices.Contains(keyed, strings.TrimSuffix(version.ReplaceAllString(p.Path(), "$1"), "/"))
}

var (
	setter  = regexp.MustCompile(`^(Set|Put|Store|Write|With)`)
	getter  = regexp.MustCompile(`^(Get|Unsaved|Expand)`)
	findsBy = regexp.MustCompile(`^(?i:find|first|select|query|lookup|get|count|exists)\w*By`)
	filter  = regexp.MustCompile(`^(Where|Find|First|Last|Take|Not|Or|Having|Count|Delete|Aggregate|Distinct|FilterWhere|AndWhere|OrWhere)`)
)

// recordMethods are methods that distinguish a type for database rows from other types
// with a Set.
var recordMethods = []string{"TableName", "CollectionName", "Collection", "PrimaryKey", "PK", "IsNew", "Save", "Insert", "Upsert"}

// isRecord reports whether a type with methods is a database row.
func isRecord(t types.Type) bool {
	if _, ok := t.(*types.Pointer); !ok && !types.IsInterface(t) {
		t = types.NewPointer(t)
	}
	methods := types.NewMethodSet(t)
	return slices.ContainsFunc(recordMethods, func(name string) bool { return methods.Lookup(nil, name) != nil })
}

// A keyFinder analyzes one package.
type keyFinder struct {
	pass   *analysis.Pass
	stored map[types.Object]bool // maps that are passed to a database library
	seen   map[ast.Expr]bool     // map literals that given has reported
	sets   map[ast.Expr]bool     // left sides of assignments
	report func(at ast.Node, k adopt.Key)
	lookup func(at ast.Node, l adopt.Lookup)
}

// keys reports the keys of maps and records whose values look like personal data.
func keys(pass *analysis.Pass, files []*ast.File, report func(ast.Node, adopt.Key), lookup func(ast.Node, adopt.Lookup)) {
	f := keyFinder{pass, map[types.Object]bool{}, map[ast.Expr]bool{}, map[ast.Expr]bool{}, report, lookup}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				f.given(n)
			case *ast.AssignStmt:
				for _, left := range n.Lhs {
					f.sets[ast.Unparen(left)] = true
				}
			}
			return true
		})
	}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				f.call(n)
			case *ast.IndexExpr:
				f.index(n)
			case *ast.CompositeLit:
				if !f.seen[n] {
					f.literal(n, f.isStored(n))
				}
			}
			return true
		})
	}
}

// given records the maps that a call passes to a database library.
func (f *keyFinder) given(call *ast.CallExpr) {
	fn, ok := typeutil.Callee(f.pass.TypesInfo, call).(*types.Func)
	if !ok || !isKeyed(fn.Pkg()) {
		return
	}
	selects := filter.MatchString(fn.Name()) || f.compares(call)
	for _, arg := range call.Args {
		arg = ast.Unparen(arg)
		if u, ok := arg.(*ast.UnaryExpr); ok && u.Op == token.AND {
			arg = ast.Unparen(u.X)
		}
		switch arg := arg.(type) {
		case *ast.Ident:
			if o := f.pass.TypesInfo.Uses[arg]; o != nil && !selects {
				f.stored[o] = true
			}
		case *ast.CompositeLit:
			if f.seen[arg] = true; selects {
				f.conditions(arg)
			} else {
				f.literal(arg, true)
			}
		}
	}
}

// compares reports whether a call has a query with a condition on personal data. A map
// among its arguments then has arguments of the query.
func (f *keyFinder) compares(call *ast.CallExpr) bool {
	return slices.ContainsFunc(call.Args, func(arg ast.Expr) bool {
		v := f.pass.TypesInfo.Types[arg].Value
		if v == nil || v.Kind() != constant.String {
			return false
		}
		return len(adopt.Comparisons(constant.StringVal(v))) > 0
	})
}

// isStored reports whether a database library stores the map e.
func (f *keyFinder) isStored(e ast.Expr) bool {
	if id, ok := ast.Unparen(e).(*ast.Ident); ok && f.stored[f.pass.TypesInfo.Uses[id]] {
		return true
	}
	named, ok := types.Unalias(f.pass.TypesInfo.TypeOf(e)).(*types.Named)
	return ok && (isKeyed(named.Obj().Pkg()) || isRecord(named))
}

// holder returns the type of a map that may keep personal data.
func (f *keyFinder) holder(e ast.Expr) (text string, ok bool) {
	t := f.pass.TypesInfo.TypeOf(e)
	if t == nil {
		return "", false
	}
	m, ok := types.Unalias(t).Underlying().(*types.Map)
	if !ok || !adopt.Holds(m.Elem()) {
		return "", false
	}
	// Other named map types belong to other libraries: headers, forms, fields of a log.
	if named, ok := types.Unalias(t).(*types.Named); ok && !isKeyed(named.Obj().Pkg()) && !own(f.pass, named.Obj().Pkg()) && !isRecord(named) {
		return "", false
	}
	return typeString(f.pass, t), true
}

// index reports index expressions such as m["email"].
func (f *keyFinder) index(n *ast.IndexExpr) {
	holder, ok := f.holder(n.X)
	if !ok {
		return
	}
	if name, kind, ok := f.key(n.Index); ok {
		f.report(n, adopt.Key{Holder: holder, Name: name, Kind: kind, Stored: f.isStored(n.X), Set: f.sets[n]})
	}
}

// literal reports the keys of a map literal.
func (f *keyFinder) literal(lit *ast.CompositeLit, stored bool) {
	holder, ok := f.holder(lit)
	if !ok {
		return
	}
	if named, ok := types.Unalias(f.pass.TypesInfo.TypeOf(lit)).(*types.Named); ok && isKeyed(named.Obj().Pkg()) && slices.Contains(conditions, named.Obj().Name()) {
		f.conditions(lit)
		return
	}
	for _, e := range lit.Elts {
		pair, ok := e.(*ast.KeyValueExpr)
		if !ok || f.pass.TypesInfo.Types[pair.Value].Value != nil { // a label, as in a table of translations
			continue
		}
		if name, kind, ok := f.key(pair.Key); ok {
			f.report(pair, adopt.Key{Holder: holder, Name: name, Kind: kind, Stored: stored, Set: true})
		}
	}
}

// conditions reports the keys of a map literal that selects rows.
func (f *keyFinder) conditions(lit *ast.CompositeLit) {
	for _, e := range lit.Elts {
		if pair, ok := e.(*ast.KeyValueExpr); ok {
			if name, _, ok := f.key(pair.Key); ok {
				f.lookup(pair, adopt.Lookup{Column: name})
			}
		}
	}
}

// call reports record.Set("email", x), and finders by a column.
func (f *keyFinder) call(call *ast.CallExpr) {
	fn, ok := typeutil.Callee(f.pass.TypesInfo, call).(*types.Func)
	if !ok || len(call.Args) == 0 {
		return
	}
	if findsBy.MatchString(fn.Name()) {
		for _, arg := range call.Args {
			if name, _, ok := f.key(arg); ok {
				f.lookup(arg, adopt.Lookup{Column: name})
			}
		}
		return
	}
	sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
	if !ok || fn.Signature().Recv() == nil || !setter.MatchString(fn.Name()) && !getter.MatchString(fn.Name()) {
		return
	}
	t := f.pass.TypesInfo.TypeOf(sel.X)
	if name, kind, ok := f.key(call.Args[0]); ok && t != nil && isRecord(t) {
		f.report(call, adopt.Key{Holder: typeString(f.pass, t), Name: name, Kind: kind, Stored: true, Set: setter.MatchString(fn.Name())})
	}
}

// key returns a constant key that looks like personal data.
func (f *keyFinder) key(e ast.Expr) (name string, kind adopt.Kind, ok bool) {
	v := f.pass.TypesInfo.Types[e].Value
	if v == nil || v.Kind() != constant.String {
		return "", "", false
	}
	name = constant.StringVal(v)
	if len(name) > 64 || strings.ContainsAny(name, " \t\n:/@%=?") { // a text, and no name
		return "", "", false
	}
	kind, ok = adopt.NameOf(name)
	return name, kind, ok
}

// own reports whether p belongs to the module of the pass.
func own(pass *analysis.Pass, p *types.Package) bool {
	if p == nil || p == pass.Pkg {
		return p != nil
	}
	if pass.Module == nil || pass.Module.Path == "" {
		return false
	}
	return p.Path() == pass.Module.Path || strings.HasPrefix(p.Path(), pass.Module.Path+"/")
}

// typeString returns the text of a type, with the names of packages and not their paths.
func typeString(pass *analysis.Pass, t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string {
		if p == pass.Pkg {
			return ""
		}
		return p.Name()
	})
}
