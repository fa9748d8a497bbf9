package realserver_test

import (
	"errors"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
	tinkhcvault "github.com/tink-crypto/tink-go-hcvault/v2/integration/hcvault"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	onlyfor "github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kms"
)

// refused checks that err is a refusal, and whether it is one of the right alone.
func refused(t testing.TB, s *server, err error, denied bool) {
	t.Helper()
	require.ErrorIs(t, err, onlyfor.ErrNoKeys)
	require.NotErrorIs(t, err, onlyfor.ErrUnavailable)
	require.Equal(t, denied, errors.Is(err, onlyfor.ErrAccessDenied))
	require.Contains(t, err.Error(), s.Listener.Addr().String())
	require.NotContains(t, err.Error(), "hvs.")
}

const address = "alice@example.com"

func TestEachRoleOpensItsPurposesAlone(t *testing.T) {
	s := start(t)
	store := s.stored(t)
	ctx := t.Context()

	scope, err := s.open(t, store, s.token(t, secure)).Scope(ctx, security)
	require.NoError(t, err)
	email, err := pii.SealEmail(ctx, address, scope)
	require.NoError(t, err)
	got, err := email.Reveal(ctx, scope)
	require.NoError(t, err)
	require.True(t, got == address, "revealed something else")

	token := s.token(t, ads)
	v := s.open(t, store, token)
	own, err := v.Scope(ctx, advertising)
	require.NoError(t, err)
	_, err = email.Reveal(ctx, own)
	require.ErrorIs(t, err, purpose.ErrMismatch)
	_, err = v.Scope(ctx, security)
	refused(t, s, err, true)
	require.NoError(t, v.CheckDenied(ctx, security))
	require.ErrorIs(t, v.CheckDenied(ctx, advertising), onlyfor.ErrGranted)

	// It can change nothing, its own included.
	refused(t, s, v.Rotate(ctx, advertising, onlyfor.RoleSeal), true)
	refused(t, s, s.open(t, onlyfor.Memory(), token).Generate(ctx, advertising), true)

	// And without this library: no path of the engine helps it to security's key.
	logical := s.client(t, token).Logical()
	wrapped, err := s.root.Logical().Write("transit/encrypt/onlyfor-security", map[string]any{"plaintext": "a2V5"})
	require.NoError(t, err)
	ciphertext := map[string]any{"ciphertext": wrapped.Data["ciphertext"]}
	for _, path := range []string{
		"transit/decrypt/onlyfor-security", "transit/rewrap/onlyfor-security", "transit/datakey/plaintext/onlyfor-security",
		"transit/keys/onlyfor-security/config", "transit/keys/onlyfor-security/rotate", "transit/keys/new",
		"transit/decrypt/onlyfor-advertising", // allowed, and another key
	} {
		_, err := logical.Write(path, ciphertext)
		require.Error(t, err, path)
	}
	for _, path := range []string{"transit/export/encryption-key/onlyfor-security", "transit/backup/onlyfor-security", "transit/keys/onlyfor-security"} {
		_, err := logical.Read(path)
		require.Error(t, err, path)
	}
}

// One grant too many, which Vault gives to a token that is already in use.
func TestCheckDeniedFindsAGrant(t *testing.T) {
	s := start(t)
	v := s.open(t, s.stored(t), s.token(t, ads))
	require.NoError(t, v.CheckDenied(t.Context(), security))
	s.token(t, kms.Role{Name: ads.Name, Opens: purpose.NewSet(advertising, security)})
	require.ErrorIs(t, v.CheckDenied(t.Context(), security), onlyfor.ErrGranted)
}

func TestRevokedInMidFlight(t *testing.T) {
	s := start(t)
	store, token := s.stored(t), s.token(t, secure)
	scope, err := s.open(t, store, token).Scope(t.Context(), security)
	require.NoError(t, err)
	late := s.open(t, store, token)

	t.Run("policy", func(t *testing.T) {
		require.NoError(t, s.root.Sys().PutPolicy(secure.Name, "# nothing"))
		_, err = late.Scope(t.Context(), security)
		refused(t, s, err, true)
		s.token(t, secure)
		_, err = late.Scope(t.Context(), security)
		require.NoError(t, err, "a refusal is not remembered")
	})
	t.Run("token", func(t *testing.T) {
		require.NoError(t, s.root.Auth().Token().RevokeTree(token))
		_, err = s.open(t, store, token).Scope(t.Context(), security)
		refused(t, s, err, false) // a token that is over proves nothing
	})
	_, err = pii.SealEmail(t.Context(), address, scope)
	require.NoError(t, err, "opened before")
}

func TestKeysThatAreNotThere(t *testing.T) {
	s := start(t)
	store := s.stored(t)
	root := s.root.Token()
	require.NoError(t, s.root.Sys().Mount("kv", &api.MountInput{Type: "kv"}))
	for name, path := range map[string]string{
		"missing":      "transit/keys/elsewhere-{purpose}",
		"no engine":    "elsewhere/keys/onlyfor-{purpose}",
		"other engine": "sys/keys/onlyfor-{purpose}",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.openAt(t, store, root, path).Scope(t.Context(), security)
			refused(t, s, err, false)
		})
	}
	t.Run("too old", func(t *testing.T) {
		s.write(t, "transit/keys/onlyfor-security/rotate", nil)
		_, err := s.open(t, store, root).Scope(t.Context(), security)
		require.NoError(t, err, "rotating a transit key leaves what it wrapped")
		s.write(t, "transit/keys/onlyfor-security/config", map[string]any{"min_decryption_version": 2})
		_, err = s.open(t, store, root).Scope(t.Context(), security)
		refused(t, s, err, false)
	})
	t.Run("deleted", func(t *testing.T) {
		s.write(t, "transit/keys/onlyfor-security/config", map[string]any{"deletion_allowed": true})
		_, err := s.root.Logical().Delete("transit/keys/onlyfor-security")
		require.NoError(t, err)
		_, err = s.open(t, store, root).Scope(t.Context(), security)
		refused(t, s, err, false)
	})
}

// Of the kinds of transit keys, those that bind associated data serve and all
// others are refused when keys are made.
func TestKindsOfKeys(t *testing.T) {
	s := start(t)
	for name, c := range map[string]struct {
		key    map[string]any
		serves bool
	}{
		"aes256-gcm96":      {map[string]any{"type": "aes256-gcm96"}, true},
		"aes128-gcm96":      {map[string]any{"type": "aes128-gcm96"}, true},
		"chacha20-poly1305": {map[string]any{"type": "chacha20-poly1305"}, true},
		"rsa-2048":          {map[string]any{"type": "rsa-2048"}, false},
		"ed25519":           {map[string]any{"type": "ed25519"}, false},
		"derived":           {map[string]any{"derived": true}, false},
		"convergent":        {map[string]any{"derived": true, "convergent_encryption": true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s.write(t, "transit/keys/"+name+"-security", c.key)
			v := s.openAt(t, onlyfor.Memory(), s.root.Token(), "transit/keys/"+name+"-{purpose}")
			err := v.Generate(t.Context(), security)
			if c.serves {
				require.NoError(t, err)
				return
			}
			refused(t, s, err, false)
		})
	}
}

// Tink's client has a mode that sends associated data where the server does not
// look. The vault's own test of a KEK finds it.
func TestLegacyModeIsRefused(t *testing.T) {
	s := start(t)
	legacy, err := tinkhcvault.NewAEAD("/transit/keys/onlyfor-security", s.root.Logical(), tinkhcvault.WithLegacyContextParamater())
	require.NoError(t, err)
	wrapped, err := legacy.Encrypt([]byte("key"), []byte("security"))
	require.NoError(t, err)
	_, err = legacy.Decrypt(wrapped, []byte("advertising"))
	require.NoError(t, err, "the premise: nothing is bound")

	store := onlyfor.Memory()
	v, err := onlyfor.OpenAdmin(t.Context(), store, onlyfor.SharedKEK(legacy), nil)
	require.NoError(t, err)
	defer v.Close()
	require.ErrorIs(t, v.Generate(t.Context(), security), onlyfor.ErrNoKeys)
	records, err := store.Get(t.Context(), "security/keys")
	require.NoError(t, err)
	require.Empty(t, records, "nothing was stored")

	// The other mode, with the same key.
	bound, err := tinkhcvault.NewAEAD("/transit/keys/onlyfor-security", s.root.Logical())
	require.NoError(t, err)
	v, err = onlyfor.OpenAdmin(t.Context(), store, onlyfor.SharedKEK(bound), nil)
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Generate(t.Context(), security))
}

// What was wrapped for one purpose does not unwrap for another, with one transit
// key for both.
func TestPurposeIsBound(t *testing.T) {
	s := start(t)
	aead, err := tinkhcvault.NewAEAD("/transit/keys/onlyfor-security", s.root.Logical())
	require.NoError(t, err)
	store := onlyfor.Memory()
	v, err := onlyfor.OpenAdmin(t.Context(), store, onlyfor.SharedKEK(aead), nil)
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Generate(t.Context(), security, advertising))
	found, err := store.Get(t.Context(), "security/keys")
	require.NoError(t, err)
	old, err := store.Get(t.Context(), "advertising/keys")
	require.NoError(t, err)
	_, err = store.Put(t.Context(), onlyfor.Record{Name: "advertising/keys", Data: found[0].Data, Revision: old[0].Revision})
	require.NoError(t, err)
	fresh, err := onlyfor.OpenAdmin(t.Context(), store, onlyfor.SharedKEK(aead), nil)
	require.NoError(t, err)
	defer fresh.Close()
	_, err = fresh.Scope(t.Context(), advertising)
	require.ErrorIs(t, err, onlyfor.ErrNoKeys)
}

func TestServerInTrouble(t *testing.T) {
	s := start(t)
	store, token := s.stored(t), s.token(t, secure)
	unavailable := func(t *testing.T) {
		v := s.open(t, store, token)
		_, err := v.Scope(t.Context(), security)
		require.ErrorIs(t, err, onlyfor.ErrUnavailable)
		require.NotErrorIs(t, err, onlyfor.ErrNoKeys)
		require.ErrorIs(t, v.CheckDenied(t.Context(), advertising), onlyfor.ErrUnavailable)
	}
	t.Run("throttling", func(t *testing.T) {
		s.write(t, "sys/quotas/rate-limit/one", map[string]any{"rate": 0.0001, "path": "transit/"})
		s.open(t, store, token).Scope(t.Context(), security) // uses up what there is
		unavailable(t)
		_, err := s.root.Logical().Delete("sys/quotas/rate-limit/one")
		require.NoError(t, err)
	})
	t.Run("sealed", func(t *testing.T) {
		require.NoError(t, s.core.Seal(s.root.Token()))
		unavailable(t)
		open, err := s.core.Unseal(s.unseal)
		require.NoError(t, err)
		require.True(t, open)
	})
	_, err := s.open(t, store, token).Scope(t.Context(), security)
	require.NoError(t, err)
	t.Run("gone", func(t *testing.T) {
		s.Close()
		unavailable(t)
	})
}

// The reason why policies grant "update" alone: a token that may create has a
// misspelt key made.
func TestMissingKeysAreMadeForThoseWhoMayCreate(t *testing.T) {
	s := start(t)
	misspelt := "transit/keys/onlyfro-{purpose}"
	text, err := kms.HCVaultPolicy(s.keys(misspelt), admin)
	require.NoError(t, err)
	require.NoError(t, s.root.Sys().PutPolicy("misspelt", text))
	made, err := s.root.Auth().Token().Create(&api.TokenCreateRequest{Policies: []string{"misspelt"}})
	require.NoError(t, err)
	v := s.openAt(t, onlyfor.Memory(), made.Auth.ClientToken, misspelt)
	refused(t, s, v.Generate(t.Context(), security), true)
	key, err := s.root.Logical().Read("transit/keys/onlyfro-security")
	require.NoError(t, err)
	require.Nil(t, key)

	require.NoError(t, s.openAt(t, onlyfor.Memory(), s.root.Token(), misspelt).Generate(t.Context(), security))
	key, err = s.root.Logical().Read("transit/keys/onlyfro-security")
	require.NoError(t, err)
	require.NotNil(t, key)
}
