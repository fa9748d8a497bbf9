package vault_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/secretdata"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// What collectors sealed belongs to nobody yet. Taking it in must not make one
// value of two persons, as sealing does not.
func TestTakingInIsForOnePerson(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security, vaulttest.Advertising)
	sec, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)
	value := vaulttest.Seal(t, vaulttest.Collector(t, v, vaulttest.Security), vaulttest.Collector(t, v, vaulttest.Advertising))
	_, err := vault.Reseal(t.Context(), vaulttest.Note, value, sec.For("alice"), ads.For("bob"))
	require.ErrorIs(t, err, vault.ErrInvalid)
	taken, err := vault.Reseal(t.Context(), vaulttest.Note, value, sec.For("alice"), ads.For("alice"))
	require.NoError(t, err)
	vaulttest.Opens(t, sec.For("alice"), taken)
	vaulttest.Opens(t, ads.For("alice"), taken)
	taken, err = vault.Reseal(t.Context(), vaulttest.Note, value, sec.For("alice"), ads)
	require.NoError(t, err, "a purpose may be without persons")
	vaulttest.Opens(t, ads, taken)
}

// Keys without an id of their own, as those with a raw prefix are, are known by
// what they are.
func TestImportingTwiceIsRefusedForEveryPrefix(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security)
	s := vaulttest.Scope(t, v, vaulttest.Security)
	for name, legacy := range map[string]vaulttest.Plain{
		"tink": vaulttest.NewPlain(t, aead.AES256GCMKeyTemplate()),
		"raw":  vaulttest.NewPlain(t, aead.AES256GCMNoPrefixKeyTemplate()),
		"both": vaulttest.NewPlain(t, aead.AES256GCMNoPrefixKeyTemplate(), aead.AES128GCMKeyTemplate()),
	} {
		require.NoError(t, v.Import(t.Context(), vaulttest.Security, legacy.Binary), name)
		before, err := v.Keys(t.Context(), vaulttest.Security)
		require.NoError(t, err)
		require.ErrorIs(t, v.Import(t.Context(), vaulttest.Security, legacy.JSON), vault.ErrInvalid, name)
		after, err := v.Keys(t.Context(), vaulttest.Security)
		require.NoError(t, err)
		require.Equal(t, before, after, name)
		value, err := vault.Adopt(t.Context(), vaulttest.Note, legacy.Ciphertext(t, "text", "aad"), []byte("aad"), strings.TrimSpace, s)
		require.NoError(t, err, name)
		vaulttest.Opens(t, s, value)
	}
	ids := map[uint32]bool{}
	keys, err := v.Keys(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	for _, k := range keys {
		require.False(t, ids[k.ID])
		ids[k.ID] = true
	}
}

// An id names one key of a purpose, whatever it is for.
func TestImportingAnIDThatIsTaken(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security)
	keys, err := v.Keys(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	require.NotEmpty(t, keys)
	params, err := aesgcm.NewParameters(aesgcm.ParametersOpts{
		KeySizeInBytes: 32, IVSizeInBytes: 12, TagSizeInBytes: 16, Variant: aesgcm.VariantTink,
	})
	require.NoError(t, err)
	for _, k := range keys {
		secret, err := secretdata.NewBytesFromRand(32)
		require.NoError(t, err)
		same, err := aesgcm.NewKey(secret, k.ID, params)
		require.NoError(t, err)
		m := keyset.NewManager()
		id, err := m.AddKey(same)
		require.NoError(t, err)
		require.NoError(t, m.SetPrimary(id))
		h, err := m.Handle()
		require.NoError(t, err)
		require.ErrorIs(t, v.Import(t.Context(), vaulttest.Security, vaulttest.PlainOf(t, h).JSON), vault.ErrInvalid, k.Role)
	}
}

// Adopting for somebody who was erased shows nobody what it was.
func TestAdoptingForTheErased(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security)
	s := vaulttest.Scope(t, v, vaulttest.Security)
	legacy := vaulttest.NewPlain(t, aead.AES256GCMKeyTemplate())
	require.NoError(t, v.Import(t.Context(), vaulttest.Security, legacy.Binary))
	_, err := v.Erase(t.Context(), "alice", vaulttest.Security)
	require.NoError(t, err)
	_, err = vault.Adopt(t.Context(), vaulttest.Note, legacy.Ciphertext(t, "text", ""), nil, strings.TrimSpace, s.For("alice"))
	require.ErrorIs(t, err, vault.ErrErased)
}

// Under a key of its own role, what was sealed here does not adopt, and what was
// encrypted elsewhere does not reveal.
func TestSealedValuesAreNotAdopted(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security)
	s := vaulttest.Scope(t, v, vaulttest.Security)
	require.NoError(t, v.Import(t.Context(), vaulttest.Security, vaulttest.NewPlain(t, aead.AES256GCMKeyTemplate()).Binary))
	for _, value := range []vault.Sealed{vaulttest.Seal(t, s), vaulttest.Seal(t, vaulttest.Collector(t, v, vaulttest.Security)), vaulttest.Seal(t, s.For("alice"))} {
		raw, err := value.MarshalBinary()
		require.NoError(t, err)
		for i := range raw {
			for _, aad := range []string{"", "pii1"} {
				_, err := vault.Adopt(t.Context(), vaulttest.Note, raw[i:], []byte(aad), strings.TrimSpace, s)
				require.ErrorIs(t, err, vault.ErrCorrupt)
			}
		}
	}
}
