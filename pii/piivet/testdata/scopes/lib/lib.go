// Package lib hands scopes on.
package lib

import (
	"context"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// Service keeps what it is given.
type Service struct {
	security *vault.Scope
	Ads      *vault.Scope
}

// New keeps a scope.
func New(security *vault.Scope) *Service { return &Service{security: security} }

// Security returns what New was given.
func (s *Service) Security() *vault.Scope { return s.security }

// Open opens a scope of the vault.
func Open(ctx context.Context, v *vault.Vault, p purpose.Purpose) (*vault.Scope, error) {
	s, err := v.Scope(ctx, p)
	if err != nil {
		return nil, err
	}
	return s.Under(purpose.Basis{}), nil
}

// Support is a purpose of this package.
func Support() purpose.Purpose { return support }

var support = purpose.MustParse("support")

func (s *Service) use() {
	show(s.security) // want `^\?$`
	show(s.Ads)      // want `^\?$`
}

func show(any) {}
