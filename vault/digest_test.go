package vault_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// Each event about the record of keys has the digest of the record that the store has
// then. A store that was put back and changed again has the same generation under
// another digest.
func TestEventsOfKeysHaveTheDigestOfTheirRecord(t *testing.T) {
	const name = "security/keys"
	store, ctx, p := vault.Memory(), t.Context(), vaulttest.Security
	stored := func() vault.Record {
		records, err := store.Get(ctx, name)
		require.NoError(t, err)
		require.Len(t, records, 1)
		return records[0]
	}
	seen := map[audit.Action]int{}
	byGeneration := map[uint64]string{}
	forks := 0
	opts := &vault.Options{Refresh: time.Hour, Audit: auditFunc(func(e audit.Event) error {
		seen[e.Action]++
		if e.Generation == 0 || e.Action == audit.Seal {
			require.Empty(t, e.Digest, e.Action)
			return nil
		}
		sum := sha256.Sum256(stored().Data)
		require.Equal(t, hex.EncodeToString(sum[:16]), e.Digest, e.Action)
		if before, known := byGeneration[e.Generation]; known && before != e.Digest {
			forks++
		}
		byGeneration[e.Generation] = e.Digest
		return nil
	})}
	kek := vault.SharedKEK(vaulttest.NewAEAD(t))
	a := vaulttest.Open(t, store, kek, opts)
	require.NoError(t, a.Generate(ctx, p))
	require.NoError(t, a.Rotate(ctx, p, vault.RoleSeal))
	all, err := a.Keys(ctx, p)
	require.NoError(t, err)
	var coming, old vault.Key
	for _, k := range all {
		switch {
		case k.Role != vault.RoleSeal:
		case k.Status == vault.Primary:
			old = k
		default:
			coming = k
		}
	}
	require.NoError(t, a.Promote(ctx, p, coming.ID))
	before := stored()
	require.NoError(t, a.Retire(ctx, p, old.ID))
	require.NoError(t, a.Reinstate(ctx, p, old.ID))
	require.NoError(t, a.Rewrap(ctx, kek, p))
	require.NoError(t, a.RewrapSubjects(ctx, p, "", nil))
	_, err = a.Pin(ctx, p)
	require.NoError(t, err)
	_, err = a.WrappedBy(ctx, p)
	require.NoError(t, err)
	scope, err := a.Vault().Scope(ctx, p)
	require.NoError(t, err)
	vaulttest.Seal(t, scope)
	_, err = a.Vault().Erase(ctx, "alice", p)
	require.NoError(t, err)
	require.Equal(t, 1, seen[audit.Seal])
	require.Zero(t, forks)

	before.Revision = stored().Revision
	_, err = store.Put(ctx, before)
	require.NoError(t, err)
	b := vaulttest.Open(t, store, kek, opts)
	require.NoError(t, b.Rotate(ctx, p, vault.RoleIndex))
	require.Equal(t, 1, forks, "a generation that was made twice")
	for _, action := range []audit.Action{
		audit.Generate, audit.Rotate, audit.Promote, audit.Retire, audit.Reinstate, audit.Rewrap, audit.RewrapSubjects, audit.List, audit.Open, audit.Erase,
	} {
		require.NotZero(t, seen[action], action)
	}
}
