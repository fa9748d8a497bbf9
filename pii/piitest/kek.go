package piitest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"sync"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// memoryKEK has a key for every purpose, in memory.
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
	a, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	if m.keys == nil {
		m.keys = make(map[purpose.Purpose]vault.AEAD)
	}
	m.keys[p] = a
	return a, nil
}

// gcmKEK is AES-256-GCM with random nonces.
type gcmKEK struct{ gcm cipher.AEAD }

func newGCM(key []byte) (vault.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return gcmKEK{gcm}, nil
}

func (k gcmKEK) Encrypt(plaintext, aad []byte) ([]byte, error) {
	return k.gcm.Seal(nil, nil, plaintext, aad), nil
}

func (k gcmKEK) Decrypt(ciphertext, aad []byte) ([]byte, error) {
	return k.gcm.Open(nil, nil, ciphertext, aad)
}
