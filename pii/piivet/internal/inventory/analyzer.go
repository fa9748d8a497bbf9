package inventory

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/doc"
	"go/token"
	"go/types"
	"path/filepath"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/types/objectpath"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/flow"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
	purposed "github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// Analyzer reports one diagnostic for each package, at its package clause. The message is
// a [Package] as JSON. Test files are left out.
var Analyzer = &analysis.Analyzer{
	Name:      "inventory",
	Doc:       "list what is done with personal data, for piivet -report and piivet -check",
	URL:       "https://github.com/onlyfor/onlyfor/blob/main/pii/piivet/README.md#the-register",
	Requires:  []*analysis.Analyzer{known.Analyzer, purposed.Analyzer, flow.Analyzer},
	FactTypes: []analysis.Fact{new(basisFact)},
	Run:       run,
}

func run(pass *analysis.Pass) (any, error) {
	c := &collector{
		pass:     pass,
		out:      Package{Path: known.PackagePath(pass.Pkg.Path())},
		params:   map[*types.Var]Ref{},
		called:   map[ast.Expr]bool{},
		looked:   map[*ast.IndexExpr]bool{},
		literals: map[*ast.CompositeLit]bool{},
	}
	var files []*ast.File
	for _, f := range pass.Files {
		if !strings.HasSuffix(pass.Fset.Position(f.FileStart).Filename, "_test.go") {
			files = append(files, f)
		}
	}
	if len(files) == 0 {
		return nil, nil // a package of tests
	}
	for _, f := range files {
		c.notes(f)
	}
	if ofLibrary(c.out.Path) || !known.Uses(pass) {
		c.out.Skipped = true
	} else {
		c.purposes = purposed.Of(pass)
		for _, f := range files {
			c.file(f)
		}
		c.facts()
	}
	c.received()
	text, err := json.Marshal(c.out)
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	pass.Report(analysis.Diagnostic{Pos: files[0].Name.Pos(), Message: string(text)})
	return nil, nil
}

// A collector walks through a package and collects its inventory.
type collector struct {
	pass     *analysis.Pass
	out      Package
	params   map[*types.Var]Ref         // parameters and results of the enclosing functions
	called   map[ast.Expr]bool          // expressions that are the function of a call
	looked   map[*ast.IndexExpr]bool    // map lookups that are listed already
	literals map[*ast.CompositeLit]bool // map literals that are listed already
	paths    objectpath.Encoder
	around   *frame

	purposes *purposed.Result
}

// A frame is the enclosing function.
type frame struct {
	id, in  string
	sig     *types.Signature
	results map[int][]Ref
	used    bool // contains an entry of the register
}

func (c *collector) file(f *ast.File) {
	for _, decl := range f.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			c.funcDecl(decl)
		case *ast.GenDecl:
			c.packageLevel(decl)
		}
	}
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

// facts exports the bases of package-level variables as facts.
func (c *collector) facts() {
	scope := c.pass.Pkg.Scope()
	for _, name := range scope.Names() {
		v, ok := scope.Lookup(name).(*types.Var)
		if !ok || holding(v.Type()) != bases {
			continue
		}
		var from []Ref
		for _, f := range c.out.Flows {
			if f.To == c.variable(v) {
				from = append(from, f.From...)
			}
		}
		if len(from) == 1 {
			if b, ok := from[0].Basis(); ok {
				c.pass.ExportObjectFact(v, &basisFact{b})
			}
		}
	}
}

func (c *collector) packageLevel(decl *ast.GenDecl) {
	for _, spec := range decl.Specs {
		spec, ok := spec.(*ast.ValueSpec)
		if !ok || decl.Tok != token.VAR {
			continue
		}
		c.around = &frame{in: c.out.Path + "." + spec.Names[0].Name}
		c.values(spec)
		c.walk(spec)
		c.declared(decl, spec)
	}
	c.around = nil
}

// declared lists the purposes that spec declares.
func (c *collector) declared(decl *ast.GenDecl, spec *ast.ValueSpec) {
	for i, name := range spec.Names {
		if i >= len(spec.Values) || len(spec.Names) != len(spec.Values) {
			return
		}
		v, ok := c.pass.TypesInfo.Defs[name].(*types.Var)
		if !ok || holding(v.Type()) != purposes {
			continue
		}
		if _, isPurpose := types.Unalias(v.Type()).(*types.Named); !isPurpose {
			continue // a list of purposes
		}
		for _, r := range c.refs(spec.Values[i]) {
			if purpose, ok := r.Purpose(); ok {
				text := spec.Doc.Text()
				if text == "" {
					text = spec.Comment.Text()
				}
				if text == "" && len(decl.Specs) == 1 {
					text = decl.Doc.Text()
				}
				c.out.Purposes = append(c.out.Purposes, Purpose{
					Name: purpose, Var: c.out.Path + "." + name.Name, Doc: sentence(text), At: c.at(name.Pos()),
				})
			}
		}
	}
}

func (c *collector) funcDecl(decl *ast.FuncDecl) {
	f, ok := c.pass.TypesInfo.Defs[decl.Name].(*types.Func)
	if !ok || decl.Body == nil {
		return
	}
	c.function(funcID(f), purposed.Place(f), f.Signature(), decl.Body, sentence(decl.Doc.Text()), decl.Pos())
	if sig := f.Signature(); sig.Recv() != nil && holdsAny(sig) {
		c.out.Aliases = append(c.out.Aliases, Alias{funcID(f), methodAlias(f.Name(), sig)})
	}
}

// function walks through a function or a function literal.
func (c *collector) function(id, in string, sig *types.Signature, body *ast.BlockStmt, text string, pos token.Pos) {
	f := &frame{id: id, in: in, sig: sig, results: map[int][]Ref{}}
	if recv := sig.Recv(); recv != nil {
		c.params[recv] = parameter(id, -1)
	}
	for i := range sig.Params().Len() {
		c.params[sig.Params().At(i)] = parameter(id, i)
	}
	for i := range sig.Results().Len() {
		if v := sig.Results().At(i); v.Name() != "" && v.Name() != "_" && holding(v.Type()) != 0 {
			f.results[i] = append(f.results[i], c.variable(v)) // a bare return returns the variable
		}
	}
	outer := c.around
	c.around = f
	c.walk(body)
	c.around = outer
	if outer != nil && f.used {
		outer.used = true
	}
	if holdsAny(sig) || f.used {
		variadic := -1
		if sig.Variadic() {
			variadic = sig.Params().Len() - 1
		}
		c.out.Funcs = append(c.out.Funcs, Func{ID: id, In: in, Doc: text, Results: f.results, Variadic: variadic, At: c.at(pos)})
	}
}

func (c *collector) use(u Use) {
	u.In = c.in()
	c.mark()
	c.out.Uses = append(c.out.Uses, u)
}

func (c *collector) mark() {
	if c.around != nil {
		c.around.used = true
	}
}

func (c *collector) in() string {
	if c.around == nil {
		return c.out.Path
	}
	return c.around.in
}

// at returns file:line. The name of the file is the driver's.
func (c *collector) at(pos token.Pos) string {
	p := c.pass.Fset.Position(pos)
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// spot returns a string that identifies a position in the program.
func (c *collector) spot(pos token.Pos) string {
	p := c.pass.Fset.Position(pos)
	return fmt.Sprintf("%s/%s@%d", c.out.Path, filepath.Base(p.Filename), p.Offset)
}

func funcID(f *types.Func) string { return f.Origin().FullName() }

func methodAlias(name string, sig *types.Signature) string { return "method " + name + shape(sig) }
func valueAlias(sig *types.Signature) string               { return "func" + shape(sig) }

func sentence(text string) string {
	return new(doc.Package).Synopsis(text)
}
