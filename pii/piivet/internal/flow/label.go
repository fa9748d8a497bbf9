package flow

import (
	"go/token"
	"go/types"
	"reflect"
	"strings"

	"golang.org/x/tools/go/ssa"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// A sealed value prints as a label, such as pii.Email(security), which is the same for
// all people. Labels are tracked like plaintext. The sources are calls of String and
// conversions to an interface, since a printer calls String on the value in the
// interface. In a string, the label is text; in an interface, it is a value that may
// still be printed.

// printsLabel reports whether values of type t print as a label.
func printsLabel(t types.Type) bool { return known.IsSealed(t) || known.IsIndex(t) }

// label returns the taints of a label with its source at pos.
func (e *engine) label(pos token.Pos) taints {
	src := e.intern(source{Label: true, Pkg: e.pass.Pkg.Path(), Where: e.where(pos), pos: pos})
	return src.taints()
}

func isText(t types.Type) bool {
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return u.Info()&types.IsString != 0
	case *types.Slice:
		b, ok := u.Elem().Underlying().(*types.Basic)
		return ok && (b.Kind() == types.Byte || b.Info()&types.IsString != 0)
	}
	return false
}

// unlabelled returns t without labels. A map or struct that contains a sealed value is
// not a label. Printing it prints a label, but encoding it, looking it up and sending it
// do not.
func (t taints) unlabelled() taints {
	if !labelled(t) {
		return t
	}
	out := taints{}
	for x := range t {
		if x.source == nil || !x.source.Label {
			out[x] = struct{}{}
		}
	}
	return out
}

// entries returns the taints of the entries of a map.
func (e *engine) entries(m ssa.Value) taints {
	if named(m) {
		return e.of(m).unlabelled()
	}
	return e.of(m)
}

// named reports whether m is a map of values of any type, or iterates over one. The keys
// of such a map are names of fields.
func named(m ssa.Value) bool {
	if r, ok := m.(*ssa.Range); ok {
		m = r.X
	}
	t, ok := m.Type().Underlying().(*types.Map)
	return ok && types.IsInterface(t.Elem())
}

// asserted reports whether a text comes from a type assertion or from an iteration over a
// map. A sealed value in an interface is not text, and a label was a finding when it
// became a key.
func asserted(v ssa.Value) bool {
	switch v := v.(type) {
	case *ssa.TypeAssert:
		return true
	case *ssa.Extract:
		if _, ok := v.Tuple.(*ssa.Next); ok {
			return true
		}
		return asserted(v.Tuple)
	}
	return false
}

// compared handles a comparison of a label with other text. Rule compare reports
// comparisons of two sealed values.
func (e *engine) compared(f *function, i *ssa.BinOp) {
	if !isText(i.X.Type()) {
		return
	}
	for _, side := range [2][2]ssa.Value{{i.X, i.Y}, {i.Y, i.X}} {
		if asserted(side[0]) {
			continue
		}
		set := e.of(side[0])
		if labelled(set) && labelled(e.of(side[1])) {
			return
		}
		e.sink(f, Label, set, i.Pos(), "is compared with text", "", noScopes)
	}
}

func labelled(set taints) bool {
	for x := range set {
		if x.source != nil && x.source.Label {
			return true
		}
	}
	return false
}

// keyed handles the key of a map.
func (e *engine) keyed(f *function, key ssa.Value, pos token.Pos) {
	if isText(key.Type()) && !asserted(key) {
		e.sink(f, Label, e.of(key), pos, "is a key", "", noScopes)
	}
}

// passed handles the arguments of a function of the main module. It reports only labels
// that the call itself creates: other labels are found in the function.
func (e *engine) passed(s *site, fn *types.Func) {
	if fn == nil || s.results != nil || logs(fn) {
		return
	}
	for _, arg := range s.args {
		call, ok := arg.(*ssa.Call)
		if !ok || !isText(arg.Type()) {
			continue
		}
		if !printsOne(call) {
			continue
		}
		for x := range e.of(arg) {
			if x.source != nil && x.source.Label {
				e.sinkOne(s.f, Label, x, s.pos(), "is passed to "+short(fn)+" as text", "", noScopes)
			}
		}
	}
}

// printsOne reports whether a call is of String, or of fmt.Sprint with one argument, so
// that its result is the label and nothing else.
func printsOne(call *ssa.Call) bool {
	callee := call.Common().StaticCallee()
	if callee == nil || callee.Name() == "String" {
		return callee != nil
	}
	if callee.String() != "fmt.Sprint" || len(call.Common().Args) != 1 {
		return false
	}
	s, ok := call.Common().Args[0].(*ssa.Slice)
	if !ok {
		return false
	}
	array, ok := s.X.Type().Underlying().(*types.Pointer)
	if !ok {
		return false
	}
	a, ok := array.Elem().Underlying().(*types.Array)
	return ok && a.Len() == 1
}

// logs reports whether a function writes to a log, a metric or an error, where labels are
// right.
func logs(fn *types.Func) bool {
	name := strings.ToUpper(fn.Name()[:1]) + fn.Name()[1:]
	if levels.MatchString(name) || withFields.MatchString(name) {
		return true
	}
	if fn.Pkg() == nil {
		return false
	}
	p := cleanPath(fn.Pkg().Path())
	return loggers[p] || metrics[p] || errorMakers[p] || p == "fmt" || p == "errors" || logPackage.MatchString(p) || isErrorMaker(fn)
}

func isErrorMaker(fn *types.Func) bool {
	results := fn.Signature().Results()
	return results.Len() == 1 && known.IsError(results.At(0).Type()) && (len(fn.Name()) > 3 && (fn.Name()[:3] == "New" || fn.Name()[:3] == "Err"))
}

// rendersLabels handles the data of a template or an encoder. A label in a map of values
// of any type is a finding, and for responses, a sealed value in a field is one as well.
func (e *engine) rendersLabels(s *site, data ssa.Value, what string, answer bool) {
	t := data.Type()
	if i, ok := data.(*ssa.MakeInterface); ok {
		t = i.X.Type()
	}
	_, isMap := t.Underlying().(*types.Map)
	if isMap || types.IsInterface(t) {
		e.sink(s.f, Label, e.of(data), s.pos(), what, "", noScopes)
		return
	}
	if answer && holdsSealed(t, 4) {
		e.sink(s.f, Label, e.label(s.pos()), s.pos(), what, "", noScopes)
	}
}

// holdsSealed reports whether an encoder finds a sealed value in the fields of t.
func holdsSealed(t types.Type, depth int) bool {
	if depth == 0 || printsLabel(t) {
		return depth > 0
	}
	switch u := t.Underlying().(type) {
	case *types.Pointer:
		return holdsSealed(u.Elem(), depth-1)
	case *types.Slice:
		return holdsSealed(u.Elem(), depth-1)
	case *types.Map:
		return holdsSealed(u.Elem(), depth-1)
	case *types.Struct:
		for i := range u.NumFields() {
			if f := u.Field(i); (f.Exported() || f.Embedded()) && reflect.StructTag(u.Tag(i)).Get("json") != "-" && holdsSealed(f.Type(), depth-1) {
				return true
			}
		}
	}
	return false
}
