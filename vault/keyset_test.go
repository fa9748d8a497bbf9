package vault

import (
	"encoding/base64"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/hybrid"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

func keysetOf(t *testing.T, primary int, templates ...*tinkpb.KeyTemplate) *keyset.Handle {
	t.Helper()
	m := keyset.NewManager()
	for i, template := range templates {
		id, err := m.Add(template)
		require.NoError(t, err)
		if i == primary {
			require.NoError(t, m.SetPrimary(id))
		}
	}
	h, err := m.Handle()
	require.NoError(t, err)
	return h
}

// A keyset may name any of its keys as the primary one, as it does once a key
// was brought in ahead of its use.
func TestPrimaryKeyNeedNotBeTheLast(t *testing.T) {
	for primary := range 3 {
		gcm := aead.AES256GCMKeyTemplate()
		h := keysetOf(t, primary, gcm, gcm, gcm)
		c, err := newCipherSet(h)
		require.NoError(t, err)
		tink, err := aead.New(h)
		require.NoError(t, err)
		sealed, err := tink.Encrypt([]byte("text"), nil)
		require.NoError(t, err)
		require.Equal(t, sealed[:format.KeyIDSize], c.seal(nil, []byte("text"), nil)[:format.KeyIDSize])
		require.True(t, c.onPrimary(sealed))
	}
}

func TestKeysetsOfOtherKeysAreRefused(t *testing.T) {
	gcm, cmac := aead.AES256GCMKeyTemplate(), prf.AESCMACPRFKeyTemplate()
	for name, h := range map[string]*keyset.Handle{
		"AES-128":           keysetOf(t, 0, aead.AES128GCMKeyTemplate()),
		"without a prefix":  keysetOf(t, 0, aead.AES256GCMNoPrefixKeyTemplate()),
		"ChaCha20-Poly1305": keysetOf(t, 0, aead.ChaCha20Poly1305KeyTemplate()),
		"of one other":      keysetOf(t, 0, gcm, aead.AES128GCMKeyTemplate()),
		"for indexes":       keysetOf(t, 0, cmac),
	} {
		_, err := newCipherSet(h)
		require.ErrorIs(t, err, errKeyset, name)
	}
	for name, h := range map[string]*keyset.Handle{
		"HMAC":         keysetOf(t, 0, prf.HMACSHA256PRFKeyTemplate()),
		"HKDF":         keysetOf(t, 0, prf.HKDFSHA256PRFKeyTemplate()),
		"of one other": keysetOf(t, 0, cmac, prf.HMACSHA256PRFKeyTemplate()),
		"for seals":    keysetOf(t, 0, gcm),
	} {
		_, err := newIndexSet(h)
		require.ErrorIs(t, err, errKeyset, name)
	}
}

// Every X25519 key from 2^255-19 on is a smaller one's second spelling. HPKE binds
// the spelling, so what is sealed for it would open for nobody.
func TestCollectorOfAKeyThatIsNotReduced(t *testing.T) {
	security := purpose.MustParse("security")
	text := func(low, high byte) string {
		body := make([]byte, format.KeyIDSize-1+format.EncSize)
		body[3] = 1
		u := body[format.KeyIDSize-1:]
		for i := range u {
			u[i] = 0xff
		}
		u[0], u[31] = low, high
		body = append(body, collectorCheck(security, body)...)
		return format.CollectorMagic + ".security." + base64.RawURLEncoding.EncodeToString(body)
	}
	_, err := ParseCollector(text(0xe8, 0x7f), nil)
	require.NoError(t, err, "2^255-24, which is reduced")
	for _, end := range [][2]byte{{0xf0, 0x7f}, {0xff, 0x7f}, {0xe8, 0xff}, {0x09, 0xff}} {
		_, err := ParseCollector(text(end[0], end[1]), nil)
		require.ErrorIs(t, err, ErrCorrupt, "%x", end)
	}
}

func TestReduced(t *testing.T) {
	for _, c := range []struct {
		low, middle, high byte
		want              bool
	}{
		{0xec, 0xff, 0x7f, true}, // 2^255-20, the greatest
		{0xed, 0xff, 0x7f, false},
		{0xff, 0xff, 0x7f, false},
		{0xff, 0xfe, 0x7f, true},
		{0xff, 0xff, 0x7e, true},
		{0x00, 0x00, 0x80, false},
		{0x00, 0x00, 0xff, false},
	} {
		u := make([]byte, 32)
		for i := range u {
			u[i] = 0xff
		}
		u[0], u[15], u[31] = c.low, c.middle, c.high
		require.Equal(t, c.want, reduced(u), "%x", u)
	}
}

// Keys of collectors are of one kind, whatever else Tink could open with.
func TestCollectKeysetsOfOtherKeysAreRefused(t *testing.T) {
	ours := hpkeTemplate(t)
	for name, h := range map[string]*keyset.Handle{
		"of another cipher":  keysetOf(t, 0, hybrid.DHKEM_X25519_HKDF_SHA256_HKDF_SHA256_CHACHA20_POLY1305_Key_Template()),
		"of another curve":   keysetOf(t, 0, hybrid.DHKEM_P256_HKDF_SHA256_HKDF_SHA256_AES_256_GCM_Key_Template()),
		"without a prefix":   keysetOf(t, 0, hybrid.DHKEM_X25519_HKDF_SHA256_HKDF_SHA256_AES_256_GCM_Raw_Key_Template()),
		"of one other":       keysetOf(t, 0, ours, hybrid.DHKEM_P256_HKDF_SHA256_HKDF_SHA256_AES_256_GCM_Key_Template()),
		"for seals":          keysetOf(t, 0, aead.AES256GCMKeyTemplate()),
		"older kind of Tink": keysetOf(t, 0, hybrid.ECIESHKDFAES128GCMKeyTemplate()),
	} {
		_, err := newCollectSet(h)
		require.ErrorIs(t, err, errKeyset, name)
	}
	for primary := range 2 {
		h := keysetOf(t, primary, ours, ours)
		c, err := newCollectSet(h)
		require.NoError(t, err)
		id, err := h.Entry(primary)
		require.NoError(t, err)
		require.Equal(t, id.KeyID(), binary.BigEndian.Uint32(c.primary.OutputPrefix()[1:]))
	}
}

func hpkeTemplate(t *testing.T) *tinkpb.KeyTemplate {
	t.Helper()
	return hybrid.DHKEM_X25519_HKDF_SHA256_HKDF_SHA256_AES_256_GCM_Key_Template()
}
