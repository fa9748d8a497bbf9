package kmstest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"sync"
)

// A Keyring has the keys of a key service, by the service's names. It encrypts with
// AES-GCM and binds associated data.
type Keyring struct {
	mu       sync.Mutex
	keys     map[string]cipher.AEAD
	disabled map[string]bool
}

// The errors of a [Keyring].
var (
	ErrNoKey      = errors.New("no such key")
	ErrDisabled   = errors.New("key is disabled")
	ErrCiphertext = errors.New("not encrypted with this key and associated data")
)

// Make makes a key for each name.
func (k *Keyring) Make(names ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		k.keys, k.disabled = make(map[string]cipher.AEAD), make(map[string]bool)
	}
	for _, name := range names {
		key := make([]byte, 32)
		rand.Read(key)
		block, err := aes.NewCipher(key)
		if err != nil {
			panic("kmstest: no AES")
		}
		if k.keys[name], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			panic("kmstest: no GCM")
		}
	}
}

// Swap exchanges two keys, as everybody can who may change names.
func (k *Keyring) Swap(a, b string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[a], k.keys[b] = k.keys[b], k.keys[a]
}

// SetDisabled disables a key or enables it again.
func (k *Keyring) SetDisabled(name string, disabled bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.disabled[name] = disabled
}

func (k *Keyring) get(name string) (cipher.AEAD, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.keys[name] == nil:
		return nil, ErrNoKey
	case k.disabled[name]:
		return nil, ErrDisabled
	}
	return k.keys[name], nil
}

// Encrypt encrypts with a key.
func (k *Keyring) Encrypt(name string, plaintext, aad []byte) ([]byte, error) {
	a, err := k.get(name)
	if err != nil {
		return nil, err
	}
	return a.Seal(nil, nil, plaintext, aad), nil
}

// Decrypt is the reverse.
func (k *Keyring) Decrypt(name string, ciphertext, aad []byte) ([]byte, error) {
	a, err := k.get(name)
	if err != nil {
		return nil, err
	}
	plaintext, err := a.Open(nil, nil, ciphertext, aad)
	if err != nil {
		return nil, ErrCiphertext
	}
	return plaintext, nil
}
