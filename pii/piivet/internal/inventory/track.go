package inventory

import (
	"go/types"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// library is the module that is looked for.
const library = "github.com/onlyfor/onlyfor"

const (
	purposePath = library + "/purpose"
	vaultPath   = library + "/vault"
	piiPath     = library + "/pii"
)

// ofLibrary reports whether a package belongs to the library itself, whose
// functions are known and not followed into.
func ofLibrary(path string) bool {
	for _, p := range []string{purposePath, vaultPath, piiPath} {
		if path == p || strings.HasPrefix(path, p+"/") && !strings.Contains(path, "/piivet/") {
			return true
		}
	}
	return false
}

// OfLibrary reports whether the package of that import path is part of the
// library: what it does with scopes is known, and no use of its own.
func OfLibrary(path string) bool { return ofLibrary(path) }

// What a type holds that is followed.
type holds uint8

const (
	scopes   holds = 1 << iota // the right to use a purpose
	purposes                   // purpose.Purpose
	bases                      // purpose.Basis
	anything                   // a type parameter, which may be any of them
)

// holding returns what values of type t hold, directly or as elements. Structs
// hold nothing: their fields are followed by themselves.
func holding(t types.Type) holds {
	return holdingOf(t, map[types.Type]bool{})
}

func holdingOf(t types.Type, seen map[types.Type]bool) holds {
	if t == nil || seen[t] {
		return 0
	}
	seen[t] = true
	t = types.Unalias(t)
	if _, pointer := t.(*types.Pointer); !pointer {
		switch {
		case known.IsPurpose(t):
			return purposes
		case known.IsBasis(t):
			return bases
		case known.IsScope(t):
			return scopes
		}
	}
	if _, ok := t.(*types.TypeParam); ok {
		return anything
	}
	switch t := t.Underlying().(type) {
	case *types.Pointer:
		return holdingOf(t.Elem(), seen)
	case *types.Slice:
		return holdingOf(t.Elem(), seen)
	case *types.Array:
		return holdingOf(t.Elem(), seen)
	case *types.Chan:
		return holdingOf(t.Elem(), seen)
	case *types.Map:
		return holdingOf(t.Key(), seen) | holdingOf(t.Elem(), seen)
	}
	return 0
}

// holdsAny reports whether something that is followed is among the parameters,
// the results or the receiver of a function.
func holdsAny(sig *types.Signature) bool {
	if sig.Recv() != nil && holding(sig.Recv().Type()) != 0 {
		return true
	}
	for _, tuple := range []*types.Tuple{sig.Params(), sig.Results()} {
		for v := range tuple.Variables() {
			if holding(v.Type()) != 0 {
				return true
			}
		}
	}
	return false
}

// shape is the signature without names, receiver and type parameters: what
// functions have in common that can be called in one place.
func shape(sig *types.Signature) string {
	var b strings.Builder
	for i, tuple := range []*types.Tuple{sig.Params(), sig.Results()} {
		b.WriteString([]string{"(", " ("}[i])
		for v := range tuple.Variables() {
			b.WriteString(types.TypeString(v.Type(), nil))
			b.WriteByte(',')
		}
		b.WriteByte(')')
	}
	if sig.Variadic() {
		b.WriteString("...")
	}
	return b.String()
}
