package vault

import (
	"strings"
	"sync"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A Kind is a kind of personal data, such as an e-mail address. It is bound into
// sealed values and indexes, so that a value of one kind is never taken for a value of
// another. Kinds with equal names are one kind.
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
// lower-case letters, digits and hyphens, 31 bytes at most. The name becomes part of
// every sealed value, and so can't be changed later.
//
// The label is the qualified name of the Go type of the values, such as "pii.Email".
// It appears in printed values, and errors begin with its package. It consists of
// ASCII letters, digits, "_" and ".", 64 bytes at most.
//
// MustKind is for constants in the program. It panics if name or label is malformed, and
// if the program has a kind of this name with another label: two packages would take
// each other's values for their own, and have two canonical forms of one text. With the
// same name and label it returns an equal Kind.
func MustKind(name, label string) Kind {
	if !format.ValidKind(name) {
		panic("vault: not the name of a kind")
	}
	if !validLabel(label) {
		panic("vault: not the label of a kind")
	}
	kinds.mu.Lock()
	defer kinds.mu.Unlock()
	if registered, found := kinds.labels[name]; found && registered != label {
		panic("vault: the program has a kind " + name + " with the label " + registered)
	}
	kinds.labels[strings.Clone(name)] = strings.Clone(label)
	return Kind{name, label}
}

// kinds has the labels of all kinds of the program, by name.
var kinds = struct {
	mu     sync.Mutex
	labels map[string]string
}{labels: make(map[string]string)}

// registered reports whether the program has a kind of this name.
func registered(name string) bool {
	kinds.mu.Lock()
	defer kinds.mu.Unlock()
	_, found := kinds.labels[name]
	return found
}

// String returns the name, "" for the zero Kind.
func (k Kind) String() string { return k.name }

// Label returns the printed form of a value of this kind that was collected for the
// given purposes, such as "pii.Email(security)".
func (k Kind) Label(collected purpose.Set) string {
	return k.label + "(" + collected.String() + ")"
}

// Package returns the package in the label, or "vault" if the label names none. Errors
// begin with it.
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
