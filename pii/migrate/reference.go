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

// A reference brings plaintext into its two normal forms: the one that is
// revealed, and the one that is indexed. It seals and indexes with keys of its
// own that nobody else has and that are gone with it, so that comparing values
// with each other matches nobody for any purpose, and is no event of one.
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
	v, err := vault.Open(ctx, vault.Memory(), vault.SharedKEK(gcmKEK{gcm}), nil)
	if err != nil {
		return nil, err
	}
	if err := v.Generate(ctx, comparison); err != nil {
		return nil, err
	}
	scope, err := v.Scope(ctx, comparison)
	if err != nil {
		return nil, err
	}
	return &reference{v, scope}, nil
}

func (r *reference) close() { r.vault.Close() }

// reveals reports whether text is sealed in the form that was revealed. Text
// that is not of the kind is not.
func (r *reference) reveals(ctx context.Context, k Kind, text, revealed string) (bool, error) {
	if text == revealed { // which is a normal form, or it could not have been sealed
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

// canonical returns what is the same for two texts if they are the same value.
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
