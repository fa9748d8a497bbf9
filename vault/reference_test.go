package vault_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
)

// refVault returns a vault of ours whose key records the independent
// implementation wrote.
func refVault(t testing.TB, keys map[string]reference.Keys) *vault.Vault {
	t.Helper()
	return vecOpen(t, refStore(t, keys, nil), vault.SharedKEK(refKEK{key: vecKEK}))
}

// refStore returns a store with these keys and records, all of them written by
// the independent implementation.
func refStore(t testing.TB, keys map[string]reference.Keys, records map[string][]byte) vault.Store {
	t.Helper()
	all := map[string]reference.Record{}
	for name, k := range keys {
		all[name] = reference.Record{Keys: k}
	}
	return refStoreOf(t, all, records)
}

// refStoreOf does the same with all that a key record may hold.
func refStoreOf(t testing.TB, keys map[string]reference.Record, records map[string][]byte) vault.Store {
	t.Helper()
	ctx := context.Background()
	store := vault.Memory()
	for name, k := range keys {
		payload, err := json.Marshal(k.Payload(name))
		require.NoError(t, err)
		record := reference.Wrap(refKEK{key: vecKEK}, name, payload, reference.Random(32), reference.Random(12))
		_, err = store.Put(ctx, vault.Record{Name: name + "/keys", Data: record})
		require.NoError(t, err)
	}
	for name, data := range records {
		_, err := store.Put(ctx, vault.Record{Name: name, Data: data})
		require.NoError(t, err)
	}
	return store
}

// refContent returns what a store holds.
func refContent(t testing.TB, store vault.Store) map[string][]byte {
	t.Helper()
	content := map[string][]byte{}
	for name, err := range store.List(context.Background(), "", "") {
		require.NoError(t, err)
		records, err := store.Get(context.Background(), name)
		require.NoError(t, err)
		require.Len(t, records, 1)
		content[name] = records[0].Data
	}
	return content
}

func refScope(t testing.TB, v *vault.Vault, name string) *vault.Scope {
	t.Helper()
	s, err := v.Scope(context.Background(), purpose.MustParse(name))
	require.NoError(t, err)
	return s
}

// refKEK is an AES-256-GCM AEAD in Tink's encoding, as the vectors use it. A
// fixed nonce makes it deterministic, for one message only.
type refKEK struct {
	key   reference.Key
	nonce []byte
}

func (k refKEK) Encrypt(plaintext, aad []byte) ([]byte, error) {
	nonce := k.nonce
	if nonce == nil {
		nonce = reference.Random(12)
	}
	return reference.Seal(k.key, nonce, plaintext, aad), nil
}

func (k refKEK) Decrypt(ciphertext, aad []byte) ([]byte, error) {
	plain, ok := reference.Unseal([]reference.Key{k.key}, ciphertext, aad)
	if !ok {
		return nil, vault.ErrCorrupt
	}
	return plain, nil
}
