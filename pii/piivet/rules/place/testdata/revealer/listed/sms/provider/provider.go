package provider

import (
	"context"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

func Send(ctx context.Context, e pii.Phone, s *vault.Scope) error {
	_, err := e.Reveal(ctx, s)
	return err
}
