package vault_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/keyset"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/secretdata"

	"github.com/onlyfor/onlyfor/vault"
)

// What collectors sealed belongs to nobody yet. Taking it in must not make one
// value of two persons, as sealing does not.
func TestTakingInIsForOnePerson(t *testing.T) {
	v := generated(t, nil, security, advertising)
	sec, ads := scope(t, v, security), scope(t, v, advertising)
	value := seal(t, collector(t, v, security), collector(t, v, advertising))
	_, err := vault.Reseal(t.Context(), note, value, sec.For("alice"), ads.For("bob"))
	require.ErrorIs(t, err, vault.ErrInvalid)
	taken, err := vault.Reseal(t.Context(), note, value, sec.For("alice"), ads.For("alice"))
	require.NoError(t, err)
	opens(t, sec.For("alice"), taken)
	opens(t, ads.For("alice"), taken)
	taken, err = vault.Reseal(t.Context(), note, value, sec.For("alice"), ads)
	require.NoError(t, err, "a purpose may be without persons")
	opens(t, ads, taken)
}

// Keys without an id of their own, as those with a raw prefix are, are known by
// what they are.
func TestImportingTwiceIsRefusedForEveryPrefix(t *testing.T) {
	v := generated(t, nil, security)
	s := scope(t, v, security)
	for name, templates := range map[string][]*tinkpb.KeyTemplate{
		"tink": {aead.AES256GCMKeyTemplate()},
		"raw":  {aead.AES256GCMNoPrefixKeyTemplate()},
		"both": {aead.AES256GCMNoPrefixKeyTemplate(), aead.AES128GCMKeyTemplate()},
	} {
		legacy := newPlain(t, v, templates...)
		require.NoError(t, v.Import(t.Context(), security, legacy.binary), name)
		before, err := v.Keys(t.Context(), security)
		require.NoError(t, err)
		require.ErrorIs(t, v.Import(t.Context(), security, legacy.json), vault.ErrInvalid, name)
		after, err := v.Keys(t.Context(), security)
		require.NoError(t, err)
		require.Equal(t, before, after, name)
		value, err := vault.Adopt(t.Context(), note, legacy.encrypt(t, "text", "aad"), []byte("aad"), strings.TrimSpace, s)
		require.NoError(t, err, name)
		opens(t, s, value)
	}
	ids := map[uint32]bool{}
	keys, err := v.Keys(t.Context(), security)
	require.NoError(t, err)
	for _, k := range keys {
		require.False(t, ids[k.ID])
		ids[k.ID] = true
	}
}

// An id names one key of a purpose, whatever it is for.
func TestImportingAnIDThatIsTaken(t *testing.T) {
	v := generated(t, nil, security)
	keys, err := v.Keys(t.Context(), security)
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
		require.ErrorIs(t, v.Import(t.Context(), security, plainOf(t, h).json), vault.ErrInvalid, k.Role)
	}
}

// Adopting for somebody who was erased shows nobody what it was.
func TestAdoptingForTheErased(t *testing.T) {
	v := generated(t, nil, security)
	s := scope(t, v, security)
	legacy := newPlain(t, v, aead.AES256GCMKeyTemplate())
	require.NoError(t, v.Import(t.Context(), security, legacy.binary))
	_, err := v.Erase(t.Context(), "alice", security)
	require.NoError(t, err)
	_, err = vault.Adopt(t.Context(), note, legacy.encrypt(t, "text", ""), nil, strings.TrimSpace, s.For("alice"))
	require.ErrorIs(t, err, vault.ErrErased)
}

// Under a key of its own role, what was sealed here does not adopt, and what was
// encrypted elsewhere does not reveal.
func TestSealedValuesAreNotAdopted(t *testing.T) {
	v := generated(t, nil, security)
	s := scope(t, v, security)
	require.NoError(t, v.Import(t.Context(), security, newPlain(t, v, aead.AES256GCMKeyTemplate()).binary))
	for _, value := range []vault.Sealed{seal(t, s), seal(t, collector(t, v, security)), seal(t, s.For("alice"))} {
		raw, err := value.MarshalBinary()
		require.NoError(t, err)
		for i := range raw {
			for _, aad := range []string{"", "pii1"} {
				_, err := vault.Adopt(t.Context(), note, raw[i:], []byte(aad), strings.TrimSpace, s)
				require.ErrorIs(t, err, vault.ErrCorrupt)
			}
		}
	}
}
