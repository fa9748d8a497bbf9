package formattest

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/hybrid"
	"github.com/tink-crypto/tink-go/v2/hybrid/hpke"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/format"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// tinkKeysets are keysets as Tink makes them, each after a rotation: the key
// that was primary first is still there.
type tinkKeysets struct {
	old, seal, index, subject *keyset.Handle
}

func newTinkKeysets(t *testing.T) tinkKeysets {
	t.Helper()
	m := keyset.NewManager()
	id, err := m.Add(aead.AES256GCMKeyTemplate())
	require.NoError(t, err)
	require.NoError(t, m.SetPrimary(id))
	old, err := m.Handle()
	require.NoError(t, err)
	id, err = m.Add(aead.AES256GCMKeyTemplate())
	require.NoError(t, err)
	require.NoError(t, m.SetPrimary(id))
	seal, err := m.Handle()
	require.NoError(t, err)
	index, err := keyset.NewHandle(prf.AESCMACPRFKeyTemplate())
	require.NoError(t, err)
	subject, err := keyset.NewHandle(prf.AESCMACPRFKeyTemplate())
	require.NoError(t, err)
	return tinkKeysets{old, seal, index, subject}
}

func tinkBinary(t *testing.T, h *keyset.Handle) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, insecurecleartextkeyset.Write(h, keyset.NewBinaryWriter(&b)))
	return b.Bytes()
}

// tinkScope returns the scope of a purpose whose keysets Tink made.
func tinkScope(t *testing.T, name string, seal *keyset.Handle, ks tinkKeysets) *vault.Scope {
	t.Helper()
	payload, err := json.Marshal(reference.KeyPayload{
		Purpose: name, Vault: vaulttest.VaultID, Generation: 1,
		Seal:    reference.SetOf(tinkBinary(t, seal)),
		Index:   reference.SetOf(tinkBinary(t, ks.index)),
		Subject: reference.SetOf(tinkBinary(t, ks.subject)),
	})
	require.NoError(t, err)
	kek := vaulttest.KEK{Key: vaulttest.KEKKey}
	s, err := vaulttest.OpenRecord(t, kek, name, reference.Wrap(kek, name, vaulttest.VaultID, payload, reference.Random(32), reference.Random(12)))
	require.NoError(t, err)
	return s
}

func tinkAEAD(t *testing.T, h *keyset.Handle) tink.AEAD {
	t.Helper()
	a, err := aead.New(h)
	require.NoError(t, err)
	return a
}

// What Tink's primitive seals under the same keyset and associated data opens
// here, whichever key of the keyset sealed it, and the other way round.
func TestTinkSealsAndOpensTheSame(t *testing.T) {
	ctx := t.Context()
	ks := newTinkKeysets(t)
	scope := tinkScope(t, "security", ks.seal, ks)
	for _, h := range refLayouts() {
		for _, primitive := range []tink.AEAD{tinkAEAD(t, ks.old), tinkAEAD(t, ks.seal)} {
			value := reference.Value{Kind: "email", ID: reference.Random(16)}
			header := h.Bytes()
			sealed, err := primitive.Encrypt(reference.Pad(vaulttest.Address), reference.AAD("email", "security", value.ID, header, ""))
			require.NoError(t, err)
			value.Slots = []reference.Slot{{Purpose: "security", Header: header, Sealed: sealed}}
			parsed, err := vault.ParseSealed(value.Text())
			require.NoError(t, err)
			plaintext, err := scope.Reveal(ctx, vaulttest.Email, parsed)
			require.NoError(t, err)
			require.Equal(t, vaulttest.Address, plaintext)
		}

		ours, err := vault.Seal(ctx, vaulttest.Email, vaulttest.Address, scope.Under(purpose.Basis{
			Legal: purpose.Legal(h.Legal), Notice: h.Notice, Consent: h.Consent,
		}))
		require.NoError(t, err)
		text, err := ours.MarshalText()
		require.NoError(t, err)
		value, ok := reference.Parse(string(text))
		require.True(t, ok)
		slot := value.Slots[0]
		aad := reference.AAD("email", "security", value.ID, slot.Header, "")
		padded, err := tinkAEAD(t, ks.seal).Decrypt(slot.Sealed, aad)
		require.NoError(t, err)
		require.Equal(t, reference.Pad(vaulttest.Address), padded)
		_, err = tinkAEAD(t, ks.old).Decrypt(slot.Sealed, aad)
		require.Error(t, err, "sealed under the primary key")
		_, err = tinkAEAD(t, ks.seal).Decrypt(slot.Sealed, aad[1:])
		require.Error(t, err)
	}
}

// A disabled key opens nothing, as in Tink.
func TestTinkDisabledKey(t *testing.T) {
	ks := newTinkKeysets(t)
	entry, err := ks.old.Primary()
	require.NoError(t, err)
	m := keyset.NewManagerFromHandle(ks.seal)
	require.NoError(t, m.Disable(entry.KeyID()))
	disabled, err := m.Handle()
	require.NoError(t, err)

	before := tinkScope(t, "security", ks.old, ks)
	sealed, err := vault.Seal(t.Context(), vaulttest.Email, vaulttest.Address, before)
	require.NoError(t, err)
	_, err = tinkScope(t, "security", ks.seal, ks).Reveal(t.Context(), vaulttest.Email, sealed)
	require.NoError(t, err)
	_, err = tinkScope(t, "security", disabled, ks).Reveal(t.Context(), vaulttest.Email, sealed)
	require.ErrorIs(t, err, vault.ErrCorrupt)
}

func TestTinkIndexesTheSame(t *testing.T) {
	ks := newTinkKeysets(t)
	scope := tinkScope(t, "security", ks.seal, ks)
	set, err := prf.NewPRFSet(ks.index)
	require.NoError(t, err)
	for n := 1; n <= format.MaxPlaintext; n++ {
		canonical := string(reference.Random(n))
		want, err := set.ComputePrimaryPRF(append([]byte("idx1\x05email\x08security"), canonical...), vault.IndexSize)
		require.NoError(t, err)
		got, err := scope.Index(t.Context(), vaulttest.Email, canonical)
		require.NoError(t, err)
		require.Equal(t, want, got[:])
	}
}

func TestTinkPseudonymsAreTheSame(t *testing.T) {
	ks := newTinkKeysets(t)
	scope := tinkScope(t, "security", ks.seal, ks)
	set, err := prf.NewPRFSet(ks.subject)
	require.NoError(t, err)
	for n := 1; n <= 255; n++ {
		subject := string(reference.Random(n))
		for !vault.ValidSubject(subject) { // a byte that is 0
			subject = string(reference.Random(n))
		}
		want, err := set.ComputePrimaryPRF(append([]byte("psn1\x08security"), subject...), 16)
		require.NoError(t, err)
		got, err := scope.Pseudonym(t.Context(), subject)
		require.NoError(t, err)
		require.Equal(t, hex.EncodeToString(want), got)
	}
}

// What Tink's hybrid primitive wraps opens here, whichever key of the keyset it is
// for, and the other way round.
func TestTinkWrapsTheSame(t *testing.T) {
	eachKEM(t, func(t *testing.T, k kem, _ *vault.Options) {
		testTinkWraps(t, k, map[string]hpke.KEMID{"X25519": hpke.DHKEM_X25519_HKDF_SHA256, "X-Wing": hpke.X_WING}[k.name])
	})
}

func testTinkWraps(t *testing.T, k kem, id hpke.KEMID) {
	ctx := t.Context()
	params, err := hpke.NewParameters(hpke.ParametersOpts{KEMID: id, KDFID: hpke.HKDFSHA256, AEADID: hpke.AES256GCM, Variant: hpke.VariantTink})
	require.NoError(t, err)
	m := keyset.NewManager()
	var handles []*keyset.Handle
	for range 2 { // the second is a rotation
		id, err := m.AddNewKeyFromParameters(params)
		require.NoError(t, err)
		require.NoError(t, m.SetPrimary(id))
		h, err := m.Handle()
		require.NoError(t, err)
		handles = append(handles, h)
	}
	p := reference.Payload("security", vecSecurity)
	collect := reference.SetOf(tinkBinary(t, handles[1]))
	p.Collect = &collect
	kek := vaulttest.KEK{Key: vaulttest.KEKKey}
	store := vaulttest.StoreOfData(t, "security/keys", reference.Wrap(kek, "security", vaulttest.VaultID, encodePayload(p), reference.Random(32), reference.Random(12)))
	v := vaulttest.OpenKept(t, store, vault.SharedKEK(kek))
	scope := vaulttest.ScopeNamed(t, v, "security")
	info := reference.CollectInfo("security")

	for _, h := range handles {
		public, err := h.Public()
		require.NoError(t, err)
		enc, err := hybrid.NewHybridEncrypt(public)
		require.NoError(t, err)
		key := reference.Random(32)
		wrapped, err := enc.Encrypt(key, info)
		require.NoError(t, err)
		require.Len(t, wrapped, k.wrapped())
		value := reference.Value{Kind: "email", ID: reference.Random(16)}
		value.Slots = []reference.Slot{reference.CollectorOf("security", k.keys["security"][0]).SealUnder(wrapped, key, "email", value.ID, vaulttest.PlainHeader, vaulttest.Address)}
		sealed, err := vault.ParseSealed(value.Text())
		require.NoError(t, err)
		plaintext, err := scope.Reveal(ctx, vaulttest.Email, sealed)
		require.NoError(t, err)
		require.Equal(t, vaulttest.Address, plaintext)
	}

	c, err := v.Collector(ctx, purpose.MustParse("security"))
	require.NoError(t, err)
	sealed, err := vault.Seal(ctx, vaulttest.Email, vaulttest.Address, c)
	require.NoError(t, err)
	text, err := sealed.MarshalText()
	require.NoError(t, err)
	value, ok := reference.Parse(string(text))
	require.True(t, ok)
	wrapped := value.Slots[0].Sealed[:k.wrapped()]
	dec, err := hybrid.NewHybridDecrypt(handles[1])
	require.NoError(t, err)
	key, err := dec.Decrypt(wrapped, info)
	require.NoError(t, err)
	require.Len(t, key, 32)
	_, err = dec.Decrypt(wrapped, info[1:])
	require.Error(t, err)
	older, err := hybrid.NewHybridDecrypt(handles[0])
	require.NoError(t, err)
	_, err = older.Decrypt(wrapped, info)
	require.Error(t, err, "wrapped for the primary key")
}

// Tink's primitive serves as KEK, and both implementations read what it wraps.
func TestTinkAsKEK(t *testing.T) {
	ctx := context.Background()
	kek := tinkAEAD(t, newTinkKeysets(t).seal)
	store := vault.Memory()
	v := vaulttest.OpenKept(t, store, vault.SharedKEK(kek))
	require.NoError(t, v.Generate(ctx, vaulttest.Purposes...))
	for _, p := range vaulttest.Purposes {
		scope, err := vaulttest.OpenKept(t, store, vault.SharedKEK(kek)).Scope(ctx, p)
		require.NoError(t, err)
		sealed, err := vault.Seal(ctx, vaulttest.Email, vaulttest.Address, scope)
		require.NoError(t, err)
		records, err := store.Get(ctx, p.String()+"/keys")
		require.NoError(t, err)
		keys, err := reference.Unwrap(kek, p.String(), vaulttest.Content(t, store)["0-vault"][4:], records[0].Data)
		require.NoError(t, err)
		text, err := sealed.MarshalText()
		require.NoError(t, err)
		value, ok := reference.Parse(string(text))
		require.True(t, ok)
		plaintext, class := value.Open(reference.Asked{Kind: "email", Purpose: p.String(), Keys: keys})
		require.Equal(t, "success", class)
		require.Equal(t, vaulttest.Address, plaintext)

		// A Tink AEAD does not say why it refuses: the records exchanged look
		// like keys that are not ours to use.
		_, err = vaulttest.OpenKept(t, vaulttest.Exchanged(t, store), vault.SharedKEK(kek)).Scope(ctx, p)
		require.Equal(t, "no keys", vaulttest.Class(err))
	}
}
