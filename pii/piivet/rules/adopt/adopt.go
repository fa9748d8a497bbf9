// Package adopt finds the places where a code base keeps e-mail addresses and phone
// numbers in plain text: struct fields, keys of maps and records, columns. It is not
// among the rules that run by default: piivet -adopt reports its findings.
package adopt

import (
	"cmp"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"reflect"
	"strconv"
	"strings"

	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/adopt"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/allow"
)

// Analyzer reports plain fields that are stored or sent, and keys of maps and records.
// With -adopt.json each message is an [adopt.Item], and items without advice are reported
// as well.
var Analyzer = &analysis.Analyzer{
	Name:     "adopt",
	Doc:      "report struct fields, keys of maps and columns that look like an e-mail address or phone number in plain text",
	URL:      "https://github.com/onlyfor/onlyfor/blob/main/pii/piivet/docs/adopt.md",
	Requires: []*analysis.Analyzer{allow.Analyzer},
	Run:      run,
}

var asJSON bool

func init() {
	Analyzer.Flags.BoolVar(&asJSON, "json", false, "write fields as JSON, for piivet -adopt")
}

func run(pass *analysis.Pass) (any, error) {
	var files []*ast.File
	for _, file := range pass.Files {
		if !strings.HasSuffix(pass.Fset.Position(file.FileStart).Filename, "_test.go") {
			files = append(files, file)
		}
	}
	f := &finder{pass: pass, tables: given(pass)}
	used := map[*types.Var]bool{}
	uses(pass, files, func(at ast.Node, u use) {
		if !used[u.field] {
			used[u.field] = f.use(at, u)
		}
	}, f.lookup)
	keys(pass, files, func(at ast.Node, k adopt.Key) {
		k.Package, k.At, k.Places = pass.Pkg.Path(), f.at(at.Pos()), 1
		f.report(at, adopt.Item{Key: &k})
	}, f.lookup)
	for _, file := range files {
		ast.Inspect(file, f.schema)
		generated := ast.IsGenerated(file)
		name := ""
		table := map[*ast.StructType]string{}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				name = n.Name.Name
				if s, ok := ast.Unparen(n.Type).(*ast.StructType); ok {
					table[s] = f.tables[pass.TypesInfo.Defs[n.Name]]
				}
			case *ast.StructType:
				f.fields(n, name, table[n], generated)
			}
			return true
		})
	}
	return nil, nil
}

// A finder analyzes one package.
type finder struct {
	pass    *analysis.Pass
	tables  map[types.Object]string // from the structs that a library stores to the library
	lookups []adopt.Lookup
}

func (f *finder) at(pos token.Pos) string {
	posn := f.pass.Fset.Position(pos)
	return fmt.Sprintf("%s:%d", posn.Filename, posn.Line)
}

func (f *finder) lookup(at ast.Node, l adopt.Lookup) {
	l.Package, l.At = f.pass.Pkg.Path(), f.at(at.Pos())
	f.lookups = append(f.lookups, l)
	f.report(at, adopt.Item{Lookup: &l})
}

// schema reports the tables and indexes that SQL texts in the program create.
func (f *finder) schema(n ast.Node) bool {
	e, ok := n.(ast.Expr)
	if !ok {
		return true
	}
	v := f.pass.TypesInfo.Types[e].Value
	if v == nil {
		return true
	}
	if _, isName := e.(*ast.Ident); isName || v.Kind() != constant.String {
		return false
	}
	for _, item := range adopt.Tables(constant.StringVal(v), f.at(e.Pos())) {
		if item.Lookup != nil {
			item.Lookup.Package = f.pass.Pkg.Path()
			f.lookups = append(f.lookups, *item.Lookup)
		}
		f.report(e, item)
	}
	return false
}

// use reports a field if it is stored, and returns whether it did.
func (f *finder) use(at ast.Node, u use) bool {
	in, on := adopt.Tags(u.tag)
	if library := f.tables[u.owner]; in == nil && library != "" && u.field.Exported() && !left(u.tag, library) {
		in = []string{library}
	}
	wrap, ok := adopt.Plain(u.field.Type(), u.kind)
	if in == nil || !ok {
		return false
	}
	if u.field.Pkg() == f.pass.Pkg {
		at = node(u.field.Pos())
	}
	f.report(at, adopt.Item{Field: &adopt.Field{
		Package: u.field.Pkg().Path(), Struct: u.owner.Name(), Name: u.field.Name(), Column: adopt.ColumnName(u.field.Name(), u.tag),
		Type: typeString(f.pass, u.field.Type()), Wrap: wrap, Kind: u.kind,
		Stored: in, Wire: on, Looked: adopt.LookedUp(u.tag) || strings.HasPrefix(u.how, "looked up"), Use: u.how, At: f.at(u.field.Pos()),
	}})
	return true
}

// node is a position as an [ast.Node].
type node token.Pos

func (n node) Pos() token.Pos { return token.Pos(n) }
func (n node) End() token.Pos { return token.Pos(n) }

// fields reports the fields of the struct type s with the given name. Table is the
// library that is known to store the struct, or "".
func (f *finder) fields(s *ast.StructType, name, table string, generated bool) {
	pass := f.pass
	table = cmp.Or(stored(pass, s), table)
	for _, field := range s.Fields.List {
		tag := ""
		if field.Tag != nil {
			tag, _ = strconv.Unquote(field.Tag.Value)
		}
		in, on := adopt.Tags(tag)
		for _, ident := range field.Names {
			if table != "" && in == nil && ident.IsExported() && !left(tag, table) {
				in = []string{table}
			}
			if in == nil && on == nil {
				continue
			}
			t := pass.TypesInfo.TypeOf(field.Type)
			found := adopt.Field{
				Package: pass.Pkg.Path(), Struct: name, Name: ident.Name, Column: adopt.ColumnName(ident.Name, tag), Type: typeString(pass, t),
				Stored: in, Wire: on, Looked: adopt.LookedUp(tag), Generated: generated, At: f.at(ident.Pos()),
			}
			var ok bool
			if found.Kind, ok = adopt.NameOf(ident.Name); !ok {
				found.Kind, ok = adopt.ColumnOf(ident.Name, tag)
			}
			if ok {
				found.Wrap, ok = adopt.Plain(t, found.Kind)
			}
			if !ok {
				if found.Inside = in != nil && adopt.Inside(t, tag); !found.Inside {
					continue
				}
				found.Kind, found.Wrap, found.Looked = "", "", false
			}
			one := []adopt.Field{found}
			adopt.Join(one, f.lookups)
			f.report(ident, adopt.Item{Field: &one[0]})
		}
	}
}

// stored returns the library that stores the struct as a whole, fields without a tag
// included, "" if there is no sign of one.
func stored(pass *analysis.Pass, s *ast.StructType) string {
	for _, f := range s.Fields.List {
		if len(f.Names) == 0 {
			t := types.Unalias(pass.TypesInfo.TypeOf(f.Type))
			if p, ok := t.(*types.Pointer); ok {
				t = types.Unalias(p.Elem())
			}
			if named, ok := t.(*types.Named); ok && named.Obj().Pkg() != nil {
				switch path := named.Obj().Pkg().Path(); {
				case path == "gorm.io/gorm" && named.Obj().Name() == "Model":
					return "gorm"
				case strings.HasSuffix(path, "/bun") && named.Obj().Name() == "BaseModel":
					return "bun"
				}
			}
		}
		if f.Tag == nil {
			continue
		}
		tag, _ := strconv.Unquote(f.Tag.Value)
		// For these libraries, a tag on one field means that all fields are columns.
		for _, library := range []string{"gorm", "xorm", "bun", "pg"} {
			if value, ok := reflect.StructTag(tag).Lookup(library); ok && value != "-" {
				return library
			}
		}
	}
	return ""
}

// left reports whether a tag excludes a field from its table.
func left(tag, library string) bool {
	value := reflect.StructTag(tag).Get(library)
	return value == "-" || strings.HasPrefix(value, "-:") || strings.HasPrefix(value, "-,")
}

// report reports an item, as JSON or as its advice.
func (f *finder) report(at ast.Node, i adopt.Item) {
	d := analysis.Diagnostic{Pos: at.Pos(), End: at.End(), Message: i.Advice()}
	if asJSON {
		text, err := json.Marshal(i)
		if err != nil {
			return // strings alone: does not happen
		}
		d.Message = string(text)
	}
	if d.Message != "" {
		allow.Report(f.pass, "adopt", d)
	}
}
