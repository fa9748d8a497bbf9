package main

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/adopt"
)

// revealed is the package of the functions that the survey adds. It puts Revealed around
// each read of a field: for piivet, the result is a revealed value. It puts Sealed around
// each value that is written to such a field, since the field of a service that uses
// onlyfor has a sealed type. Both are for fields of type string, and not for pointers and
// named types.
const revealed = `// Package piisurvey stands for what a service that uses onlyfor would do.
package piisurvey

import (
	"context"

	"github.com/onlyfor/onlyfor/pii"
)

// Revealed returns what was read, as if it had been sealed.
func Revealed(string) string {
	var email pii.Email
	plain, err := email.Reveal(context.Background(), nil)
	if err != nil {
		return ""
	}
	return plain
}

// Sealed stands for the sealed form of its argument, which is not plaintext.
func Sealed(string) string { return "" }
`

// pretend changes the code so that it reveals each field that looks like personal data
// when it reads it, and seals each value that it writes to such a field. It returns the
// number of the reads. The line numbers stay the same.
func (s survey) pretend(ctx context.Context, patterns []string) (reads int, err error) {
	cfg := &packages.Config{
		Context: ctx, Dir: s.dir, Env: append(os.Environ(), writable...),
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports | packages.NeedModule,
	}
	loaded, err := packages.Load(cfg, patterns...)
	if err != nil {
		return 0, err
	}
	module := ""
	for _, p := range loaded {
		if p.Module != nil && p.Module.Main {
			module = p.Module.Path
		}
		for i, file := range p.Syntax {
			n, err := pretendIn(p, file, p.CompiledGoFiles[i])
			if err != nil {
				return 0, err
			}
			reads += n
		}
	}
	dir := filepath.Join(s.dir, "piisurvey")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return 0, err
	}
	if err := os.WriteFile(filepath.Join(dir, "piisurvey.go"), []byte(revealed), 0o666); err != nil {
		return 0, err
	}
	_, err = output(s.dir, nil, "go", "mod", "edit", "-require=github.com/onlyfor/onlyfor@v0.0.0", "-replace=github.com/onlyfor/onlyfor="+s.library)
	if err != nil {
		return 0, err
	}
	if module == "" {
		return 0, fmt.Errorf("no module")
	}
	_, err = output(s.dir, writable, "go", "build", module+"/piisurvey") // completes go.mod
	return reads, err
}

func pretendIn(p *packages.Package, file *ast.File, name string) (reads int, err error) {
	if filepath.Ext(name) != ".go" || p.Module == nil || strings.HasSuffix(name, "_test.go") || !strings.HasPrefix(name, p.Module.Dir+string(filepath.Separator)) {
		return 0, nil
	}
	type edit struct {
		at   int
		text string
	}
	var edits []edit
	at := func(pos token.Pos) int { return p.Fset.PositionFor(pos, false).Offset }
	around := func(e ast.Expr, function string) {
		edits = append(edits, edit{at(e.Pos()), "piisurvey." + function + "("}, edit{at(e.End()), ")"})
	}
	listed := func(v *types.Var) bool {
		if v == nil || !v.IsField() || !types.Identical(v.Type(), types.Typ[types.String]) {
			return false
		}
		_, ok := adopt.NameOf(v.Name())
		return ok && v.Exported() && v.Pkg() != nil && strings.HasPrefix(v.Pkg().Path(), p.Module.Path)
	}
	field := func(e ast.Expr) *types.Var {
		switch e := ast.Unparen(e).(type) {
		case *ast.SelectorExpr:
			v, _ := p.TypesInfo.Uses[e.Sel].(*types.Var)
			return v
		case *ast.Ident: // the key in a literal of a struct
			v, _ := p.TypesInfo.Uses[e].(*types.Var)
			return v
		}
		return nil
	}
	seals := func(v *types.Var, value ast.Expr) {
		if listed(v) && p.TypesInfo.Types[value].Value == nil { // not a constant
			around(value, "Sealed")
		}
	}
	written := map[ast.Expr]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for i, e := range n.Lhs {
				written[ast.Unparen(e)] = true
				if n.Tok == token.ASSIGN && len(n.Lhs) == len(n.Rhs) {
					seals(field(e), n.Rhs[i])
				}
			}
		case *ast.CompositeLit:
			of := p.TypesInfo.TypeOf(n).Underlying()
			if pointer, ok := of.(*types.Pointer); ok { // in a list of pointers
				of = pointer.Elem().Underlying()
			}
			t, ok := of.(*types.Struct)
			for i, e := range n.Elts {
				if pair, keyed := e.(*ast.KeyValueExpr); ok && keyed {
					seals(field(pair.Key), pair.Value)
				} else if ok {
					seals(t.Field(i), e)
				}
			}
		case *ast.RangeStmt:
			written[n.Key], written[n.Value] = true, true
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				written[ast.Unparen(n.X)] = true
			}
		case *ast.SelectorExpr:
			if v := field(n); listed(v) && !written[n] {
				around(n, "Revealed")
				reads++
			}
		}
		return true
	})
	if len(edits) == 0 {
		return 0, nil
	}
	edits = append(edits, edit{at(file.Name.End()), "; import piisurvey " + strconv.Quote(p.Module.Path+"/piisurvey")})
	slices.SortStableFunc(edits, func(a, b edit) int { return a.at - b.at })
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	var out bytes.Buffer
	last := 0
	for _, e := range edits {
		out.Write(text[last:e.at])
		out.WriteString(e.text)
		last = e.at
	}
	out.Write(text[last:])
	return reads, os.WriteFile(name, out.Bytes(), 0o666)
}
