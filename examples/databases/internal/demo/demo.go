// Package demo gives an example program keys that live as long as its process.
package demo

import (
	"context"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

var security = purpose.MustParse("security")

// Security returns the scope that the programs seal for. A real service opens a
// persistent store, and has the AEAD of its key service in place of the AEAD made here.
func Security(ctx context.Context) (*vault.Scope, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, err
	}
	kek, err := aead.New(handle)
	if err != nil {
		return nil, err
	}
	v, err := vault.OpenAdmin(ctx, vault.Memory(), vault.SharedKEK(kek), nil)
	if err != nil {
		return nil, err
	}
	if err := v.Generate(ctx, security); err != nil {
		return nil, err
	}
	return v.Scope(ctx, security)
}
