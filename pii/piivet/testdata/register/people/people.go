// Package people has a kind of its own, and helpers.
package people

import (
	"context"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// A TaxID is a sealed tax id.
type TaxID struct{ pii.Sealed[taxID] }

type taxID struct{}

var kind = vault.MustKind("tax-id", "people.TaxID")

func (taxID) Kind() vault.Kind                 { return kind }
func (taxID) Canonical(text string) string     { return text }
func (taxID) Mask(string) string               { return "•" }
func (taxID) Parse(text string) (string, bool) { return text, true }

// SealTaxID seals for whoever calls it.
//
//register:uses collect security notice=
func SealTaxID(ctx context.Context, text string, scopes ...vault.Sealer) (TaxID, error) {
	sealed, err := pii.Seal[taxID](ctx, text, scopes...)
	return TaxID{sealed}, err
}

// Revealable is an interface of somebody's own.
type Revealable interface {
	Reveal(ctx context.Context, scope *vault.Scope) (string, error)
}

// Must panics if there is an error.
func Must[T any](v T, err error) T {
	if err != nil {
		panic("people: " + err.Error())
	}
	return v
}

// Pick returns one of two.
func Pick[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}
