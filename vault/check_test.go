package vault_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// refusing is an AEAD whose calls fail with a given error.
type refusing struct{ err error }

func (r refusing) Encrypt([]byte, []byte) ([]byte, error) { return nil, r.err }
func (r refusing) Decrypt([]byte, []byte) ([]byte, error) { return nil, r.err }

// denial is an error that says whether it is one.
type denial bool

func (denial) Error() string { return "key service: 403" }
func (d denial) Unwrap() error {
	if d {
		return vault.ErrAccessDenied
	}
	return vault.ErrNoKeys
}

func TestMustNotOpen(t *testing.T) {
	store := vault.Memory()
	ours, theirs := newAEAD(t), newAEAD(t)
	admin := vault.KEKs{advertising: vault.SharedKEK(ours), security: vault.SharedKEK(theirs)}
	require.NoError(t, open(t, store, admin, nil).Generate(t.Context(), advertising, security))
	ctx := t.Context()
	// The ads process: its own key, and what the key service says of security's.
	process := func(security_ vault.KEK) *vault.Vault {
		return open(t, store, vault.KEKs{advertising: vault.SharedKEK(ours), security: security_}, nil)
	}

	t.Run("a KEK that was not asked is no proof", func(t *testing.T) {
		err := process(nil).MustNotOpen(ctx, security)
		require.ErrorIs(t, err, vault.ErrUnavailable)
		require.ErrorContains(t, err, "refused, but not for want of a grant")
	})
	t.Run("a KEK that says why is believed", func(t *testing.T) {
		require.NoError(t, process(vault.SharedKEK(refusing{denial(true)})).MustNotOpen(ctx, security))
		require.ErrorIs(t, process(vault.SharedKEK(refusing{denial(false)})).MustNotOpen(ctx, security), vault.ErrUnavailable)
	})
	t.Run("a grant too many", func(t *testing.T) {
		v := process(vault.SharedKEK(theirs))
		err := v.MustNotOpen(ctx, security)
		require.ErrorIs(t, err, vault.ErrGranted)
		require.EqualError(t, err, "vault: checking keys of security: this process can open keys that it must not have")
		scope(t, v, security)
		require.ErrorIs(t, v.MustNotOpen(ctx, security), vault.ErrGranted, "opened before")
	})
	t.Run("a refusal is proof if it is for want of a grant", func(t *testing.T) {
		require.NoError(t, process(vault.SharedKEK(refusing{vault.ErrAccessDenied})).MustNotOpen(ctx, security))
		v := process(vault.SharedKEK(refusing{vault.ErrNoKeys}))
		scope(t, v, advertising)
		require.ErrorIs(t, v.MustNotOpen(ctx, security), vault.ErrUnavailable)
	})
	t.Run("a refusal without a reason proves nothing by itself", func(t *testing.T) {
		v := process(vault.SharedKEK(refusing{errors.New("dial tcp: no route to host")}))
		require.ErrorIs(t, v.MustNotOpen(ctx, security), vault.ErrUnavailable)
		scope(t, v, advertising)
		require.NoError(t, v.MustNotOpen(ctx, security), "beside a purpose that does open")
	})
	t.Run("nor beside a purpose that no longer opens", func(t *testing.T) {
		kek := &spy{AEAD: ours}
		v := open(t, store, vault.KEKs{advertising: kek, security: vault.SharedKEK(refusing{errors.New("no route")})}, nil)
		scope(t, v, advertising)
		kek.meddle = func(context.Context) error { return errors.New("no route") }
		require.ErrorIs(t, v.MustNotOpen(ctx, security), vault.ErrUnavailable)
	})
	t.Run("a service that is down is no proof", func(t *testing.T) {
		v := process(vault.SharedKEK(refusing{vault.ErrUnavailable}))
		scope(t, v, advertising)
		require.ErrorIs(t, v.MustNotOpen(ctx, security), vault.ErrUnavailable)
	})
	t.Run("no keys to try are no proof", func(t *testing.T) {
		require.ErrorIs(t, process(nil).MustNotOpen(ctx, billing), vault.ErrNoKeys)
	})
	t.Run("all of them", func(t *testing.T) {
		v := process(vault.SharedKEK(refusing{vault.ErrAccessDenied}))
		require.ErrorIs(t, v.MustNotOpen(ctx, security, advertising), vault.ErrGranted)
		require.ErrorIs(t, v.MustNotOpen(ctx), vault.ErrInvalid)
		require.ErrorIs(t, v.MustNotOpen(ctx, purpose.Purpose{}), vault.ErrInvalid)
	})
	t.Run("is recorded as a check", func(t *testing.T) {
		var events []vault.Event
		v := open(t, store, vault.SharedKEK(refusing{vault.ErrAccessDenied}), &vault.Options{Audit: auditFunc(func(e vault.Event) error {
			events = append(events, e)
			return nil
		})})
		require.NoError(t, v.MustNotOpen(ctx, security))
		require.Len(t, events, 1)
		require.Equal(t, vault.ActionCheck, events[0].Action)
		require.Equal(t, vault.Allowed, events[0].Outcome)
	})
}

// With key files, a file that the process may read is a grant.
func TestMustNotOpenWithFiles(t *testing.T) {
	dir, store := t.TempDir(), vault.Memory()
	all := vault.LocalKEK(filepath.Join(dir, "all"))
	require.NoError(t, open(t, store, all, nil).Generate(t.Context(), security))
	require.ErrorIs(t, open(t, store, all, nil).MustNotOpen(t.Context(), security), vault.ErrGranted)
	other := open(t, store, vault.LocalKEK(filepath.Join(dir, "ads")), nil)
	require.NoError(t, other.MustNotOpen(t.Context(), security))
}

func TestPurposes(t *testing.T) {
	v := generated(t, nil)
	found, err := v.Purposes(t.Context())
	require.NoError(t, err)
	require.Zero(t, found.Len())

	dashed := purpose.MustParse("security-2fa")
	require.NoError(t, v.Generate(t.Context(), security, advertising, dashed))
	for range 3 {
		seal(t, scope(t, v, security).For("alice"), scope(t, v, dashed).For("alice"))
	}
	_, err = v.Erase(t.Context(), "bob", security)
	require.NoError(t, err)
	found, err = v.Purposes(t.Context())
	require.NoError(t, err)
	require.Equal(t, purpose.NewSet(advertising, security, dashed), found)

	require.NoError(t, v.Close())
	_, err = v.Purposes(t.Context())
	require.ErrorIs(t, err, vault.ErrNoKeys)
}

func TestPurposesOfDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	v := open(t, vault.Dir(dir), vault.SharedKEK(newAEAD(t)), nil)
	require.NoError(t, v.Generate(t.Context(), security, purpose.MustParse("security-2fa"), advertising))
	seal(t, scope(t, v, security).For("alice"))
	found, err := v.Purposes(t.Context())
	require.NoError(t, err)
	require.Equal(t, "advertising+security+security-2fa", found.String())
}
