package value

import (
	"go/ast"
	"go/types"

	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/allow"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// Embed reports structs that embed a sealed value beside other fields.
var Embed = &analysis.Analyzer{
	Name: "embed",
	Doc: "report sealed values embedded beside other fields\n\n" +
		"The struct gets the value's methods, so that encoders, databases and printers take it for the " +
		"value alone: the other fields are lost without a word.",
	URL:      known.Docs + "embed.md",
	Requires: []*analysis.Analyzer{known.Analyzer, allow.Analyzer},
	Run:      runEmbed,
}

func runEmbed(pass *analysis.Pass) (any, error) {
	if !known.Uses(pass) {
		return nil, nil
	}
	for file := range known.Files(pass) {
		names := map[ast.Expr]*ast.Ident{} // the names of struct types
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				names[ast.Unparen(n.Type)] = n.Name
			case *ast.StructType:
				checkEmbedded(pass, n, names[n])
			}
			return true
		})
	}
	return nil, nil
}

// methods are the methods that make encoders, databases and printers take a struct for
// one value, with their callers.
var methods = []struct{ name, caller string }{
	{"MarshalText", "JSON, XML and YAML encode"},
	{"Value", "databases store"},
	{"MarshalBinary", "gob encodes"},
	{"MarshalBSONValue", "MongoDB stores"},
	{"Format", "fmt prints"},
}

func checkEmbedded(pass *analysis.Pass, n *ast.StructType, name *ast.Ident) {
	s, ok := pass.TypesInfo.TypeOf(n).(*types.Struct)
	if !ok || s.NumFields() < 2 {
		return // a struct with this field alone is a user's own kind
	}
	var t types.Type = s
	if name != nil {
		if obj := pass.TypesInfo.Defs[name]; obj != nil {
			t = obj.Type()
		}
	}
	set := types.NewMethodSet(types.NewPointer(t))
	for _, m := range methods {
		method := set.Lookup(nil, m.name)
		if method == nil || len(method.Index()) < 2 {
			continue // the struct's own method, or an ambiguous one, which is not promoted
		}
		f := s.Field(method.Index()[0])
		if !known.IsSealed(f.Type()) {
			continue
		}
		if field := fieldOf(n, f); field != nil {
			allow.Reportf(pass, "embed", field, "sealed value embedded beside other fields, so %s %s alone, and the others are lost: give the field a name", m.caller, f.Name())
			return
		}
	}
}

// fieldOf returns the syntax of a field.
func fieldOf(n *ast.StructType, f *types.Var) *ast.Field {
	for _, field := range n.Fields.List {
		if field.Pos() <= f.Pos() && f.Pos() <= field.End() {
			return field
		}
	}
	return nil
}
