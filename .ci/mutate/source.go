package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// A Mutant is one small change of the code under test.
type Mutant struct {
	ID   int
	File string // relative to the module's directory
	Line int
	Func string
	Op   string // the kind of change
	Text string // the changed code
}

// Key names the mutant without its line: an edit elsewhere in the file moves the line.
func (m Mutant) Key() string {
	return fmt.Sprintf("%s %s: %s: %s", m.File, m.Func, m.Op, m.Text)
}

// A source is one file with all of its mutants, each behind a switch, so that a
// package is compiled only once.
type source struct {
	name    string // as in Mutant.File
	text    []byte
	fset    *token.FileSet
	info    *types.Info
	fn      string // the function that is being walked
	mutants *[]Mutant
	before  map[int]string // text to insert in front of a node, by offset
	after   map[int]string // text to insert at the end of a node, by offset
}

// mutate returns the file's text with its mutants.
func (s *source) mutate(f *ast.File) []byte {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Body != nil {
				s.fn = funcName(d)
				s.walk(d.Body)
			}
		case *ast.GenDecl:
			if d.Tok == token.VAR {
				s.fn = "var"
				s.walk(d)
			}
		}
	}
	var out []byte
	for i := 0; i <= len(s.text); i++ {
		out = append(out, s.after[i]...)
		out = append(out, s.before[i]...)
		if i < len(s.text) {
			out = append(out, s.text[i])
		}
	}
	return out
}

func funcName(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return d.Name.Name
	}
	t := d.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if g, ok := t.(*ast.IndexExpr); ok {
		t = g.X
	}
	return fmt.Sprint(t, ".", d.Name.Name)
}

func (s *source) walk(n ast.Node) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IfStmt:
			s.wrap(n.Cond, "mutantBool", "always", "never")
		case *ast.ForStmt:
			if n.Cond != nil { // an endless loop tests nothing
				s.wrap(n.Cond, "mutantNever", "never")
			}
		case *ast.SwitchStmt:
			if n.Tag == nil {
				s.cases(n.Body)
			}
		case *ast.BinaryExpr:
			s.binary(n)
		case *ast.ReturnStmt:
			s.results(n)
		case *ast.BlockStmt:
			s.statements(n.List)
		case *ast.CaseClause:
			s.statements(n.Body)
		case *ast.CommClause:
			s.statements(n.Body)
		case *ast.CallExpr:
			return s.call(n)
		case *ast.CompositeLit:
			for _, e := range n.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok {
					e = kv.Value
				}
				s.zero(e)
			}
		case *ast.FuncLit, *ast.GenDecl:
			if g, ok := n.(*ast.GenDecl); ok && g.Tok == token.CONST {
				return false
			}
		}
		return true
	})
}

func (s *source) cases(body *ast.BlockStmt) {
	for _, c := range body.List {
		for _, e := range c.(*ast.CaseClause).List {
			s.wrap(e, "mutantNever", "never")
		}
	}
}

func (s *source) binary(n *ast.BinaryExpr) {
	if s.isConstant(n) {
		return
	}
	switch n.Op {
	case token.LAND:
		s.wrap(n.X, "mutantAlways", "dropped from &&")
		s.wrap(n.Y, "mutantAlways", "dropped from &&")
	case token.LOR:
		s.wrap(n.X, "mutantNever", "dropped from ||")
		s.wrap(n.Y, "mutantNever", "dropped from ||")
	case token.LSS, token.LEQ, token.GTR, token.GEQ:
		if pure(n) {
			id := s.add(n, "boundary")
			s.insert(n, "((", fmt.Sprintf(") != (mutant(%d) && (%s) == (%s)))", id, s.code(n.X), s.code(n.Y)))
		}
	case token.ADD:
		if t, ok := s.typeOf(n).Underlying().(*types.Basic); ok && t.Info()&types.IsString != 0 && pure(n.X) {
			id := s.add(n, "only its left side")
			s.insert(n, "mutantPick(", fmt.Sprintf(", %s, %d)", s.code(n.X), id))
		}
	}
}

// results swallows errors, negates booleans and returns zero values. It leaves the
// values beside an error alone, because no caller looks at them.
func (s *source) results(n *ast.ReturnStmt) {
	fails := false
	if len(n.Results) > 1 {
		last := n.Results[len(n.Results)-1]
		id, named := last.(*ast.Ident)
		t := s.typeOf(last)
		fails = t != nil && !s.isConstant(last) && types.Implements(t, errorType) && (!named || id.Name != "err")
	}
	for i, e := range n.Results {
		t := s.typeOf(e)
		if t == nil || s.isConstant(e) {
			continue
		}
		if _, tuple := t.(*types.Tuple); tuple {
			return
		}
		switch {
		case i == len(n.Results)-1 && types.Implements(t, errorType):
			s.wrap(e, "mutantError", "swallowed")
		case isBool(t):
			s.wrap(e, "mutantNot", "negated")
		case !fails:
			s.zero(e)
		}
	}
}

// statements drops each statement without which the code still compiles.
func (s *source) statements(list []ast.Stmt) {
	for _, stmt := range list {
		switch stmt := stmt.(type) {
		case *ast.ExprStmt:
			if call, ok := stmt.X.(*ast.CallExpr); !ok || s.keeps(call) {
				continue
			}
		case *ast.DeferStmt:
			if s.keeps(stmt.Call) {
				continue
			}
		case *ast.AssignStmt:
			if stmt.Tok == token.DEFINE || allBlank(stmt.Lhs) {
				continue
			}
		case *ast.IncDecStmt:
		default:
			continue
		}
		id := s.add(stmt, "dropped")
		s.insert(stmt, fmt.Sprintf("if !mutant(%d) { ", id), " }")
	}
}

// synchronisation has the names of functions without which a program hangs or races.
// The race detector looks for such mistakes; assertions do not find them.
var synchronisation = []string{"Lock", "Unlock", "RLock", "RUnlock", "Done", "Wait", "Add", "close", "panic", "Close"}

func (s *source) keeps(call *ast.CallExpr) bool {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return slices.Contains(synchronisation, f.Name)
	case *ast.SelectorExpr:
		return slices.Contains(synchronisation, f.Sel.Name)
	}
	return false
}

// call puts zero values in place of arguments, and makes append add nothing. It
// reports whether to walk on into the call.
func (s *source) call(n *ast.CallExpr) bool {
	tv := s.info.Types[n.Fun]
	switch {
	case tv.IsType(): // a conversion
		return true
	case tv.IsBuiltin():
		if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "append" && len(n.Args) > 1 && pure(n.Args[0]) {
			m := s.add(n, "nothing appended")
			s.insert(n, "mutantPick(", fmt.Sprintf(", %s, %d)", s.code(n.Args[0]), m))
		}
		return true
	}
	if sel, ok := n.Fun.(*ast.SelectorExpr); ok {
		if pkg, ok := sel.X.(*ast.Ident); ok && (pkg.Name == "fmt" && sel.Sel.Name != "Appendf" || pkg.Name == "errors" && sel.Sel.Name == "New") {
			return true // the words of messages
		}
	}
	for _, a := range n.Args {
		s.zero(a)
	}
	return true
}

// zero puts the zero value in place of e, where e is data.
func (s *source) zero(e ast.Expr) {
	t := s.typeOf(e)
	if t == nil || s.isConstant(e) || !isData(t) {
		return
	}
	if _, lit := e.(*ast.CompositeLit); lit {
		return // its fields are changed one by one
	}
	if code := s.code(e); code == "dst" || strings.HasSuffix(code, "[:0]") {
		return // room to append to; other room serves as well
	}
	if call, ok := e.(*ast.CallExpr); ok {
		if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "make" {
			return
		}
	}
	s.wrap(e, "mutantZero", "zero")
}

func isData(t types.Type) bool {
	if _, param := t.(*types.TypeParam); param {
		return false
	}
	switch t := t.Underlying().(type) {
	case *types.Basic:
		return t.Info()&(types.IsString|types.IsNumeric|types.IsBoolean) != 0 && t.Info()&types.IsUntyped == 0
	case *types.Slice:
		return isByte(t.Elem())
	case *types.Array:
		return isByte(t.Elem())
	case *types.Struct:
		return t.NumFields() > 0
	}
	return false
}

func isByte(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Kind() == types.Byte
}

func isBool(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsBoolean != 0
}

var errorType = types.Universe.Lookup("error").Type().Underlying().(*types.Interface)

// pure reports whether e can be evaluated twice.
func pure(e ast.Expr) bool {
	ok := true
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			switch f := n.Fun.(type) {
			case *ast.Ident:
				ok = ok && slices.Contains([]string{"len", "append", "make", "string", "int", "int64", "uint64"}, f.Name)
			case *ast.ArrayType:
			default:
				ok = false
			}
		case *ast.FuncLit:
			ok = false
		case *ast.UnaryExpr:
			ok = ok && n.Op != token.ARROW
		}
		return ok
	})
	return ok
}

func allBlank(list []ast.Expr) bool {
	return !slices.ContainsFunc(list, func(e ast.Expr) bool {
		id, ok := e.(*ast.Ident)
		return !ok || id.Name != "_"
	})
}

// wrap puts e into a call of function, which takes one mutant for each op.
func (s *source) wrap(e ast.Expr, function string, ops ...string) {
	if s.isConstant(e) {
		return
	}
	first := 0
	for i, op := range ops {
		id := s.add(e, op)
		if i == 0 {
			first = id
		}
	}
	s.insert(e, function+"(", fmt.Sprintf(", %d)", first))
}

func (s *source) add(n ast.Node, op string) int {
	id := len(*s.mutants) + 1
	*s.mutants = append(*s.mutants, Mutant{
		ID: id, File: s.name, Line: s.fset.Position(n.Pos()).Line, Func: s.fn, Op: op,
		Text: strings.Join(strings.Fields(s.code(n)), " "),
	})
	return id
}

// insert puts text around n. Nodes are visited from the outside in.
func (s *source) insert(n ast.Node, before, after string) {
	start, end := s.offset(n.Pos()), s.offset(n.End())
	s.before[start] += before
	s.after[end] = after + s.after[end]
}

func (s *source) offset(p token.Pos) int { return s.fset.Position(p).Offset }

func (s *source) code(n ast.Node) string {
	return string(s.text[s.offset(n.Pos()):s.offset(n.End())])
}

func (s *source) typeOf(e ast.Expr) types.Type { return s.info.TypeOf(e) }

func (s *source) isConstant(e ast.Expr) bool {
	tv := s.info.Types[e]
	return tv.IsNil() || tv.Value != nil && tv.Value.Kind() != constant.Unknown
}

// support is the source that mutate adds to each package.
const support = `package %s

import (
	"os"
	"strconv"
	"sync/atomic"
)

var mutantActive, _ = strconv.Atoi(os.Getenv("MUTANT"))

var mutantTrace = os.Getenv("MUTANT_TRACE")

var mutantSeen [1 << 16]atomic.Bool

func mutant(n int) bool {
	if mutantTrace != "" {
		if !mutantSeen[n].Swap(true) {
			f, err := os.OpenFile(mutantTrace, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			if err != nil {
				panic(err)
			}
			f.WriteString(strconv.Itoa(n) + "\n")
			f.Close()
		}
	}
	return n == mutantActive
}

func mutantBool[T ~bool](b T, n int) T {
	if mutant(n) {
		return true
	}
	return b && T(!mutant(n+1))
}

func mutantAlways[T ~bool](b T, n int) T { return T(mutant(n)) || b }

func mutantNever[T ~bool](b T, n int) T { return T(!mutant(n)) && b }

func mutantNot[T ~bool](b T, n int) T { return b != T(mutant(n)) }

func mutantError(err error, n int) error {
	if mutant(n) {
		return nil
	}
	return err
}

func mutantPick[T any](a, b T, n int) T {
	if mutant(n) {
		return b
	}
	return a
}

func mutantZero[T any](v T, n int) T {
	if mutant(n) {
		var zero T
		return zero
	}
	return v
}
`
