package wiring // want package:"example.com/shop/ads is for advertising only"

import (
	"context"

	"example.com/shop/ads"
	"example.com/shop/bound"
	"example.com/shop/keys"
	"example.com/shop/purposes"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

type embeds struct{ *vault.Scope }

func wire(ctx context.Context, v *vault.Vault, r ads.Runner, unknown *vault.Scope) error {
	security, err := v.Scope(ctx, purposes.Security)
	if err != nil {
		return err
	}
	advertising, err := v.Scope(ctx, purposes.Advertising)
	if err != nil {
		return err
	}
	ads.New(advertising)
	ads.New(unknown) // may be any: not reported
	ads.Open(purposes.Advertising)
	ads.With(ctx)
	bound.Use(advertising)

	s := ads.New(security)                                          // want `scope of security handed to example.com/shop/ads, which is for advertising only`
	s.Use(advertising, security.For("1"))                           // want `scope of security handed to example.com/shop/ads`
	s.Sealers(security.Under(purpose.Basis{}))                      // want `scope of security handed`
	ads.With(any(security))                                         // want `scope of security handed`
	ads.Open(purposes.Security)                                     // want `purpose of security handed to example.com/shop/ads`
	ads.Generic(security)                                           // want `scope of security handed`
	r.Run(security)                                                 // want `scope of security handed`
	ads.Runner.Run(r, security)                                     // want `scope of security handed`
	bound.Use(security)                                             // want `scope of security handed to example.com/shop/bound, which is for advertising only`
	s.Scope = security                                              // want `scope of security handed`
	ads.Default = security                                          // want `scope of security handed`
	_ = ads.Service{Scope: security}                                // want `scope of security handed`
	_ = &ads.Options{Scopes: []*vault.Scope{advertising, security}} // want `scope of security handed`
	_ = ads.Options{Purposes: purposes.All}                         // want `scope of billing and security handed`
	o := ads.Options{Name: "x", ByName: map[string]*vault.Scope{}}
	o.ByName["security"] = security // want `scope of security handed`
	both := security
	if err == nil {
		both = advertising
	}
	ads.New(both)              // want `scope of security handed`
	ads.With(embeds{security}) // want `scope of security handed`
	from, _ := keys.Security(ctx, v)
	ads.New(from)                      // want `scope of security handed`
	ads.Incoming <- security           // want `scope of security handed`
	_ = ads.Purpose(purposes.Security) // want `purpose of security handed`
	_ = ads.Sealer(security)           // want `scope of security handed`
	ads.With(ads.Sealer(advertising))
	ads.With(ads.Sealer(security)) // want `scope of security handed`
	ads.Default = advertising
	func() { ads.New(security) }() // want `scope of security handed`
	ads.New(security)              //piivet:allow boundary the one message that both teams send
	return nil
}
