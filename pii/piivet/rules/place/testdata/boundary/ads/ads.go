// Package ads is of the advertising team. // want package:"example.com/shop/ads is for advertising only"
//
//piivet:purpose advertising
package ads

import (
	"context"

	"example.com/shop/keys"
	"example.com/shop/purposes"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

type Service struct {
	Scope *vault.Scope
	other []vault.Sealer
}

type Options struct {
	Scopes   []*vault.Scope
	ByName   map[string]*vault.Scope
	Purposes []purpose.Purpose
	Name     string
}

type Runner interface{ Run(*vault.Scope) }

var Default *vault.Scope

var Incoming chan *vault.Scope

type Purpose purpose.Purpose

type Sealer interface{ vault.Sealer }

func New(s *vault.Scope) *Service                 { return &Service{Scope: s} }
func (s *Service) Use(scopes ...*vault.Scope)     {}
func (s *Service) Sealers(scopes ...vault.Sealer) {}
func With(any)                                    {}
func Open(p purpose.Purpose)                      {}
func Generic[S vault.Sealer](s S)                 {}

func good(ctx context.Context, v *vault.Vault, e pii.Email) (string, error) {
	s, err := v.Scope(ctx, purposes.Advertising)
	if err != nil {
		return "", err
	}
	if _, err = keys.Advertising(ctx, v); err != nil {
		return "", err
	}
	New(s)
	return e.Reveal(ctx, s.For("1"))
}

func bad(ctx context.Context, v *vault.Vault, e pii.Email, p purpose.Purpose, all keys.Scopes) {
	v.Scope(ctx, purposes.Security)              // want `package is for advertising only, and names security: leave that to a package that is for it`
	s, _ := keys.Security(ctx, v)                // want `package is for advertising only, and receives what is for security: leave that to a package that is for it`
	keys.For(ctx, v, purposes.Billing)           // want `package is for advertising only, and names billing`
	_ = e.Without(purposes.Security)             // want `names security`
	_ = purpose.MustParse("security")            // want `names security`
	_ = purposes.All                             // want `receives what is for billing and security`
	v.Scope(ctx, p)                              // want `package is for advertising only, and opens a scope for a purpose that can't be told: name the purpose`
	q := purposes.Billing                        // want `names billing`
	v.Scope(ctx, q)                              // want `package is for advertising only, and opens a scope for billing: leave that to a package that is for it`
	func() { v.Scope(ctx, purposes.Security) }() // want `names security`
	open := v.Scope
	open(ctx, purposes.Security) // want `names security`
	New(s)                       // reported where it came in
	e.Reveal(ctx, s)
	_ = e.Without(purposes.Security) //piivet:allow boundary withdrawing one purpose withdraws the other
	x, _ := keys.Open(ctx, v)
	_ = x.Security // want `receives what is for security`
	_ = x.Advertising
}
