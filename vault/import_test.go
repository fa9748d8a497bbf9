package vault_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/hybrid"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// plain is a Tink AEAD keyset as an application without onlyfor has it.
type plain struct {
	tink.AEAD
	binary, json []byte
	handle       *keyset.Handle
}

// newPlain returns a keyset to import for security. Its key ids, which have 32 random
// bits, are not those of keys that v has.
func newPlain(t testing.TB, v *vault.Vault, templates ...*tinkpb.KeyTemplate) plain {
	t.Helper()
	var ids []uint32
	m := keyset.NewManager()
	for _, template := range templates {
		id, err := m.Add(template)
		require.NoError(t, err)
		require.NoError(t, m.SetPrimary(id))
		ids = append(ids, id)
	}
	if taken(t, v, security, ids...) {
		return newPlain(t, v, templates...)
	}
	h, err := m.Handle()
	require.NoError(t, err)
	return plainOf(t, h)
}

// taken reports whether v has a key for p with one of the ids.
func taken(t testing.TB, v *vault.Vault, p purpose.Purpose, ids ...uint32) bool {
	t.Helper()
	keys, err := v.Keys(t.Context(), p)
	require.NoError(t, err)
	return slices.ContainsFunc(keys, func(k vault.Key) bool { return slices.Contains(ids, k.ID) })
}

func plainOf(t testing.TB, h *keyset.Handle) plain {
	t.Helper()
	p := plain{handle: h}
	var binary, json bytes.Buffer
	require.NoError(t, insecurecleartextkeyset.Write(h, keyset.NewBinaryWriter(&binary)))
	require.NoError(t, insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&json)))
	p.binary, p.json = binary.Bytes(), json.Bytes()
	p.AEAD, _ = aead.New(h)
	return p
}

func (p plain) encrypt(t testing.TB, text, aad string) []byte {
	t.Helper()
	ciphertext, err := p.Encrypt([]byte(text), []byte(aad))
	require.NoError(t, err)
	return ciphertext
}

func TestAdopt(t *testing.T) {
	v := generated(t, nil, security, advertising)
	sec, ads := scope(t, v, security), scope(t, v, advertising)
	ctx := t.Context()
	legacy := newPlain(t, v, aead.AES128GCMKeyTemplate(), aead.AES256GCMKeyTemplate(), aead.XChaCha20Poly1305KeyTemplate(), aead.AES256CTRHMACSHA256KeyTemplate())
	ciphertext := legacy.encrypt(t, "text", "users.email:1")

	_, err := vault.Adopt(ctx, note, ciphertext, []byte("users.email:1"), strings.TrimSpace, sec)
	require.ErrorIs(t, err, vault.ErrNoKeys, "nothing was imported yet")
	require.NoError(t, v.Import(ctx, security, legacy.binary))
	value, err := vault.Adopt(ctx, note, ciphertext, []byte("users.email:1"), strings.TrimSpace, sec.Under(purpose.Basis{Notice: "n-1"}).For("alice"))
	require.NoError(t, err)
	opens(t, sec.For("alice"), value)
	refuses(t, sec, value, vault.ErrSubject)
	p, _ := value.Provenance(security)
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
		"longer than a value":   {legacy.encrypt(t, strings.Repeat("x", 1025), ""), "", strings.TrimSpace, sec, vault.ErrInvalid},
	} {
		_, err := vault.Adopt(ctx, note, test.ciphertext, []byte(test.aad), test.parse, test.s)
		require.ErrorIs(t, err, test.want, name)
		require.ErrorContains(t, err, "vault_test: adopting note: ", name)
	}
	require.NoError(t, v.DropImport(ctx, security))
	_, err = vault.Adopt(ctx, note, ciphertext, []byte("users.email:1"), strings.TrimSpace, sec)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	opens(t, sec.For("alice"), value)
}

// What was imported never seals, and never opens a sealed value.
func TestImportedKeysOnlyAdopt(t *testing.T) {
	v := generated(t, nil, security)
	s := scope(t, v, security)
	legacy := newPlain(t, v, aead.AES256GCMKeyTemplate())
	require.NoError(t, v.Import(t.Context(), security, legacy.json))
	keys, err := v.Keys(t.Context(), security)
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
	require.Equal(t, legacy.handle.KeysetInfo().GetPrimaryKeyId(), imported)
	require.NotEqual(t, primary, imported)
	require.True(t, seal(t, s).OnPrimaryKey(s))

	// A value whose slot was encrypted with the imported key, as anybody who
	// still has the keyset could make it.
	raw, err := seal(t, s).MarshalBinary()
	require.NoError(t, err)
	copy(raw[len(raw)-(5+12+32+16):], legacy.encrypt(t, strings.Repeat("x", 32), "")[:5])
	var forged vault.Sealed
	require.NoError(t, forged.UnmarshalBinary(raw))
	refuses(t, s, forged, vault.ErrCorrupt)
}

func TestImportAddsUp(t *testing.T) {
	v := generated(t, nil, security)
	s := scope(t, v, security)
	one := newPlain(t, v, aead.AES256GCMKeyTemplate())
	two := newPlain(t, v, aead.AES256GCMNoPrefixKeyTemplate(), aead.AES128CTRHMACSHA256KeyTemplate())
	require.NoError(t, v.Import(t.Context(), security, one.json))
	require.NoError(t, v.Import(t.Context(), security, two.json))
	for _, p := range []plain{one, two} {
		value, err := vault.Adopt(t.Context(), note, p.encrypt(t, "text", ""), nil, strings.TrimSpace, s)
		require.NoError(t, err)
		opens(t, s, value)
	}
	err := v.Import(t.Context(), security, one.json)
	require.ErrorIs(t, err, vault.ErrInvalid, "twice")
}

func TestImportRefusals(t *testing.T) {
	v := generated(t, nil, security)
	before, err := v.Keys(t.Context(), security)
	require.NoError(t, err)
	h, err := keyset.NewHandle(hybrid.DHKEM_X25519_HKDF_SHA256_HKDF_SHA256_AES_256_GCM_Key_Template())
	require.NoError(t, err)
	good := newPlain(t, v, aead.AES256GCMKeyTemplate())
	for name, data := range map[string][]byte{
		"nothing":   nil,
		"text":      []byte("AKIA-SECRET"),
		"no keyset": []byte("{}"),
		"hybrid":    plainOf(t, h).json,
		"truncated": good.binary[:len(good.binary)-3],
		"over-long": bytes.Repeat([]byte("{"), 1<<20),
	} {
		err := v.Import(t.Context(), security, data)
		require.ErrorIs(t, err, vault.ErrInvalid, name)
		require.EqualError(t, err, "vault: importing keys of security: not a cleartext Tink AEAD keyset: invalid argument", name)
	}
	require.ErrorIs(t, v.Import(t.Context(), billing, good.json), vault.ErrNoKeys)
	require.ErrorIs(t, v.Import(t.Context(), purpose.Purpose{}, good.json), vault.ErrInvalid)
	after, err := v.Keys(t.Context(), security)
	require.NoError(t, err)
	require.Equal(t, before, after)

	// Disabled keys stay behind.
	m := keyset.NewManagerFromHandle(newPlain(t, v, aead.AES256GCMKeyTemplate(), aead.AES256GCMKeyTemplate()).handle)
	info := func() *keyset.Handle { h, err := m.Handle(); require.NoError(t, err); return h }()
	first := info.KeysetInfo().GetKeyInfo()[0].GetKeyId()
	require.NoError(t, m.Disable(first))
	h, err = m.Handle()
	require.NoError(t, err)
	require.NoError(t, v.Import(t.Context(), security, plainOf(t, h).json))
	after, err = v.Keys(t.Context(), security)
	require.NoError(t, err)
	require.Len(t, after, len(before)+1)
}
