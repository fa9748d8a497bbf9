// Package adopt finds struct fields that look like an e-mail address or a phone
// number and are plain text: what a code base has to wrap. It is not among the
// rules that run by default, but what piivet -adopt reports.
package adopt

import (
	"cmp"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/types"
	"reflect"
	"strconv"
	"strings"

	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/adopt"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/allow"
)

// Analyzer reports plain fields that are stored or sent. With -adopt.json the
// message is an [adopt.Field].
var Analyzer = &analysis.Analyzer{
	Name:     "adopt",
	Doc:      "report struct fields that look like an e-mail address or phone number and are plain strings with a tag of a database or an encoder",
	URL:      "https://github.com/onlyfor/onlyfor/blob/main/pii/piivet/docs/adopt.md",
	Requires: []*analysis.Analyzer{allow.Analyzer},
	Run:      run,
}

var asJSON bool

func init() {
	Analyzer.Flags.BoolVar(&asJSON, "json", false, "write fields as JSON, for piivet -adopt")
}

func run(pass *analysis.Pass) (any, error) {
	tables := given(pass)
	for _, file := range pass.Files {
		if strings.HasSuffix(pass.Fset.Position(file.FileStart).Filename, "_test.go") {
			continue
		}
		generated := ast.IsGenerated(file)
		name := ""
		table := map[*ast.StructType]string{}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				name = n.Name.Name
				if s, ok := ast.Unparen(n.Type).(*ast.StructType); ok {
					table[s] = tables[pass.TypesInfo.Defs[n.Name]]
				}
			case *ast.StructType:
				fields(pass, n, name, table[n], generated)
			}
			return true
		})
	}
	return nil, nil
}

// fields reports fields of the struct type s, called name, which is known to be
// stored by the library of that table if it is not "".
func fields(pass *analysis.Pass, s *ast.StructType, name, table string, generated bool) {
	table = cmp.Or(stored(pass, s), table)
	for _, f := range s.Fields.List {
		tag := ""
		if f.Tag != nil {
			tag, _ = strconv.Unquote(f.Tag.Value)
		}
		in, on := adopt.Tags(tag)
		for _, ident := range f.Names {
			if table != "" && in == nil && ident.IsExported() && !left(tag, table) {
				in = []string{table}
			}
			if in == nil && on == nil {
				continue
			}
			kind, ok := adopt.NameOf(ident.Name)
			if !ok {
				kind, ok = adopt.ColumnOf(ident.Name, tag)
			}
			if !ok {
				continue
			}
			t := pass.TypesInfo.TypeOf(f.Type)
			wrap, ok := adopt.Plain(t, kind)
			if !ok {
				continue
			}
			posn := pass.Fset.Position(ident.Pos())
			report(pass, ident, adopt.Field{
				Package: pass.Pkg.Path(), Struct: name, Name: ident.Name, Type: types.TypeString(t, types.RelativeTo(pass.Pkg)), Wrap: wrap, Kind: kind,
				Stored: in, Wire: on, Looked: adopt.LookedUp(tag), Generated: generated, At: fmt.Sprintf("%s:%d", posn.Filename, posn.Line),
			})
		}
	}
}

// stored returns by which library the struct is stored as a whole, even fields
// without a tag, "" if there is no sign of it.
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
		// Of these libraries a tag on one field says that all are columns.
		for _, library := range []string{"gorm", "xorm", "bun", "pg"} {
			if value, ok := reflect.StructTag(tag).Lookup(library); ok && value != "-" {
				return library
			}
		}
	}
	return ""
}

// left reports whether a tag leaves a field out of its table.
func left(tag, library string) bool {
	value := reflect.StructTag(tag).Get(library)
	return value == "-" || strings.HasPrefix(value, "-:") || strings.HasPrefix(value, "-,")
}

func report(pass *analysis.Pass, at ast.Node, f adopt.Field) {
	d := analysis.Diagnostic{Pos: at.Pos(), End: at.End(), Message: f.Advice()}
	if asJSON {
		text, err := json.Marshal(f)
		if err != nil {
			return // strings alone: does not happen
		}
		d.Message = string(text)
	}
	allow.Report(pass, "adopt", d)
}
