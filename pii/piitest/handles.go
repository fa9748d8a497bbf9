package piitest

import (
	"errors"
	"testing"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A party is one purpose, with every right to use it that a vault hands out.
type handles struct {
	scope     *vault.Scope
	reader    *vault.Reader
	lookup    *vault.Lookup
	collector *vault.Collector // nil if the purpose has no keys for one
}

func newHandles(t testing.TB, v *vault.Vault, p purpose.Purpose) (handles, error) {
	ctx := byKit(t.Context())
	scope, err := v.Scope(ctx, p)
	if err != nil {
		return handles{}, err
	}
	reader, err := v.Reader(ctx, p)
	if err != nil {
		return handles{}, err
	}
	lookup, err := v.Lookup(ctx, p)
	if err != nil {
		return handles{}, err
	}
	collector, err := v.Collector(ctx, p)
	if errors.Is(err, vault.ErrNoKeys) { // they were generated before there were any
		return handles{scope, reader, lookup, nil}, nil
	}
	return handles{scope, reader, lookup, collector}, err
}

func (h handles) purpose() purpose.Purpose { return h.scope.Purpose() }

// person returns what p can do with values of one person.
func (h handles) person(subject string) handles {
	return handles{h.scope.For(subject), h.reader.For(subject), h.lookup, nil}
}
