// Package flow tracks revealed values to sinks.
//
// It is a taint analysis on the SSA form of a package. The sources are the calls that
// reveal strings. Taints flow through variables, fields, slices, maps and channels,
// through concatenation, conversions and the text functions of the standard library, and
// through closures, function values and functions, with each call on its own. Facts carry
// them through all packages of the main module and all packages that use the library. A
// function of another module returns its arguments in another form, unless tables.go
// lists it as a sink or as one with unrelated results.
//
// Test files are left out: the values that they reveal are made up.
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

// Analyzer tracks revealed values to sinks. Its result is a []Finding.
var Analyzer = &analysis.Analyzer{
	Name:       "piivetflow",
	Doc:        "find out where revealed values go",
	Run:        run,
	Requires:   []*analysis.Analyzer{known.Analyzer, allow.Analyzer, purposes.Analyzer},
	FactTypes:  []analysis.Fact{new(fact)},
	ResultType: reflect.TypeFor[[]Finding](),
}

// A Kind is a kind of sink.
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
	// Receive is not a mistake, but a use: a function receives a value that another one
	// revealed, and does more with it than to return it.
	Receive Kind = "receive"
	// Label is the printed label of a sealed value that is used as data. The field What
	// of the finding tells how.
	Label Kind = "label"
	// Egress is a sealed value in a request that a transport of package egress refuses. The
	// field What of the finding is the message.
	Egress Kind = "egress"
	// Stopped is a function with an incomplete analysis, since it takes too much work.
	Stopped Kind = "stopped"
)

// A Finding is a revealed value that reaches a sink.
type Finding struct {
	Kind Kind
	// Pos is the position of the finding.
	Pos token.Pos
	// What is the function that is the sink, such as "slog.Info".
	What string
	// Through is the function of another package that passes the value on to the sink,
	// with its file and line, "" if there is none.
	Through string
	// Elsewhere is the package, file and line of the flow if it depends on the scopes
	// that are passed at Pos. It is "" if the flow is at Pos.
	Elsewhere string
	// In is the function that receives the value, in the form of [purposes.Place], and
	// InPackage the path of its package. Does is the operation that it performs with the
	// value, "" if it is not known. All three are for Receive.
	In, InPackage, Does string
	// RevealedIn is the function that revealed the value, and RevealedPackage the
	// path of its package.
	RevealedIn, RevealedPackage string
	// From are the purposes that the value was revealed for, none if not known.
	From []string
	// Among are purposes that the value was revealed for, if there may be others.
	Among []string
	// To are the purposes that the value is sealed or indexed for, for Reuse.
	To []string
	// Revealed is the file and line of the call that revealed the value, and RevealedAt
	// its position if it is in this package.
	Revealed   string
	RevealedAt token.Pos
}

// Names joins the names of purposes for a message.
func Names(purposes []string) string { return strings.Join(purposes, " or ") }

// Origin returns the beginning of a message: "revealed", with the purposes if they are
// known.
func (f Finding) Origin() string {
	if len(f.From) == 0 {
		return "revealed"
	}
	return "revealed for " + Names(f.From)
}

// Related points to the call that revealed the value. It is empty if that is in another
// package, and for labels.
func (f Finding) Related() []analysis.RelatedInformation {
	if !f.RevealedAt.IsValid() || f.Kind == Label {
		return nil
	}
	return []analysis.RelatedInformation{{Pos: f.RevealedAt, Message: "revealed here"}}
}

// Place returns the end of a message: the function that the value goes through, or the
// place of the flow, as in " (through audit.Note, audit.go:12)", or "".
func (f Finding) Place() string {
	if f.Elsewhere != "" {
		return " (in " + f.Elsewhere + ", with the scopes that are given here)"
	}
	if f.Through == "" {
		return ""
	}
	return " (through " + f.Through + ")"
}

// Of returns the findings of the pass. The analyzer has to require [Analyzer].
func Of(pass *analysis.Pass) []Finding { return pass.ResultOf[Analyzer].([]Finding) }

// follows reports whether a package is analyzed: it uses the library, or it belongs to
// the main module, whose helpers receive plaintext from other packages. The library
// itself is not analyzed: its functions are known, and it keeps no plaintext from
// functions of the program, such as a hook of package migrate. This must not depend on
// the module of the pass: the go command takes the facts of a package from its cache in
// all modules with the same package.
func follows(pass *analysis.Pass) bool {
	if known.Part(pass.Pkg.Path()) {
		return false
	}
	return known.Uses(pass) || pass.Module != nil && pass.Module.Path != "" && pass.Module.Version == ""
}

func run(pass *analysis.Pass) (result any, err error) {
	if !follows(pass) {
		return []Finding(nil), nil
	}
	// A failure of the analysis is an error with the name of the package.
	defer func() {
		if p := recover(); p != nil {
			result, err = nil, fmt.Errorf("piivet can't follow package %s, which is a fault of piivet: %v", pass.Pkg.Path(), p)
		}
	}()
	e, err := newEngine(pass)
	if err != nil {
		return nil, err
	}
	if err := e.solve(); err != nil {
		return nil, err
	}
	steps.Add(int64(e.steps))
	e.requests()
	findings := e.findings()
	pass.ExportPackageFact(e.export())
	return findings, e.damaged
}

// calls returns the calls of the package by the position of their opening parenthesis.
// SSA has this position for each call.
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
