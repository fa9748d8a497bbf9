// Package lib uses scopes that it is given: only its callers know for what.
package lib

import (
	"context"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// Find looks an address up under a scope.
func Find(ctx context.Context, address string, scope *vault.Scope) pii.Index {
	index, _ := pii.IndexEmail(ctx, address, scope)
	return index
}

// Move reveals under one scope and seals under another.
func Move(ctx context.Context, e pii.Email, from, to *vault.Scope) (pii.Email, error) {
	address, err := e.Reveal(ctx, from)
	if err != nil {
		return pii.Email{}, err
	}
	return pii.SealEmail(ctx, address, to)
}

// Service keeps its scopes.
type Service struct {
	security *vault.Scope
	ads      *vault.Scope
	same     *vault.Scope
}

// New returns a service.
func New(security, ads, same *vault.Scope) *Service {
	return &Service{security: security, ads: ads, same: same}
}

// Match is wrong if the scopes are for different purposes, which is not known
// here.
func (s *Service) Match(ctx context.Context, e pii.Email) (pii.Index, error) {
	address, err := e.Reveal(ctx, s.security)
	if err != nil {
		return pii.Index{}, err
	}
	_, _ = pii.IndexEmail(ctx, address, s.same)
	return pii.IndexEmail(ctx, address, s.ads)
}

// Allowed is Match, with a reason.
func (s *Service) Allowed(ctx context.Context, e pii.Email) (pii.Index, error) {
	address, err := e.Reveal(ctx, s.security)
	if err != nil {
		return pii.Index{}, err
	}
	return pii.IndexEmail(ctx, address, s.ads) //piivet:allow repurpose the regulator asked for this comparison
}
