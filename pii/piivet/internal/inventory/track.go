package inventory

import (
	"go/types"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// library is the path of the library's module.
const library = "github.com/onlyfor/onlyfor"

const (
	purposePath = library + "/purpose"
	vaultPath   = library + "/vault"
	piiPath     = library + "/pii"
)

// ofLibrary reports whether a package belongs to the library itself. Its functions are
// known and not analyzed.
func ofLibrary(path string) bool {
	for _, p := range []string{purposePath, vaultPath, piiPath} {
		if path == p || strings.HasPrefix(path, p+"/") && !strings.Contains(path, "/piivet/") {
			return true
		}
	}
	return false
}

// OfLibrary reports whether the package of the given import path is part of the library.
// Its operations on scopes are known, and are no uses of its own.
func OfLibrary(path string) bool { return ofLibrary(path) }

// holds is the set of tracked values that a type can hold.
type holds uint8

const (
	scopes   holds = 1 << iota // vault.Scope and narrower handles
	purposes                   // purpose.Purpose
	bases                      // purpose.Basis
	anything                   // a type parameter, which may be any of them
)

// holding returns the tracked values that a value of type t holds, directly or as
// elements. A struct holds none: its fields are tracked one by one.
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

// holdsAny reports whether a parameter, a result or the receiver of a function is
// tracked.
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

// shape returns the signature without names, receiver and type parameters. An indirect
// call may reach the functions of its shape.
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
