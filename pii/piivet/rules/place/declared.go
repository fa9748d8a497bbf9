package place

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/config"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// A declared is the fact of the packages that declare purposes: this one and its imports,
// direct and indirect, since drivers drop the facts of packages that are imported
// indirectly.
type declared struct{ Lists []list }

// A list has the purposes that one package declares.
type list struct {
	Path   string            // the path of the package
	Name   string            // the name of the package
	Module string            // the path of the package's module
	Vars   map[string]string // from the names of purposes to the names of variables
}

func (*declared) AFact() {}

func (d *declared) String() string {
	paths := make([]string, len(d.Lists))
	for i, l := range d.Lists {
		paths[i] = l.Path
	}
	return "purposes are declared in " + strings.Join(paths, ", ")
}

// GobEncode writes JSON, which has map keys in order: drivers compare the encodings of
// facts.
func (d *declared) GobEncode() ([]byte, error) { return json.Marshal(d.Lists) }

// GobDecode is the reverse of GobEncode.
func (d *declared) GobDecode(data []byte) error { return json.Unmarshal(data, &d.Lists) }

func (l list) stated(c *config.Config) bool {
	allowed, _ := c.Declares(l.Path)
	return allowed
}

// facts collects the lists of imported packages, adds the list of this package, and
// reports if one module has two lists as a result.
func (c *purposeChecker) facts() {
	module := ""
	if c.Module != nil {
		module = c.Module.Path
	}
	all := map[string]list{}
	most := 0
	for _, p := range c.Pkg.Imports() {
		var fact declared
		if !c.ImportPackageFact(p, &fact) {
			continue
		}
		ours := 0
		for _, l := range fact.Lists {
			all[l.Path] = l
			if l.Module == module {
				ours++
			}
		}
		most = max(most, ours)
	}
	for _, l := range all {
		// Lists of other modules do not count, unless the file names them.
		if l.Path != c.path && (l.Module == module || l.stated(c.config)) {
			c.others = append(c.others, l)
		}
	}
	slices.SortFunc(c.others, func(a, b list) int { return strings.Compare(a.Path, b.Path) })
	if !c.stated && len(c.others) > 1 && most < len(c.others) {
		c.twoLists()
	}
	if own := c.own(module); len(own.Vars) > 0 {
		all[c.path] = own
	}
	if len(all) > 0 && c.Pkg.Name() != "main" { // no package imports main
		fact := new(declared)
		for _, l := range all {
			fact.Lists = append(fact.Lists, l)
		}
		slices.SortFunc(fact.Lists, func(a, b list) int { return strings.Compare(a.Path, b.Path) })
		c.ExportPackageFact(fact)
	}
}

// own returns the purposes that this package declares.
func (c *purposeChecker) own(module string) list {
	own := list{Path: c.path, Name: c.Pkg.Name(), Module: module, Vars: map[string]string{}}
	for file := range known.Files(c.Pass) {
		for _, decl := range file.Decls {
			general, ok := decl.(*ast.GenDecl)
			if !ok || general.Tok != token.VAR {
				continue
			}
			for _, spec := range general.Specs {
				spec := spec.(*ast.ValueSpec)
				for i, value := range spec.Values {
					call, ok := ast.Unparen(value).(*ast.CallExpr)
					if !ok || len(call.Args) != 1 || len(spec.Names) != len(spec.Values) || known.OpOf(known.Func(c.TypesInfo, call.Fun)) != known.Parse {
						continue
					}
					if name, ok := known.Constant(c.TypesInfo, call.Args[0]); ok && own.Vars[name] == "" {
						own.Vars[name] = spec.Names[i].Name
					}
				}
			}
		}
	}
	return own
}

// twoLists reports that several imported packages have a list each.
func (c *purposeChecker) twoLists() {
	paths := make([]string, len(c.others))
	for i, l := range c.others {
		paths[i] = l.Path
	}
	message := fmt.Sprintf("%s each declare purposes, and meet here: keep one list, or name the packages in %s under \"purposes\"",
		strings.Join(paths, " and "), config.Name)
	for file := range known.Files(c.Pass) {
		for _, spec := range file.Imports {
			imported := c.TypesInfo.PkgNameOf(spec)
			if imported == nil {
				continue
			}
			var fact declared
			if c.ImportPackageFact(imported.Imported(), &fact) && slices.ContainsFunc(fact.Lists, func(l list) bool { return l.Path == c.others[len(c.others)-1].Path }) {
				c.report(analysis.Diagnostic{Pos: spec.Pos(), End: spec.End(), Message: message})
				return
			}
		}
	}
}
