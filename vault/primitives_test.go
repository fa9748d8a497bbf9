package vault

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/hybrid"
	"github.com/tink-crypto/tink-go/v2/hybrid/hpke"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/secretdata"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// failingStore fails reads and changes as fail says, and before them runs it.
type failingStore struct {
	Store
	fail func(method, name string) error
}

func (s *failingStore) Get(ctx context.Context, names ...string) ([]Record, error) {
	for _, name := range names {
		if err := s.ask("get", name); err != nil {
			return nil, err
		}
	}
	return s.Store.Get(ctx, names...)
}

func (s *failingStore) Put(ctx context.Context, r Record) (int64, error) {
	if err := s.ask("put", r.Name); err != nil {
		return 0, err
	}
	return s.Store.Put(ctx, r)
}

func (s *failingStore) ask(method, name string) error {
	if s.fail == nil {
		return nil
	}
	return s.fail(method, name)
}

// forgetful is a KEK that binds all of its associated data but what wrongAAD changes,
// once it is told to.
type forgetful struct {
	AEAD
	forgets bool
}

func (k *forgetful) Encrypt(plaintext, aad []byte) ([]byte, error) {
	return k.AEAD.Encrypt(plaintext, aad[:len(aad)-1])
}

func (k *forgetful) Decrypt(ciphertext, aad []byte) ([]byte, error) {
	if !k.forgets && aad[len(aad)-1] == '!' {
		return nil, ErrNoKeys
	}
	return k.AEAD.Decrypt(ciphertext, aad[:len(aad)-1])
}

// Keys that Tink can use, and that are of our kind but for one size.
func TestSealKeysOfOtherSizesAreRefused(t *testing.T) {
	for _, opts := range []aesgcm.ParametersOpts{
		{KeySizeInBytes: 16, IVSizeInBytes: 12, TagSizeInBytes: 16, Variant: aesgcm.VariantTink},
		{KeySizeInBytes: 32, IVSizeInBytes: 16, TagSizeInBytes: 16, Variant: aesgcm.VariantTink},
		{KeySizeInBytes: 32, IVSizeInBytes: 12, TagSizeInBytes: 12, Variant: aesgcm.VariantTink},
		{KeySizeInBytes: 32, IVSizeInBytes: 12, TagSizeInBytes: 16, Variant: aesgcm.VariantCrunchy},
		{KeySizeInBytes: 32, IVSizeInBytes: 12, TagSizeInBytes: 16, Variant: aesgcm.VariantNoPrefix},
	} {
		params, err := aesgcm.NewParameters(opts)
		require.NoError(t, err)
		secret, err := secretdata.NewBytesFromRand(uint32(opts.KeySizeInBytes))
		require.NoError(t, err)
		id := uint32(7)
		if opts.Variant == aesgcm.VariantNoPrefix {
			id = 0
		}
		k, err := aesgcm.NewKey(secret, id, params)
		require.NoError(t, err)
		m := keyset.NewManager()
		added, err := m.AddKey(k)
		require.NoError(t, err)
		require.NoError(t, m.SetPrimary(added))
		h, err := m.Handle()
		require.NoError(t, err)
		_, err = newCipherSet(h)
		require.ErrorIs(t, err, errKeyset, "%+v", opts)
	}
}

// Every byte of an id is random: what is not can be the same in two values, whose
// slots can then be mixed.
func TestIDsAreRandomThroughout(t *testing.T) {
	var ids idSource
	var seen [format.IDSize]map[byte]bool
	for range 64 {
		b := ids.appendID([]byte("body"))
		require.Len(t, b, len("body")+format.IDSize)
		require.Equal(t, "body", string(b[:len("body")]))
		for i, c := range b[len("body"):] {
			if seen[i] == nil {
				seen[i] = make(map[byte]bool)
			}
			seen[i][c] = true
		}
	}
	for i := range seen {
		require.Greater(t, len(seen[i]), 8, "byte %d", i)
	}
}

func collectSetOf(t *testing.T) *collectSet {
	t.Helper()
	c, err := newCollectSet(keysetOf(t, 0, hpkeTemplate(t)))
	require.NoError(t, err)
	return c
}

func slotKeyFor(t *testing.T, pub *hpke.PublicKey, p purpose.Purpose) *collectorKey {
	t.Helper()
	public, err := publicKeyOf(pub)
	require.NoError(t, err)
	key, err := public.newCollectorKey(p)
	require.NoError(t, err)
	return key
}

// Whatever is wrong with what a collector sealed, opening it is ErrCorrupt and appends
// nothing.
func TestCollectedSlotsThatDoNotOpen(t *testing.T) {
	security, ads := purpose.MustParse("security"), purpose.MustParse("advertising")
	c, dst, aad := collectSetOf(t), []byte("before"), []byte("aad")
	sealed := slotKeyFor(t, c.primary, security).seal(nil, []byte("text"), aad)
	got, err := c.open(dst, security, sealed, aad)
	require.NoError(t, err)
	require.Equal(t, "beforetext", string(got))

	refused := func(c *collectSet, p purpose.Purpose, sealed []byte, aad, why string) {
		t.Helper()
		got, err := c.open(dst, p, sealed, []byte(aad))
		require.Equal(t, ErrCorrupt, err, why)
		require.Equal(t, "before", string(got), why)
	}
	refused(c, ads, sealed, "aad", "another purpose")
	refused(c, security, sealed, "dda", "another slot")
	refused(collectSetOf(t), security, sealed, "aad", "another key")
	refused(nil, security, sealed, "aad", "no keys")
	refused(c, security, sealed[:format.KeyIDSize-1], "aad", "no id")
	for _, i := range []int{0, 1, format.KeyIDSize, format.KeyIDSize + format.EncSize, format.WrappedKeySize - 1, format.WrappedKeySize, len(sealed) - 1} {
		sealed[i] ^= 1
		refused(c, security, sealed, "aad", "altered")
		sealed[i] ^= 1
	}
}

// A purpose may have no keys for collectors. A collector's slot that names the seal
// key, as anybody can write one, is nothing to go looking for them with.
func TestCollectedSlotOfAKeyThatSeals(t *testing.T) {
	ctx := t.Context()
	security := purpose.MustParse("security")
	v, err := OpenAdmin(ctx, Memory(), testKEK(t), nil)
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Generate(ctx, security))
	s, err := v.Scope(ctx, security)
	require.NoError(t, err)
	c, err := v.Collector(ctx, security)
	require.NoError(t, err)
	kind := MustKind("note", "vault.Note")
	value, err := Seal(ctx, kind, "text", c)
	require.NoError(t, err)
	raw, err := value.MarshalBinary()
	require.NoError(t, err)

	keys := *s.opened.current.Load()
	forged := strings.Replace(string(raw), string(c.public.id[:]), string(keys.seal.primary[:]), 1)
	require.NotEqual(t, string(raw), forged)
	var of Sealed
	require.NoError(t, of.UnmarshalBinary([]byte(forged)))
	for _, collect := range []func() *collectSet{keys.collect, func() *collectSet { return nil }} {
		keys.collect = collect
		s.opened.current.Store(&keys)
		_, err = s.Reveal(ctx, kind, of)
		require.ErrorIs(t, err, ErrCorrupt)
	}
}

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
