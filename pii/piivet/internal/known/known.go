// Package known recognises onlyfor's types and calls in type-checked code. It compares
// package paths and names alone, so that it works with every version of the library. It
// looks through aliases, pointers, instances of generic types and embedding.
package known

import (
	"go/types"
	"iter"
)

// The packages of the library.
const (
	Module      = "github.com/onlyfor/onlyfor"
	PurposePath = Module + "/purpose"
	VaultPath   = Module + "/vault"
	PIIPath     = Module + "/pii"
	BatchPath   = PIIPath + "/batch"
)

// IsPurpose reports whether t is purpose.Purpose or a pointer to one.
func IsPurpose(t types.Type) bool { return is(t, purposeType) }

// IsScope reports whether t grants the use of a purpose: vault.Scope,
// Collector, Lookup, Reader, a pointer to one of them, or one of the interfaces
// Sealer, Indexer and Revealer. It is false for types that embed one: see
// [Embedded].
func IsScope(t types.Type) bool {
	return is(t, scopeType)
}

// IsBasis reports whether t is purpose.Basis or a pointer to one.
func IsBasis(t types.Type) bool { return is(t, basisType) }

// IsVault reports whether t is vault.Vault or vault.Admin, or a pointer to one.
func IsVault(t types.Type) bool { return is(t, vaultType) }

// IsIndex reports whether t is pii.Index or a pointer to one.
func IsIndex(t types.Type) bool { return is(t, indexType) }

// IsSealed reports whether t is a sealed value or a pointer to one: pii.Email, pii.Phone,
// an instance of pii.Sealed, vault.Sealed, or a struct whose only field embeds one of
// them, as a user's own kind does.
func IsSealed(t types.Type) bool {
	for range 8 { // a bound for recursive types; no real kind is embedded deeper
		if is(t, sealedType) {
			return true
		}
		s, ok := Deref(t).Underlying().(*types.Struct)
		if !ok || s.NumFields() != 1 || !s.Field(0).Embedded() {
			return false
		}
		t = s.Field(0).Type()
	}
	return false
}

// Kinds returns the kinds of a sealed value: the type arguments of the pii.Sealed that t
// is, points to, or embeds as its only field.
func Kinds(t types.Type) []types.Type {
	for range 8 {
		if n := Named(t); n != nil && in(n, PIIPath) && n.Obj().Name() == "Sealed" && n.TypeArgs().Len() == 1 {
			return []types.Type{n.TypeArgs().At(0)}
		}
		s, ok := Deref(t).Underlying().(*types.Struct)
		if !ok || s.NumFields() != 1 || !s.Field(0).Embedded() {
			return nil
		}
		t = s.Field(0).Type()
	}
	return nil
}

// Embedded returns the embedded fields from a value of type t to a scope, outermost
// first, or nil if t embeds none.
func Embedded(t types.Type) []*types.Var { return embedded(t, 4) }

func embedded(t types.Type, depth int) []*types.Var {
	if t == nil || depth == 0 {
		return nil
	}
	s, ok := Deref(t).Underlying().(*types.Struct)
	if !ok {
		return nil
	}
	for f := range s.Fields() {
		if !f.Embedded() {
			continue
		}
		if IsScope(f.Type()) {
			return []*types.Var{f}
		}
		if rest := embedded(f.Type(), depth-1); rest != nil {
			return append([]*types.Var{f}, rest...)
		}
	}
	return nil
}

// Carries reports whether a value of type t can hold a scope or a purpose directly: it is
// one, or a pointer, slice, array, map, channel or tuple of them.
func Carries(t types.Type) bool {
	return Holds(t, func(t types.Type) bool { return IsScope(t) || IsPurpose(t) })
}

// Holds reports whether is holds for t or for the type of an element of t: of a pointer,
// slice, array, map, channel or tuple. It takes a named slice or map, but not the fields
// of a struct, which are tracked one by one.
func Holds(t types.Type, is func(types.Type) bool) bool { return holds(t, is, 6) }

func holds(t types.Type, is func(types.Type) bool, depth int) bool {
	if t == nil || depth == 0 {
		return false
	}
	if is(t) {
		return true
	}
	for element := range Elements(t) {
		if holds(element, is, depth-1) {
			return true
		}
	}
	return false
}

// Elements returns the types of the elements of a pointer, slice, array, map, channel or
// tuple, and none for other types.
func Elements(t types.Type) iter.Seq[types.Type] {
	return func(yield func(types.Type) bool) {
		switch u := t.Underlying().(type) {
		case *types.Map:
			_ = yield(u.Key()) && yield(u.Elem())
		case interface{ Elem() types.Type }: // a pointer, slice, array or channel
			yield(u.Elem())
		case *types.Tuple:
			for v := range u.Variables() {
				if !yield(v.Type()) {
					return
				}
			}
		}
	}
}

func in(n *types.Named, path string) bool {
	return n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == path
}

// Named returns the named type that t is or points to, nil if there is none.
func Named(t types.Type) *types.Named {
	if t == nil {
		return nil
	}
	n, _ := types.Unalias(Deref(t)).(*types.Named)
	return n
}

// Deref returns the type that t points to, t itself if it is no pointer.
func Deref(t types.Type) types.Type {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		return p.Elem()
	}
	return t
}

// IsError reports whether t is the type error.
func IsError(t types.Type) bool { return types.Identical(t, types.Universe.Lookup("error").Type()) }
