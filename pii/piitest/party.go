package piitest

import (
	"errors"
	"testing"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A party is one purpose, with every right to use it that a vault hands out.
type party struct {
	scope     *vault.Scope
	reader    *vault.Reader
	lookup    *vault.Lookup
	collector *vault.Collector // nil if the purpose has no keys for one
}

func newParty(t testing.TB, v *vault.Vault, p purpose.Purpose) (party, error) {
	ctx := byKit(t.Context())
	scope, err := v.Scope(ctx, p)
	if err != nil {
		return party{}, err
	}
	reader, err := v.Reader(ctx, p)
	if err != nil {
		return party{}, err
	}
	lookup, err := v.Lookup(ctx, p)
	if err != nil {
		return party{}, err
	}
	collector, err := v.Collector(ctx, p)
	if errors.Is(err, vault.ErrNoKeys) { // they were generated before there were any
		return party{scope, reader, lookup, nil}, nil
	}
	return party{scope, reader, lookup, collector}, err
}

func (p party) purpose() purpose.Purpose { return p.scope.Purpose() }

// person returns what p can do with values of one person.
func (p party) person(subject string) party {
	return party{p.scope.For(subject), p.reader.For(subject), p.lookup, nil}
}
