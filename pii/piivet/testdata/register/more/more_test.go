package more

import (
	"context"
	"testing"

	"example.com/purposes"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// Tests are not part of the register.
func TestNothing(t *testing.T) {}

func helper(ctx context.Context, v *vault.Vault, phone pii.Phone) (string, error) {
	s, err := v.Scope(ctx, purposes.Security)
	if err != nil {
		return "", err
	}
	return phone.Reveal(ctx, s)
}
