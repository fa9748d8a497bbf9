// Package allow implements the directive that turns a rule off in one place, with a
// reason:
//
//	//piivet:allow leak support staff see the address on purpose
//
// The directive stands at the end of a line, on the line above a statement or
// declaration, or in the doc comment of a function, where it holds for all of the
// function. One directive is for one rule. Several may stand in one comment.
package allow

import (
	"go/ast"
	"go/token"
	"reflect"
	"strings"
	"sync"

	"golang.org/x/tools/go/analysis"
)

// Analyzer collects the directives of a package. Rules require it and report
// through [Report].
var Analyzer = &analysis.Analyzer{
	Name:       "piivetallow",
	Doc:        "collect piivet's directives",
	Run:        run,
	ResultType: reflect.TypeFor[*Directives](),
}

// A Directive is one //piivet:allow comment.
type Directive struct {
	Pos    token.Pos // of the comment
	Rule   string    // as it was written, "" if there is none
	Reason string    // "" if there is none

	from, to token.Pos // of the function that the directive documents
	line     int       // the line of the directive
	last     int       // the last line of its comment, 0 if code stands before it
	file     string
	used     bool
}

// Directives are all directives of a package. Its methods may be called from several
// goroutines at once.
type Directives struct {
	mu     sync.Mutex
	pass   *analysis.Pass
	all    []*Directive
	others []finding // comments that look like a directive and are none
}

type finding struct {
	pos     token.Pos
	message string
}

const prefix = "//piivet:"

// Report reports d for the named rule, unless a directive with a reason allows
// it. The analyzer has to require [Analyzer].
func Report(pass *analysis.Pass, rule string, d analysis.Diagnostic) {
	if _, ok := Allowed(pass, rule, d.Pos); !ok {
		pass.Report(d)
	}
}

// Reportf is [Report] with a formatted message.
func Reportf(pass *analysis.Pass, rule string, at analysis.Range, format string, args ...any) {
	if _, ok := Allowed(pass, rule, at.Pos()); !ok {
		pass.ReportRangef(at, format, args...)
	}
}

// Allowed reports whether a directive with a reason allows the named rule's
// finding at pos, marks the directive as used, and returns the reason.
func Allowed(pass *analysis.Pass, rule string, pos token.Pos) (reason string, ok bool) {
	return pass.ResultOf[Analyzer].(*Directives).allowed(rule, pos)
}

func (ds *Directives) allowed(rule string, pos token.Pos) (string, bool) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	var lines []int
	var file string
	for _, d := range ds.all {
		if d.Rule != rule || d.Reason == "" {
			continue
		}
		if lines == nil {
			file, lines = ds.lines(pos)
		}
		if d.covers(file, lines, pos) {
			d.used = true
			return d.Reason, true
		}
	}
	return "", false
}

func (d *Directive) covers(file string, lines []int, pos token.Pos) bool {
	if d.file != file {
		return false
	}
	if d.from.IsValid() && d.from <= pos && pos < d.to {
		return true
	}
	for _, line := range lines {
		if d.line == line || d.last != 0 && d.last == line-1 {
			return true
		}
	}
	return false
}

// lines returns the line of pos, and the first line of the statement or package-level
// declaration that contains pos.
func (ds *Directives) lines(pos token.Pos) (file string, lines []int) {
	at := ds.pass.Fset.PositionFor(pos, false)
	lines = []int{at.Line}
	for _, f := range ds.pass.Files {
		if f.FileStart <= pos && pos <= f.FileEnd {
			if start := statement(f, pos); start.IsValid() {
				lines = append(lines, ds.pass.Fset.PositionFor(start, false).Line)
			}
		}
	}
	return at.Filename, lines
}

// statement returns the beginning of the innermost statement, specification or field that
// contains pos.
func statement(f *ast.File, pos token.Pos) token.Pos {
	start := token.NoPos
	ast.Inspect(f, func(n ast.Node) bool {
		if n == nil || pos < n.Pos() || n.End() < pos {
			return false
		}
		switch n := n.(type) {
		case *ast.BlockStmt, *ast.CaseClause, *ast.CommClause, *ast.FieldList:
			start = token.NoPos // a statement inside begins anew
		case ast.Stmt, ast.Spec, *ast.Field:
			if !start.IsValid() {
				start = n.Pos()
			}
		}
		return true
	})
	return start
}

func run(pass *analysis.Pass) (any, error) {
	ds := &Directives{pass: pass}
	for _, f := range pass.Files {
		var docs map[*ast.CommentGroup]*ast.FuncDecl
		for _, group := range f.Comments {
			for _, c := range group.List {
				if !strings.Contains(c.Text, "piivet:") {
					continue
				}
				if docs == nil {
					docs = functions(f)
				}
				ds.add(c, group, docs[group])
			}
		}
	}
	return ds, nil
}

func functions(f *ast.File) map[*ast.CommentGroup]*ast.FuncDecl {
	docs := map[*ast.CommentGroup]*ast.FuncDecl{}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Doc != nil {
			docs[fn.Doc] = fn
		}
	}
	return docs
}

func (ds *Directives) add(c *ast.Comment, group *ast.CommentGroup, fn *ast.FuncDecl) {
	rest, ok := strings.CutPrefix(c.Text, prefix)
	if !ok {
		// Only a comment that begins with the directive: prose may mention directives.
		if strings.HasPrefix(strings.TrimLeft(c.Text, "/* \t"), "piivet:allow ") && !indented(c.Text) {
			ds.others = append(ds.others, finding{c.Pos(), "not a directive: write //piivet:allow without blanks before it"})
		}
		return
	}
	rest, _, _ = strings.Cut(rest, "//") // another comment on the same line
	verb, rest, _ := strings.Cut(strings.TrimSpace(rest), " ")
	switch verb {
	case "allow":
	case "purpose": // rule boundary
		return
	default:
		ds.others = append(ds.others, finding{c.Pos(), "unknown directive: piivet has //piivet:allow and //piivet:purpose"})
		return
	}
	rule, reason, _ := strings.Cut(strings.TrimSpace(rest), " ")
	at := ds.pass.Fset.PositionFor(c.Pos(), false)
	d := &Directive{
		Pos: c.Pos(), Rule: rule, Reason: strings.TrimSpace(reason),
		file: at.Filename, line: at.Line, last: ds.pass.Fset.PositionFor(group.End(), false).Line,
	}
	if ds.trailing(c.Pos()) {
		d.last = 0
	}
	if fn != nil {
		d.from, d.to = fn.Pos(), fn.End()
	}
	ds.all = append(ds.all, d)
}

// trailing reports whether code stands before a comment on its line. Such a directive
// does not cover the next line.
func (ds *Directives) trailing(pos token.Pos) bool {
	file := ds.pass.Fset.File(pos)
	if ds.pass.ReadFile == nil || file == nil {
		return false
	}
	text, err := ds.pass.ReadFile(file.Name())
	start := file.Offset(file.LineStart(file.Line(pos)))
	end := file.Offset(pos)
	return err == nil && end <= len(text) && start <= end && strings.TrimSpace(string(text[start:end])) != ""
}

// indented reports whether a comment is a code block of a doc comment, such as an example
// of a directive.
func indented(text string) bool {
	return strings.HasPrefix(text, "//\t") || strings.HasPrefix(text, "//  ")
}
