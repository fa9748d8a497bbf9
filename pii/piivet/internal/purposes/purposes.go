// Package purposes finds the purposes of expressions. An expression is a purpose itself,
// or a scope that was opened for purposes.
//
// The analysis is flow-insensitive: it follows assignments in any order, through local
// variables, fields, parameters with all calls of the package, results, containers and
// closures, and through other packages by facts. It distinguishes calls, so that a helper
// that is called with two scopes does not merge them. The purposes of an expression that
// it can't track are unknown, which is never the same as none: see [Result.ScopeOf].
package purposes

import (
	"encoding/json"
	"go/ast"
	"go/types"
	"reflect"
	"slices"
	"sync"

	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// Analyzer finds the purposes of the expressions of a package. Its result is a *[Result].
var Analyzer = &analysis.Analyzer{
	Name:       "piivetpurposes",
	Doc:        "find out which purposes expressions stand for",
	Run:        run,
	Requires:   []*analysis.Analyzer{known.Analyzer},
	FactTypes:  []analysis.Fact{new(fact)},
	ResultType: reflect.TypeFor[*Result](),
}

// A fact is the graph of a package and of all packages that it imports, since drivers
// drop the facts of packages that are only imported indirectly.
type fact struct{ Graph Graph }

func (*fact) AFact()         {}
func (*fact) String() string { return "purposes" }

// GobEncode writes JSON, which has map keys in order: drivers compare the encodings of
// facts.
func (f *fact) GobEncode() ([]byte, error) { return json.Marshal(f.Graph) }

// GobDecode is the reverse of GobEncode.
func (f *fact) GobDecode(data []byte) error { return json.Unmarshal(data, &f.Graph) }

// A Result has the purposes of the expressions of one package. For a package that does
// not use the library, all of them are unknown.
//
// Its methods may be called from several goroutines at once.
type Result struct {
	mu    sync.Mutex
	b     *builder // nil for a package that does not use the library
	graph *Graph
}

// Of returns the result for the package of the pass. The analyzer has to require
// [Analyzer].
func Of(pass *analysis.Pass) *Result { return pass.ResultOf[Analyzer].(*Result) }

// PurposeOf returns the name of the purpose of an expression of type purpose.Purpose. Ok
// is false if the purpose is not known or there are several.
func (r *Result) PurposeOf(expr ast.Expr) (name string, ok bool) {
	if names, complete := r.ScopeOf(expr); complete && len(names) == 1 {
		return names[0], true
	}
	return "", false
}

// ScopeOf returns the names of the purposes that an expression may have, sorted. The
// expression is a scope, a narrower handle, a purpose, or a slice of them. Complete says
// that there are no others; if it is false, there may be any. For an expression that
// can't be tracked, names is empty and complete is false.
func (r *Result) ScopeOf(expr ast.Expr) (names []string, complete bool) {
	return r.Names(r.Ref(expr))
}

// ScopesOf is [Result.ScopeOf] for the union of all scopes that a call of the library
// uses, a scope that is embedded in its receiver included.
func (r *Result) ScopesOf(call known.Call) (names []string, complete bool) {
	var all Ref
	for i := range call.Scopes {
		all = all.And(r.ScopeRef(call, i))
	}
	return r.Names(all)
}

// Names is [Graph.Names] for the graph of this package and its imports.
func (r *Result) Names(ref Ref) (names []string, complete bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.graph.Names(ref, false)
}

// Closed is [Graph.Names] for a package that is a whole program with its imports, as
// package main is.
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

// Reduce is [Graph.Reduce] for the graph of this package and its imports.
func (r *Result) Reduce(ref Ref, function string) Ref {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.graph.Reduce(ref, function)
}

// Ref returns the reference of an expression, for use with [Result.Graph] or the graph of
// a whole program.
func (r *Result) Ref(expr ast.Expr) Ref {
	if r.b == nil || expr == nil {
		return Ref{Unknown: true}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.b.info.TypeOf(expr)
	if t != nil && !known.IsScope(t) {
		// The expression is a struct that embeds a scope.
		if path := known.Embedded(t); path != nil {
			return r.b.variable(path[len(path)-1])
		}
	}
	return r.b.ref(expr)
}

// ScopeRef returns the reference of call.Scopes[i].
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

// Variable returns the reference of a variable, for use with the graph of a program.
func (r *Result) Variable(v *types.Var) Ref {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.variable(v)
}

// Callee returns the name of the function of a call in the graph of a program.
func (r *Result) Callee(call *ast.CallExpr) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	name, _ := r.b.callee(call)
	return name
}

// Args returns the references of the arguments of a call, by the names of the callee's
// parameter nodes, for [Ref.Bind].
func (r *Result) Args(call *ast.CallExpr) map[string]Ref {
	if r.b == nil || call == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.args(call)
}

// Graph returns a copy of the graph of the package and its imports. It is empty if the
// package does not use the library. [Graph.Add] merges the graphs of all packages of a
// program, and [Graph.Names] with closed set then has all callers.
func (r *Result) Graph() *Graph {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := &Graph{Nodes: map[string]*Node{}}
	g.Add(r.graph)
	return g
}

// Program returns the result for the program that the package is a part of, without its
// test files. It is for [Graph.Trace]: the graph has the callers of functions, the notices
// that scopes are put under, and the reasons why purposes are not known. It is the graph
// of this package alone. The analyzer has to require [Analyzer].
func Program(pass *analysis.Pass) *Result {
	b := build(pass, slices.Collect(known.Files(pass)), imports(pass), true)
	return &Result{b: b, graph: b.graph}
}

// imports returns the graph of all imports.
func imports(pass *analysis.Pass) *Graph {
	all := &Graph{Nodes: map[string]*Node{}}
	for _, p := range pass.Pkg.Imports() {
		var f fact
		if pass.ImportPackageFact(p, &f) {
			all.Add(&f.Graph)
		}
	}
	return all
}

func run(pass *analysis.Pass) (any, error) {
	if !known.Uses(pass) {
		return &Result{graph: &Graph{}}, nil
	}
	all := imports(pass)
	b := build(pass, pass.Files, all, false)
	all.Add(b.graph)
	pass.ExportPackageFact(&fact{*all.pruned()})
	// Later requests for expressions add nodes to this graph, so it must not be the one
	// in the fact, which other packages may be reading.
	b.graph = all
	return &Result{b: b, graph: all}, nil
}
