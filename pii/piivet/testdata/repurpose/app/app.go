// Package app repurposes on every road that is followed.
package app

import (
	"context"
	"slices"
	"strings"

	"example.com/purposes"
	"example.com/repurpose/lib"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/batch"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

type component struct {
	security, ads *vault.Scope
	either        *vault.Scope
}

func open(ctx context.Context, v *vault.Vault, yes bool) *component {
	c := &component{}
	c.security, _ = v.Scope(ctx, purposes.Security)
	c.ads, _ = v.Scope(ctx, purposes.Advertising)
	c.either = c.ads
	if yes {
		c.either = c.security
	}
	return c
}

func (c *component) wrong(ctx context.Context, e pii.Email, p pii.Phone) {
	address, _ := e.Reveal(ctx, c.security)
	_, _ = pii.IndexEmail(ctx, address, c.ads)                                // want `^revealed for security, indexed for advertising: ask for consent and Extend$`
	_, _ = pii.SealEmail(ctx, address, c.ads)                                 // want `^revealed for security, sealed for advertising: ask for consent and Extend$`
	_, _ = pii.SealEmail(ctx, address, c.security, c.ads)                     // want `sealed for advertising`
	_, _ = pii.IndexesEmail(ctx, strings.ToLower(address), c.ads)             // want `indexed for advertising`
	_, _ = pii.SealEmail(ctx, address, c.ads.Under(purpose.Basis{}).For("1")) // want `sealed for advertising`
	_, _ = pii.SealEmail(ctx, address, []vault.Sealer{c.ads}...)              // want `sealed for advertising`
	_, _ = vault.Seal(ctx, vault.Kind{}, address, c.ads)                      // want `sealed for advertising`
	_, _ = c.ads.Index(ctx, vault.Kind{}, address)                            // want `indexed for advertising`
	_ = batch.IndexesEmail(ctx, slices.Values([]string{address}), c.ads)      // want `indexed for advertising`
	_, _ = pii.IndexEmail(ctx, address, c.ads)                                //piivet:allow repurpose the person asked for it in this test

	number, _ := p.Reveal(ctx, c.ads)
	_, _ = pii.IndexPhone(ctx, number, c.security) // want `revealed for advertising, indexed for security`

	c.find(ctx, address, c.ads) // want `revealed for security, indexed for advertising: ask for consent and Extend \(through app.component.find, app.go:\d+\)`
	c.find(ctx, address, c.security)
	_ = lib.Find(ctx, address, c.ads) // want `indexed for advertising: ask for consent and Extend \(through lib.Find, lib.go:13\)`
	_ = lib.Find(ctx, address, c.security)
	_, _ = lib.Move(ctx, e, c.security, c.ads) // want `revealed for security, sealed for advertising.*through lib.Move, lib.go:23`
	_, _ = lib.Move(ctx, e, c.ads, c.ads)
	deep(ctx, e, c.security, c.ads) // want `revealed for security, sealed for advertising.*through app.deep`
}

func deep(ctx context.Context, e pii.Email, a, b *vault.Scope) {
	_, _ = lib.Move(ctx, e, a, b)
}

func (c *component) find(ctx context.Context, address string, s *vault.Scope) {
	_, _ = pii.IndexEmail(ctx, address, s)
}

func (c *component) right(ctx context.Context, e pii.Email, unknown *vault.Scope, typed string) {
	address, _ := e.Reveal(ctx, c.security)
	_, _ = pii.IndexEmail(ctx, address, c.security)
	_, _ = pii.SealEmail(ctx, address, c.security.For("1"))
	_, _ = pii.IndexEmail(ctx, address, c.either)
	_, _ = pii.IndexEmail(ctx, address, unknown)
	_, _ = pii.IndexEmail(ctx, typed, c.ads)
	_, _ = pii.SealEmail(ctx, typed, c.security, c.ads)
	_, _ = e.Extend(ctx, c.security, c.ads)
	_, _ = e.Index(ctx, c.ads)
	maybe, _ := e.Reveal(ctx, c.either)
	_, _ = pii.IndexEmail(ctx, maybe, c.ads)
	other, _ := e.Reveal(ctx, unknown)
	_, _ = pii.IndexEmail(ctx, other, c.ads)
}
