package vault

import (
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A Kind is a kind of personal data, such as an e-mail address. It is bound
// into what is sealed and indexed, so that a value of one kind is never taken
// for one of another. Two kinds are the same if their names are.
//
// The zero Kind is refused wherever a kind is required.
type Kind struct {
	name  string // in the sealed form
	label string // in messages and printed labels
}

const (
	maxLabel = 64
)

// MustKind returns the kind of the given name: a lower-case ASCII letter, then
// lower-case letters, digits and hyphens, 31 bytes at most. It becomes part of
// every sealed value, and so can't be changed later.
//
// The label is the qualified name of the Go type of such values, such as
// "pii.Email". Printed values bear it, and errors begin with its package. It is
// made of ASCII letters, digits, "_" and ".", 64 bytes at most.
//
// MustKind is for constants in the program: it panics when either is malformed.
func MustKind(name, label string) Kind {
	if !format.ValidKind(name) {
		panic("vault: not the name of a kind")
	}
	if !validLabel(label) {
		panic("vault: not the label of a kind")
	}
	return Kind{name, label}
}

// String returns the name, "" for the zero Kind.
func (k Kind) String() string { return k.name }

// Label returns how a value of this kind that was collected for the given
// purposes is printed, such as "pii.Email(security)".
func (k Kind) Label(collected purpose.Set) string {
	return k.label + "(" + collected.String() + ")"
}

// Package returns the package in the label, with which errors begin; "vault" if
// there is none.
func (k Kind) Package() string {
	if name, _, found := strings.Cut(k.label, "."); found {
		return name
	}
	return "vault"
}

func validLabel(label string) bool {
	if len(label) == 0 || len(label) > maxLabel {
		return false
	}
	for i := range len(label) {
		c := label[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '.' {
			return false
		}
	}
	return true
}
