package migrate

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A reference computes the two normal forms of plaintext: the form that is
// revealed, and the form that is indexed. It seals and indexes with its own keys,
// which exist in its memory only. So a comparison of two values matches nobody for
// any purpose, and is no event of any purpose.
type reference struct {
	vault *vault.Vault
	scope *vault.Scope
}

var comparison = purpose.MustParse("comparison")

func newReference(ctx context.Context) (*reference, error) {
	key := make([]byte, 32)
	rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	admin, err := vault.OpenAdmin(ctx, vault.Memory(), vault.SharedKEK(gcmKEK{gcm}), nil)
	if err != nil {
		return nil, err
	}
	if err := admin.Generate(ctx, comparison); err != nil {
		return nil, err
	}
	scope, err := admin.Scope(ctx, comparison)
	if err != nil {
		return nil, err
	}
	return &reference{admin.Vault(), scope}, nil
}

func (r *reference) close() { r.vault.Close() }

// reveals reports whether revealed is the form in which text is sealed. It reports
// false for text that is not of the kind.
func (r *reference) reveals(ctx context.Context, k Kind, text, revealed string) (bool, error) {
	if text == revealed { // a revealed text is always in normal form
		return true, nil
	}
	v, err := k.seal(ctx, text, []*vault.Scope{r.scope})
	if err != nil {
		if _, about := problemOf(err); about {
			err = nil
		}
		return false, err
	}
	normal, err := v.Reveal(ctx, r.scope)
	return normal == revealed, err
}

// canonical returns equal bytes for two texts of one value.
func (r *reference) canonical(ctx context.Context, k Kind, text string) (canonical [vault.IndexSize]byte, err error) {
	var x pii.Index
	if x, err = k.index(ctx, text, r.scope); err != nil {
		return canonical, err
	}
	bytes, err := x.Value()
	if err != nil {
		return canonical, err
	}
	copy(canonical[:], bytes.([]byte))
	return canonical, nil
}

type gcmKEK struct{ gcm cipher.AEAD }

func (k gcmKEK) Encrypt(plaintext, aad []byte) ([]byte, error) {
	return k.gcm.Seal(nil, nil, plaintext, aad), nil
}

func (k gcmKEK) Decrypt(ciphertext, aad []byte) ([]byte, error) {
	return k.gcm.Open(nil, nil, ciphertext, aad)
}
