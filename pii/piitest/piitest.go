// Package piitest is the kit for unit-testing purpose boundaries.
//
//	func TestBoundaries(t *testing.T) {
//		kit := piitest.New(t, purposes.Security, purposes.Advertising)
//		piitest.Separate(t, kit.Vault, purposes.Security, purposes.Advertising)
//	}
//
// A [Kit] has a vault with real keys and real cryptography in memory, which
// costs well under a millisecond to start; [Separate] proves that
// its purposes can't read or match each other's values.
//
// Everything here refuses to run outside tests: the keys protect nothing.
package piitest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A Kit is a vault for one test, with a record of what was done with it.
type Kit struct {
	// Vault has the keys of the kit's purposes. It is closed when the test ends.
	Vault *vault.Vault
	// Audit records every event of Vault.
	Audit *Recorder

	t              testing.TB
	emails, phones atomic.Int64 // fixtures so far
}

// New returns a kit whose vault has fresh keys for the given purposes. It
// panics outside a test.
func New(t testing.TB, purposes ...purpose.Purpose) *Kit {
	mustTest()
	t.Helper()
	k := &Kit{Audit: &Recorder{}, t: t}
	v, err := vault.Open(t.Context(), vault.Memory(), &memoryKEK{}, &vault.Options{Audit: k.Audit})
	if err != nil {
		t.Fatalf("piitest: %v", err)
	}
	if err := v.Generate(t.Context(), purposes...); err != nil {
		t.Fatalf("piitest: %v", err)
	}
	t.Cleanup(func() { v.Close() })
	k.Vault = v
	k.Audit.Reset() // what the kit did is not what the test did
	return k
}

func mustTest() {
	if !testing.Testing() {
		panic("piitest: used outside a test")
	}
}

// Scope returns the scope of p. The test ends if the kit has no keys for p.
func (k *Kit) Scope(p purpose.Purpose) *vault.Scope {
	k.t.Helper()
	s, err := k.Vault.Scope(k.t.Context(), p)
	if err != nil {
		k.t.Fatalf("piitest: %v: name the purpose in piitest.New", err)
	}
	return s
}

// Email returns a sealed address that no other call of this kit returns. Like
// all fixtures it is of a domain that RFC 2606 reserves.
func (k *Kit) Email(scopes ...vault.Sealer) pii.Email {
	k.t.Helper()
	e, err := pii.SealEmail(k.t.Context(), fmt.Sprintf("person-%d@example.com", k.emails.Add(1)), scopes...)
	if err != nil {
		k.t.Fatalf("piitest: %v", err)
	}
	return e
}

// Phone returns a sealed number that no other call of this kit returns, out of
// a range that is kept for fiction: +1 … 555 01xx. A kit has 10,000 of them.
func (k *Kit) Phone(scopes ...vault.Sealer) pii.Phone {
	k.t.Helper()
	n := k.phones.Add(1)
	number := fmt.Sprintf("+1%03d55501%02d", 200+n/100%100, n%100)
	p, err := pii.SealPhone(k.t.Context(), number, scopes...)
	if err != nil {
		k.t.Fatalf("piitest: %v", err)
	}
	return p
}

// memoryKEK has a key of its own for every purpose.
type memoryKEK struct {
	mu   sync.Mutex
	keys map[purpose.Purpose]vault.AEAD
}

func (m *memoryKEK) For(_ context.Context, p purpose.Purpose) (vault.AEAD, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a, ok := m.keys[p]; ok {
		return a, nil
	}
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
	if m.keys == nil {
		m.keys = make(map[purpose.Purpose]vault.AEAD)
	}
	m.keys[p] = gcmKEK{gcm}
	return m.keys[p], nil
}

type gcmKEK struct{ gcm cipher.AEAD }

func (k gcmKEK) Encrypt(plaintext, aad []byte) ([]byte, error) {
	return k.gcm.Seal(nil, nil, plaintext, aad), nil
}

func (k gcmKEK) Decrypt(ciphertext, aad []byte) ([]byte, error) {
	return k.gcm.Open(nil, nil, ciphertext, aad)
}
