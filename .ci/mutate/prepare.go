package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// prepare writes the packages with their mutants into work, as an overlay of
// "go build", and returns the mutants and the packages' paths.
func prepare(dir, work string, patterns []string) ([]Mutant, []string, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, nil, err
	}
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports | packages.NeedDeps,
		Dir:  root,
	}, patterns...)
	if err != nil {
		return nil, nil, err
	}
	var mutants []Mutant
	var paths []string
	replace := map[string]string{}
	overlay := func(file string, text []byte) error {
		to := filepath.Join(work, fmt.Sprintf("%d.go", len(replace)))
		replace[file] = to
		return os.WriteFile(to, text, 0o600)
	}
	programs, err := ofPrograms(root)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range loaded {
		for _, e := range p.Errors {
			return nil, nil, e
		}
		paths = append(paths, p.PkgPath)
		if !programs[p.PkgPath] {
			continue
		}
		for _, f := range p.Syntax {
			file := p.Fset.Position(f.Package).Filename
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, nil, err
			}
			name, err := filepath.Rel(root, file)
			if err != nil {
				return nil, nil, err
			}
			s := source{
				name: filepath.ToSlash(name), text: text, fset: p.Fset, info: p.TypesInfo, mutants: &mutants,
				before: map[int]string{}, after: map[int]string{},
			}
			if err := overlay(file, s.mutate(f)); err != nil {
				return nil, nil, err
			}
		}
		if err := overlay(filepath.Join(p.Dir, "zz_mutant.go"), fmt.Appendf(nil, support, p.Name)); err != nil {
			return nil, nil, err
		}
	}
	if len(mutants) == 0 {
		return nil, nil, errors.New("nothing to change")
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, nil, err
	}
	return mutants, paths, os.WriteFile(filepath.Join(work, "overlay.json"), b, 0o600)
}

// ofPrograms returns the paths of the module's packages that a program can contain.
// The other packages are below a folder internal, and only tests import them.
func ofPrograms(root string) (map[string]bool, error) {
	all, err := packages.Load(&packages.Config{Mode: packages.NeedName | packages.NeedImports | packages.NeedDeps, Dir: root}, "./...")
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	packages.Visit(slices.DeleteFunc(all, func(p *packages.Package) bool {
		return slices.Contains(strings.Split(p.PkgPath, "/"), "internal")
	}), func(p *packages.Package) bool {
		seen := found[p.PkgPath]
		found[p.PkgPath] = true
		return !seen
	}, nil)
	return found, nil
}
