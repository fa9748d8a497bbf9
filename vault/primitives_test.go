package vault

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/hybrid"
	tinkhpke "github.com/tink-crypto/tink-go/v2/hybrid/hpke"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/secretdata"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// failingStore fails reads and changes as a function of the test says, and before them
// runs it.
type failingStore struct {
	Store
	failing atomic.Pointer[failFunc] // vaults read in the background too
}

type failFunc func(method, name string) error

// fail has the store ask f, or nobody if f is nil.
func (s *failingStore) fail(f failFunc) { s.failing.Store(&f) }

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
	if f := s.failing.Load(); f != nil && *f != nil {
		return (*f)(method, name)
	}
	return nil
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
		_, err = newCipherSet(h, nil)
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

// mechanisms are the names of all kems.
func mechanisms() (all []CollectorKEM) {
	for _, k := range kems {
		all = append(all, k.name)
	}
	return all
}

// collectKeyset returns a keyset of collectors with a key of each of the given
// mechanisms, of which the one at position primary is primary.
func collectKeyset(t *testing.T, primary int, of ...CollectorKEM) *keyset.Handle {
	t.Helper()
	m := keyset.NewManager()
	var ids []uint32
	for _, kem := range of {
		id, err := addKey(m, RoleCollect, kem)
		require.NoError(t, err)
		ids = append(ids, id)
	}
	require.NoError(t, m.SetPrimary(ids[primary]))
	h, err := m.Handle()
	require.NoError(t, err)
	return h
}

func collectSetOf(t *testing.T, of ...CollectorKEM) *collectSet {
	t.Helper()
	c, err := newCollectSet(collectKeyset(t, 0, of...), nil)
	require.NoError(t, err)
	return c
}

// collectedSlot returns a slot that a collector with the given public key sealed.
func collectedSlot(t *testing.T, public *publicKey, p purpose.Purpose, plaintext, aad string) format.Slot {
	t.Helper()
	key, err := public.newCollectorKey(p)
	require.NoError(t, err)
	header := format.AppendHeader(nil, key.slotType, &purpose.Provenance{})
	return format.Slot{Header: header, Sealed: key.seal(nil, []byte(plaintext), []byte(aad))}
}

// Whatever is wrong with a slot of a collector, opening it is ErrCorrupt and appends
// nothing.
func TestCollectedSlotsThatDoNotOpen(t *testing.T) {
	for _, kem := range mechanisms() {
		t.Run(string(kem), func(t *testing.T) { testCollectedSlotsThatDoNotOpen(t, kem) })
	}
}

func testCollectedSlotsThatDoNotOpen(t *testing.T, kem CollectorKEM) {
	security, ads := purpose.MustParse("security"), purpose.MustParse("advertising")
	c, dst := collectSetOf(t, kem), []byte("before")
	slot := collectedSlot(t, c.schedule.primary(), security, "text", "aad")
	got, err := c.key(slot.Sealed).open(dst, security, slot, []byte("aad"))
	require.NoError(t, err)
	require.Equal(t, "beforetext", string(got))

	refused := func(c *collectSet, p purpose.Purpose, slot format.Slot, aad, why string) {
		t.Helper()
		got, err := c.key(slot.Sealed).open(dst, p, slot, []byte(aad))
		require.Equal(t, ErrCorrupt, err, why)
		require.Equal(t, "before", string(got), why)
	}
	refused(c, ads, slot, "aad", "another purpose")
	refused(c, security, slot, "dda", "another slot")
	refused(collectSetOf(t, kem), security, slot, "aad", "another key")
	refused(nil, security, slot, "aad", "no keys")
	refused(c, security, format.Slot{Header: slot.Header, Sealed: slot.Sealed[:format.KeyIDSize-1]}, "aad", "no id")
	wrapped := format.WrappedKeySize(slot.Type())
	for _, i := range []int{0, 1, format.KeyIDSize, wrapped - 48 - 32, wrapped - 48 - 1, wrapped - 48, wrapped - 1, wrapped, len(slot.Sealed) - 1} {
		slot.Sealed[i] ^= 1
		refused(c, security, slot, "aad", "altered")
		slot.Sealed[i] ^= 1
	}

	// The other type of slot, in full length, under the id of this key.
	other := map[CollectorKEM]CollectorKEM{XWing: X25519, X25519: XWing}[kem]
	both := collectSetOf(t, kem, other)
	for id, k := range both.byID {
		slot := collectedSlot(t, collectSetOf(t, map[byte]CollectorKEM{format.OfCollector: XWing, format.OfCollectorXWing: X25519}[k.slotType]).schedule.primary(),
			security, "text", "aad")
		copy(slot.Sealed, id[:])
		refused(both, security, slot, "aad", "a key of the other mechanism")
	}
}

// A keyset may have keys of both mechanisms, each opens its own type of slots, and
// Tink opens what is sealed here, and the reverse.
func TestKeysOfBothMechanisms(t *testing.T) {
	security := purpose.MustParse("security")
	for primary := range kems {
		h := collectKeyset(t, primary, mechanisms()...)
		c, err := newCollectSet(h, nil)
		require.NoError(t, err)
		require.Len(t, c.byID, 2)
		entry, err := h.Entry(primary)
		require.NoError(t, err)
		require.Equal(t, kems[primary].name, kemName(entry.Key()))
		require.Equal(t, entry.KeyID(), binary.BigEndian.Uint32(c.schedule.primary().id[1:]))
		require.Equal(t, entry.Key().(*tinkhpke.PrivateKey).OutputPrefix(), c.schedule.primary().id[:])

		decrypt, err := hybrid.NewHybridDecrypt(h)
		require.NoError(t, err)
		slot := collectedSlot(t, c.schedule.primary(), security, "text", "aad")
		n := format.WrappedKeySize(slot.Type())
		dek, err := decrypt.Decrypt(slot.Sealed[:n], format.AppendCollectorInfo(nil, "security"))
		require.NoError(t, err, "Tink unwraps the keys of our collectors")
		gcm, err := newGCM(dek)
		require.NoError(t, err)
		plaintext, err := gcm.Open(nil, nil, slot.Sealed[n:], []byte("aad"))
		require.NoError(t, err)
		require.Equal(t, "text", string(plaintext))

		public, err := h.Public()
		require.NoError(t, err)
		encrypt, err := hybrid.NewHybridEncrypt(public)
		require.NoError(t, err)
		wrapped, err := encrypt.Encrypt(dek, format.AppendCollectorInfo(nil, "security"))
		require.NoError(t, err)
		require.Len(t, wrapped, n)
		slot.Sealed = gcm.Seal(wrapped, nil, []byte("text"), []byte("aad"))
		got, err := c.key(slot.Sealed).open(nil, security, slot, []byte("aad"))
		require.NoError(t, err, "keys that Tink wrapped open here")
		require.Equal(t, "text", string(got))
	}
}

// The slot key of a batch is opened once. It is kept for its purpose, its key pair and
// the exact bytes of its wrapped form, and a bounded number of slot keys is kept.
func TestOpenedSlotKeysAreKept(t *testing.T) {
	for _, kem := range mechanisms() {
		t.Run(string(kem), func(t *testing.T) { testOpenedSlotKeys(t, kem) })
	}
}

func testOpenedSlotKeys(t *testing.T, kem CollectorKEM) {
	security, ads := purpose.MustParse("security"), purpose.MustParse("advertising")
	c, other := collectSetOf(t, kem), collectSetOf(t, kem)
	key, otherKey := c.byID[c.schedule.primary().id], other.byID[other.schedule.primary().id]
	batch := func() func(text string) format.Slot {
		k, err := c.schedule.primary().newCollectorKey(security)
		require.NoError(t, err)
		header := format.AppendHeader(nil, k.slotType, &purpose.Provenance{})
		return func(text string) format.Slot {
			return format.Slot{Header: header, Sealed: k.seal(nil, []byte(text), nil)}
		}
	}
	open := func(c *collectSet, p purpose.Purpose, s format.Slot) error {
		t.Helper()
		_, err := c.key(s.Sealed).open(nil, p, s, nil)
		return err
	}
	first, second := batch(), batch()
	require.NoError(t, open(c, security, first("one")))
	require.Len(t, *key.opened.Load(), 1)
	require.ErrorIs(t, open(c, ads, first("two")), ErrCorrupt, "another purpose")

	// With another private key in its place, only an opened slot key can open a value.
	mine := key.key
	key.key = otherKey.key
	require.NoError(t, open(c, security, first("two")))
	require.ErrorIs(t, open(c, security, second("one")), ErrCorrupt, "another batch")
	require.ErrorIs(t, open(c, ads, first("two")), ErrCorrupt, "another purpose")
	n := format.WrappedKeySize(first("").Type())
	for i := format.KeyIDSize; i < n; i += 7 {
		altered := first("two")
		altered.Sealed[i] ^= 1
		require.ErrorIs(t, open(c, security, altered), ErrCorrupt, "byte %d of the wrapped key", i)
	}
	// Another key pair, under the same id.
	moved := &collectSet{byID: map[[format.KeyIDSize]byte]*privateKey{c.schedule.primary().id: {slotType: key.slotType, key: otherKey.key}}}
	require.ErrorIs(t, open(moved, security, first("two")), ErrCorrupt)
	key.key = mine

	require.Len(t, *key.opened.Load(), 1, "refused keys are not kept")
	for range maxOpened {
		require.NoError(t, open(c, security, batch()("one")))
	}
	require.Len(t, *key.opened.Load(), maxOpened)
	key.key = otherKey.key
	require.ErrorIs(t, open(c, security, first("three")), ErrCorrupt, "the oldest was dropped")
	key.key = mine

	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 3 {
				mixed := batch()
				for _, s := range []format.Slot{mixed("one"), first("one"), mixed("two"), second("one")} {
					if _, err := c.key(s.Sealed).open(nil, security, s, nil); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, len(*key.opened.Load()), maxOpened)
}

// A rotation, a retirement and closing drop the slot keys that were opened before.
func TestOpenedSlotKeysGoWithTheKeys(t *testing.T) {
	ctx := t.Context()
	v, p := testVault(t, Memory(), nil)
	s, err := v.Scope(ctx, p)
	require.NoError(t, err)
	c, err := v.Collector(ctx, p)
	require.NoError(t, err)
	batch, err := c.Batch()
	require.NoError(t, err)
	kind := MustKind("note", "vault.Note")
	value, err := Seal(ctx, kind, "text", batch)
	require.NoError(t, err)
	_, err = s.Reveal(ctx, kind, value)
	require.NoError(t, err)
	key := func() *privateKey { return s.opened.current.Load().collect().byID[c.public.id] }
	before := key()
	require.Len(t, *before.opened.Load(), 1)
	require.NoError(t, v.Rotate(ctx, p, RoleIndex))
	require.NotSame(t, before, key())
	require.Nil(t, key().opened.Load())
	_, err = s.Reveal(ctx, kind, value)
	require.NoError(t, err)
	require.NoError(t, v.Close())
	require.Nil(t, s.opened.current.Load())
	_, err = s.Reveal(ctx, kind, value)
	require.ErrorIs(t, err, ErrNoKeys)
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
	forged := strings.Replace(string(raw), string(c.public.id[:]), string(keys.seal.schedule.primary().id[:]), 1)
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
		c, err := newCipherSet(h, nil)
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
		_, err := newCipherSet(h, nil)
		require.ErrorIs(t, err, errKeyset, name)
	}
	for name, h := range map[string]*keyset.Handle{
		"HMAC":         keysetOf(t, 0, prf.HMACSHA256PRFKeyTemplate()),
		"HKDF":         keysetOf(t, 0, prf.HKDFSHA256PRFKeyTemplate()),
		"of one other": keysetOf(t, 0, cmac, prf.HMACSHA256PRFKeyTemplate()),
		"for seals":    keysetOf(t, 0, gcm),
	} {
		_, err := newIndexSet(h, nil)
		require.ErrorIs(t, err, errKeyset, name)
	}
}

// Every X25519 key from 2^255-19 on is a smaller one's second spelling. HPKE and
// X-Wing bind the spelling, so a value that is sealed for it would open for nobody.
func TestCollectorOfAKeyThatIsNotReduced(t *testing.T) {
	security := purpose.MustParse("security")
	mlkem := collectSetOf(t, XWing).schedule.primary().bytes[:format.XWingPublicSize-format.X25519Size]
	for magic, before := range map[string][]byte{format.CollectorMagic: nil, format.CollectorMagicXWing: mlkem} {
		text := func(low, high byte) string {
			u := bytes.Repeat([]byte{0xff}, format.X25519Size)
			u[0], u[31] = low, high
			body := slices.Concat([]byte{0, 0, 0, 1}, before, u)
			body = append(body, collectorCheck(magic, security, body)...)
			return magic + ".security." + base64.RawURLEncoding.EncodeToString(body)
		}
		_, err := ParseCollector(text(0xe8, 0x7f), nil)
		require.NoError(t, err, "2^255-24, which is reduced")
		for _, end := range [][2]byte{{0xf0, 0x7f}, {0xff, 0x7f}, {0xe8, 0xff}, {0x09, 0xff}} {
			_, err := ParseCollector(text(end[0], end[1]), nil)
			require.ErrorIs(t, err, ErrCorrupt, "%x", end)
		}
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
	ours := hybrid.DHKEM_X25519_HKDF_SHA256_HKDF_SHA256_AES_256_GCM_Key_Template()
	for name, h := range map[string]*keyset.Handle{
		"of another cipher":  keysetOf(t, 0, hybrid.DHKEM_X25519_HKDF_SHA256_HKDF_SHA256_CHACHA20_POLY1305_Key_Template()),
		"of another curve":   keysetOf(t, 0, hybrid.DHKEM_P256_HKDF_SHA256_HKDF_SHA256_AES_256_GCM_Key_Template()),
		"without a prefix":   keysetOf(t, 0, hybrid.DHKEM_X25519_HKDF_SHA256_HKDF_SHA256_AES_256_GCM_Raw_Key_Template()),
		"of one other":       keysetOf(t, 0, ours, hybrid.DHKEM_P256_HKDF_SHA256_HKDF_SHA256_AES_256_GCM_Key_Template()),
		"for seals":          keysetOf(t, 0, aead.AES256GCMKeyTemplate()),
		"older kind of Tink": keysetOf(t, 0, hybrid.ECIESHKDFAES128GCMKeyTemplate()),
	} {
		_, err := newCollectSet(h, nil)
		require.ErrorIs(t, err, errKeyset, name)
	}
	for name, opts := range map[string]tinkhpke.ParametersOpts{
		"X-Wing with another cipher": {KEMID: tinkhpke.X_WING, KDFID: tinkhpke.HKDFSHA256, AEADID: tinkhpke.AES128GCM, Variant: tinkhpke.VariantTink},
		"X-Wing with another KDF":    {KEMID: tinkhpke.X_WING, KDFID: tinkhpke.HKDFSHA512, AEADID: tinkhpke.AES256GCM, Variant: tinkhpke.VariantTink},
		"X-Wing with another prefix": {KEMID: tinkhpke.X_WING, KDFID: tinkhpke.HKDFSHA256, AEADID: tinkhpke.AES256GCM, Variant: tinkhpke.VariantCrunchy},
		"ML-KEM-768 alone":           {KEMID: tinkhpke.ML_KEM768, KDFID: tinkhpke.HKDFSHA256, AEADID: tinkhpke.AES256GCM, Variant: tinkhpke.VariantTink},
		"ML-KEM-1024 alone":          {KEMID: tinkhpke.ML_KEM1024, KDFID: tinkhpke.HKDFSHA256, AEADID: tinkhpke.AES256GCM, Variant: tinkhpke.VariantTink},
	} {
		params, err := tinkhpke.NewParameters(opts)
		require.NoError(t, err, name)
		m := keyset.NewManager()
		id, err := m.AddNewKeyFromParameters(params)
		require.NoError(t, err, name)
		require.NoError(t, m.SetPrimary(id))
		h, err := m.Handle()
		require.NoError(t, err)
		_, err = newCollectSet(h, nil)
		require.ErrorIs(t, err, errKeyset, name)
		entry, err := h.Entry(0)
		require.NoError(t, err)
		require.Empty(t, kemName(entry.Key()))
	}
}
