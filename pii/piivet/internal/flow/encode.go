package flow

import (
	"go/types"
	"strings"

	"golang.org/x/tools/go/ssa"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// Encoders and templates do not see unexported fields. If a message has its address in an
// unexported field, its encoding and its rendering do not contain the address.

// respond handles a method of a web framework that writes a response.
func (e *engine) respond(s *site, args []ssa.Value, what string) {
	name := s.obj.Name()
	encodes := false
	for _, form := range []string{"JSON", "XML", "YAML", "TOML", "CBOR", "HTML", "Render", "Respond"} {
		encodes = encodes || strings.Contains(name, form)
	}
	if !encodes {
		e.sinkAll(s, Response, args, what)
		return
	}
	for _, arg := range args {
		set := e.of(arg).encoded()
		if strings.Contains(name, "HTML") || name == "Render" {
			set = e.rendered(arg)
		}
		if p, name := typePath(arg.Type()); p != "context" || name != "Context" {
			e.rendersLabels(s, arg, "is encoded for an answer", true)
			e.sink(s.f, Response, set, s.pos(), what, "", noScopes)
		}
	}
}

// rendered returns the taints of template data as a template sees them: the exported
// fields, and the results of methods. For data of unknown type it returns all taints.
func (e *engine) rendered(v ssa.Value) taints {
	t := v.Type()
	if i, ok := v.(*ssa.MakeInterface); ok {
		t = i.X.Type()
	}
	if p, ok := t.Underlying().(*types.Pointer); ok {
		t = p.Elem()
	}
	if _, ok := t.Underlying().(*types.Struct); !ok {
		return e.of(v)
	}
	set := e.of(v).encoded()
	e.methodsOf(t, set, map[types.Type]bool{})
	return set
}

// methodsOf adds the results of the methods of t and of the types of its fields. Taints
// of parameters are left out.
func (e *engine) methodsOf(t types.Type, set taints, seen map[types.Type]bool) {
	if seen[t] || len(seen) > 200 {
		return
	}
	seen[t] = true
	if n, ok := types.Unalias(t).(*types.Named); ok {
		for m := range n.Methods() {
			if m.Exported() {
				e.returned(m.Origin(), set)
			}
		}
	}
	switch u := t.Underlying().(type) {
	case *types.Pointer:
		e.methodsOf(u.Elem(), set, seen)
	case *types.Slice:
		e.methodsOf(u.Elem(), set, seen)
	case *types.Array:
		e.methodsOf(u.Elem(), set, seen)
	case *types.Map:
		e.methodsOf(u.Elem(), set, seen)
	case *types.Struct:
		for f := range u.Fields() {
			if f.Exported() || f.Embedded() {
				e.methodsOf(f.Type(), set, seen)
			}
		}
	}
}

// returned adds the results of a function, without the taints of its parameters.
func (e *engine) returned(f *types.Func, set taints) {
	for _, g := range e.methods[f.Name()] {
		if g.obj == f {
			for _, r := range g.results {
				for x := range r {
					if x.param == nil {
						set[x] = struct{}{}
					}
				}
			}
		}
	}
	if sum := e.summaryOf(purposes.Func(f)); sum != nil {
		for _, items := range sum.Results {
			for _, it := range items {
				if it.Param < 0 {
					set[taint{origin: e.origin(it, nil), inner: it.Inner, hidden: it.Hidden}] = struct{}{}
				}
			}
		}
	}
}
