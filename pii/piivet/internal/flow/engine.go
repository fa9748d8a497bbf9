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

// flow adds to what flows into a place.
func (e *engine) flow(o origin, t taints) {
	if len(t) == 0 {
		return
	}
	have := e.edges[o]
	if have == nil {
		have = taints{}
		e.edges[o] = have
	}
	if have.add(t) {
		e.changed = true
	}
}

// flowBoth adds to a place, and to what is in its fields.
func (e *engine) flowBoth(o origin, t taints) {
	direct, within, hidden := taints{}, taints{}, taints{}
	for x := range t {
		switch {
		case x.hidden:
			hidden[x] = struct{}{}
		case x.inner:
			within[x] = struct{}{}
		default:
			direct[x] = struct{}{}
		}
	}
	e.flow(o, direct)
	o.content = true
	e.flow(o, within)
	o.veiled = true
	e.flow(o, hidden)
}

func (e *engine) instruction(f *function, instr ssa.Instruction) {
	switch i := instr.(type) {
	case *ssa.Phi:
		for _, edge := range i.Edges {
			e.set(i, e.of(edge))
		}
	case *ssa.BinOp:
		if i.Op == token.ADD {
			e.set(i, e.of(i.X))
			e.set(i, e.of(i.Y))
		}
	case *ssa.UnOp:
		switch i.Op {
		case token.MUL:
			e.set(i, e.load(i.X))
		case token.ARROW:
			e.setNth(i, 0, e.of(i.X))
		}
	case *ssa.ChangeType:
		e.set(i, e.of(i.X))
	case *ssa.Convert:
		e.set(i, e.of(i.X))
	case *ssa.MultiConvert:
		e.set(i, e.of(i.X))
	case *ssa.ChangeInterface:
		e.set(i, e.of(i.X))
	case *ssa.SliceToArrayPointer:
		e.set(i, e.of(i.X))
	case *ssa.MakeInterface:
		if !e.redacts(i.X.Type()) {
			e.set(i, e.of(i.X))
		}
		if isError(i.Type()) {
			e.sink(f, Error, e.of(i.X), position(i), typeName(i.X.Type()), "", purposes.Ref{})
		}
	case *ssa.TypeAssert:
		e.setNth(i, 0, e.of(i.X))
	case *ssa.Extract:
		e.set(i, e.tuples[i.Tuple][i.Index])
	case *ssa.Field:
		e.set(i, e.field(i.X, fieldOf(i.X.Type(), i.Field)))
	case *ssa.FieldAddr:
		e.addTo(i, e.field(i.X, fieldOf(i.X.Type(), i.Field)))
	case *ssa.Index:
		e.set(i, e.of(i.X))
	case *ssa.IndexAddr:
		e.addTo(i, e.of(i.X))
	case *ssa.Lookup:
		e.setNth(i, 0, e.of(i.X))
	case *ssa.Slice:
		e.set(i, e.of(i.X))
	case *ssa.Range:
		e.addTo(i, e.of(i.X))
	case *ssa.Next:
		e.setNth(i, 1, e.of(i.Iter))
		e.setNth(i, 2, e.of(i.Iter))
	case *ssa.Select:
		n := 2
		for _, s := range i.States {
			if s.Dir == types.RecvOnly {
				e.setNth(i, n, e.of(s.Chan))
				n++
			} else {
				e.store(s.Chan, e.of(s.Send))
			}
		}
	case *ssa.Store:
		e.store(i.Addr, e.of(i.Val))
	case *ssa.MapUpdate:
		e.store(i.Map, e.of(i.Value))
		e.store(i.Map, e.of(i.Key))
	case *ssa.Send:
		e.store(i.Chan, e.of(i.X))
	case *ssa.Return:
		for n, r := range i.Results {
			if f.results[n].add(e.of(r)) {
				e.changed = true
			}
		}
	case *ssa.Panic:
		e.sink(f, Panic, e.of(i.X), i.Pos(), "panic", "", purposes.Ref{})
	case ssa.CallInstruction:
		e.call(f, i)
	}
}

// load returns what is at an address.
func (e *engine) load(addr ssa.Value) taints {
	if g, ok := addr.(*ssa.Global); ok {
		return e.global(g)
	}
	return e.of(addr)
}

func (e *engine) global(g *ssa.Global) taints {
	if g.Pkg == nil || !e.ours(g.Pkg.Pkg) || !text(g.Type()) {
		return nil
	}
	return both(origin{shared: g.Pkg.Pkg.Path() + "." + g.Name()})
}

// field returns what is in a field of x, which is a struct or points to one.
func (e *engine) field(x ssa.Value, v *types.Var) taints {
	if v == nil || !text(v.Type()) {
		return nil
	}
	t := e.of(x).direct()
	if g, ok := x.(*ssa.Global); ok {
		t.add(e.global(g).direct())
	}
	if e.ours(v.Pkg()) {
		t.add(both(origin{shared: e.fieldName(v)}))
	} else {
		t.add(e.local[localField{root(x), v.Origin()}])
	}
	return t
}

// store adds to what is at an address, or in a map, a slice or a channel.
func (e *engine) store(to ssa.Value, t taints) {
	e.storeInto(to, t, 0)
}

func (e *engine) storeInto(to ssa.Value, t taints, depth int) {
	if len(t) == 0 || depth > 20 {
		return
	}
	switch v := to.(type) {
	case *ssa.Global:
		if v.Pkg != nil && text(v.Type()) {
			e.flowBoth(origin{shared: v.Pkg.Pkg.Path() + "." + v.Name()}, t)
		}
		return
	case *ssa.FieldAddr:
		field := fieldOf(v.X.Type(), v.Field)
		if field == nil || !text(field.Type()) {
			return
		}
		if e.ours(field.Pkg()) {
			e.flowBoth(origin{shared: e.fieldName(field)}, t)
		} else {
			key := localField{root(v.X), field.Origin()}
			if e.local[key] == nil {
				e.local[key] = taints{}
			}
			if e.local[key].add(t) {
				e.changed = true
			}
		}
		e.storeInto(v.X, t.within(!field.Exported() && !field.Embedded()), depth+1)
	case *ssa.IndexAddr:
		e.addTo(v, t)
		e.storeInto(v.X, t, depth+1)
	case *ssa.Slice:
		e.addTo(v, t)
		e.storeInto(v.X, t, depth+1)
	case *ssa.ChangeType:
		e.addTo(v, t)
		e.storeInto(v.X, t, depth+1)
	case *ssa.MakeInterface:
		e.addTo(v, t)
		e.storeInto(v.X, t, depth+1)
	case *ssa.ChangeInterface:
		e.addTo(v, t)
		e.storeInto(v.X, t, depth+1)
	case *ssa.UnOp:
		e.addTo(v, t)
		if v.Op == token.MUL { // a slice, map or pointer that is kept there
			e.storeInto(v.X, t, depth+1)
		}
	case *ssa.Lookup: // a channel, slice, map or pointer that is kept there
		e.addTo(v, t)
		e.storeInto(v.X, t, depth+1)
	case *ssa.TypeAssert:
		e.addTo(v, t)
		e.storeInto(v.X, t, depth+1)
	case *ssa.Extract:
		e.addTo(v, t)
		e.storeInto(v.Tuple, t, depth+1)
	case *ssa.Phi:
		e.addTo(v, t)
		for _, edge := range v.Edges {
			e.storeInto(edge, t, depth+7) // loops lead back here
		}
	case *ssa.FreeVar:
		if out := e.free[v]; out != nil {
			e.storeInto(out, t, depth+1)
		}
	case *ssa.Call:
		if _, several := v.Type().(*types.Tuple); !several {
			e.addTo(v, t)
		}
	case *ssa.Const, *ssa.Function, *ssa.Builtin:
	default:
		e.addTo(v, t)
	}
}

// root returns the variable that a struct is in, as far as it can be told.
func root(v ssa.Value) ssa.Value {
	for range 20 {
		switch x := v.(type) {
		case *ssa.UnOp:
			if x.Op != token.MUL {
				return v
			}
			v = x.X
		case *ssa.FieldAddr:
			v = x.X
		case *ssa.IndexAddr:
			v = x.X
		default:
			return v
		}
	}
	return v
}

// ours reports whether a package uses the library.
func (e *engine) ours(p *types.Package) bool { return p != nil && e.imported.Ours[p.Path()] }

// fieldName returns the name of a field, with its type if that is a type of a
// package. It tells apart what is told apart in other packages, too.
func (e *engine) fieldName(v *types.Var) string {
	v = v.Origin()
	if name, ok := e.names[v]; ok {
		return name
	}
	for _, n := range v.Pkg().Scope().Names() {
		if t, ok := v.Pkg().Scope().Lookup(n).(*types.TypeName); ok && !t.IsAlias() {
			if s, ok := t.Type().Underlying().(*types.Struct); ok {
				for f := range s.Fields() {
					if _, ok := e.names[f]; !ok {
						e.names[f] = v.Pkg().Path() + "." + n + "." + f.Name()
					}
				}
			}
		}
	}
	if _, ok := e.names[v]; !ok {
		p := e.pass.Fset.PositionFor(v.Pos(), false)
		e.names[v] = fmt.Sprintf("%s@%s:%d:%d", v.Pkg().Path(), filepath.Base(p.Filename), p.Line, p.Column)
	}
	return e.names[v]
}

func fieldOf(t types.Type, i int) *types.Var {
	if p, ok := t.Underlying().(*types.Pointer); ok {
		t = p.Elem()
	}
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		// A type parameter whose types are all structs.
		if s, ok = typeSetStruct(t); !ok {
			return nil
		}
	}
	if i >= s.NumFields() {
		return nil
	}
	return s.Field(i)
}

func typeSetStruct(t types.Type) (*types.Struct, bool) {
	iface, ok := t.Underlying().(*types.Interface)
	if !ok || iface.NumEmbeddeds() != 1 {
		return nil, false
	}
	s, ok := iface.EmbeddedType(0).Underlying().(*types.Struct)
	return s, ok
}

// text reports whether a value of type t can hold text. Numbers and truth
// values can't: what is counted or compared is not followed.
func text(t types.Type) bool { return holds(t, 8) }

func holds(t types.Type, depth int) bool {
	if depth == 0 { // type T []T
		return true
	}
	switch t := t.Underlying().(type) {
	case *types.Basic:
		return t.Info()&types.IsString != 0 || t.Kind() == types.UnsafePointer || t.Kind() == types.Byte
	case *types.Signature:
		return false
	case *types.Pointer:
		return holds(t.Elem(), depth-1)
	case *types.Slice:
		return holds(t.Elem(), depth-1) || isRune(t.Elem())
	case *types.Array:
		return holds(t.Elem(), depth-1) || isRune(t.Elem())
	case *types.Struct:
		return t.NumFields() > 0
	}
	return true
}

func isRune(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Kind() == types.Rune
}

func isError(t types.Type) bool {
	return types.Identical(t, types.Universe.Lookup("error").Type())
}

// redacts reports whether values of type t decide how they are printed and
// encoded: types of packages that use the library, which are taken at their
// word.
func (e *engine) redacts(t types.Type) bool {
	p, ok := types.Unalias(t).(*types.Pointer)
	if ok {
		t = p.Elem()
	}
	n, ok := types.Unalias(t).(*types.Named)
	if !ok || !e.ours(n.Obj().Pkg()) || types.IsInterface(n) {
		return false
	}
	methods := types.NewMethodSet(types.NewPointer(n))
	for _, name := range []string{"String", "Format", "LogValue", "MarshalText", "MarshalJSON"} {
		if methods.Lookup(n.Obj().Pkg(), name) != nil {
			return true
		}
	}
	return false
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

func typeName(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string { return p.Name() })
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
