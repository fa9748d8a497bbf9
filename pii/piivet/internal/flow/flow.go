// Package flow finds out where revealed values go.
//
// It follows a string from the call that reveals it, in the SSA form of a
// package: through variables, fields, slices, maps and channels, through
// concatenation, conversions and the text functions of the standard library,
// through closures, function values and functions, told apart by call, and by
// facts through all packages of the main module and those that use the library.
// A function of another module returns its arguments in another form, unless
// tables.go has it as a sink or as one that answers something else.
//
// Test files are left out: what they reveal is made up.
package flow

import (
	"fmt"
	"go/ast"
	"go/token"
	"reflect"
	"strings"

	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/allow"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// Analyzer finds out where revealed values go. Its result is a []Finding.
var Analyzer = &analysis.Analyzer{
	Name:       "piivetflow",
	Doc:        "find out where revealed values go",
	Run:        run,
	Requires:   []*analysis.Analyzer{known.Analyzer, allow.Analyzer, purposes.Analyzer},
	FactTypes:  []analysis.Fact{new(fact)},
	ResultType: reflect.TypeFor[[]Finding](),
}

// A Kind is what a revealed value ends up in.
type Kind string

// The kinds of sinks. The first five are for rule leak.
const (
	Log      Kind = "log"
	Error    Kind = "error"
	Panic    Kind = "panic"
	Metric   Kind = "metric"
	Response Kind = "response"
	Hash     Kind = "hash"
	Reuse    Kind = "reuse" // sealed or indexed for another purpose
	// Receive is no mistake, but a use: a function gets a value that another one
	// revealed, and does more with it than to return it.
	Receive Kind = "receive"
	// Label is the printed label of a sealed value that is used as data. What of the
	// finding says how.
	Label Kind = "label"
	// Stopped is a function that is not followed to the end, since it takes too
	// much work.
	Stopped Kind = "stopped"
)

// A Finding is a revealed value that ends up in a sink.
type Finding struct {
	Kind Kind
	// Pos is where.
	Pos token.Pos
	// What is the function that is the sink, such as "slog.Info".
	What string
	// Through is the function of another package that hands the value on to the
	// sink, with the file and line of it, "" if there is none.
	Through string
	// Elsewhere is the package, with file and line, in which this happens with
	// the scopes that are given at Pos, "" if it happens at Pos.
	Elsewhere string
	// In is the function that receives the value, as [purposes.Place] names it, and
	// InPackage the path of its package. Does says what it does with the value, ""
	// if that is not known. All three are for Receive.
	In, InPackage, Does string
	// RevealedIn is the function that revealed the value, and RevealedPackage the
	// path of its package.
	RevealedIn, RevealedPackage string
	// From are the purposes that it was revealed for, none if not known.
	From []string
	// Among are purposes that it was revealed for, where there may be others.
	Among []string
	// To are the purposes that it is sealed or indexed for, for Reuse.
	To []string
	// Revealed is where it was revealed, as file and line, and RevealedAt as a
	// position if that is in this package.
	Revealed   string
	RevealedAt token.Pos
}

// Names joins purposes as messages have them.
func Names(purposes []string) string { return strings.Join(purposes, " or ") }

// Origin says for which purpose a value was revealed, as messages begin.
func (f Finding) Origin() string {
	if len(f.From) == 0 {
		return "revealed"
	}
	return "revealed for " + Names(f.From)
}

// Related points to where the value was revealed, or is empty if that is in
// another package.
func (f Finding) Related() []analysis.RelatedInformation {
	if !f.RevealedAt.IsValid() {
		return nil
	}
	return []analysis.RelatedInformation{{Pos: f.RevealedAt, Message: "revealed here"}}
}

// Place says what the value goes through, or where it does, as messages end:
// " (through audit.Note, audit.go:12)", or "".
func (f Finding) Place() string {
	if f.Elsewhere != "" {
		return " (in " + f.Elsewhere + ", with the scopes that are given here)"
	}
	if f.Through == "" {
		return ""
	}
	return " (through " + f.Through + ")"
}

// Of returns the findings of the pass, whose analyzer has to require
// [Analyzer].
func Of(pass *analysis.Pass) []Finding { return pass.ResultOf[Analyzer].([]Finding) }

// follows reports whether a package is looked at: one that uses the library, or
// that belongs to the main module, whose helpers are given plaintext by others.
// The library itself is not: its functions are known, and it keeps no plaintext that
// a program hands to it, such as a hook to package migrate. That must not depend on
// the module of the pass: the go command takes facts of a package from its cache
// wherever the package is the same.
func follows(pass *analysis.Pass) bool {
	if known.Part(pass.Pkg) {
		return false
	}
	return known.Uses(pass) || pass.Module != nil && pass.Module.Path != "" && pass.Module.Version == ""
}

func run(pass *analysis.Pass) (result any, err error) {
	if !follows(pass) {
		return []Finding(nil), nil
	}
	// Code that can't be followed fails loudly, and by name.
	defer func() {
		if p := recover(); p != nil {
			result, err = nil, fmt.Errorf("piivet can't follow package %s, which is a fault of piivet: %v", pass.Pkg.Path(), p)
		}
	}()
	e := newEngine(pass)
	if err := e.solve(); err != nil {
		return nil, err
	}
	steps.Add(int64(e.steps))
	findings := e.findings()
	pass.ExportPackageFact(e.export())
	return findings, nil
}

// calls returns the calls of the package by the position of their parenthesis,
// which is what SSA knows them by.
func calls(files []*ast.File) map[token.Pos]*ast.CallExpr {
	all := map[token.Pos]*ast.CallExpr{}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				all[call.Lparen] = call
			}
			return true
		})
	}
	return all
}
