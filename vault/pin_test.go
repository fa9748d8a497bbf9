package vault_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// A store that lost its keys, or all of its records, gets no new ones from a vault that
// knows that there were some.
func TestGenerateDoesNotReplaceLostKeys(t *testing.T) {
	ctx := t.Context()
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	v := vaulttest.Open(t, store, kek, nil)
	require.NoError(t, v.Generate(ctx, vaulttest.Security))
	vaulttest.Seal(t, vaulttest.Scope(t, v, vaulttest.Security).For("alice"))
	pin, err := v.Pin(ctx, vaulttest.Security)
	require.NoError(t, err)
	all := vaulttest.Content(t, store)

	empty := vault.Memory()
	pinned := vaulttest.Open(t, empty, kek, &vault.Options{Pin: vault.FixedPins(pin)})
	require.ErrorIs(t, pinned.Generate(ctx, vaulttest.Security), vault.ErrCorrupt)
	require.Empty(t, vaulttest.Content(t, empty))

	for lost := range all {
		damaged := vault.Memory()
		for name, data := range all {
			if name != lost {
				vaulttest.PutRecord(t, damaged, name, 0, string(data))
			}
		}
		err := vaulttest.Open(t, damaged, kek, nil).Generate(ctx, vaulttest.Security)
		require.Equal(t, lost == "0-vault" || lost == "security/keys", errors.Is(err, vault.ErrCorrupt), lost)
	}
}

// A store that was put back is refused under a pin, whatever happens there afterwards.
// Changes of the store itself never are.
func TestPinRefusesWhatWentBackAndForward(t *testing.T) {
	ctx := t.Context()
	for n := range 4 {
		store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
		v := vaulttest.Open(t, store, kek, nil)
		require.NoError(t, v.Generate(ctx, vaulttest.Security))
		vaulttest.Seal(t, vaulttest.Scope(t, v, vaulttest.Security).For("alice"))
		backup := vault.Memory()
		for name, data := range vaulttest.Content(t, store) {
			vaulttest.PutRecord(t, backup, name, 0, string(data))
		}
		certificates, err := v.Erase(ctx, "alice", vaulttest.Security)
		require.NoError(t, err)
		pin := &vault.Options{Pin: vault.FixedPins(certificates[0].Pin)}
		for i := range n {
			for _, admin := range []*vault.Admin{v, vaulttest.Open(t, backup, kek, nil)} {
				_, err := admin.Erase(ctx, "other-"+string(rune('a'+i)), vaulttest.Security)
				require.NoError(t, err)
				require.NoError(t, admin.Rotate(ctx, vaulttest.Security, vault.RoleSeal))
			}
		}
		_, err = vaulttest.Open(t, store, kek, pin).Scope(ctx, vaulttest.Security)
		require.NoError(t, err, "forward")
		_, err = vaulttest.Open(t, backup, kek, pin).Scope(ctx, vaulttest.Security)
		require.ErrorIs(t, err, vault.ErrCorrupt, "back, and forward by %d", n)
	}
}

// Another vault's records, under the same KEK, are refused by a fresh vault, by one that
// is open and by one that has a pin.
func TestRecordsOfAnotherVaultAreRefused(t *testing.T) {
	ctx := t.Context()
	kek := vault.SharedKEK(vaulttest.NewAEAD(t))
	store, other := vault.Memory(), vault.Memory()
	v := vaulttest.Open(t, store, kek, nil)
	require.NoError(t, v.Generate(ctx, vaulttest.Security))
	require.NoError(t, vaulttest.Open(t, other, kek, nil).Generate(ctx, vaulttest.Security))
	pin, err := v.Pin(ctx, vaulttest.Security)
	require.NoError(t, err)
	for _, names := range [][]string{{"security/keys"}, {"0-vault"}, {"0-vault", "security/keys"}} {
		before := vaulttest.Content(t, store)
		for _, name := range names {
			vaulttest.PutRecord(t, store, name, vaulttest.GetRecord(t, store, name).Revision, string(vaulttest.GetRecord(t, other, name).Data))
		}
		_, err = vaulttest.Open(t, store, kek, nil).Scope(ctx, vaulttest.Security)
		require.Equal(t, len(names) == 1, errors.Is(err, vault.ErrCorrupt), "fresh, %v", names)
		_, err = vaulttest.Open(t, store, kek, &vault.Options{Pin: vault.FixedPins(pin)}).Scope(ctx, vaulttest.Security)
		require.ErrorIs(t, err, vault.ErrCorrupt, "pinned, %v", names)
		_, err = v.Pin(ctx, vaulttest.Security)
		require.ErrorIs(t, err, vault.ErrCorrupt, "open, %v", names)
		for name, data := range before {
			vaulttest.PutRecord(t, store, name, vaulttest.GetRecord(t, store, name).Revision, string(data))
		}
	}
}

// A pin that was taken of another vault is told from an older store, and the key service is
// not asked for the keys.
func TestPinOfAnotherVault(t *testing.T) {
	ctx, p := t.Context(), vaulttest.Security
	kek := vault.SharedKEK(vaulttest.NewAEAD(t))
	theirs := vaulttest.Open(t, vault.Memory(), kek, nil)
	require.NoError(t, theirs.Generate(ctx, p))
	pin, err := theirs.Pin(ctx, p)
	require.NoError(t, err)
	store := vault.Memory()
	require.NoError(t, vaulttest.Open(t, store, kek, nil).Generate(ctx, p))
	refusing := vault.SharedKEK(vaulttest.Refusing{Err: vault.ErrUnavailable})
	_, err = vaulttest.Open(t, store, refusing, &vault.Options{Pin: vault.FixedPins(pin)}).Scope(ctx, p)
	require.EqualError(t, err, "vault: opening keys of security: key store has a record of another vault: not sealed here, or altered since")
}

// A vault that has opened keys of a purpose, by a handle of any kind, makes no others in
// their place, though the store has nothing else that tells of them.
func TestGenerateKnowsOfOpenedKeys(t *testing.T) {
	ctx, p := t.Context(), vaulttest.Security
	for name, take := range map[string]func(v *vault.Admin) error{
		"nothing": func(*vault.Admin) error { return nil },
		"scope":   func(v *vault.Admin) error { _, err := v.Scope(ctx, p); return err },
		"lookup":  func(v *vault.Admin) error { _, err := v.Lookup(ctx, p); return err },
		"reader":  func(v *vault.Admin) error { _, err := v.Reader(ctx, p); return err },
	} {
		t.Run(name, func(t *testing.T) {
			whole, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
			store := vaulttest.Swappable(whole)
			require.NoError(t, vaulttest.Open(t, whole, kek, nil).Generate(ctx, p))
			v := vaulttest.Open(t, store, kek, nil)
			require.NoError(t, take(v))
			lost := vaulttest.CopyOf(t, whole) // the id of the vault alone
			store.Swap(lost)
			err := v.Generate(ctx, p)
			if name == "nothing" {
				require.NoError(t, err, "as for any purpose that never had keys")
				return
			}
			require.ErrorIs(t, err, vault.ErrCorrupt)
			require.ErrorContains(t, err, "keys of this purpose were lost")
			require.Equal(t, []string{"0-vault"}, slices.Collect(maps.Keys(vaulttest.Content(t, lost))))
			store.Swap(whole)
			require.NoError(t, v.Generate(ctx, p))
		})
	}
}
