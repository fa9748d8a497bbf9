package vaulttest

import (
	"context"
	"sync/atomic"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
)

// Refusing is an AEAD whose calls fail with a given error.
type Refusing struct{ Err error }

// Encrypt fails.
func (r Refusing) Encrypt([]byte, []byte) ([]byte, error) { return nil, r.Err }

// Decrypt fails.
func (r Refusing) Decrypt([]byte, []byte) ([]byte, error) { return nil, r.Err }

// Denial is a key service's error that is [vault.ErrAccessDenied] if the service denied
// access, and otherwise [vault.ErrNoKeys].
type Denial bool

// Error is the text of a key service.
func (Denial) Error() string { return "key service: 403" }

// Unwrap returns the sentinel.
func (d Denial) Unwrap() error {
	if d {
		return vault.ErrAccessDenied
	}
	return vault.ErrNoKeys
}

// KEK is an AES-256-GCM AEAD in Tink's encoding, as the vectors use it. A fixed nonce
// makes it deterministic, for one message only.
type KEK struct {
	Key   reference.Key
	Nonce []byte
}

// Encrypt seals with the fixed nonce or, if there is none, a random one.
func (k KEK) Encrypt(plaintext, aad []byte) ([]byte, error) {
	nonce := k.Nonce
	if nonce == nil {
		nonce = reference.Random(12)
	}
	return reference.Seal(k.Key, nonce, plaintext, aad), nil
}

// Decrypt opens, or returns [vault.ErrCorrupt].
func (k KEK) Decrypt(ciphertext, aad []byte) ([]byte, error) {
	plain, ok := reference.Unseal([]reference.Key{k.Key}, ciphertext, aad)
	if !ok {
		return nil, vault.ErrCorrupt
	}
	return plain, nil
}

// Spy is a KEK that counts its calls and calls a function of the test on each.
type Spy struct {
	vault.AEAD
	Calls  atomic.Int32
	meddle atomic.Pointer[func(ctx context.Context) error] // vaults call in the background too
}

// Meddle has each call return f's error if there is one. It returns s.
func (s *Spy) Meddle(f func(ctx context.Context) error) *Spy {
	s.meddle.Store(&f)
	return s
}

// For returns the Spy itself.
func (s *Spy) For(context.Context, purpose.Purpose) (vault.AEAD, error) { return s, nil }

// EncryptWithContext encrypts.
func (s *Spy) EncryptWithContext(ctx context.Context, plaintext, aad []byte) ([]byte, error) {
	return s.Encrypt(plaintext, aad)
}

// DecryptWithContext counts, calls the function of the test and decrypts.
func (s *Spy) DecryptWithContext(ctx context.Context, ciphertext, aad []byte) ([]byte, error) {
	s.Calls.Add(1)
	if meddle := s.meddle.Load(); meddle != nil && *meddle != nil {
		if err := (*meddle)(ctx); err != nil {
			return nil, err
		}
	}
	return s.Decrypt(ciphertext, aad)
}
