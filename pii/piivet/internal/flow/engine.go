package flow

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// A function is one of this package, literals included.
type function struct {
	ssa *ssa.Function
	// name is that of the declared function which it is, or is inside of.
	name string
	obj  *types.Func // nil for literals
	test bool
	// results are what the results may come from.
	results []taints
	// sinks are where something of the function ends up.
	sinks map[sinkKey]*sink
}

// A sinkKey tells sinks apart.
type sinkKey struct {
	taint taint
	pos   token.Pos
	kind  Kind
	where string
}

// A sink is where a value with one taint ends up.
type sink struct {
	sinkKey
	what    string
	through string
	to      purposes.Ref
	// pending says that the scopes are parameters of the function: only at its
	// calls is it known which.
	pending bool
}

// An engine follows the values of one package.
type engine struct {
	pass     *analysis.Pass
	purposes *purposes.Result
	calls    map[token.Pos]*ast.CallExpr
	sources  interner

	functions []*function
	byFunc    map[*ssa.Function]*function
	methods   map[string][]*function // by name, for calls through interfaces

	values map[ssa.Value]taints
	tuples map[ssa.Value]map[int]taints
	// edges are what flows into a place: a parameter, a field, a variable.
	edges map[origin]taints
	// local are fields of types of packages that don't use the library, told
	// apart by the variable that they are in.
	local map[localField]taints
	free  map[*ssa.FreeVar]ssa.Value // what a closure's variable is outside

	// callers are what calls hand to functions of this package.
	callers map[*ssa.Function]map[ssa.CallInstruction][]ssa.Value

	imported fact
	names    map[*types.Var]string

	args  map[*ast.CallExpr]map[string]purposes.Ref
	order map[origin][]origin // see ordered; made when all is solved

	changed bool
}

type localField struct {
	root  ssa.Value
	field *types.Var
}

func newEngine(pass *analysis.Pass) *engine {
	e := &engine{
		pass:     pass,
		purposes: purposes.Of(pass),
		calls:    calls(pass.Files),
		sources:  interner{},
		byFunc:   map[*ssa.Function]*function{},
		methods:  map[string][]*function{},
		values:   map[ssa.Value]taints{},
		tuples:   map[ssa.Value]map[int]taints{},
		edges:    map[origin]taints{},
		local:    map[localField]taints{},
		free:     map[*ssa.FreeVar]ssa.Value{},
		callers:  map[*ssa.Function]map[ssa.CallInstruction][]ssa.Value{},
		names:    map[*types.Var]string{},
		order:    map[origin][]origin{},
		args:     map[*ast.CallExpr]map[string]purposes.Ref{},
		imported: fact{Funcs: map[string]*summary{}, Shared: map[string][]item{}, Ours: map[string]bool{pass.Pkg.Path(): true}},
	}
	e.join()
	e.build()
	return e
}

// join joins what is known of imported packages.
func (e *engine) join() {
	for _, p := range e.pass.Pkg.Imports() {
		var f fact
		if !e.pass.ImportPackageFact(p, &f) {
			continue
		}
		for name, s := range f.Funcs {
			e.imported.Funcs[name] = s
		}
		for path := range f.Ours {
			e.imported.Ours[path] = true
		}
		for name, items := range f.Shared {
			for _, it := range items {
				o := origin{shared: name, content: it.Content, veiled: it.Veiled}
				e.flow(o, taints{{origin: e.origin(it, nil), inner: it.Inner, hidden: it.Hidden}: {}})
			}
		}
		for _, p := range f.Pending {
			e.wait(p)
		}
	}
}

// build makes the SSA form. Other packages are known by their types alone.
func (e *engine) build() {
	prog := ssa.NewProgram(e.pass.Fset, ssa.BuilderMode(0))
	for _, p := range e.pass.Pkg.Imports() {
		prog.CreatePackage(p, nil, nil, true)
	}
	pkg := prog.CreatePackage(e.pass.Pkg, e.pass.Files, e.pass.TypesInfo, false)
	pkg.Build()

	for _, f := range e.pass.Files {
		for _, d := range f.Decls {
			decl, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			obj, ok := e.pass.TypesInfo.Defs[decl.Name].(*types.Func)
			if !ok {
				continue
			}
			if fn := prog.FuncValue(obj); fn != nil {
				e.add(fn, purposes.Func(obj), obj)
			}
		}
	}
	if init := pkg.Func("init"); init != nil { // variables of the package
		e.add(init, e.pass.Pkg.Path()+".init", nil)
	}
	for _, f := range e.functions {
		for _, b := range f.ssa.Blocks {
			for _, instr := range b.Instrs {
				if c, ok := instr.(*ssa.MakeClosure); ok {
					for i, v := range c.Fn.(*ssa.Function).FreeVars {
						e.free[v] = c.Bindings[i]
					}
				}
			}
		}
	}
}

func (e *engine) add(fn *ssa.Function, name string, obj *types.Func) {
	f := &function{ssa: fn, name: name, obj: obj, sinks: map[sinkKey]*sink{}}
	f.test = strings.HasSuffix(e.pass.Fset.PositionFor(fn.Pos(), false).Filename, "_test.go")
	for range fn.Signature.Results().Len() {
		f.results = append(f.results, taints{})
	}
	e.functions = append(e.functions, f)
	e.byFunc[fn] = f
	if obj != nil && obj.Signature().Recv() != nil {
		e.methods[obj.Name()] = append(e.methods[obj.Name()], f)
	}
	for i, p := range fn.Params {
		if text(p.Type()) {
			e.values[p] = both(origin{param: f, index: i})
		}
	}
	for _, anon := range fn.AnonFuncs {
		e.add(anon, name, nil)
	}
}

// solve follows everything until nothing new is found, which comes to an end
// since there is only so much to find. It goes forth and back, for what flows
// through a chain of functions goes one way or the other.
func (e *engine) solve() error {
	for range 10_000 {
		e.changed = false
		for _, f := range e.functions {
			if f.test {
				continue
			}
			for _, b := range f.ssa.Blocks {
				for _, instr := range b.Instrs {
					e.instruction(f, instr)
				}
			}
		}
		if !e.changed {
			return nil
		}
		slices.Reverse(e.functions)
	}
	return fmt.Errorf("piivet can't follow package %s to the end, which is a fault of piivet", e.pass.Pkg.Path())
}

// of returns what a value may come from.
func (e *engine) of(v ssa.Value) taints {
	switch v := v.(type) {
	case *ssa.Const, *ssa.Function, *ssa.Builtin:
		return nil
	case *ssa.Global:
		return nil // its address
	case *ssa.FreeVar:
		if out := e.free[v]; out != nil {
			return e.of(out)
		}
	}
	return e.values[v]
}

// set adds to what a value may come from.
func (e *engine) set(v ssa.Value, t taints) {
	if len(t) == 0 || !text(v.Type()) {
		return
	}
	e.addTo(v, t)
}

func (e *engine) addTo(v ssa.Value, t taints) {
	if len(t) == 0 {
		return
	}
	have := e.values[v]
	if have == nil {
		have = taints{}
		e.values[v] = have
	}
	if have.add(t) {
		e.changed = true
	}
}

// setNth is set for the i-th of several results.
func (e *engine) setNth(v ssa.Value, i int, t taints) {
	tuple, ok := v.Type().(*types.Tuple)
	if !ok {
		if i == 0 {
			e.set(v, t)
		}
		return
	}
	if len(t) == 0 || i >= tuple.Len() || !text(tuple.At(i).Type()) {
		return
	}
	m := e.tuples[v]
	if m == nil {
		m = map[int]taints{}
		e.tuples[v] = m
	}
	if m[i] == nil {
		m[i] = taints{}
	}
	if m[i].add(t) {
		e.changed = true
	}
}

// position returns where a value is made into an interface, which is often not
// written down.
func position(i *ssa.MakeInterface) token.Pos {
	if i.Pos().IsValid() {
		return i.Pos()
	}
	if i.X.Pos().IsValid() {
		return i.X.Pos()
	}
	for _, r := range *i.Referrers() {
		if r.Pos().IsValid() {
			return r.Pos()
		}
	}
	return i.Parent().Pos()
}

// where returns file and line of a position.
func (e *engine) where(pos token.Pos) string {
	if !pos.IsValid() {
		return "?"
	}
	p := e.pass.Fset.PositionFor(pos, false)
	return fmt.Sprintf("%s:%d", filepath.Base(p.Filename), p.Line)
}

// depends reports whether a ref depends on parameters of the function.
func depends(r purposes.Ref, name string) bool {
	return slices.ContainsFunc(r.From, func(id string) bool { return strings.HasPrefix(id, name+"#") })
}
