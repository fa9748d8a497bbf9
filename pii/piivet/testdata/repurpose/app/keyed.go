package app

import (
	"context"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

var (
	security = purpose.MustParse("security")
	ads      = purpose.MustParse("advertising")
)

func keyed(ctx context.Context, v *vault.Vault, e pii.Email) {
	m := map[purpose.Purpose]*vault.Scope{}
	for _, p := range []purpose.Purpose{security, ads} {
		m[p], _ = v.Scope(ctx, p)
	}
	address, _ := e.Reveal(ctx, m[security])
	_, _ = pii.IndexEmail(ctx, address, m[ads]) // want `^revealed for security, indexed for advertising`
	_, _ = pii.IndexEmail(ctx, address, m[security])
	for _, s := range m {
		_, _ = pii.IndexEmail(ctx, address, s)
	}
}

func literal(ctx context.Context, a, b *vault.Scope, v *vault.Vault, e pii.Email) {
	first, _ := v.Scope(ctx, security)
	second, _ := v.Scope(ctx, ads)
	m := map[purpose.Purpose]*vault.Scope{security: first, ads: second}
	address, _ := e.Reveal(ctx, m[security])
	_, _ = pii.IndexEmail(ctx, address, m[ads]) // want `^revealed for security, indexed for advertising`
	_, _ = pii.IndexEmail(ctx, address, m[security])
}

// next goes round in circles: the key of a map comes out of the map.
func next(ctx context.Context, v *vault.Vault, m map[purpose.Purpose]purpose.Purpose) {
	p := security
	for range 3 {
		m[p] = m[m[p]]
		p = m[p]
	}
	s, _ := v.Scope(ctx, p)
	_, _ = pii.IndexEmail(ctx, "a@example.com", s)
}
