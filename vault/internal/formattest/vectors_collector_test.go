package formattest

import (
	"bytes"
	"encoding/base64"
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

// A slotKey is a key that a collector made, and the same wrapped.
type slotKey struct{ wrapped, key []byte }

// slotKey makes one for the purpose's primary key of collectors.
func (m maker) slotKey(name string) slotKey { return m.slotKeyFor(name, vaulttest.Collect[name][0]) }

func (m maker) slotKeyFor(name string, to reference.Key) slotKey {
	key := m.bytes("slot key "+name, 32)
	return slotKey{reference.WrapKey(m.bytes("ephemeral "+name, 32), to.ID, reference.Public(to.Key), reference.CollectInfo(name), key), key}
}

// slotUnder seals a slot of type 3.
func (m maker) slotUnder(k slotKey, v reference.Value, name string, h reference.Header, plaintext string) reference.Slot {
	h.Typ = 3
	header := h.Bytes()
	return reference.Slot{Purpose: name, Header: header, Sealed: reference.Collect(k.wrapped, k.key, m.bytes("nonce "+name, 12), reference.Pad(plaintext),
		reference.AAD(v.Kind, name, v.ID, header, ""))}
}

// collected is the plain case, with a slot for each purpose.
func (m maker) collected(names ...string) reference.Value {
	return m.collectedAs("email", vaulttest.PlainHeader, names...)
}

func (m maker) collectedAs(kind string, h reference.Header, names ...string) reference.Value {
	v := reference.Value{Kind: kind, ID: m.bytes("value id", 16)}
	for _, name := range names {
		v.Slots = append(v.Slots, m.slotUnder(m.slotKey(name), v, name, h, vaulttest.Address))
	}
	return v
}

// collects adds the reader's keys of collectors.
func (v *vector) collects(keys ...reference.Key) *vector {
	var fields [][2]string
	for _, k := range keys {
		fields = append(fields, [2]string{"collect key", fmt.Sprintf("%08x %x", k.ID, k.Key)})
	}
	return v.insert(fields...)
}

// collectsOwn adds those of the purpose asked.
func (v *vector) collectsOwn() *vector { return v.collects(vaulttest.Collect[v.get("purpose")]...) }

func (l *vecList) collected() {
	m := maker("collected")
	l.opens(string(m), "security", "sealed by a collector", vaulttest.Address, m.collected("security")).collectsOwn()
	m = "collected_binary"
	v := m.collected("security")
	vec := l.opens(string(m), "security", "the binary form", vaulttest.Address, v).collectsOwn()
	vec.binary(v.Binary())

	m = "collected_batch"
	batch := m.slotKey("security")
	for _, name := range []string{"first", "second"} {
		in := m + maker("_"+name)
		v := reference.Value{Kind: "email", ID: in.bytes("value id", 16)}
		plaintext := name + "@example.com"
		v.Slots = []reference.Slot{in.slotUnder(batch, v, "security", vaulttest.PlainHeader, plaintext)}
		l.opens(string(in), "security", "of a batch of two, whose wrapped key is the same", plaintext, v).collectsOwn()
	}

	m = "collected_provenance"
	h := reference.Header{Collected: reference.Time, Legal: 1, Notice: "signup-v7", Consent: "consent-2026-81f3", Expires: vaulttest.Never}
	l.opens(string(m), "security", "every field that a collector writes", vaulttest.Address, m.collectedAs("email", h, "security")).collectsOwn()
	for _, n := range []int{1, 31, 32, 1024} {
		m = maker(fmt.Sprintf("collected_plaintext_%d", n))
		v := reference.Value{Kind: "email", ID: m.bytes("value id", 16)}
		plaintext := strings.Repeat("0123456789abcdef", 64)[:n]
		v.Slots = []reference.Slot{m.slotUnder(m.slotKey("security"), v, "security", vaulttest.PlainHeader, plaintext)}
		l.opens(string(m), "security", fmt.Sprintf("%d bytes of plaintext", n), plaintext, v).collectsOwn()
	}

	m = "collected_key_rotated"
	older := m.slotKeyFor("security", vaulttest.Collect["security"][1])
	v = reference.Value{Kind: "email", ID: m.bytes("value id", 16)}
	v.Slots = []reference.Slot{m.slotUnder(older, v, "security", vaulttest.PlainHeader, vaulttest.Address)}
	l.opens(string(m), "security", "wrapped for a key that is no longer primary", vaulttest.Address, v).collectsOwn()

	m = "collected_two_purposes"
	v = m.collected("advertising", "security")
	l.opens(string(m), "security", "a collector of each purpose sealed a slot, under a key of its own", vaulttest.Address, v).collectsOwn()
	l.opens(string(m)+"_other", "advertising", "the same value, asked for the other purpose", vaulttest.Address, v).collectsOwn()

	m = "collected_beside_all"
	v = reference.Value{Kind: "email", ID: m.bytes("value id", 16)}
	v.Slots = []reference.Slot{
		m.slot(v, "advertising", vaulttest.PlainHeader, vaulttest.Address), m.slotFor(v, "billing", vecSubject, vaulttest.PlainHeader),
		m.slotUnder(m.slotKey("security"), v, "security", vaulttest.PlainHeader, vaulttest.Address),
	}
	l.opens(string(m), "security", "slots of types 1, 2 and 3, asked for that of type 3", vaulttest.Address, v).collectsOwn()
	l.opens(string(m)+"_purpose", "advertising", "the same value, asked for the slot of type 1", vaulttest.Address, v).collectsOwn()
	l.opens(string(m)+"_subject", "billing", "the same value, asked for the slot of type 2", vaulttest.Address, v).own(vecSubject).collectsOwn()

	m = "collected_expired"
	l.sealed(string(m), "expired", "yes", "email", "security", "retention ended in 2020",
		m.collectedAs("email", reference.Header{Collected: vecPast, Expires: vecPast + 1}, "security").Text()).collectsOwn()
	m = "collected_time_latest"
	l.sealed(string(m), "corrupt", "yes", "email", "security", "collected more than a day after now, with a time of retention",
		m.collectedAs("email", reference.Header{Collected: vecMax - 1, Expires: vecMax}, "security").Text()).collectsOwn()
	m = "collected_mismatch"
	l.sealed(string(m), "mismatch", "yes", "email", "advertising", "an honest wrong purpose", m.collected("security").Text()).collectsOwn()
	m = "collected_asked_of_subject"
	l.sealed(string(m), "subject", "yes", "email", "security", "asked for a subject: what a collector sealed is nobody's in particular",
		m.collected("security").Text()).own(vecSubject).collectsOwn()
	m = "collected_asked_of_subject_forged"
	v = m.collected("security")
	v.Slots[0].Sealed[40] ^= 1
	l.sealed(string(m), "subject", "yes", "email", "security", "the header alone tells who may ask, whatever it labels", v.Text()).
		own(vecSubject).collectsOwn()
}

// collectedFaults are values of collectors that do not open, or do not parse.
func (l *vecList) collectedFaults() {
	forged := func(name, comment string, make func(m maker) reference.Value) {
		l.sealed("collected_"+name, "corrupt", "yes", "email", "security", comment, make(maker("collected_"+name)).Text()).collectsOwn()
	}
	// around puts content of a right value, which its own key opens, behind another
	// wrapping of that key.
	around := func(name, comment string, wrap func(m maker, key []byte) []byte) {
		forged(name, comment, func(m maker) reference.Value {
			v := reference.Value{Kind: "email", ID: m.bytes("value id", 16)}
			key := m.slotKey("security").key
			v.Slots = []reference.Slot{m.slotUnder(slotKey{wrap(m, key), key}, v, "security", vaulttest.PlainHeader, vaulttest.Address)}
			return v
		})
	}
	own := vaulttest.Collect["security"][0]
	public := reference.Public(own.Key)
	info := func(name, comment string, info []byte) {
		around(name, comment, func(m maker, key []byte) []byte {
			return reference.WrapKey(m.bytes("ephemeral security", 32), own.ID, public, info, key)
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
			return reference.WrapKey(m.bytes("ephemeral security", 32), id, reference.Public(key.Key), reference.CollectInfo("security"), slotKey)
		})
	}
	ads := vaulttest.Collect["advertising"][0]
	to("key_of_other_purpose", "wrapped for advertising's key and bound to security", ads.ID, ads)
	to("key_of_other_purpose_relabelled", "the same, under the id of a key of security", own.ID, ads)
	to("key_relabelled", "wrapped for the purpose's older key, under the id of the primary one", own.ID, vaulttest.Collect["security"][1])
	to("key_unknown", "a key id that the scope has no key for", own.ID^0x100, own)
	to("key_of_seal", "the id of a key that seals values, which the purpose has", vecSecurity.Seal[0].ID, own)
	l.sealed("collected_key_retired", "corrupt", "yes", "email", "security", "wrapped for a key that was retired since",
		func() string {
			m := maker("collected_key_retired")
			v := reference.Value{Kind: "email", ID: m.bytes("value id", 16)}
			k := m.slotKeyFor("security", vaulttest.Collect["security"][1])
			v.Slots = []reference.Slot{m.slotUnder(k, v, "security", vaulttest.PlainHeader, vaulttest.Address)}
			return v.Text()
		}()).collects(own)
	forged("purpose_relabelled", "a collector of advertising sealed it, labelled security", func(m maker) reference.Value {
		v := m.collected("advertising")
		v.Slots[0].Purpose = "security"
		return v
	})

	// What HPKE itself has to refuse.
	suite := func(name, comment string, s reference.HPKE, enc func(enc []byte) []byte) {
		around(name, comment, func(m maker, key []byte) []byte {
			ephemeral := m.bytes("ephemeral security", 32)
			dh, _ := reference.Exchange(ephemeral, public)
			return reference.WrapKeyWith(s, dh, enc(reference.Public(ephemeral)), own.ID, public, reference.CollectInfo("security"), key)
		})
	}
	same := func(enc []byte) []byte { return enc }
	suite("suite_aes128", "the key is wrapped with AES-128-GCM", reference.HPKE{Mode: 0, AEAD: 1}, same)
	suite("mode_psk", "the mode is that of a pre-shared key, which is empty", reference.HPKE{Mode: 1, AEAD: 2}, same)
	suite("mode_auth", "the mode is that of an authenticated sender", reference.HPKE{Mode: 2, AEAD: 2}, same)
	for _, c := range reference.LowOrder {
		around("enc_"+c.Name, "the encapsulated key is of low order, and the rest follows from what is then exchanged: zeros",
			func(m maker, key []byte) []byte {
				return reference.WrapKeyWith(reference.Suite, make([]byte, 32), reference.Hex(c.Point), own.ID, public, reference.CollectInfo("security"), key)
			})
	}
	around("wrapped_with_aad", "the info is bound a second time, as associated data", func(m maker, key []byte) []byte {
		ephemeral := m.bytes("ephemeral security", 32)
		dh, _ := reference.Exchange(ephemeral, public)
		info := reference.CollectInfo("security")
		gcm, nonce := reference.Suite.Context(dh, reference.Public(ephemeral), public, info)
		whole := reference.WrapKey(ephemeral, own.ID, public, info, key)
		return gcm.Seal(whole[:37:37], nonce, key, info)
	})
	around("wrapped_second", "the wrapped key is the second message of its context", func(m maker, key []byte) []byte {
		ephemeral := m.bytes("ephemeral security", 32)
		dh, _ := reference.Exchange(ephemeral, public)
		info := reference.CollectInfo("security")
		gcm, nonce := reference.Suite.Context(dh, reference.Public(ephemeral), public, info)
		nonce[11] ^= 1
		whole := reference.WrapKey(ephemeral, own.ID, public, info, key)
		return gcm.Seal(whole[:37:37], nonce, key, nil)
	})

	flip := func(name, comment string, at int, bit byte) {
		forged(name, comment, func(m maker) reference.Value {
			v := m.collected("security")
			s := v.Slots[0].Sealed
			s[(at+len(s))%len(s)] ^= bit
			return v
		})
	}
	flip("enc_altered", "a bit of the encapsulated key", 5, 1)
	flip("enc_high_bit", "the bit of the encapsulated key that X25519 ignores", 5+31, 0x80)
	flip("wrapped_key_altered", "a bit of the wrapped key", 5+32, 1)
	flip("wrapped_tag_altered", "the last bit of the tag of the wrapped key", 84, 1)
	flip("nonce_altered", "a bit of the nonce", 85, 1)
	flip("ciphertext_altered", "a bit of the ciphertext", 85+12, 1)
	flip("tag_altered", "the last bit of the tag", -1, 1)

	other := func(m maker) reference.Value { return (m + " other").collected("security") }
	forged("wrapped_key_of_another", "the wrapped key of another value, in front of this one's content", func(m maker) reference.Value {
		v := m.collected("security")
		copy(v.Slots[0].Sealed, other(m).Slots[0].Sealed[:85])
		return v
	})
	forged("enc_of_another", "the encapsulated key of another value", func(m maker) reference.Value {
		v := m.collected("security")
		copy(v.Slots[0].Sealed[5:], other(m).Slots[0].Sealed[5:37])
		return v
	})
	forged("slot_of_another", "the slot is another value's", func(m maker) reference.Value {
		v := m.collected("security")
		v.Slots = other(m).Slots
		return v
	})
	forged("batch_slots_mixed", "the slot is another value's of the same batch, so that the wrapped key is right", func(m maker) reference.Value {
		batch := m.slotKey("security")
		v, w := reference.Value{Kind: "email", ID: m.bytes("value id", 16)}, reference.Value{Kind: "email", ID: (m + " other").bytes("value id", 16)}
		v.Slots = []reference.Slot{(m + " other").slotUnder(batch, w, "security", vaulttest.PlainHeader, vaulttest.Address)}
		return v
	})
	forged("batch_slot_of_other_purpose", "one wrapped key for two purposes, as if a batch could have one", func(m maker) reference.Value {
		v := m.collected("advertising")
		v.Slots = append(v.Slots, m.slotUnder(m.slotKey("advertising"), v, "security", vaulttest.PlainHeader, vaulttest.Address))
		return v
	})
	forged("header_edited", "the time of collection was moved", func(m maker) reference.Value {
		v := m.collected("security")
		v.Slots[0].Header[6]++
		return v
	})
	forged("consent_added", "a consent was invented", func(m maker) reference.Value {
		v := m.collected("security")
		h := vaulttest.PlainHeader
		h.Typ, h.Consent = 3, "consent-1"
		v.Slots[0].Header = h.Bytes()
		return v
	})
	forged("kind_relabelled", "sealed as a phone, labelled email", func(m maker) reference.Value {
		v := m.collectedAs("phone", vaulttest.PlainHeader, "security")
		v.Kind = "email"
		return v
	})

	// What the slot key is used with.
	h := vaulttest.PlainHeader
	h.Typ = 3
	content := func(name, comment string, seal func(m maker, k slotKey, id []byte) []byte) {
		forged(name, comment, func(m maker) reference.Value {
			v := reference.Value{Kind: "email", ID: m.bytes("value id", 16)}
			v.Slots = []reference.Slot{{Purpose: "security", Header: h.Bytes(), Sealed: seal(m, m.slotKey("security"), v.ID)}}
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
		{"in_wrapped_key", "cut off in the wrapped key", 5 + 32 + 16}, {"after_wrapped_key", "cut off after the wrapped key", 85},
		{"in_nonce", "cut off in the nonce", 85 + 6}, {"in_ciphertext", "cut off in the ciphertext", 85 + 12 + 16},
		{"by_one", "the last byte is missing", 85 + 12 + 32 + 15},
	} {
		l.malformed("collected_truncated_"+c.name, c.comment, func(m maker) string {
			v := m.collected("security")
			v.Slots[0].Sealed = v.Slots[0].Sealed[:c.n]
			return v.Text()
		})
	}
	l.malformed("collected_trailing_byte", "a byte after the tag", func(m maker) string {
		v := m.collected("security")
		v.Slots[0].Sealed = append(v.Slots[0].Sealed, 0)
		return v.Text()
	})
	l.malformed("type_3_relabelled_1", "no slot of type 3 has the length of one of type 1", func(m maker) string {
		v := m.collected("security")
		v.Slots[0].Header[0] = 1
		return v.Text()
	})
	l.malformed("type_3_relabelled_2", "no slot of type 3 has the length of one of type 2", func(m maker) string {
		v := m.collected("security")
		v.Slots[0].Header[0] = 2
		return v.Text()
	})
}

// collectedRecords are key records with the keysets that not all of them have.
func (l *vecList) collectedRecords() {
	keys := vaulttest.Records["security"]
	record := func(name, comment string, payload reference.KeyPayload) *vector {
		m := maker("key_record_" + name)
		kek := vaulttest.KEK{Key: vaulttest.KEKKey, Nonce: m.bytes("kek nonce", 12)}
		data := reference.Wrap(kek, "security", encodePayload(payload), m.bytes("dek", 32), m.bytes("nonce", 12))
		v := &vector{name: string(m), value: []byte(hex.EncodeToString(data) + "\n")}
		v.add("expect", "success")
		v.add("form", "key record")
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

	v := record("collect", "with two keys of collectors, of which the first is primary", keys.Payload("security"))
	under(v, "opens collected", primary)
	under(v, "opens collected", older)
	collector(v)

	with := func(entries ...reference.Entry) reference.KeyPayload {
		p := reference.Payload("security", keys.Keys)
		p.Collect = &reference.Keyset{Keyset: base64.StdEncoding.EncodeToString(reference.ProtoEntries(entries...))}
		return p
	}
	entries := reference.CollectEntries(keys.Collect)
	entries[1].Status = reference.Disabled
	v = record("collect_retired", "with a key of collectors that is retired", with(entries...))
	under(v, "opens collected", primary)
	under(v, "refuses", older)
	collector(v)

	// A keyset that is not one of collectors is as good as none: what needs it is
	// refused, and nothing else.
	good := reference.CollectEntry(primary, reference.Public(primary.Key), 2)
	retired := func(k reference.Key) reference.Entry {
		e := reference.CollectEntry(k, reference.Public(k.Key), 2)
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
		{"aes128", "a key of another suite", []reference.Entry{reference.CollectEntry(primary, reference.Public(primary.Key), 1)}},
		{"raw", "a key without a prefix can't be told from others", []reference.Entry{func() reference.Entry { e := good; e.Prefix = 3; return e }()}},
		{"crunchy", "a prefix that no sealed part has", []reference.Entry{func() reference.Entry { e := good; e.Prefix = 4; return e }()}},
		{"beside_other_suite", "a key of another suite beside a right one", []reference.Entry{good, reference.CollectEntry(older, reference.Public(older.Key), 1)}},
		{"halves_apart", "the public half is another key's", []reference.Entry{reference.CollectEntry(primary, reference.Public(older.Key), 2)}},
		{"public_alone", "the public half and no more", []reference.Entry{func() reference.Entry {
			e := good
			e.Typ, e.Material = strings.Replace(reference.HPKEType, "Private", "Public", 1), 3
			value, _ := reference.ReadProto(e.Value)
			e.Value = value.Only(2)
			return e
		}()}},
	} {
		v := record("collect_"+c.name, c.comment, with(c.entries...))
		under(v, "refuses", primary)
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
	ours := vaulttest.OpenKept(t, storeOf(t, "security/keys", reference.Hex(string(bytes.TrimSuffix(v.value, []byte("\n"))))), vault.SharedKEK(vaulttest.KEK{Key: vaulttest.KEKKey}))
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
func storeOf(t testing.TB, name string, data []byte) vault.Store {
	t.Helper()
	store := vault.Memory()
	_, err := store.Put(t.Context(), vault.Record{Name: name, Data: data})
	require.NoError(t, err)
	return store
}

// collectorTexts are the texts that collectors are configured with.
func (l *vecList) collectorTexts() {
	add := func(name, expect, comment, text string) *vector {
		v := &vector{name: "collector_text_" + name, value: []byte(text)}
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
	own := vaulttest.Collect["security"][0]
	c := reference.CollectorOf("security", own)
	good("good", "security", "the text of a collector", own)
	good("rotated", "security", "of a key that is no longer primary seals for that one", vaulttest.Collect["security"][1])
	good("purpose_shortest", "s", "a purpose of one byte", vaulttest.Key("collect s", 0x5c000001))
	longest := "p" + strings.Repeat("-", 62)
	good("purpose_longest", longest, "a purpose of 63 bytes", vaulttest.Key("collect p", 0x10000001))
	good("key_id_highest", "security", "all bits of the key id are set", reference.Key{ID: 0xffffffff, Key: own.Key})

	text := func(name, comment, text string) { add(name, "corrupt", comment, text) }
	of := func(change func(c *reference.Collector)) string { d := c; change(&d); return d.Text() }
	body := append(c.Body(), reference.CollectorCheck("security", c.Body())...)
	checked := func(body []byte) string {
		return reference.CollectorText("security", append(slices.Clone(body), reference.CollectorCheck("security", body)...))
	}
	flipped := func(at int) string {
		b := slices.Clone(body)
		b[at] ^= 1
		return reference.CollectorText("security", b)
	}
	text("version_unknown", "ofc2 is for another version", strings.Replace(c.Text(), "ofc1", "ofc2", 1))
	text("version_uppercase", "there is one spelling of the first field", strings.Replace(c.Text(), "ofc1", "OFC1", 1))
	text("version_of_value", "the first field is that of a sealed value", strings.Replace(c.Text(), "ofc1", "pii1", 1))
	text("uppercase", "all in capitals, as from a form that means well", strings.ToUpper(c.Text()))
	text("purpose_relabelled", "security's, labelled advertising", strings.Replace(c.Text(), "security", "advertising", 1))
	text("purpose_uppercase", "one spelling of a name, though the check be right", of(func(c *reference.Collector) { c.Purpose = "Security" }))
	text("purpose_empty", "a purpose has a letter at least", of(func(c *reference.Collector) { c.Purpose = "" }))
	text("purpose_over_long", "64 bytes", of(func(c *reference.Collector) { c.Purpose = "p" + strings.Repeat("-", 63) }))
	text("purpose_of_two", "a collector has one purpose", of(func(c *reference.Collector) { c.Purpose = "advertising~security" }))
	text("field_missing", "no purpose", strings.Replace(c.Text(), ".security", "", 1))
	text("field_extra", "a dot after the last field", c.Text()+".")
	text("body_missing", "nothing after the purpose", "ofc1.security.")
	text("empty", "nothing at all", "")
	text("key_id_altered", "a bit of the key id", flipped(3))
	text("key_altered", "a bit of the public key", flipped(20))
	text("check_altered", "the last bit of the check", flipped(39))
	text("check_missing", "the key id and the public key alone", reference.CollectorText("security", c.Body()))
	text("check_of_key", "the check is over the key alone, so that it does not find a wrong purpose",
		reference.CollectorText("security", append(c.Body(), reference.CollectorCheck("", c.Body())...)))
	text("key_prefixed", "Tink's prefix, of which only the id belongs here", checked(append([]byte{1}, c.Body()...)))
	text("key_short", "a public key of 31 bytes", checked(c.Body()[:35]))
	text("key_long", "a public key of 33 bytes", checked(append(c.Body(), 0)))
	text("key_private_beside", "a private key after the public one", checked(append(c.Body(), own.Key...)))
	for _, low := range reference.LowOrder {
		text("key_"+low.Name, "a public key of low order, for which anybody opens what is sealed",
			of(func(c *reference.Collector) { c.Public = reference.Hex(low.Point) }))
	}
	text("truncated_by_one", "the last character is missing", c.Text()[:len(c.Text())-1])
	text("base64_padded", "'=' at the end", c.Text()+"==")
	text("base64_bits_left", "the bits that the last character has over are not zero", func() string {
		s := c.Text()
		return s[:len(s)-1] + string(s[len(s)-1]+1)
	}())
	text("base64_standard_alphabet", "'+' and '/' for '-' and '_'", func() string {
		for i := 0; ; i++ {
			d := reference.CollectorOf("security", vaulttest.Key(fmt.Sprint("standard alphabet ", i), own.ID))
			at := len("ofc1.security.")
			if s := d.Text()[at:]; strings.Contains(s, "-") && strings.Contains(s, "_") {
				return d.Text()[:at] + strings.NewReplacer("-", "+", "_", "/").Replace(s)
			}
		}
	}())
	insert := func(s string) string { at := len("ofc1.security.") + 28; return c.Text()[:at] + s + c.Text()[at:] }
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
