// Package keys opens scopes for everybody.
package keys

import (
	"context"

	"example.com/shop/purposes"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

type Scopes struct{ Security, Advertising *vault.Scope }

func Security(ctx context.Context, v *vault.Vault) (*vault.Scope, error) {
	return v.Scope(ctx, purposes.Security)
}

func Advertising(ctx context.Context, v *vault.Vault) (*vault.Scope, error) {
	return v.Scope(ctx, purposes.Advertising)
}

func For(ctx context.Context, v *vault.Vault, p purpose.Purpose) (*vault.Scope, error) {
	return v.Scope(ctx, p)
}

func Open(ctx context.Context, v *vault.Vault) (s Scopes, err error) {
	if s.Security, err = v.Scope(ctx, purposes.Security); err == nil {
		s.Advertising, err = v.Scope(ctx, purposes.Advertising)
	}
	return s, err
}
