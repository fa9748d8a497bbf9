package known

import (
	"go/types"
	"reflect"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// Analyzer reports whether a package uses the library, directly or through its imports.
// Rules require it and return at once from all other packages:
//
//	if !known.Uses(pass) {
//		return nil, nil
//	}
var Analyzer = &analysis.Analyzer{
	Name:       "onlyforuses",
	Doc:        "find packages that use onlyfor, directly or through what they import",
	Run:        run,
	FactTypes:  []analysis.Fact{new(uses)},
	ResultType: reflect.TypeFor[bool](),
}

// Uses reports whether the package of the pass uses the library, directly or through its
// imports. The analyzer has to require [Analyzer].
func Uses(pass *analysis.Pass) bool { return pass.ResultOf[Analyzer].(bool) }

// A uses is the fact that a package uses the library. Every package exports it again,
// since drivers drop the facts of packages that are only imported indirectly.
type uses struct{ Uses bool }

func (*uses) AFact()           {}
func (u *uses) String() string { return "uses onlyfor" }

func run(pass *analysis.Pass) (any, error) {
	found := Library(pass.Pkg)
	for _, p := range pass.Pkg.Imports() {
		if found {
			break
		}
		found = Library(p) || pass.ImportPackageFact(p, new(uses))
	}
	if found {
		pass.ExportPackageFact(&uses{true})
	}
	return found, nil
}

// OfLibrary reports whether p is one of the packages purpose, vault and pii.
func OfLibrary(p *types.Package) bool { return p != nil && Library(p) }

// Library reports whether p is one of the packages purpose, vault and pii.
func Library(p *types.Package) bool {
	switch path := strings.TrimSuffix(p.Path(), "_test"); path {
	case PurposePath, VaultPath, PIIPath:
		return true
	}
	return false
}

// Part reports whether the path is that of a package of the library: purpose, vault, pii,
// or one below them, such as package migrate. The library's commands are not part of it.
func Part(path string) bool {
	path = strings.TrimSuffix(path, "_test")
	for _, command := range []string{VaultPath + "/cmd/", PIIPath + "/piivet/"} {
		if strings.HasPrefix(path, command) {
			return false
		}
	}
	for _, root := range []string{PurposePath, VaultPath, PIIPath} {
		if path == root || strings.HasPrefix(path, root+"/") {
			return true
		}
	}
	return false
}
