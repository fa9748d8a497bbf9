package flow

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// A function is a declared function or a function literal of this package, with the
// results of its analysis.
type function struct {
	ssa    *ssa.Function
	family *family
	// name is the name of the declared function. Literals have the name of the function
	// around them.
	name string
	obj  *types.Func // nil for literals
	// place is the declared function in the form of [purposes.Place].
	place string
	// key identifies the function in the program.
	key  string
	test bool
	// steps is the work on the function so far. Stopped says that it exceeded its bound,
	// so that the analysis of the function is incomplete.
	steps   int
	stopped bool
	// calls are the calls of functions in parameters. CallOrder has them in the order of
	// their discovery.
	calls     map[paramCallKey]*paramCall
	callOrder []*paramCall
	// results are the taints of the results.
	results []taints
	// places are the places of the parameters, by index and result.
	places map[[2]int]*place
	// sinks are the sinks that values of the function reach.
	sinks map[sinkKey]*sink
}

// A sinkKey identifies a sink.
type sinkKey struct {
	taint taint
	pos   token.Pos
	kind  Kind
	where string
}

// A sink records that a value with one taint reaches a sink.
type sink struct {
	sinkKey
	what    string
	through string
	in      string // the function that receives the value, for Receive
	to      purposes.Ref
	// pending says that the scopes are parameters of the function, so that they are known
	// at its calls only.
	pending bool
}

// An engine tracks the values of one package.
type engine struct {
	pass     *analysis.Pass
	purposes *purposes.Result
	calls    map[token.Pos]*ast.CallExpr
	sources  map[string]*source

	functions []*function
	byFunc    map[*ssa.Function]*function
	byDecl    map[*types.Func]*function
	methods   map[string][]*function // by name, for calls through interfaces

	values map[ssa.Value]taints
	tuples map[ssa.Value]map[int]taints
	// places are the fields, variables and slots by name, and params the parameters.
	places map[string]*place
	params []*place
	// entered are the origins that a taint flows into in this package, and holders those
	// that hold functions.
	entered, holders []*origin
	// local are the fields of types of packages that don't use the library, by the
	// variable that contains the struct.
	local map[localField]taints
	free  map[*ssa.FreeVar]ssa.Value // from the variable of a closure to the captured value

	// current is the position of the instruction being analyzed, at the instruction.
	current token.Pos
	at      ssa.Instruction
	// puts are the instructions that add to a map, for maps with a tracked order: see
	// [inOrder].
	puts  map[*ssa.MakeMap]map[ssa.Instruction]taints
	paths map[[2]*ssa.BasicBlock]bool
	// consumed are the values that a function does more with than to return them, by the
	// name of the function.
	consumed map[string]taints

	reaching  map[*origin][]*source           // see propagate
	ways      map[*source]map[*origin]*origin // see entrance
	sunk      map[exportedSink]bool
	receivers map[*function]int

	callables map[string]*callable
	virtuals  map[virtual]*site
	libraryIn map[*origin][]*callable // functions of the library in places
	// plugging says that calls of slots are tracked. Plugs are the functions that they
	// reach.
	plugging bool
	plugs    map[*place][]*callable

	// sending are the calls that send a request. Sent are the positions of the calls that
	// encode the body of a request for a transport of package egress.
	sending map[ssa.CallInstruction]*site
	sent    map[token.Pos]bool

	// callers are the arguments of the calls of functions of this package.
	callers map[*ssa.Function]map[any][]ssa.Value

	below *program // the imported packages
	// own are the open sinks and pending flows that this package adds, and the sources
	// that it brings to open sinks.
	own     *flows
	opened  map[string]bool
	sinks   []*flows // see sinksBelow
	awaited map[string]bool
	names   *purposes.Namer

	args map[*ast.CallExpr]map[string]purposes.Ref

	families []*family
	running  *family // the family being analyzed, nil in connect
	changed  bool
	damaged  error // of a fact that is read when it is needed
	// steps counts the work. Limit is the count that ends the analysis of the present
	// function.
	steps, limit int
}

// maxSteps bounds the work on one function, at a second or so. The bound is not a time,
// so that the findings do not depend on the speed of the machine.
var maxSteps = 4_000_000

// steps is the work on all packages, for tests.
var steps atomic.Int64

// A localField is a field of a variable.
type localField struct {
	root  ssa.Value
	field *types.Var
}

func newEngine(pass *analysis.Pass) (*engine, error) {
	below, err := newProgram(pass)
	if err != nil {
		return nil, err
	}
	e := &engine{
		pass:      pass,
		purposes:  purposes.Of(pass),
		calls:     calls(pass.Files),
		sources:   map[string]*source{},
		places:    map[string]*place{},
		ways:      map[*source]map[*origin]*origin{},
		plugs:     map[*place][]*callable{},
		own:       &flows{Seen: map[string][]string{}},
		awaited:   map[string]bool{},
		byFunc:    map[*ssa.Function]*function{},
		byDecl:    map[*types.Func]*function{},
		methods:   map[string][]*function{},
		values:    map[ssa.Value]taints{},
		tuples:    map[ssa.Value]map[int]taints{},
		local:     map[localField]taints{},
		free:      map[*ssa.FreeVar]ssa.Value{},
		callers:   map[*ssa.Function]map[any][]ssa.Value{},
		names:     purposes.NewNamer(pass.Fset),
		puts:      map[*ssa.MakeMap]map[ssa.Instruction]taints{},
		paths:     map[[2]*ssa.BasicBlock]bool{},
		consumed:  map[string]taints{},
		opened:    map[string]bool{},
		sunk:      map[exportedSink]bool{},
		receivers: map[*function]int{},
		callables: map[string]*callable{},
		virtuals:  map[virtual]*site{},
		libraryIn: map[*origin][]*callable{},
		sending:   map[ssa.CallInstruction]*site{},
		sent:      map[token.Pos]bool{},
		args:      map[*ast.CallExpr]map[string]purposes.Ref{},
		below:     below,
	}
	if err := e.join(); err != nil {
		return nil, err
	}
	e.build()
	return e, nil
}

// build builds the SSA form of this package. Of other packages there are types alone.
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
				e.add(fn, purposes.Func(obj), purposes.Place(obj), obj)
			}
		}
	}
	if init := pkg.Func("init"); init != nil { // variables of the package
		e.add(init, e.pass.Pkg.Path()+".init", known.PackagePath(e.pass.Pkg.Path()), nil)
	}
	for _, f := range e.functions {
		settle(f.ssa)
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

func (e *engine) add(fn *ssa.Function, name, at string, obj *types.Func) {
	f := &function{ssa: fn, name: name, obj: obj, key: name, place: at, places: map[[2]int]*place{}, sinks: map[sinkKey]*sink{}, calls: map[paramCallKey]*paramCall{}}
	if obj == nil {
		f.key = fmt.Sprintf("%s@%s:%d", e.pass.Pkg.Path(), e.where(fn.Pos()), e.pass.Fset.Position(fn.Pos()).Column)
	}
	f.test = strings.HasSuffix(e.pass.Fset.PositionFor(fn.Pos(), false).Filename, "_test.go")
	for range fn.Signature.Results().Len() {
		f.results = append(f.results, taints{})
	}
	e.functions = append(e.functions, f)
	e.byFunc[fn] = f
	if obj != nil {
		e.byDecl[obj] = f
	}
	if obj != nil && obj.Signature().Recv() != nil {
		e.methods[obj.Name()] = append(e.methods[obj.Name()], f)
	}
	for i, p := range fn.Params {
		if text(p.Type()) {
			e.values[p] = both(e.param(f, i, 0))
		}
	}
	if outer := e.byFunc[fn.Parent()]; outer != nil {
		f.family = outer.family
	} else {
		f.family = &family{dirty: true, dependents: map[*family]bool{}}
		e.families = append(e.families, f.family)
	}
	f.family.members = append(f.family.members, f)
	for _, anon := range fn.AnonFuncs {
		e.add(anon, name, at, nil)
	}
}

// of returns the taints of a value.
func (e *engine) of(v ssa.Value) taints {
	switch v := v.(type) {
	case *ssa.Builtin:
		return nil
	case *ssa.Function:
		if e.values[v] == nil {
			e.values[v] = taints{}
			if c := e.callableOf(v, nil); c != nil {
				e.values[v] = single(c.value())
			}
		}
	case *ssa.Global:
		return nil // its address
	case *ssa.FreeVar:
		if out := e.free[v]; out != nil {
			return e.of(out)
		}
	case *ssa.MakeMap:
		if e.puts[v] != nil {
			return e.putBefore(v)
		}
	}
	return e.values[v]
}

// set adds taints to a value if its type can hold text.
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
	e.steps += len(t)
	have := e.values[v]
	if have == nil {
		have = taints{}
		e.values[v] = have
	}
	if have.add(t) {
		e.touch()
		if fn := v.Parent(); fn != nil {
			e.other(e.byFunc[fn])
		}
	}
}

// setNth is set for result i of a call.
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
		e.touch()
	}
}

// position returns the position of a conversion to an interface, which is often implicit.
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

// where returns the file and line of a position.
func (e *engine) where(pos token.Pos) string {
	if !pos.IsValid() {
		return "?"
	}
	p := e.pass.Fset.PositionFor(pos, false)
	return fmt.Sprintf("%s:%d", filepath.Base(p.Filename), p.Line)
}

// depends reports whether a reference depends on parameters of the function with the
// given name.
func depends(r purposes.Ref, name string) bool {
	return slices.ContainsFunc(r.From, func(id string) bool { return strings.HasPrefix(id, name+"#") })
}
