package flow

import (
	"go/types"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// ours reports whether a package is analyzed: it uses the library, or belongs to the main
// module.
func (e *engine) ours(p *types.Package) bool {
	if p == nil {
		return false
	}
	_, ok := e.below.uses[p.Path()]
	return ok
}

// fieldName returns the name of a field. The name identifies the field in other packages
// as well, and in the graph of package purposes.
func (e *engine) fieldName(v *types.Var) string { return e.names.Name(v) }

func fieldOf(t types.Type, i int) *types.Var {
	if p, ok := t.Underlying().(*types.Pointer); ok {
		t = p.Elem()
	}
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		// t may be a type parameter with a struct as its constraint.
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

// text reports whether a value of type t can hold text, or a function, which can return
// text. Numbers and booleans can't: counts and comparisons are not tracked.
func text(t types.Type) bool { return holds(t, 8) }

func holds(t types.Type, depth int) bool {
	if depth == 0 { // type T []T
		return true
	}
	switch t := t.Underlying().(type) {
	case *types.Basic:
		return t.Info()&types.IsString != 0 || t.Kind() == types.UnsafePointer || t.Kind() == types.Byte
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

// redacts reports whether values of type t control how they are printed and encoded. It
// is true for types with such a method in packages that use the library. The methods are
// trusted.
func (e *engine) redacts(t types.Type) bool {
	n := known.Named(t)
	if n == nil || n.Obj().Pkg() == nil || !e.below.uses[n.Obj().Pkg().Path()] || types.IsInterface(n) {
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

func typeName(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string { return p.Name() })
}
