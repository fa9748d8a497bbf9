package sqlstore_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// A vault as two services have it: one table, and for each service the
// key-encryption key of its own purpose only.
func TestVault(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		ctx := t.Context()
		security, ads := purpose.MustParse("security"), purpose.MustParse("advertising")
		tab := d.table(t)
		open := func(kek vault.KEK) *vault.Admin {
			v, err := vault.OpenAdmin(ctx, tab.over(t, tab.open(t)), kek, nil)
			require.NoError(t, err)
			t.Cleanup(func() { v.Close() })
			return v
		}
		securityKEK, adsKEK := vault.LocalKEK(filepath.Join(t.TempDir(), "kek")), vault.LocalKEK(filepath.Join(t.TempDir(), "kek"))

		// Several processes start for the first time, all at once.
		var wg sync.WaitGroup
		errs := make([]error, 4)
		first := []*vault.Admin{open(securityKEK), open(securityKEK), open(securityKEK), open(securityKEK)}
		for i, v := range first {
			wg.Go(func() { errs[i] = v.Generate(ctx, security) })
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		service := open(adsKEK)
		require.NoError(t, service.Generate(ctx, ads))

		scope, err := first[0].Scope(ctx, security)
		require.NoError(t, err)
		phone, err := pii.SealPhone(ctx, "+1 415 555 2671", scope)
		require.NoError(t, err)

		other, err := first[3].Scope(ctx, security)
		require.NoError(t, err, "all use the same keys")
		number, err := phone.Reveal(ctx, other)
		require.NoError(t, err)
		require.Equal(t, "+14155552671", number)
		a, err := pii.IndexPhone(ctx, "+14155552671", scope)
		require.NoError(t, err)
		b, err := phone.Index(ctx, other)
		require.NoError(t, err)
		require.True(t, a.Equal(b))

		adScope, err := service.Scope(ctx, ads)
		require.NoError(t, err)
		_, err = phone.Reveal(ctx, adScope)
		require.ErrorIs(t, err, purpose.ErrMismatch)
		_, err = service.Scope(ctx, security)
		require.ErrorIs(t, err, vault.ErrNoKeys, "the table alone opens nothing")

		// Keys that are exchanged in the table do not open either.
		rows := map[string][]byte{}
		for _, name := range []string{"security/keys", "advertising/keys"} {
			records, err := tab.store(t).Get(ctx, name)
			require.NoError(t, err)
			rows[name] = records[0].Data
		}
		records, err := tab.store(t).Get(ctx, "advertising/keys")
		require.NoError(t, err)
		_, err = tab.store(t).Put(ctx, vault.Record{Name: "advertising/keys", Data: rows["security/keys"], Revision: records[0].Revision})
		require.NoError(t, err)
		_, err = open(adsKEK).Scope(ctx, ads)
		require.Error(t, err)
	})
}

// No record of another vault is taken for one of this vault.
func TestRecordsOfAnotherVault(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		vaulttest.RefusesAnotherVault(t, func(t *testing.T) vault.Store { return d.table(t).store(t) })
	})
}

// People's keys live in the table too: made, fetched in batches, wrapped anew
// and erased, by several services.
func TestVaultSubjects(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		ctx := t.Context()
		security := purpose.MustParse("security")
		tab := d.table(t)
		kek := vault.LocalKEK(filepath.Join(t.TempDir(), "kek"))
		open := func() (*vault.Admin, *vault.Scope) {
			v, err := vault.OpenAdmin(ctx, tab.over(t, tab.open(t)), kek, nil)
			require.NoError(t, err)
			t.Cleanup(func() { v.Close() })
			require.NoError(t, v.Generate(ctx, security))
			s, err := v.Scope(ctx, security)
			require.NoError(t, err)
			return v, s
		}
		v, s := open()
		var ids []string
		phones := map[string]pii.Phone{}
		for i := range 50 {
			id := fmt.Sprint("user-", i)
			phone, err := pii.SealPhone(ctx, "+1 415 555 2671", s.For(id))
			require.NoError(t, err)
			ids, phones[id] = append(ids, id), phone
		}
		_, err := v.Erase(ctx, "user-7", security)
		require.NoError(t, err)
		vaulttest.Rotate(t, v, security, vault.RoleSeal)
		var at vault.Progress
		require.NoError(t, v.RewrapSubjects(ctx, security, "", func(p vault.Progress) error { at = p; return nil }))
		require.Equal(t, 50, at.Changed)

		_, other := open()
		require.NoError(t, other.Prefetch(ctx, ids...))
		for id, phone := range phones {
			_, err := phone.Reveal(ctx, other.For(id))
			if id == "user-7" {
				require.ErrorIs(t, err, vault.ErrErased)
				continue
			}
			require.NoError(t, err)
		}
	})
}
