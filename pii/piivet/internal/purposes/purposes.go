// Package purposes finds out which purposes an expression stands for: a
// purpose itself, or a scope that was opened for it.
//
// It goes by what is assigned to what, whatever the order: through local
// variables, fields, parameters with all the calls of the package, results,
// containers and closures, and through packages by facts. Calls are told apart,
// so that a helper used with two scopes does not make them one. What it can't
// follow is not known, which is never taken for none: see [Result.ScopeOf].
package purposes

import (
	"encoding/json"
	"go/ast"
	"reflect"
	"sync"

	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// Analyzer finds out, for the expressions of a package, which purposes they
// stand for. Its result is a *[Result].
var Analyzer = &analysis.Analyzer{
	Name:       "piivetpurposes",
	Doc:        "find out which purposes expressions stand for",
	Run:        run,
	Requires:   []*analysis.Analyzer{known.Analyzer},
	FactTypes:  []analysis.Fact{new(fact)},
	ResultType: reflect.TypeFor[*Result](),
}

// A fact is the graph of a package and of all that it imports: drivers drop the
// facts of packages that are only imported indirectly.
type fact struct{ Graph Graph }

func (*fact) AFact()         {}
func (*fact) String() string { return "purposes" }

// GobEncode writes JSON, whose maps are in order: facts are compared.
func (f *fact) GobEncode() ([]byte, error) { return json.Marshal(f.Graph) }

// GobDecode is the reverse of GobEncode.
func (f *fact) GobDecode(data []byte) error { return json.Unmarshal(data, &f.Graph) }

// A Result tells which purposes the expressions of one package stand for. Of a
// package that does not use the library it knows nothing.
//
// Its methods may be called from many goroutines at once.
type Result struct {
	mu    sync.Mutex
	b     *builder // nil for a package that does not use the library
	graph *Graph
}

// Of returns the result for the package of the pass, whose analyzer has to
// require [Analyzer].
func Of(pass *analysis.Pass) *Result { return pass.ResultOf[Analyzer].(*Result) }

// PurposeOf returns the name of the purpose that an expression of type
// purpose.Purpose stands for, and false if that is not known or not one alone.
func (r *Result) PurposeOf(expr ast.Expr) (name string, ok bool) {
	if names, complete := r.ScopeOf(expr); complete && len(names) == 1 {
		return names[0], true
	}
	return "", false
}

// ScopeOf returns the names of the purposes that an expression may stand for,
// sorted: a scope, a narrower handle, a purpose, or a slice of such.
// complete says that there are no others; where it is false, there may be any.
// No names and not complete is what is known of an expression that can't be
// followed.
func (r *Result) ScopeOf(expr ast.Expr) (names []string, complete bool) {
	return r.Names(r.Ref(expr))
}

// ScopesOf is [Result.ScopeOf] for all of the scopes that a call of the library
// uses, together, those of an embedded scope as its receiver included.
func (r *Result) ScopesOf(call known.Call) (names []string, complete bool) {
	var all Ref
	for i := range call.Scopes {
		all = all.And(r.ScopeRef(call, i))
	}
	return r.Names(all)
}

// Names is [Graph.Names] as far as this package sees.
func (r *Result) Names(ref Ref) (names []string, complete bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.graph.Names(ref, false)
}

// Closed is [Graph.Names] for a package that is a whole program with what it
// imports, as package main is.
func (r *Result) Closed(ref Ref) (names []string, complete bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.graph.Names(ref, true)
}

// Reach is [Graph.Reach].
func (r *Result) Reach(ref Ref) map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.graph.Reach(ref)
}

// Reduce is [Graph.Reduce] as far as this package sees.
func (r *Result) Reduce(ref Ref, function string) Ref {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.graph.Reduce(ref, function)
}

// Ref returns what an expression stands for, for asking [Result.Graph], or that
// of a whole program.
func (r *Result) Ref(expr ast.Expr) Ref {
	if r.b == nil || expr == nil {
		return Ref{Unknown: true}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.b.info.TypeOf(expr)
	if t != nil && !known.IsScope(t) {
		// A struct that embeds a scope.
		if path := known.Embedded(t); path != nil {
			return r.b.variable(path[len(path)-1])
		}
	}
	return r.b.ref(expr)
}

// ScopeRef returns what call.Scopes[i] stands for.
func (r *Result) ScopeRef(call known.Call, i int) Ref {
	if r.b == nil {
		return Ref{Unknown: true}
	}
	if call.Scopes[i] == call.Recv {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.b.receiver(call)
	}
	return r.Ref(call.Scopes[i])
}

// Args returns what a call hands to the parameters of the function that it
// calls, by the names of their nodes, for [Ref.Bind].
func (r *Result) Args(call *ast.CallExpr) map[string]Ref {
	if r.b == nil || call == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.args(call)
}

// Graph returns a copy of the graph of the package and all that it imports;
// empty if it does not use the library. [Graph.Add] joins the graphs of all packages of a
// program, and [Graph.Names] with closed set then knows all callers.
func (r *Result) Graph() *Graph {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := &Graph{Nodes: map[string]*Node{}}
	g.Add(r.graph)
	return g
}

func run(pass *analysis.Pass) (any, error) {
	if !known.Uses(pass) {
		return &Result{graph: &Graph{}}, nil
	}
	b := build(pass)
	all := &Graph{Nodes: map[string]*Node{}}
	for _, p := range pass.Pkg.Imports() {
		var f fact
		if pass.ImportPackageFact(p, &f) {
			all.Add(&f.Graph)
		}
	}
	all.Add(b.graph)
	pass.ExportPackageFact(&fact{*all.pruned()})
	// Expressions that are asked for later add nodes of calls to the graph, which
	// is therefore not the one that other packages may be reading by now.
	b.graph = all
	return &Result{b: b, graph: all}, nil
}
