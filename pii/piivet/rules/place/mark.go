package place

import (
	"encoding/json"
	"go/ast"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"

	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/config"
)

// A bound is the fact of the packages that are bound by a comment: this one and its
// imports, direct and indirect.
type bound struct{ Packages map[string][]string }

func (*bound) AFact() {}

func (b *bound) String() string {
	var all []string
	for path, names := range b.Packages {
		all = append(all, path+" is for "+only(names)+" only")
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// GobEncode writes JSON, which has map keys in order: drivers compare the encodings of
// facts.
func (b *bound) GobEncode() ([]byte, error) { return json.Marshal(b.Packages) }

// GobDecode is the reverse of GobEncode.
func (b *bound) GobDecode(data []byte) error { return json.Unmarshal(data, &b.Packages) }

func (c *boundaryChecker) facts() {
	c.bound = map[string][]string{}
	for _, p := range c.Pkg.Imports() {
		var fact bound
		if c.ImportPackageFact(p, &fact) {
			for path, names := range fact.Packages {
				c.bound[path] = names
			}
		}
	}
	if names, ok := c.mark(); ok {
		c.bound[c.path] = names
	}
	if len(c.bound) > 0 && c.Pkg.Name() != "main" { // no package imports main
		c.ExportPackageFact(&bound{c.bound})
	}
}

const prefix = "//piivet:purpose"

// mark returns the purposes that the comments of the package name. It reports comments
// that look like such a comment and are not valid: a boundary that is not in force must
// not look like one.
func (c *boundaryChecker) mark() (names []string, ok bool) {
	for _, file := range c.Files {
		for _, group := range file.Comments {
			for _, comment := range group.List {
				rest, found := strings.CutPrefix(comment.Text, prefix)
				if !found || rest != "" && rest[0] != ' ' && rest[0] != '\t' {
					continue
				}
				rest, _, _ = strings.Cut(rest, "//") // another comment in the same line
				list := strings.Fields(rest)
				slices.Sort(list)
				list = slices.Compact(list)
				switch fault := c.fault(file, comment, list); {
				case fault != "":
					c.report(comment, "%s", fault)
				case ok && !slices.Equal(names, list):
					c.report(comment, "package is for %s by another comment, and for %s by this one: say it once", only(names), only(list))
				default:
					names, ok = list, true
				}
			}
		}
	}
	return names, ok
}

func (c *boundaryChecker) fault(file *ast.File, comment *ast.Comment, names []string) string {
	switch {
	case known.IsTest(c.Pass, file):
		return "comment in a test binds nothing: write it above a package clause of the package"
	case comment.Pos() > file.Package:
		return "comment binds nothing here: write it above the package clause"
	case len(names) == 0:
		return "comment names no purpose: write //piivet:purpose advertising"
	}
	for _, name := range names {
		if !config.ValidPurpose(name) {
			return "not the names of purposes: want a-z, then up to 62 of a-z, 0-9 and -, with blanks in between"
		}
	}
	return ""
}

var _ analysis.Fact = (*bound)(nil)
