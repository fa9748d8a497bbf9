package formattest

import (
	"bytes"
	"crypto/cipher"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/sha3"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// The vectors of collectors: values that they sealed, the keys that open those,
// and the text that a collector is configured with.

// A kem is a mechanism of collectors, with the keys that the vectors have for it.
type kem struct {
	name  string
	infix string // of the names of its vectors
	field string // of a vector, with a key pair
	keys  map[string][]reference.Key
	enc   int // bytes of an encapsulated key
}

var (
	kemX25519 = kem{"X25519", "", "collect key", vaulttest.Collect, 32}
	kemXWing  = kem{"X-Wing", "_xwing", "collect key x-wing", vaulttest.CollectXWing, 1088 + 32}
	kems      = []kem{kemX25519, kemXWing}
)

// wrapped returns the size of a wrapped key in bytes.
func (k kem) wrapped() int { return 5 + k.enc + 32 + 16 }

// typ returns the type of its slots.
func (k kem) typ() byte { return k.keys["security"][0].SlotType() }

// header is the plain header of its slots.
func (k kem) header() reference.Header {
	h := vaulttest.PlainHeader
	h.Typ = k.typ()
	return h
}

// encapsulate encapsulates for the public key, and returns the shared secret before
// the key schedule.
func (k kem) encapsulate(m maker, public []byte) (shared, enc []byte) {
	if k.typ() == 4 {
		shared, enc, _ = reference.XWingEncapsulate(m.bytes("ephemeral security", 64), public)
		return shared, enc
	}
	ephemeral := m.bytes("ephemeral security", 32)
	shared, _ = reference.Exchange(ephemeral, public)
	return shared, reference.Public(ephemeral)
}

// context returns the HPKE context of a shared secret.
func (k kem) context(s reference.HPKE, shared, enc, public, info []byte) (cipher.AEAD, []byte) {
	if k.typ() == 4 {
		return s.XWingContext(shared, info)
	}
	return s.Context(shared, enc, public, info)
}

// wrap wraps the key of a slot with a shared secret.
func (k kem) wrap(s reference.HPKE, shared, enc []byte, id uint32, public, info, slotKey []byte) []byte {
	if k.typ() == 4 {
		return reference.XWingWrapKeyWith(s, shared, enc, id, info, slotKey)
	}
	return reference.WrapKeyWith(s, shared, enc, id, public, info, slotKey)
}

// A slotKey is a key that a collector made, and the same wrapped.
type slotKey struct{ wrapped, key []byte }

// slotKey makes one for the purpose's primary key of X25519.
func (m maker) slotKey(name string) slotKey {
	return m.slotKeyFor(name, vaulttest.Collect[name][0])
}

func (m maker) slotKeyFor(name string, to reference.Key) slotKey {
	key := m.bytes("slot key "+name, 32)
	ephemeral := m.bytes("ephemeral "+name, map[bool]int{false: 32, true: 64}[to.XWing])
	return slotKey{reference.WrapKey(ephemeral, to.ID, to.Public(), reference.CollectInfo(name), key), key}
}

// slotUnder seals a slot of type 3 or 4, by the size of the wrapped key.
func (m maker) slotUnder(k slotKey, v reference.Value, name string, h reference.Header, plaintext string) reference.Slot {
	h.Typ = map[bool]byte{true: 3, false: 4}[len(k.wrapped) == kemX25519.wrapped()]
	header := h.Bytes()
	return reference.Slot{Purpose: name, Header: header, Sealed: reference.Collect(k.wrapped, k.key, m.bytes("nonce "+name, 12), reference.Pad(plaintext),
		reference.AAD(v.Kind, name, v.ID, header, ""))}
}

// collected is the plain case, with a slot of type 3 for each purpose.
func (m maker) collected(names ...string) reference.Value {
	return m.collectedBy(kemX25519, "email", vaulttest.PlainHeader, names...)
}

// collectedBy has a slot of the mechanism for each purpose.
func (m maker) collectedBy(k kem, kind string, h reference.Header, names ...string) reference.Value {
	v := reference.Value{Kind: kind, ID: m.bytes("value id", 16)}
	for _, name := range names {
		v.Slots = append(v.Slots, m.slotUnder(m.slotKeyFor(name, k.keys[name][0]), v, name, h, vaulttest.Address))
	}
	return v
}

// collects adds the reader's keys of collectors.
func (v *vector) collects(keys ...reference.Key) *vector {
	var fields [][2]string
	for _, k := range keys {
		field := map[bool]string{false: kemX25519.field, true: kemXWing.field}[k.XWing]
		fields = append(fields, [2]string{field, fmt.Sprintf("%08x %x", k.ID, k.Key)})
	}
	return v.insert(fields...)
}

// collectsOwn adds the keys of the mechanism that the purpose asked has.
func (v *vector) collectsOwn(k kem) *vector { return v.collects(k.keys[v.get("purpose")]...) }

func (l *vecList) collected(k kem) {
	base := maker("collected" + k.infix)
	collected := func(m maker, names ...string) reference.Value {
		return m.collectedBy(k, "email", vaulttest.PlainHeader, names...)
	}
	keyOf := func(m maker, name string) slotKey { return m.slotKeyFor(name, k.keys[name][0]) }
	m := base
	l.opens(string(m), "security", "sealed by a collector", vaulttest.Address, collected(m, "security")).collectsOwn(k)
	m = base + "_binary"
	v := collected(m, "security")
	vec := l.opens(string(m), "security", "the binary form", vaulttest.Address, v).collectsOwn(k)
	vec.binary(v.Binary())

	m = base + "_batch"
	batch := keyOf(m, "security")
	for _, name := range []string{"first", "second"} {
		in := m + maker("_"+name)
		v := reference.Value{Kind: "email", ID: in.bytes("value id", 16)}
		plaintext := name + "@example.com"
		v.Slots = []reference.Slot{in.slotUnder(batch, v, "security", vaulttest.PlainHeader, plaintext)}
		l.opens(string(in), "security", "of a batch of two, whose wrapped key is the same", plaintext, v).collectsOwn(k)
	}

	m = base + "_provenance"
	h := reference.Header{Collected: reference.Time, Legal: 1, Notice: "signup-v7", Consent: "consent-2026-81f3", Expires: vaulttest.Never}
	l.opens(string(m), "security", "every field that a collector writes", vaulttest.Address, m.collectedBy(k, "email", h, "security")).collectsOwn(k)
	for _, n := range []int{1, 31, 32, 1024} {
		m = base + maker(fmt.Sprintf("_plaintext_%d", n))
		v := reference.Value{Kind: "email", ID: m.bytes("value id", 16)}
		plaintext := strings.Repeat("0123456789abcdef", 64)[:n]
		v.Slots = []reference.Slot{m.slotUnder(keyOf(m, "security"), v, "security", vaulttest.PlainHeader, plaintext)}
		l.opens(string(m), "security", fmt.Sprintf("%d bytes of plaintext", n), plaintext, v).collectsOwn(k)
	}

	m = base + "_key_rotated"
	older := m.slotKeyFor("security", k.keys["security"][1])
	v = reference.Value{Kind: "email", ID: m.bytes("value id", 16)}
	v.Slots = []reference.Slot{m.slotUnder(older, v, "security", vaulttest.PlainHeader, vaulttest.Address)}
	l.opens(string(m), "security", "wrapped for a key that is no longer primary", vaulttest.Address, v).collectsOwn(k)

	m = base + "_two_purposes"
	v = collected(m, "advertising", "security")
	l.opens(string(m), "security", "a collector of each purpose sealed a slot, under a key of its own", vaulttest.Address, v).collectsOwn(k)
	l.opens(string(m)+"_other", "advertising", "the same value, asked for the other purpose", vaulttest.Address, v).collectsOwn(k)

	m = base + "_beside_all"
	v = reference.Value{Kind: "email", ID: m.bytes("value id", 16)}
	v.Slots = []reference.Slot{
		m.slot(v, "advertising", vaulttest.PlainHeader, vaulttest.Address), m.slotFor(v, "billing", vecSubject, vaulttest.PlainHeader),
		m.slotUnder(keyOf(m, "security"), v, "security", vaulttest.PlainHeader, vaulttest.Address),
	}
	l.opens(string(m), "security", fmt.Sprintf("slots of types 1, 2 and %d, asked for that of type %d", k.typ(), k.typ()), vaulttest.Address, v).collectsOwn(k)
	l.opens(string(m)+"_purpose", "advertising", "the same value, asked for the slot of type 1", vaulttest.Address, v).collectsOwn(k)
	l.opens(string(m)+"_subject", "billing", "the same value, asked for the slot of type 2", vaulttest.Address, v).own(vecSubject).collectsOwn(k)

	m = base + "_expired"
	l.sealed(string(m), "expired", "yes", "email", "security", "retention ended in 2020",
		m.collectedBy(k, "email", reference.Header{Collected: vecPast, Expires: vecPast + 1}, "security").Text()).collectsOwn(k)
	m = base + "_time_latest"
	l.sealed(string(m), "corrupt", "yes", "email", "security", "collected more than a day after now, with a time of retention",
		m.collectedBy(k, "email", reference.Header{Collected: vecMax - 1, Expires: vecMax}, "security").Text()).collectsOwn(k)
	m = base + "_mismatch"
	l.sealed(string(m), "mismatch", "yes", "email", "advertising", "an honest wrong purpose", collected(m, "security").Text()).collectsOwn(k)
	m = base + "_asked_of_subject"
	l.sealed(string(m), "subject", "yes", "email", "security", "asked for a subject: what a collector sealed is nobody's in particular",
		collected(m, "security").Text()).own(vecSubject).collectsOwn(k)
	m = base + "_asked_of_subject_forged"
	v = collected(m, "security")
	v.Slots[0].Sealed[k.wrapped()-45] ^= 1
	l.sealed(string(m), "subject", "yes", "email", "security", "the header alone tells who may ask, whatever it labels", v.Text()).
		own(vecSubject).collectsOwn(k)
}

// collectedFaults are values of collectors that do not open, or do not parse.
func (l *vecList) collectedFaults(k kem) {
	base := "collected" + k.infix + "_"
	collected := func(m maker, names ...string) reference.Value {
		return m.collectedBy(k, "email", vaulttest.PlainHeader, names...)
	}
	keyOf := func(m maker, name string) slotKey { return m.slotKeyFor(name, k.keys[name][0]) }
	from := maker(base + "from")
	l.sealed(string(from), "corrupt", "no", "email", "security", "collectors extend nothing",
		from.collectedBy(k, "email", reference.Header{Collected: reference.Time, Consent: "c-1", From: "billing"}, "security").Text()).collectsOwn(k)
	forged := func(name, comment string, make func(m maker) reference.Value) {
		l.sealed(base+name, "corrupt", "yes", "email", "security", comment, make(maker(base+name)).Text()).collectsOwn(k)
	}
	// around puts content of a right value, which its own key opens, behind another
	// wrapping of that key.
	around := func(name, comment string, wrap func(m maker, key []byte) []byte) {
		forged(name, comment, func(m maker) reference.Value {
			v := reference.Value{Kind: "email", ID: m.bytes("value id", 16)}
			key := keyOf(m, "security").key
			v.Slots = []reference.Slot{m.slotUnder(slotKey{wrap(m, key), key}, v, "security", vaulttest.PlainHeader, vaulttest.Address)}
			return v
		})
	}
	own := k.keys["security"][0]
	public := own.Public()
	ephemeral := func(m maker) []byte {
		return m.bytes("ephemeral security", map[bool]int{false: 32, true: 64}[own.XWing])
	}
	info := func(name, comment string, info []byte) {
		around(name, comment, func(m maker, key []byte) []byte {
			return reference.WrapKey(ephemeral(m), own.ID, public, info, key)
		})
	}
	info("info_of_other_purpose", "wrapped for security's key, but bound to advertising", reference.CollectInfo("advertising"))
	info("info_empty", "the wrapped key is bound to nothing", nil)
	info("info_without_version", "the purpose is bound, and not what the key is for", reference.String("security"))
	info("info_without_length", "no length tells where the purpose ends", []byte("col1security"))
	info("info_of_value", "what is bound is that of a value, all but its beginning", append([]byte("pii1"), reference.String("security")...))
	info("info_with_more", "a byte more than the purpose is bound", append(reference.CollectInfo("security"), 0))

	to := func(name, comment string, id uint32, key reference.Key) {
		around(name, comment, func(m maker, slotKey []byte) []byte {
			return reference.WrapKey(ephemeral(m), id, key.Public(), reference.CollectInfo("security"), slotKey)
		})
	}
	ads := k.keys["advertising"][0]
	to("key_of_other_purpose", "wrapped for advertising's key and bound to security", ads.ID, ads)
	to("key_of_other_purpose_relabelled", "the same, under the id of a key of security", own.ID, ads)
	to("key_relabelled", "wrapped for the purpose's older key, under the id of the primary one", own.ID, k.keys["security"][1])
	to("key_unknown", "a key id that the scope has no key for", own.ID^0x100, own)
	to("key_of_seal", "the id of a key that seals values, which the purpose has", vecSecurity.Seal[0].ID, own)
	l.sealed(base+"key_retired", "corrupt", "yes", "email", "security", "wrapped for a key that was retired since",
		func() string {
			m := maker(base + "key_retired")
			v := reference.Value{Kind: "email", ID: m.bytes("value id", 16)}
			older := m.slotKeyFor("security", k.keys["security"][1])
			v.Slots = []reference.Slot{m.slotUnder(older, v, "security", vaulttest.PlainHeader, vaulttest.Address)}
			return v.Text()
		}()).collects(own)
	forged("purpose_relabelled", "a collector of advertising sealed it, labelled security", func(m maker) reference.Value {
		v := collected(m, "advertising")
		v.Slots[0].Purpose = "security"
		return v
	})

	// Faults that HPKE itself has to refuse.
	suite := func(name, comment string, s reference.HPKE) {
		around(name, comment, func(m maker, key []byte) []byte {
			shared, enc := k.encapsulate(m, public)
			return k.wrap(s, shared, enc, own.ID, public, reference.CollectInfo("security"), key)
		})
	}
	suite("suite_aes128", "the key is wrapped with AES-128-GCM", reference.HPKE{Mode: 0, AEAD: 1})
	suite("mode_psk", "the mode is that of a pre-shared key, which is empty", reference.HPKE{Mode: 1, AEAD: 2})
	suite("mode_auth", "the mode is that of an authenticated sender", reference.HPKE{Mode: 2, AEAD: 2})
	for _, c := range reference.LowOrder {
		around("enc_"+c.Name, "the encapsulated key is of low order, and the rest follows from the zeros that are then exchanged",
			func(m maker, key []byte) []byte {
				if k.typ() == 3 {
					return k.wrap(reference.Suite, make([]byte, 32), reference.Hex(c.Point), own.ID, public, reference.CollectInfo("security"), key)
				}
				ssM, _, enc := xwingParts(m, public)
				copy(enc[1088:], reference.Hex(c.Point))
				return k.wrap(reference.Suite, reference.XWingCombine(ssM, make([]byte, 32), enc[1088:], public[1184:]), enc, own.ID, public,
					reference.CollectInfo("security"), key)
			})
	}
	around("wrapped_with_aad", "the info is bound a second time, as associated data", func(m maker, key []byte) []byte {
		shared, enc := k.encapsulate(m, public)
		info := reference.CollectInfo("security")
		gcm, nonce := k.context(reference.Suite, shared, enc, public, info)
		whole := reference.WrapKey(ephemeral(m), own.ID, public, info, key)
		return gcm.Seal(whole[:5+k.enc:5+k.enc], nonce, key, info)
	})
	around("wrapped_second", "the wrapped key is the second message of its context", func(m maker, key []byte) []byte {
		shared, enc := k.encapsulate(m, public)
		info := reference.CollectInfo("security")
		gcm, nonce := k.context(reference.Suite, shared, enc, public, info)
		nonce[11] ^= 1
		whole := reference.WrapKey(ephemeral(m), own.ID, public, info, key)
		return gcm.Seal(whole[:5+k.enc:5+k.enc], nonce, key, nil)
	})
	if k.typ() == 4 {
		// Other ways to make one secret of two, and other names for the mechanism.
		secret := func(name, comment string, combine func(ssM, ssX, ctM, ctX, pkX []byte) []byte) {
			around("secret_"+name, comment, func(m maker, key []byte) []byte {
				ssM, ssX, enc := xwingParts(m, public)
				shared := combine(ssM, ssX, enc[:1088], enc[1088:], public[1184:])
				return k.wrap(reference.Suite, shared, enc, own.ID, public, reference.CollectInfo("security"), key)
			})
		}
		secret("of_ml_kem", "the secret is ML-KEM's alone", func(ssM, _, _, _, _ []byte) []byte { return ssM })
		secret("of_x25519", "the secret is X25519's alone", func(_, ssX, _, _, _ []byte) []byte { return ssX })
		secret("without_label", "the two secrets are combined without X-Wing's label", func(ssM, ssX, _, ctX, pkX []byte) []byte {
			sum := sha3.Sum256(slices.Concat(ssM, ssX, ctX, pkX))
			return sum[:]
		})
		secret("of_other_order", "the two secrets are combined in the other order", func(ssM, ssX, _, ctX, pkX []byte) []byte {
			return reference.XWingCombine(ssX, ssM, ctX, pkX)
		})
		secret("with_ml_kem_ciphertext", "the ciphertext of ML-KEM is combined with the two secrets, as other combiners do", func(ssM, ssX, ctM, ctX, pkX []byte) []byte {
			return reference.XWingCombine(ssM, slices.Concat(ssX, ctM), ctX, pkX)
		})
		for name, id := range map[string]uint16{"dhkem_x25519": 0x0020, "ml_kem_768": 0x0041} {
			around("suite_"+name, "the key schedule has the name of another KEM", func(m maker, key []byte) []byte {
				shared, _ := k.encapsulate(m, public)
				gcm, nonce := reference.Suite.Schedule(id, shared, reference.CollectInfo("security"))
				whole := reference.WrapKey(ephemeral(m), own.ID, public, nil, key)
				return gcm.Seal(whole[:5+k.enc:5+k.enc], nonce, key, nil)
			})
		}
		forged("enc_halves_swapped", "X25519's part of the encapsulated key stands before ML-KEM's", func(m maker) reference.Value {
			v := collected(m, "security")
			s := v.Slots[0].Sealed
			copy(s[5:], slices.Concat(s[5+1088:5+k.enc], s[5:5+1088]))
			return v
		})
	}

	flip := func(name, comment string, at int, bit byte) {
		forged(name, comment, func(m maker) reference.Value {
			v := collected(m, "security")
			s := v.Slots[0].Sealed
			s[(at+len(s))%len(s)] ^= bit
			return v
		})
	}
	flip("enc_altered", "a bit of the encapsulated key", 5, 1)
	if k.typ() == 4 {
		flip("enc_ml_kem_last", "the last bit of ML-KEM's part of the encapsulated key", 5+1087, 0x80)
		flip("enc_x25519_altered", "a bit of X25519's part of the encapsulated key", 5+1088, 1)
	}
	flip("enc_high_bit", "the bit of the encapsulated key that X25519 ignores", 5+k.enc-1, 0x80)
	flip("wrapped_key_altered", "a bit of the wrapped key", 5+k.enc, 1)
	flip("wrapped_tag_altered", "the last bit of the tag of the wrapped key", k.wrapped()-1, 1)
	flip("nonce_altered", "a bit of the nonce", k.wrapped(), 1)
	flip("ciphertext_altered", "a bit of the ciphertext", k.wrapped()+12, 1)
	flip("tag_altered", "the last bit of the tag", -1, 1)

	other := func(m maker) reference.Value { return collected(m+" other", "security") }
	forged("wrapped_key_of_another", "the wrapped key of another value, in front of this one's content", func(m maker) reference.Value {
		v := collected(m, "security")
		copy(v.Slots[0].Sealed, other(m).Slots[0].Sealed[:k.wrapped()])
		return v
	})
	forged("enc_of_another", "the encapsulated key of another value", func(m maker) reference.Value {
		v := collected(m, "security")
		copy(v.Slots[0].Sealed[5:], other(m).Slots[0].Sealed[5:5+k.enc])
		return v
	})
	forged("slot_of_another", "the slot is another value's", func(m maker) reference.Value {
		v := collected(m, "security")
		v.Slots = other(m).Slots
		return v
	})
	forged("batch_slots_mixed", "the slot is another value's of the same batch, so that the wrapped key is right", func(m maker) reference.Value {
		batch := keyOf(m, "security")
		v, w := reference.Value{Kind: "email", ID: m.bytes("value id", 16)}, reference.Value{Kind: "email", ID: (m + " other").bytes("value id", 16)}
		v.Slots = []reference.Slot{(m + " other").slotUnder(batch, w, "security", vaulttest.PlainHeader, vaulttest.Address)}
		return v
	})
	forged("batch_slot_of_other_purpose", "one wrapped key for two purposes, as if a batch could have one", func(m maker) reference.Value {
		v := collected(m, "advertising")
		v.Slots = append(v.Slots, m.slotUnder(keyOf(m, "advertising"), v, "security", vaulttest.PlainHeader, vaulttest.Address))
		return v
	})
	forged("header_edited", "the time of collection was moved", func(m maker) reference.Value {
		v := collected(m, "security")
		v.Slots[0].Header[6]++
		return v
	})
	forged("consent_added", "a consent was invented", func(m maker) reference.Value {
		v := collected(m, "security")
		h := vaulttest.PlainHeader
		h.Typ, h.Consent = k.typ(), "consent-1"
		v.Slots[0].Header = h.Bytes()
		return v
	})
	forged("kind_relabelled", "sealed as a phone, labelled email", func(m maker) reference.Value {
		v := m.collectedBy(k, "phone", vaulttest.PlainHeader, "security")
		v.Kind = "email"
		return v
	})

	// What the slot key is used with.
	h := k.header()
	content := func(name, comment string, seal func(m maker, k slotKey, id []byte) []byte) {
		forged(name, comment, func(m maker) reference.Value {
			v := reference.Value{Kind: "email", ID: m.bytes("value id", 16)}
			v.Slots = []reference.Slot{{Purpose: "security", Header: h.Bytes(), Sealed: seal(m, keyOf(m, "security"), v.ID)}}
			return v
		})
	}
	aad := func(name, comment string, aad func(id []byte) []byte) {
		content(name, comment, func(m maker, k slotKey, id []byte) []byte {
			return reference.Collect(k.wrapped, k.key, m.bytes("nonce", 12), reference.Pad(vaulttest.Address), aad(id))
		})
	}
	aad("aad_empty", "nothing is bound", func([]byte) []byte { return nil })
	aad("aad_of_other_purpose", "another purpose is bound", func(id []byte) []byte {
		return reference.AAD("email", "advertising", id, h.Bytes(), "")
	})
	aad("aad_of_type_1", "the header that is bound says type 1", func(id []byte) []byte {
		return reference.AAD("email", "security", id, vaulttest.PlainHeader.Bytes(), "")
	})
	aad("aad_with_subject", "a subject is bound, in a slot that has none", func(id []byte) []byte {
		return reference.AAD("email", "security", id, h.Bytes(), vecSubject)
	})
	aad("aad_of_info", "what is bound is the info of the wrapped key", func([]byte) []byte { return reference.CollectInfo("security") })
	content("under_purpose_key", "the content is sealed under the purpose's own key, not under the one that is wrapped",
		func(m maker, k slotKey, id []byte) []byte {
			return reference.Collect(k.wrapped, vecSecurity.Seal[0].Key, m.bytes("nonce", 12), reference.Pad(vaulttest.Address),
				reference.AAD("email", "security", id, h.Bytes(), ""))
		})
	for _, c := range []struct{ name, comment, padded string }{
		{"none", "plaintext up to the last byte", strings.Repeat("x", 32)},
		{"step_too_long", "a whole step of zeros more than needed", vaulttest.Address + "\x80" + strings.Repeat("\x00", 14+32)},
		{"without_plaintext", "no plaintext before the marker", "\x80" + strings.Repeat("\x00", 31)},
		{"plaintext_over_long", "1,025 bytes of plaintext", string(reference.Pad(strings.Repeat("x", 1025)))},
	} {
		content("padding_"+c.name, c.comment, func(m maker, k slotKey, id []byte) []byte {
			return reference.Collect(k.wrapped, k.key, m.bytes("nonce", 12), []byte(c.padded), reference.AAD("email", "security", id, h.Bytes(), ""))
		})
	}

	// Shapes. The lengths in the body are right: it is the sealed part that is not.
	for _, c := range []struct {
		name, comment string
		n             int
	}{
		{"empty", "no sealed part", 0}, {"in_key_id", "cut off in the key id", 3}, {"in_enc", "cut off in the encapsulated key", 5 + 16},
		{"in_wrapped_key", "cut off in the wrapped key", 5 + k.enc + 16}, {"after_wrapped_key", "cut off after the wrapped key", k.wrapped()},
		{"in_nonce", "cut off in the nonce", k.wrapped() + 6}, {"in_ciphertext", "cut off in the ciphertext", k.wrapped() + 12 + 16},
		{"by_one", "the last byte is missing", k.wrapped() + 12 + 32 + 15},
	} {
		l.malformed(base+"truncated_"+c.name, c.comment, func(m maker) string {
			v := collected(m, "security")
			v.Slots[0].Sealed = v.Slots[0].Sealed[:c.n]
			return v.Text()
		})
	}
	l.malformed(base+"trailing_byte", "a byte after the tag", func(m maker) string {
		v := collected(m, "security")
		v.Slots[0].Sealed = append(v.Slots[0].Sealed, 0)
		return v.Text()
	})
	for typ := byte(1); typ <= 4; typ++ {
		if typ == k.typ() {
			continue
		}
		comment := fmt.Sprintf("no slot of type %d has the length of one of type %d", k.typ(), typ)
		l.malformed(fmt.Sprintf("type_%d_relabelled_%d", k.typ(), typ), comment, func(m maker) string {
			v := collected(m, "security")
			v.Slots[0].Header[0] = typ
			return v.Text()
		})
	}
}

// xwingParts returns the two shared secrets of an encapsulation, and the encapsulated
// key.
func xwingParts(m maker, public []byte) (ssM, ssX, enc []byte) {
	random := m.bytes("ephemeral security", 64)
	_, enc, _ = reference.XWingEncapsulate(random, public)
	ssX, _ = reference.Exchange(random[32:], public[1184:])
	ek, err := mlkem.NewEncapsulationKey768(public[:1184])
	if err != nil {
		panic(err)
	}
	if ssM, _, err = mlkemtest.Encapsulate768(ek, random[:32]); err != nil {
		panic(err)
	}
	return ssM, ssX, enc
}

// collectedByBoth are values, for a reader that has keys of both mechanisms.
func (l *vecList) collectedByBoth() {
	all := slices.Concat(vaulttest.CollectXWing["security"], vaulttest.Collect["security"])
	m := maker("collected_both_kems")
	for _, k := range kems {
		name := string(m) + map[byte]string{3: "_x25519", 4: "_xwing"}[k.typ()]
		l.opens(name, "security", fmt.Sprintf("type %d, for a reader that has keys of both mechanisms", k.typ()), vaulttest.Address,
			maker(name).collectedBy(k, "email", vaulttest.PlainHeader, "security")).collects(all...)
		other := map[byte]kem{3: kemXWing, 4: kemX25519}[k.typ()].keys["security"][0]
		name += "_key_id_of_other"
		v := maker(name).collectedBy(k, "email", vaulttest.PlainHeader, "security")
		binary.BigEndian.PutUint32(v.Slots[0].Sealed[1:], other.ID)
		l.sealed(name, "corrupt", "yes", "email", "security", "the id is that of a key of the other mechanism, which the reader has", v.Text()).collects(all...)
	}
	m = "collected_both_kems_two_purposes"
	v := reference.Value{Kind: "email", ID: m.bytes("value id", 16)}
	v.Slots = []reference.Slot{
		m.slotUnder(m.slotKeyFor("advertising", vaulttest.Collect["advertising"][0]), v, "advertising", vaulttest.PlainHeader, vaulttest.Address),
		m.slotUnder(m.slotKeyFor("security", vaulttest.CollectXWing["security"][0]), v, "security", vaulttest.PlainHeader, vaulttest.Address),
	}
	l.opens(string(m), "security", "a slot of type 3 beside one of type 4", vaulttest.Address, v).collectsOwn(kemXWing)
	l.opens(string(m)+"_other", "advertising", "the same value, asked for the slot of type 3", vaulttest.Address, v).collectsOwn(kemX25519)
}

// collectedRecords are key records with the keysets that not all of them have.
func (l *vecList) collectedRecords(k kem) {
	keys := reference.Record{Keys: vaulttest.Keys["security"], Collect: k.keys["security"]}
	record := func(name, comment string, payload reference.KeyPayload) *vector {
		m := maker("key_record_collect" + k.infix + name)
		kek := vaulttest.KEK{Key: vaulttest.KEKKey, Nonce: m.bytes("kek nonce", 12)}
		data := reference.Wrap(kek, "security", vaulttest.VaultID, encodePayload(payload), m.bytes("dek", 32), m.bytes("nonce", 12))
		v := &vector{name: string(m), value: []byte(hex.EncodeToString(data) + "\n")}
		v.add("expect", "success")
		v.add("form", "key record")
		v.add("vault", hex.EncodeToString(vaulttest.VaultID))
		v.add("purpose", "security")
		v.addKeys("kek", vaulttest.KEKKey)
		v.add("comment", comment)
		v.add("opens", vecSample().Text())
		v.add("plaintext", hex.EncodeToString([]byte(vaulttest.Address)))
		v.add("subject", hex.EncodeToString([]byte(vecSubject)))
		v.add("pseudonym", hex.EncodeToString(reference.Pseudonym("security", keys.Keys, vecSubject)))
		*l = append(*l, v)
		return v
	}
	under := func(v *vector, field string, k reference.Key) {
		m := maker(v.name + " " + field)
		value := reference.Value{Kind: "email", ID: m.bytes("value id", 16)}
		value.Slots = []reference.Slot{m.slotUnder(m.slotKeyFor("security", k), value, "security", vaulttest.PlainHeader, vaulttest.Address)}
		v.add(field, value.Text())
	}
	primary, older := keys.Collect[0], keys.Collect[1]
	collector := func(v *vector) { v.add("collector", reference.CollectorOf("security", primary).Text()) }

	v := record("", "with two keys of collectors, of which the first is primary", keys.Payload("security"))
	under(v, "opens collected", primary)
	under(v, "opens collected", older)
	collector(v)

	with := func(entries ...reference.Entry) reference.KeyPayload {
		p := reference.Payload("security", keys.Keys)
		set := reference.SetOf(reference.ProtoEntries(entries...))
		p.Collect = &set
		return p
	}
	entries := reference.CollectEntries(keys.Collect)
	entries[1].Status = reference.Disabled
	v = record("_retired", "with a key of collectors that is retired", with(entries...))
	under(v, "opens collected", primary)
	under(v, "refuses", older)
	collector(v)

	// A keyset that is not one of collectors is as good as none: what needs it is
	// refused, and nothing else.
	good := reference.CollectEntry(primary, primary.Public(), 2)
	retired := func(k reference.Key) reference.Entry {
		e := reference.CollectEntry(k, k.Public(), 2)
		e.Status = reference.Disabled
		return e
	}
	for _, c := range []struct {
		name, comment string
		entries       []reference.Entry
	}{
		{"empty", "a keyset of collectors without a key", nil},
		{"primary_retired", "the primary key is retired", []reference.Entry{retired(older), good}},
		{"all_retired", "every key is retired", []reference.Entry{retired(primary)}},
		{"of_aead", "a sealing key for collectors", []reference.Entry{
			{ID: primary.ID, Typ: reference.GCMType, Value: reference.ProtoBytes(nil, 3, primary.Key), Material: reference.Symmetric, Status: reference.Enabled, Prefix: 1}}},
		{"aes128", "a key of another suite", []reference.Entry{reference.CollectEntry(primary, primary.Public(), 1)}},
		{"raw", "a key without a prefix can't be told from others", []reference.Entry{func() reference.Entry { e := good; e.Prefix = 3; return e }()}},
		{"crunchy", "a prefix that no sealed part has", []reference.Entry{func() reference.Entry { e := good; e.Prefix = 4; return e }()}},
		{"beside_other_suite", "a key of another suite beside a right one", []reference.Entry{good, reference.CollectEntry(older, older.Public(), 1)}},
		{"halves_apart", "the public half is another key's", []reference.Entry{reference.CollectEntry(primary, older.Public(), 2)}},
		{"public_alone", "the public half and no more", []reference.Entry{func() reference.Entry {
			e := good
			e.Typ, e.Material = strings.Replace(reference.HPKEType, "Private", "Public", 1), 3
			value, _ := reference.ReadProto(e.Value)
			e.Value = value.Only(2)
			return e
		}()}},
	} {
		v := record("_"+c.name, c.comment, with(c.entries...))
		under(v, "refuses", primary)
	}

	if k.typ() == 4 {
		// A rotation from one mechanism to the other.
		both := slices.Concat(k.keys["security"][:1], vaulttest.Collect["security"][:1])
		v := record("_both_kems", "with keys of collectors of both mechanisms", with(reference.CollectEntries(both)...))
		under(v, "opens collected", both[0])
		under(v, "opens collected", both[1])
		collector(v)
	}
}

// checkCollectRecord checks what a key record says beyond what all of them do.
func checkCollectRecord(t *testing.T, v *vector, s *vault.Scope, keys reference.Record) {
	t.Helper()
	asked := v.asked()
	asked.Kind, asked.Keys = "email", keys
	for _, f := range v.fields {
		if f[0] != "opens collected" && f[0] != "refuses" {
			continue
		}
		want := map[string]string{"opens collected": "success", "refuses": "corrupt"}[f[0]]
		sealed, err := vault.ParseSealed(f[1])
		require.NoError(t, err)
		_, err = s.Reveal(t.Context(), vaulttest.Email, sealed)
		require.Equal(t, want, vaulttest.Class(err))
		value, ok := reference.Parse(f[1])
		require.True(t, ok)
		asked.Subject = ""
		_, class := value.Open(asked)
		require.Equal(t, want, class, "independent implementation")
	}
	if text := v.get("collector"); text != "" {
		require.Equal(t, text, reference.CollectorOf("security", keys.Collect[0]).Text())
	}
	ours := vaulttest.OpenKept(t, vaulttest.StoreOfData(t, "security/keys", reference.Hex(string(bytes.TrimSuffix(v.value, []byte("\n"))))), vault.SharedKEK(vaulttest.KEK{Key: vaulttest.KEKKey}))
	c, err := ours.Collector(t.Context(), purpose.MustParse("security"))
	if want := v.get("collector"); want == "" {
		require.Equal(t, "no keys", vaulttest.Class(err))
	} else {
		require.NoError(t, err)
		text, err := c.MarshalText()
		require.NoError(t, err)
		require.Equal(t, want, string(text))
	}
}

// storeOf returns a store with one record.
// collectorTexts are the texts that collectors are configured with.
func (l *vecList) collectorTexts(k kem) {
	key := func(label string, id uint32) reference.Key {
		out := vaulttest.Key(label, id)
		out.XWing = k.typ() == 4
		return out
	}
	add := func(name, expect, comment, text string) *vector {
		v := &vector{name: "collector_text" + k.infix + "_" + name, value: []byte(text)}
		v.add("expect", expect)
		v.add("form", "collector")
		v.add("comment", comment)
		*l = append(*l, v)
		return v
	}
	good := func(name, purpose, comment string, k reference.Key) {
		c := reference.CollectorOf(purpose, k)
		v := add(name, "success", comment, c.Text())
		v.insert([2]string{"purpose", purpose})
		v.collects(k)
		v.add("key id", fmt.Sprintf("%08x", c.ID))
		v.add("public key", hex.EncodeToString(c.Public))
	}
	own := k.keys["security"][0]
	c := reference.CollectorOf("security", own)
	good("good", "security", "the text of a collector", own)
	good("rotated", "security", "of a key that is no longer primary seals for that one", k.keys["security"][1])
	good("purpose_shortest", "s", "a purpose of one byte", key("collect s", 0x5c000001))
	longest := "p" + strings.Repeat("-", 62)
	good("purpose_longest", longest, "a purpose of 63 bytes", key("collect p", 0x10000001))
	good("key_id_highest", "security", "all bits of the key id are set", reference.Key{ID: 0xffffffff, Key: own.Key, XWing: own.XWing})

	text := func(name, comment, text string) { add(name, "corrupt", comment, text) }
	of := func(change func(c *reference.Collector)) string { d := c; change(&d); return d.Text() }
	body := append(c.Body(), reference.CollectorCheck(c.Magic(), "security", c.Body())...)
	checked := func(body []byte) string {
		return reference.CollectorText(c.Magic(), "security", append(slices.Clone(body), reference.CollectorCheck(c.Magic(), "security", body)...))
	}
	flipped := func(at int) string {
		b := slices.Clone(body)
		b[at] ^= 1
		return reference.CollectorText(c.Magic(), "security", b)
	}
	text("version_unknown", "ofc3 is for another version", strings.Replace(c.Text(), c.Magic(), "ofc3", 1))
	other := map[string]string{"ofc1": "ofc2", "ofc2": "ofc1"}[c.Magic()]
	text("version_of_other_kem", other+" is for keys of another length, and is checked",
		reference.CollectorText(other, "security", append(c.Body(), reference.CollectorCheck(other, "security", c.Body())...)))
	text("version_uppercase", "there is one spelling of the first field", strings.Replace(c.Text(), c.Magic(), strings.ToUpper(c.Magic()), 1))
	text("version_of_value", "the first field is that of a sealed value", strings.Replace(c.Text(), c.Magic(), "pii1", 1))
	text("uppercase", "all in capitals, as from a form that means well", strings.ToUpper(c.Text()))
	text("purpose_relabelled", "security's, labelled advertising", strings.Replace(c.Text(), "security", "advertising", 1))
	text("purpose_uppercase", "one spelling of a name, though the check be right", of(func(c *reference.Collector) { c.Purpose = "Security" }))
	text("purpose_empty", "a purpose has a letter at least", of(func(c *reference.Collector) { c.Purpose = "" }))
	text("purpose_over_long", "64 bytes", of(func(c *reference.Collector) { c.Purpose = "p" + strings.Repeat("-", 63) }))
	text("purpose_of_two", "a collector has one purpose", of(func(c *reference.Collector) { c.Purpose = "advertising~security" }))
	text("field_missing", "no purpose", strings.Replace(c.Text(), ".security", "", 1))
	text("field_extra", "a dot after the last field", c.Text()+".")
	text("body_missing", "nothing after the purpose", c.Magic()+".security.")
	text("empty", "nothing at all", "")
	text("key_id_altered", "a bit of the key id", flipped(3))
	text("key_altered", "a bit of the public key", flipped(20))
	text("check_altered", "the last bit of the check", flipped(len(body)-1))
	text("check_missing", "the key id and the public key alone", reference.CollectorText(c.Magic(), "security", c.Body()))
	text("check_of_key", "the check is over the key alone, so that it does not find a wrong purpose",
		reference.CollectorText(c.Magic(), "security", append(c.Body(), reference.CollectorCheck(c.Magic(), "", c.Body())...)))
	text("key_prefixed", "Tink's prefix, of which only the id belongs here", checked(append([]byte{1}, c.Body()...)))
	text("key_short", fmt.Sprintf("a public key of %d bytes", len(c.Public)-1), checked(c.Body()[:len(c.Body())-1]))
	text("key_long", fmt.Sprintf("a public key of %d bytes", len(c.Public)+1), checked(append(c.Body(), 0)))
	text("key_private_beside", "a private key after the public one", checked(append(c.Body(), own.Key...)))
	for _, low := range reference.LowOrder {
		text("key_"+low.Name, "a public key of low order, for which anybody opens what is sealed",
			of(func(c *reference.Collector) {
				c.Public = slices.Concat(c.Public[:len(c.Public)-32], reference.Hex(low.Point))
			}))
	}
	if k.typ() == 4 {
		text("key_ml_kem_not_reduced", "a coefficient of ML-KEM's half is 4,095, and has to be below 3,329", of(func(c *reference.Collector) {
			c.Public = slices.Clone(c.Public)
			c.Public[0], c.Public[1] = 0xff, c.Public[1]|0x0f
		}))
		text("key_ml_kem_modulus", "a coefficient of ML-KEM's half is 3,329, a second spelling of 0", of(func(c *reference.Collector) {
			c.Public = slices.Clone(c.Public)
			c.Public[0], c.Public[1] = 0x01, c.Public[1]&0xf0|0x0d
		}))
		text("key_halves_swapped", "X25519's half stands before ML-KEM's", of(func(c *reference.Collector) {
			c.Public = slices.Concat(c.Public[1184:], c.Public[:1184])
		}))
	}
	text("truncated_by_one", "the last character is missing", c.Text()[:len(c.Text())-1])
	text("base64_padded", "'=' at the end", c.Text()+"==")
	text("base64_bits_left", "the bits that the last character has over are not zero", func() string {
		s := c.Text()
		return s[:len(s)-1] + string(s[len(s)-1]+1)
	}())
	text("base64_standard_alphabet", "'+' and '/' for '-' and '_'", func() string {
		for i := 0; ; i++ {
			d := reference.CollectorOf("security", key(fmt.Sprint("standard alphabet ", i), own.ID))
			at := len(c.Magic() + ".security.")
			if s := d.Text()[at:]; strings.Contains(s, "-") && strings.Contains(s, "_") {
				return d.Text()[:at] + strings.NewReplacer("-", "+", "_", "/").Replace(s)
			}
		}
	}())
	insert := func(s string) string {
		at := len(c.Magic()+".security.") + 28
		return c.Text()[:at] + s + c.Text()[at:]
	}
	text("line_feed", "a line break in the body", insert("\n"))
	text("carriage_return", "a carriage return in the body", insert("\r"))
	text("line_feed_last", "a line break at the end, as from a file", c.Text()+"\n")
	text("space_before", "nothing is trimmed", " "+c.Text())
	text("space_last", "nothing is trimmed", c.Text()+" ")
	text("nul_last", "NUL ends strings in C, and no text here", c.Text()+"\x00")
	text("byte_order_mark", "nothing is trimmed", "\ufeff"+c.Text())
	text("not_ascii", "a fullwidth letter in the body", insert("Ａ"))
	text("over_long", "longer than the longest text there is, by one line break that a lenient decoder would skip",
		reference.CollectorOf(longest, own).Text()+"\n")
}

// checkCollectorText checks that both implementations read a collector's text,
// and what is sealed with it opens.
func checkCollectorText(t *testing.T, v *vector, scopes vecScopes) {
	text := string(v.value)
	c, err := vault.ParseCollector(text, nil)
	require.Equal(t, v.get("expect"), vaulttest.Class(err))
	ref, ok := reference.ParseCollector(text)
	require.Equal(t, v.get("expect") == "success", ok, "independent implementation")
	if !ok {
		require.Nil(t, c)
		return
	}
	require.Equal(t, text, ref.Text())
	again, err := c.MarshalText()
	require.NoError(t, err)
	require.Equal(t, text, string(again))
	require.Equal(t, v.get("purpose"), c.Purpose().String())
	require.Equal(t, v.get("purpose"), ref.Purpose)
	require.Equal(t, v.get("key id"), fmt.Sprintf("%08x", ref.ID))
	require.Equal(t, v.get("public key"), hex.EncodeToString(ref.Public))

	asked := v.asked()
	asked.Kind = "email"
	sealed, err := vault.Seal(t.Context(), vaulttest.Email, vaulttest.Address, c)
	require.NoError(t, err)
	written, err := sealed.MarshalText()
	require.NoError(t, err)
	value, ok := reference.Parse(string(written))
	require.True(t, ok)
	plaintext, class := value.Open(asked)
	require.Equal(t, "success", class)
	require.Equal(t, vaulttest.Address, plaintext)

	theirs := reference.Value{Kind: "email", ID: reference.Random(16)}
	theirs.Slots = []reference.Slot{ref.Seal("email", theirs.ID, vaulttest.PlainHeader, vaulttest.Address)}
	sealed, err = vault.ParseSealed(theirs.Text())
	require.NoError(t, err)
	plaintext, err = scopes.of(t, v).Reveal(t.Context(), vaulttest.Email, sealed)
	require.NoError(t, err)
	require.Equal(t, vaulttest.Address, plaintext)
}
