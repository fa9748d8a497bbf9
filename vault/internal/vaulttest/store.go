package vaulttest

import (
	"context"
	"encoding/json"
	"iter"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
)

// Counting is a store that counts reads and fails the writes that Fail refuses.
type Counting struct {
	vault.Store
	Gets atomic.Int32
	Fail func(vault.Record) error
}

// Get counts and asks the store.
func (c *Counting) Get(ctx context.Context, names ...string) ([]vault.Record, error) {
	c.Gets.Add(1)
	return c.Store.Get(ctx, names...)
}

// Put writes to the store unless Fail returns an error.
func (c *Counting) Put(ctx context.Context, r vault.Record) (int64, error) {
	if c.Fail != nil {
		if err := c.Fail(r); err != nil {
			return 0, err
		}
	}
	return c.Store.Put(ctx, r)
}

// Swapped is a store that a test exchanges for another while a vault is open, such as
// for an older copy. Vaults read it in the background too.
type Swapped struct{ store atomic.Pointer[vault.Store] }

// Swappable returns a store that is store until another is swapped in.
func Swappable(store vault.Store) *Swapped {
	s := new(Swapped)
	s.Swap(store)
	return s
}

// Swap has every later call go to store.
func (s *Swapped) Swap(store vault.Store) { s.store.Store(&store) }

// Now returns the store that calls go to.
func (s *Swapped) Now() vault.Store { return *s.store.Load() }

// Get asks the store of the moment.
func (s *Swapped) Get(ctx context.Context, names ...string) ([]vault.Record, error) {
	return s.Now().Get(ctx, names...)
}

// Put writes to the store of the moment.
func (s *Swapped) Put(ctx context.Context, r vault.Record) (int64, error) {
	return s.Now().Put(ctx, r)
}

// List lists the store of the moment.
func (s *Swapped) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return s.Now().List(ctx, prefix, after)
}

// CopyOf returns a store with copies of the named records, and of the vault's id.
func CopyOf(t testing.TB, store vault.Store, names ...string) vault.Store {
	t.Helper()
	records, err := store.Get(t.Context(), append(names, "0-vault")...)
	require.NoError(t, err)
	out := vault.Memory()
	for _, r := range records {
		r.Revision = 0
		_, err := out.Put(t.Context(), r)
		require.NoError(t, err)
	}
	return out
}

// Exchanged returns a store with the records of security and advertising under each
// other's names.
func Exchanged(t *testing.T, store vault.Store) vault.Store {
	t.Helper()
	ctx := t.Context()
	other := CopyOf(t, store)
	for from, to := range map[string]string{"security/keys": "advertising/keys", "advertising/keys": "security/keys"} {
		records, err := store.Get(ctx, from)
		require.NoError(t, err)
		require.Len(t, records, 1)
		_, err = other.Put(ctx, vault.Record{Name: to, Data: records[0].Data})
		require.NoError(t, err)
	}
	return other
}

// StoreOfKeys returns a store with key records and other records that package reference
// wrote.
func StoreOfKeys(t testing.TB, keys map[string]reference.Keys, records map[string][]byte) vault.Store {
	t.Helper()
	all := map[string]reference.Record{}
	for name, k := range keys {
		all[name] = reference.Record{Keys: k}
	}
	return StoreOfRecords(t, all, records)
}

// StoreOfData returns a store with the id of the vault of the vectors and one record.
func StoreOfData(t testing.TB, name string, data []byte) vault.Store {
	t.Helper()
	return StoreOfRecords(t, nil, map[string][]byte{name: data})
}

// StoreOfRecords is [StoreOfKeys] for key records that may also have keys of collectors.
func StoreOfRecords(t testing.TB, keys map[string]reference.Record, records map[string][]byte) vault.Store {
	t.Helper()
	ctx := context.Background()
	store := vault.Memory()
	_, err := store.Put(ctx, vault.Record{Name: "0-vault", Data: reference.VaultRecord(VaultID)})
	require.NoError(t, err)
	for name, k := range keys {
		if k.Vault == nil {
			k.Vault = VaultID
		}
		payload, err := json.Marshal(k.Payload(name))
		require.NoError(t, err)
		record := reference.Wrap(KEK{Key: KEKKey}, name, VaultID, payload, reference.Random(32), reference.Random(12))
		_, err = store.Put(ctx, vault.Record{Name: name + "/keys", Data: record})
		require.NoError(t, err)
	}
	for name, data := range records {
		_, err := store.Put(ctx, vault.Record{Name: name, Data: data})
		require.NoError(t, err)
	}
	return store
}

// Content returns the records of a store, by name.
func Content(t testing.TB, store vault.Store) map[string][]byte {
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

// PutRecord writes a record, and returns its new revision.
func PutRecord(t testing.TB, store vault.Store, name string, revision int64, data string) int64 {
	t.Helper()
	revision, err := store.Put(t.Context(), vault.Record{Name: name, Data: []byte(data), Revision: revision})
	require.NoError(t, err)
	return revision
}

// GetRecord returns a record, and fails the test if there is none.
func GetRecord(t testing.TB, store vault.Store, name string) vault.Record {
	t.Helper()
	records, err := store.Get(t.Context(), name)
	require.NoError(t, err)
	require.Len(t, records, 1)
	return records[0]
}
