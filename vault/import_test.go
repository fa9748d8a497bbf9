package vault_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/hybrid"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/secretdata"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

func TestAdopt(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security, vaulttest.Advertising)
	sec, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)
	ctx := t.Context()
	legacy := vaulttest.NewPlain(t, aead.AES128GCMKeyTemplate(), aead.AES256GCMKeyTemplate(), aead.XChaCha20Poly1305KeyTemplate(), aead.AES256CTRHMACSHA256KeyTemplate())
	ciphertext := legacy.Ciphertext(t, "text", "users.email:1")

	_, err := vault.Adopt(ctx, vaulttest.Note, ciphertext, []byte("users.email:1"), strings.TrimSpace, sec)
	require.ErrorIs(t, err, vault.ErrNoKeys, "nothing was imported yet")
	require.NoError(t, v.Import(ctx, vaulttest.Security, legacy.Binary))
	value, err := vault.Adopt(ctx, vaulttest.Note, ciphertext, []byte("users.email:1"), strings.TrimSpace, sec.Under(purpose.Basis{Notice: "n-1"}).For("alice"))
	require.NoError(t, err)
	vaulttest.Opens(t, sec.For("alice"), value)
	vaulttest.Refuses(t, sec, value, vault.ErrSubject)
	p, _ := value.Provenance(vaulttest.Security)
	require.Equal(t, "n-1", p.Notice)

	for name, test := range map[string]struct {
		ciphertext []byte
		aad        string
		parse      func(string) string
		s          *vault.Scope
		want       error
	}{
		"other associated data": {ciphertext, "users.email:2", strings.TrimSpace, sec, vault.ErrCorrupt},
		"altered":               {append(bytes.Clone(ciphertext[:len(ciphertext)-1]), 0, 0), "users.email:1", strings.TrimSpace, sec, vault.ErrCorrupt},
		"nothing":               {nil, "", strings.TrimSpace, sec, vault.ErrCorrupt},
		"too long":              {make([]byte, 1<<20), "", strings.TrimSpace, sec, vault.ErrCorrupt},
		"of another purpose":    {ciphertext, "users.email:1", strings.TrimSpace, ads, vault.ErrNoKeys},
		"not of the kind":       {ciphertext, "users.email:1", func(string) string { return "" }, sec, vault.ErrCorrupt},
		"no parse":              {ciphertext, "users.email:1", nil, sec, vault.ErrInvalid},
		"no scope":              {ciphertext, "users.email:1", strings.TrimSpace, nil, vault.ErrInvalid},
		"longer than a value":   {legacy.Ciphertext(t, strings.Repeat("x", 1025), ""), "", strings.TrimSpace, sec, vault.ErrInvalid},
	} {
		_, err := vault.Adopt(ctx, vaulttest.Note, test.ciphertext, []byte(test.aad), test.parse, test.s)
		require.ErrorIs(t, err, test.want, name)
		require.ErrorContains(t, err, "vault_test: adopting note: ", name)
	}
	require.NoError(t, v.DropImport(ctx, vaulttest.Security))
	_, err = vault.Adopt(ctx, vaulttest.Note, ciphertext, []byte("users.email:1"), strings.TrimSpace, sec)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	vaulttest.Opens(t, sec.For("alice"), value)
}

// What was imported never seals, and never opens a sealed value.
func TestImportedKeysOnlyAdopt(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security)
	s := vaulttest.Scope(t, v, vaulttest.Security)
	legacy := vaulttest.NewPlain(t, aead.AES256GCMKeyTemplate())
	require.NoError(t, v.Import(t.Context(), vaulttest.Security, legacy.JSON))
	keys, err := v.Keys(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	var primary, imported uint32
	for _, k := range keys {
		switch {
		case k.Role == vault.RoleImport:
			imported = k.ID
		case k.Role == vault.RoleSeal && k.Status == vault.Primary:
			primary = k.ID
		}
	}
	require.Equal(t, legacy.Handle.KeysetInfo().GetPrimaryKeyId(), imported)
	require.NotEqual(t, primary, imported)
	require.True(t, vaulttest.Seal(t, s).OnPrimaryKey(s))

	// A value whose slot was encrypted with the imported key, as anybody who
	// still has the keyset could make it.
	raw, err := vaulttest.Seal(t, s).MarshalBinary()
	require.NoError(t, err)
	copy(raw[len(raw)-(5+12+32+16):], legacy.Ciphertext(t, strings.Repeat("x", 32), "")[:5])
	var forged vault.Sealed
	require.NoError(t, forged.UnmarshalBinary(raw))
	vaulttest.Refuses(t, s, forged, vault.ErrCorrupt)
}

func TestImportAddsUp(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security)
	s := vaulttest.Scope(t, v, vaulttest.Security)
	one := vaulttest.NewPlain(t, aead.AES256GCMKeyTemplate())
	two := vaulttest.NewPlain(t, aead.AES256GCMNoPrefixKeyTemplate(), aead.AES128CTRHMACSHA256KeyTemplate())
	require.NoError(t, v.Import(t.Context(), vaulttest.Security, one.JSON))
	require.NoError(t, v.Import(t.Context(), vaulttest.Security, two.JSON))
	for _, p := range []vaulttest.Plain{one, two} {
		value, err := vault.Adopt(t.Context(), vaulttest.Note, p.Ciphertext(t, "text", ""), nil, strings.TrimSpace, s)
		require.NoError(t, err)
		vaulttest.Opens(t, s, value)
	}
	err := v.Import(t.Context(), vaulttest.Security, one.JSON)
	require.ErrorIs(t, err, vault.ErrInvalid, "twice")
}

func TestImportRefusals(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security)
	before, err := v.Keys(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	h, err := keyset.NewHandle(hybrid.DHKEM_X25519_HKDF_SHA256_HKDF_SHA256_AES_256_GCM_Key_Template())
	require.NoError(t, err)
	good := vaulttest.NewPlain(t, aead.AES256GCMKeyTemplate())
	for name, data := range map[string][]byte{
		"nothing":   nil,
		"text":      []byte("AKIA-SECRET"),
		"no keyset": []byte("{}"),
		"hybrid":    vaulttest.PlainOf(t, h).JSON,
		"truncated": good.Binary[:len(good.Binary)-3],
		"over-long": bytes.Repeat([]byte("{"), 1<<20),
	} {
		err := v.Import(t.Context(), vaulttest.Security, data)
		require.ErrorIs(t, err, vault.ErrInvalid, name)
		require.EqualError(t, err, "vault: importing keys of security: not a cleartext Tink AEAD keyset: invalid argument", name)
	}
	require.ErrorIs(t, v.Import(t.Context(), vaulttest.Billing, good.JSON), vault.ErrNoKeys)
	require.ErrorIs(t, v.Import(t.Context(), purpose.Purpose{}, good.JSON), vault.ErrInvalid)
	after, err := v.Keys(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	require.Equal(t, before, after)

	// Disabled keys stay behind.
	m := keyset.NewManagerFromHandle(vaulttest.NewPlain(t, aead.AES256GCMKeyTemplate(), aead.AES256GCMKeyTemplate()).Handle)
	info := func() *keyset.Handle { h, err := m.Handle(); require.NoError(t, err); return h }()
	first := info.KeysetInfo().GetKeyInfo()[0].GetKeyId()
	require.NoError(t, m.Disable(first))
	h, err = m.Handle()
	require.NoError(t, err)
	require.NoError(t, v.Import(t.Context(), vaulttest.Security, vaulttest.PlainOf(t, h).JSON))
	after, err = v.Keys(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	require.Len(t, after, len(before)+1)
}

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
