package flow

import (
	"go/types"
	"strings"

	"golang.org/x/tools/go/ssa"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// Encoders and templates do not see fields whose names are not exported. A
// message that keeps whom it goes to in such a field does not say so when it is
// encoded or rendered.

// respond handles a method of a web framework that answers a request.
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

// rendered returns what a template sees of its data: what is not hidden in it,
// and what its methods return. Of data whose type is not known it is all.
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

// methodsOf adds what the methods of t return, and those of all that is in its
// fields, as far as it comes from fields and not from parameters.
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

// returned adds what a function returns, whoever calls it.
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
	if sum := e.imported.Funcs[purposes.Func(f)]; sum != nil {
		for _, items := range sum.Results {
			for _, it := range items {
				if it.Param < 0 {
					set[taint{origin: e.origin(it, nil), inner: it.Inner, hidden: it.Hidden}] = struct{}{}
				}
			}
		}
	}
}
