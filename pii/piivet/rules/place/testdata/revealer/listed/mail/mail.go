package mail

import (
	"context"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

func Send(ctx context.Context, e pii.Email, s *vault.Scope) error {
	_, err := e.Reveal(ctx, s)
	return err
}
