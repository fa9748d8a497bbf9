package inventory

import (
	"go/ast"
	"go/types"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// notes lists the directives of piivet in a file: exceptions from rules, and the purposes
// that packages are bound to.
func (c *collector) notes(f *ast.File) {
	for _, group := range f.Comments {
		for _, comment := range group.List {
			text, ok := strings.CutPrefix(comment.Text, "//piivet:")
			if !ok {
				continue
			}
			directive, rest, _ := strings.Cut(text, " ")
			c.out.Notes = append(c.out.Notes, Note{
				Directive: directive, Text: strings.TrimSpace(rest), In: c.placeOf(f, comment), At: c.at(comment.Pos()),
			})
		}
	}
}

// placeOf returns the function that contains a comment or is documented by it, or else
// the package.
func (c *collector) placeOf(f *ast.File, comment *ast.Comment) string {
	for _, decl := range f.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		start := fn.Pos()
		if fn.Doc != nil {
			start = fn.Doc.Pos()
		}
		if start <= comment.Pos() && comment.Pos() < fn.End() {
			if f, ok := c.pass.TypesInfo.Defs[fn.Name].(*types.Func); ok {
				return purposes.Place(f)
			}
		}
	}
	return c.out.Path
}
