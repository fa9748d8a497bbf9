// Package users keeps accounts.
package users

import (
	"context"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// A Store keeps addresses.
type Store struct {
	Security *vault.Scope
	rows     map[string]pii.Email
}

// Address returns the address of a user.
func (s *Store) Address(ctx context.Context, id string) (string, error) {
	return s.rows[id].Reveal(ctx, s.Security)
}
