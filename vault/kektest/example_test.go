package kektest_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"log"
	"sync"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A ring is a KEK that makes keys and holds them in memory. TestRing shows that it
// keeps the contract.
type ring struct{ keys sync.Map } // of purposes, to cipher.AEADs

// The compiler checks that the ring has the optional interface.
var _ vault.KeyGenerator = (*ring)(nil)

// Generate makes the key of p, unless there is one.
func (r *ring) Generate(_ context.Context, p purpose.Purpose) error {
	key := make([]byte, 32)
	rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return vault.ErrUnavailable
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return vault.ErrUnavailable
	}
	r.keys.LoadOrStore(p, gcm)
	return nil
}

// For returns the AEAD of p. A process whose ring has no key has no grant.
func (r *ring) For(_ context.Context, p purpose.Purpose) (vault.AEAD, error) {
	gcm, ok := r.keys.Load(p)
	if !ok {
		return nil, fmt.Errorf("ring: no key of %s: %w", p, vault.ErrAccessDenied)
	}
	return aead{gcm.(cipher.AEAD)}, nil
}

// An aead would be a [vault.ContextAEAD] if it asked a key service.
type aead struct{ gcm cipher.AEAD }

func (a aead) Encrypt(plaintext, associatedData []byte) ([]byte, error) {
	return a.gcm.Seal(nil, nil, plaintext, associatedData), nil
}

func (a aead) Decrypt(ciphertext, associatedData []byte) ([]byte, error) {
	plaintext, err := a.gcm.Open(nil, nil, ciphertext, associatedData)
	if err != nil {
		return nil, fmt.Errorf("ring: not wrapped with this key: %w", vault.ErrNoKeys)
	}
	return plaintext, nil
}

// A KEK of one's own, and a vault over it.
func Example() {
	ctx := context.Background()
	security := purpose.MustParse("security")
	v, err := vault.OpenAdmin(ctx, vault.Memory(), &ring{}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
	if err := v.Generate(ctx, security); err != nil { // calls ring.Generate
		log.Fatal(err)
	}
	scope, err := v.Scope(ctx, security)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(scope.Purpose())
	// Output: security
}
