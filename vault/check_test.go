package vault_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

func TestMustNotOpen(t *testing.T) {
	store := vault.Memory()
	ours, theirs := vaulttest.NewAEAD(t), vaulttest.NewAEAD(t)
	admin := vault.KEKs{vaulttest.Advertising: vault.SharedKEK(ours), vaulttest.Security: vault.SharedKEK(theirs)}
	require.NoError(t, vaulttest.Open(t, store, admin, nil).Generate(t.Context(), vaulttest.Advertising, vaulttest.Security))
	ctx := t.Context()
	// The ads process: its own key, and what the key service says of security's.
	process := func(security_ vault.KEK) *vault.Vault {
		return vaulttest.Open(t, store, vault.KEKs{vaulttest.Advertising: vault.SharedKEK(ours), vaulttest.Security: security_}, nil)
	}

	t.Run("a KEK that was not asked is no proof", func(t *testing.T) {
		err := process(nil).MustNotOpen(ctx, vaulttest.Security)
		require.ErrorIs(t, err, vault.ErrUnavailable)
		require.ErrorContains(t, err, "refused, but not for want of a grant")
	})
	t.Run("a KEK that says why is believed", func(t *testing.T) {
		require.NoError(t, process(vault.SharedKEK(vaulttest.Refusing{Err: vaulttest.Denial(true)})).MustNotOpen(ctx, vaulttest.Security))
		require.ErrorIs(t, process(vault.SharedKEK(vaulttest.Refusing{Err: vaulttest.Denial(false)})).MustNotOpen(ctx, vaulttest.Security), vault.ErrUnavailable)
	})
	t.Run("a grant too many", func(t *testing.T) {
		v := process(vault.SharedKEK(theirs))
		err := v.MustNotOpen(ctx, vaulttest.Security)
		require.ErrorIs(t, err, vault.ErrGranted)
		require.EqualError(t, err, "vault: checking keys of security: this process can open keys that it must not have")
		vaulttest.Scope(t, v, vaulttest.Security)
		require.ErrorIs(t, v.MustNotOpen(ctx, vaulttest.Security), vault.ErrGranted, "opened before")
	})
	t.Run("an explicit refusal is proof", func(t *testing.T) {
		require.NoError(t, process(vault.SharedKEK(vaulttest.Refusing{Err: vault.ErrNoKeys})).MustNotOpen(ctx, vaulttest.Security))
	})
	t.Run("a refusal without a reason proves nothing by itself", func(t *testing.T) {
		v := process(vault.SharedKEK(vaulttest.Refusing{Err: errors.New("dial tcp: no route to host")}))
		require.ErrorIs(t, v.MustNotOpen(ctx, vaulttest.Security), vault.ErrUnavailable)
		vaulttest.Scope(t, v, vaulttest.Advertising)
		require.NoError(t, v.MustNotOpen(ctx, vaulttest.Security), "beside a purpose that does open")
	})
	t.Run("nor beside a purpose that no longer opens", func(t *testing.T) {
		kek := &vaulttest.Spy{AEAD: ours}
		v := vaulttest.Open(t, store, vault.KEKs{vaulttest.Advertising: kek, vaulttest.Security: vault.SharedKEK(vaulttest.Refusing{Err: errors.New("no route")})}, nil)
		vaulttest.Scope(t, v, vaulttest.Advertising)
		kek.Meddle = func(context.Context) error { return errors.New("no route") }
		require.ErrorIs(t, v.MustNotOpen(ctx, vaulttest.Security), vault.ErrUnavailable)
	})
	t.Run("a service that is down is no proof", func(t *testing.T) {
		v := process(vault.SharedKEK(vaulttest.Refusing{Err: vault.ErrUnavailable}))
		vaulttest.Scope(t, v, vaulttest.Advertising)
		require.ErrorIs(t, v.MustNotOpen(ctx, vaulttest.Security), vault.ErrUnavailable)
	})
	t.Run("no keys to try are no proof", func(t *testing.T) {
		require.ErrorIs(t, process(nil).MustNotOpen(ctx, vaulttest.Billing), vault.ErrNoKeys)
	})
	t.Run("all of them", func(t *testing.T) {
		v := process(vault.SharedKEK(vaulttest.Refusing{Err: vault.ErrNoKeys}))
		require.ErrorIs(t, v.MustNotOpen(ctx, vaulttest.Security, vaulttest.Advertising), vault.ErrGranted)
		require.ErrorIs(t, v.MustNotOpen(ctx), vault.ErrInvalid)
		require.ErrorIs(t, v.MustNotOpen(ctx, purpose.Purpose{}), vault.ErrInvalid)
	})
	t.Run("is recorded as a check", func(t *testing.T) {
		var events []vault.Event
		v := vaulttest.Open(t, store, vault.SharedKEK(vaulttest.Refusing{Err: vault.ErrNoKeys}), &vault.Options{Audit: auditFunc(func(e vault.Event) error {
			events = append(events, e)
			return nil
		})})
		require.NoError(t, v.MustNotOpen(ctx, vaulttest.Security))
		require.Len(t, events, 1)
		require.Equal(t, vault.ActionCheck, events[0].Action)
		require.Equal(t, vault.Allowed, events[0].Outcome)
	})
}

// With key files, a file that the process may read is a grant.
func TestMustNotOpenWithFiles(t *testing.T) {
	dir, store := t.TempDir(), vault.Memory()
	all := vault.LocalKEK(filepath.Join(dir, "all"))
	require.NoError(t, vaulttest.Open(t, store, all, nil).Generate(t.Context(), vaulttest.Security))
	require.ErrorIs(t, vaulttest.Open(t, store, all, nil).MustNotOpen(t.Context(), vaulttest.Security), vault.ErrGranted)
	other := vaulttest.Open(t, store, vault.LocalKEK(filepath.Join(dir, "ads")), nil)
	require.NoError(t, other.MustNotOpen(t.Context(), vaulttest.Security))
}

func TestPurposes(t *testing.T) {
	v := vaulttest.Generated(t, nil)
	found, err := v.Purposes(t.Context())
	require.NoError(t, err)
	require.Zero(t, found.Len())

	dashed := purpose.MustParse("security-2fa")
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security, vaulttest.Advertising, dashed))
	for range 3 {
		vaulttest.Seal(t, vaulttest.Scope(t, v, vaulttest.Security).For("alice"), vaulttest.Scope(t, v, dashed).For("alice"))
	}
	_, err = v.Erase(t.Context(), "bob", vaulttest.Security)
	require.NoError(t, err)
	found, err = v.Purposes(t.Context())
	require.NoError(t, err)
	require.Equal(t, purpose.NewSet(vaulttest.Advertising, vaulttest.Security, dashed), found)

	require.NoError(t, v.Close())
	_, err = v.Purposes(t.Context())
	require.ErrorIs(t, err, vault.ErrNoKeys)
}

func TestPurposesOfDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	v := vaulttest.Open(t, vault.Dir(dir), vault.SharedKEK(vaulttest.NewAEAD(t)), nil)
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security, purpose.MustParse("security-2fa"), vaulttest.Advertising))
	vaulttest.Seal(t, vaulttest.Scope(t, v, vaulttest.Security).For("alice"))
	found, err := v.Purposes(t.Context())
	require.NoError(t, err)
	require.Equal(t, "advertising+security+security-2fa", found.String())
}
