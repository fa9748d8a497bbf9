package kmstest

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kms"
)

func grants(t *testing.T, s Service) {
	ctx := t.Context()
	store := stored(t, s)
	opens := map[string][]purpose.Purpose{
		Admin:   {Security, Advertising, Billing},
		Secure:  {Security, Billing},
		Ads:     {Advertising},
		Nobody:  nil,
		Unknown: nil,
	}
	for role, mine := range opens {
		v := open(t, s, store, role, long)
		for _, p := range []purpose.Purpose{Security, Advertising, Billing} {
			_, err := v.Scope(ctx, p)
			if purpose.NewSet(mine...).Contains(p) {
				require.NoError(t, err, "%s, %s", role, p)
			} else {
				refused(t, s, err, p)
			}
		}
	}
	// A role that only opens can change no keys, not even its own.
	ads := open(t, s, store, Ads, long)
	refused(t, s, ads.Rotate(ctx, Advertising, vault.RoleSeal), Advertising)
	refused(t, s, open(t, s, vault.Memory(), Ads, long).Generate(ctx, Advertising), Advertising)
	_, err := ads.Scope(ctx, Advertising)
	require.NoError(t, err)
}

func disabled(t *testing.T, s Service) {
	ctx := t.Context()
	store := stored(t, s)
	key, err := s.Keys().Key(Security)
	require.NoError(t, err)
	v := open(t, s, store, Secure, long)
	scope, err := v.Scope(ctx, Security)
	require.NoError(t, err)

	s.Keyring().SetDisabled(key.Name(), true)
	_, err = pii.SealEmail(ctx, address, scope)
	require.NoError(t, err, "opened before")
	late := open(t, s, store, Secure, long)
	_, err = late.Scope(ctx, Security)
	refused(t, s, err, Security)
	require.False(t, denied(err), "who asked would be let in")
	refused(t, s, open(t, s, store, Admin, long).Rotate(ctx, Security, vault.RoleSeal), Security)

	s.Keyring().SetDisabled(key.Name(), false)
	_, err = late.Scope(ctx, Security)
	require.NoError(t, err, "a refusal is not remembered")
}

// denied reports whether err says that the credentials have no grant.
func denied(err error) bool {
	return errors.Is(err, vault.ErrAccessDenied)
}

func revoked(t *testing.T, s Service) {
	ctx := t.Context()
	store := stored(t, s)
	scope, err := open(t, s, store, Secure, long).Scope(ctx, Security)
	require.NoError(t, err)

	s.Grant(t, kms.Role{Name: Secure, Opens: purpose.NewSet(Billing)})
	_, err = pii.SealEmail(ctx, address, scope)
	require.NoError(t, err, "opened before")
	late := open(t, s, store, Secure, long)
	_, err = late.Scope(ctx, Security)
	refused(t, s, err, Security)
	require.True(t, denied(err), "has no grant")
	_, err = late.Scope(ctx, Billing)
	require.NoError(t, err, "the other grant is untouched")

	s.Grant(t, Roles()...)
	_, err = late.Scope(ctx, Security)
	require.NoError(t, err, "a refusal is not remembered")
}

func swapped(t *testing.T, s Service) {
	ctx := t.Context()
	store := stored(t, s)
	a, err := s.Keys().Key(Security)
	require.NoError(t, err)
	b, err := s.Keys().Key(Advertising)
	require.NoError(t, err)
	t.Run("in the configuration", func(t *testing.T) {
		keys := kms.URIs{Security: b.String(), Advertising: a.String()}
		for _, role := range []string{Admin, Secure, Ads} {
			v, err := vault.OpenAdmin(ctx, store, s.KEK(t, role, keys), nil)
			require.NoError(t, err)
			defer v.Close()
			for _, p := range []purpose.Purpose{Security, Advertising} {
				_, err = v.Scope(ctx, p)
				require.ErrorIs(t, err, vault.ErrNoKeys)
				explained(t, keys, err, p)
				if role == Secure && p == Security || role == Ads && p == Advertising {
					require.True(t, denied(err), "%s has no grant on the other's key", role)
				}
			}
		}
	})
	t.Run("in the key service", func(t *testing.T) {
		s.Keyring().Swap(a.Name(), b.Name())
		defer s.Keyring().Swap(a.Name(), b.Name())
		v := open(t, s, store, Admin, long)
		for _, p := range []purpose.Purpose{Security, Advertising} {
			_, err = v.Scope(ctx, p)
			refused(t, s, err, p)
		}
		_, err := v.Scope(ctx, Billing)
		require.NoError(t, err)
	})
}

func copied(t *testing.T, s Service) {
	ctx := t.Context()
	store := stored(t, s)
	found, err := store.Get(ctx, "security/keys", "advertising/keys")
	require.NoError(t, err)
	require.Len(t, found, 2)
	byName := map[string]vault.Record{found[0].Name: found[0], found[1].Name: found[1]}
	forged := byName["advertising/keys"]
	forged.Data = byName["security/keys"].Data
	_, err = store.Put(ctx, forged)
	require.NoError(t, err)
	for _, role := range []string{Admin, Ads} {
		_, err = open(t, s, store, role, long).Scope(ctx, Advertising)
		refused(t, s, err, Advertising)
	}
}

// otherCiphertext checks the words of refusals. That they are refusals is a matter of
// the contract.
func otherCiphertext(t *testing.T, s Service) {
	ctx := t.Context()
	kek := s.KEK(t, Admin, s.Keys())
	aead := func(p purpose.Purpose) vault.AEAD {
		a, err := kek.For(ctx, p)
		require.NoError(t, err)
		return a
	}
	bound := func(p purpose.Purpose) []byte {
		return []byte("onlyfor purpose-keys " + p.String() + " 000102030405060708090a0b0c0d0e0f")
	}
	wrapped, err := aead(Security).Encrypt([]byte("a data key"), bound(Security))
	require.NoError(t, err)
	_, err = aead(Advertising).Decrypt(wrapped, bound(Advertising))
	refused(t, s, err, Advertising)
	_, err = aead(Security).Decrypt(wrapped, bound(Advertising))
	refused(t, s, err, Security)
	_, err = aead(Security).Decrypt(append(wrapped, 0), bound(Security))
	refused(t, s, err, Security)

	_, err = kek.For(ctx, purpose.Purpose{})
	require.ErrorIs(t, err, vault.ErrInvalid)
}

func elsewhere(t *testing.T, s Service) {
	ctx := t.Context()
	v, err := vault.OpenAdmin(ctx, stored(t, s), s.KEK(t, Admin, s.Elsewhere()), nil)
	require.NoError(t, err)
	defer v.Close()
	_, err = v.Scope(ctx, Security)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	require.NotErrorIs(t, err, vault.ErrUnavailable)
	explained(t, s.Elsewhere(), err, Security)
}

func checkDenied(t *testing.T, s Service) {
	ctx := t.Context()
	store := stored(t, s)
	require.NoError(t, open(t, s, store, Ads, long).CheckDenied(ctx, Security, Billing))
	require.ErrorIs(t, open(t, s, store, Secure, long).CheckDenied(ctx, Advertising, Billing), vault.ErrGranted)
	s.Grant(t, kms.Role{Name: Ads, Opens: purpose.NewSet(Advertising, Security)}) // one too many
	require.ErrorIs(t, open(t, s, store, Ads, long).CheckDenied(ctx, Security), vault.ErrGranted)
	require.NoError(t, open(t, s, store, Ads, long).CheckDenied(ctx, Billing))
}

// checkDeniedDisabled checks refusals that prove nothing: of a key that is disabled
// today, of a key that this process has no URI for, and of unknown credentials. (Not
// every service tells a denial from a key in another place.)
func checkDeniedDisabled(t *testing.T, s Service) {
	ctx := t.Context()
	store := stored(t, s)
	billing, err := s.Keys().Key(Billing)
	require.NoError(t, err)
	security, err := s.Keys().Key(Security)
	require.NoError(t, err)
	unproven := func(role string, keys kms.Keys) {
		v, err := vault.OpenAdmin(ctx, store, s.KEK(t, role, keys), nil)
		require.NoError(t, err)
		defer v.Close()
		require.Error(t, v.CheckDenied(ctx, Security))
	}
	unproven(Secure, kms.URIs{Billing: billing.String()})
	unproven(Unknown, s.Keys())
	s.Keyring().SetDisabled(security.Name(), true)
	unproven(Secure, s.Keys())
}
