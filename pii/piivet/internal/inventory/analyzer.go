package inventory

import (
	"cmp"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/doc"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/flow"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// Analyzer reports one diagnostic for each package, at its package clause. The message is
// a [Package] as JSON. Test files are left out.
var Analyzer = &analysis.Analyzer{
	Name:     "inventory",
	Doc:      "list what is done with personal data, for piivet -report and piivet -check",
	URL:      "https://github.com/onlyfor/onlyfor/blob/main/pii/piivet/README.md#the-register",
	Requires: []*analysis.Analyzer{known.Analyzer, purposes.Analyzer, flow.Analyzer},
	Run:      run,
}

func run(pass *analysis.Pass) (any, error) {
	files := slices.Collect(known.Files(pass))
	if len(files) == 0 {
		return nil, nil // a package of tests
	}
	c := &collector{pass: pass, called: map[ast.Node]bool{}, out: Package{Path: known.PackagePath(pass.Pkg.Path()), Docs: map[string]string{}}}
	for _, f := range files {
		c.notes(f)
	}
	if known.Part(c.out.Path) || !known.Uses(pass) {
		c.out.Skipped = true
	} else {
		c.purposes = purposes.Program(pass)
		for _, f := range files {
			for _, decl := range f.Decls {
				c.declaration(decl)
			}
		}
		c.out.Graph = *c.purposes.Graph()
	}
	c.received()
	text, err := json.Marshal(c.out)
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	// A package that go vet checks with its tests has a path of its own in the names of
	// nodes, and so do the packages that are compiled for these tests.
	_, variant, _ := strings.Cut(pass.Pkg.Path(), " ")
	message := string(text)
	if variant != "" {
		message = strings.ReplaceAll(message, " "+variant, "")
	}
	pass.Report(analysis.Diagnostic{Pos: files[0].Name.Pos(), Message: message})
	return nil, nil
}

// A collector walks through a package and collects its inventory.
type collector struct {
	pass     *analysis.Pass
	out      Package
	purposes *purposes.Result
	in       string            // the declared function or variable around the present node
	called   map[ast.Node]bool // functions of calls
}

// received lists the functions that receive values which other functions revealed.
func (c *collector) received() {
	for _, f := range flow.Of(c.pass) {
		if f.Kind != flow.Receive || f.Elsewhere != "" {
			continue
		}
		c.out.Skipped = false
		c.out.Uses = append(c.out.Uses, Use{
			Op: Receive, In: f.In, Through: f.What, Does: f.Does, Of: f.RevealedIn, OfPackage: f.RevealedPackage, At: c.at(f.Pos),
		})
	}
}

func (c *collector) declaration(decl ast.Decl) {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if f, ok := c.pass.TypesInfo.Defs[decl.Name].(*types.Func); ok && decl.Body != nil {
			c.in = purposes.Place(f)
			if text := sentence(decl.Doc.Text()); text != "" {
				c.out.Docs[c.in] = text
			}
			c.walk(decl.Body)
		}
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			if spec, ok := spec.(*ast.ValueSpec); ok && decl.Tok == token.VAR {
				c.in = c.out.Path + "." + spec.Names[0].Name
				c.walk(spec)
				c.declared(decl, spec)
			}
		}
	}
}

// declared lists the purposes that spec declares.
func (c *collector) declared(decl *ast.GenDecl, spec *ast.ValueSpec) {
	if len(spec.Names) != len(spec.Values) {
		return
	}
	for i, name := range spec.Names {
		v, ok := c.pass.TypesInfo.Defs[name].(*types.Var)
		if !ok || !known.IsPurpose(v.Type()) {
			continue
		}
		for _, purpose := range c.purposes.Ref(spec.Values[i]).Names {
			text := cmp.Or(spec.Doc.Text(), spec.Comment.Text())
			if text == "" && len(decl.Specs) == 1 {
				text = decl.Doc.Text()
			}
			c.out.Purposes = append(c.out.Purposes, Purpose{
				Name: purpose, Var: c.out.Path + "." + name.Name, Doc: sentence(text), At: c.at(name.Pos()),
			})
		}
	}
}

// walk lists the uses within n.
func (c *collector) walk(n ast.Node) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			c.called[function(n.Fun)] = true
			c.call(n)
		case *ast.AssignStmt:
			c.assignment(n)
		case *ast.CompositeLit:
			c.fields(n)
		case *ast.SelectorExpr:
			c.taken(n, n.Sel)
			c.called[n.Sel] = true // not a second time, as an identifier
		case *ast.Ident:
			c.taken(n, n)
		}
		return true
	})
}

// function returns the function of a call without parentheses and type arguments.
func function(e ast.Expr) ast.Expr {
	switch e := ast.Unparen(e).(type) {
	case *ast.IndexExpr:
		return ast.Unparen(e.X)
	case *ast.IndexListExpr:
		return ast.Unparen(e.X)
	default:
		return e
	}
}

// assignment lists the hosts that are assigned to rules, and the scopes that are assigned
// to fields of other packages.
func (c *collector) assignment(n *ast.AssignStmt) {
	for i, lhs := range n.Lhs {
		from := n.Rhs[0]
		if len(n.Lhs) == len(n.Rhs) {
			from = n.Rhs[i]
		} else if i > 0 {
			continue
		}
		c.hostSet(lhs, from)
		if sel, ok := ast.Unparen(lhs).(*ast.SelectorExpr); ok {
			if v, ok := c.pass.TypesInfo.Uses[sel.Sel].(*types.Var); ok {
				c.store(c.pass.TypesInfo.TypeOf(sel.X), v, from, sel)
			}
		}
	}
}

// fields lists the rule that a struct literal is, or else the scopes in the fields of a
// struct of another package.
func (c *collector) fields(lit *ast.CompositeLit) {
	t := c.pass.TypesInfo.TypeOf(lit)
	if t == nil {
		return
	}
	if p, ok := t.Underlying().(*types.Pointer); ok { // an elided &T in a literal
		t = p.Elem()
	}
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		return
	}
	if known.IsRule(t) {
		c.rule(lit)
		return
	}
	for i, e := range lit.Elts {
		var field *types.Var
		if pair, ok := e.(*ast.KeyValueExpr); ok {
			name, _ := pair.Key.(*ast.Ident)
			field, _ = c.pass.TypesInfo.Uses[name].(*types.Var)
			e = pair.Value
		} else if i < s.NumFields() {
			field = s.Field(i)
		}
		if field != nil {
			c.store(t, field, e, e)
		}
	}
}

// store lists the scopes that are handed to a field of another package.
func (c *collector) store(owner types.Type, field *types.Var, from, at ast.Expr) {
	pkg := field.Pkg()
	if pkg == nil || pkg == c.pass.Pkg || !holdsScopes(field.Type()) {
		return
	}
	if r := c.purposes.Ref(from); !r.IsZero() {
		c.use(Use{Op: HandOver, Scope: r, Outside: pkg.Path(), To: cmp.Or(typeName(owner), pkg.Name()) + "." + field.Name(), At: c.at(at.Pos())})
	}
}

// holdsScopes reports whether a value of type t holds scopes, directly or as elements.
func holdsScopes(t types.Type) bool {
	return known.Holds(t, known.IsScope)
}

func (c *collector) use(u Use) {
	u.In = c.in
	c.out.Uses = append(c.out.Uses, u)
}

// at returns file:line. The name of the file is the driver's.
func (c *collector) at(pos token.Pos) string {
	p := c.pass.Fset.Position(pos)
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

func sentence(text string) string {
	return new(doc.Package).Synopsis(text)
}
