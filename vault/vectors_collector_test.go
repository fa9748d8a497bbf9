package vault_test

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
)

// The vectors of collectors: values that they sealed, the keys that open those,
// and the text that a collector is configured with.

// A slotKey is a key that a collector made, and the same wrapped.
type slotKey struct{ wrapped, key []byte }

// slotKey makes one for the purpose's primary key of collectors.
func (m maker) slotKey(name string) slotKey { return m.slotKeyFor(name, vecCollect[name][0]) }

func (m maker) slotKeyFor(name string, to refKey) slotKey {
	key := m.bytes("slot key "+name, 32)
	return slotKey{refWrapKey(m.bytes("ephemeral "+name, 32), to.id, refPublic(to.key), refCollectInfo(name), key), key}
}

// slotUnder seals a slot of type 3.
func (m maker) slotUnder(k slotKey, v refValue, name string, h refHeader, plaintext string) refSlot {
	h.typ = 3
	header := h.bytes()
	return refSlot{name, header, refCollect(k.wrapped, k.key, m.bytes("nonce "+name, 12), refPad(plaintext),
		refAAD(v.kind, name, v.id, header, ""))}
}

// collected is the plain case, with a slot for each purpose.
func (m maker) collected(names ...string) refValue { return m.collectedAs("email", vecPlain, names...) }

func (m maker) collectedAs(kind string, h refHeader, names ...string) refValue {
	v := refValue{kind: kind, id: m.bytes("value id", 16)}
	for _, name := range names {
		v.slots = append(v.slots, m.slotUnder(m.slotKey(name), v, name, h, vecAddress))
	}
	return v
}

// collects adds the reader's keys of collectors.
func (v *vector) collects(keys ...refKey) *vector {
	var fields [][2]string
	for _, k := range keys {
		fields = append(fields, [2]string{"collect key", fmt.Sprintf("%08x %x", k.id, k.key)})
	}
	return v.insert(fields...)
}

// collectsOwn adds those of the purpose asked.
func (v *vector) collectsOwn() *vector { return v.collects(vecCollect[v.get("purpose")]...) }

func (l *vecList) collected() {
	m := maker("collected")
	l.opens(string(m), "security", "sealed by a collector", vecAddress, m.collected("security")).collectsOwn()
	m = "collected_binary"
	v := m.collected("security")
	vec := l.opens(string(m), "security", "the binary form", vecAddress, v).collectsOwn()
	vec.binary(v.binary())

	m = "collected_batch"
	batch := m.slotKey("security")
	for _, name := range []string{"first", "second"} {
		in := m + maker("_"+name)
		v := refValue{kind: "email", id: in.bytes("value id", 16)}
		plaintext := name + "@example.com"
		v.slots = []refSlot{in.slotUnder(batch, v, "security", vecPlain, plaintext)}
		l.opens(string(in), "security", "of a batch of two, whose wrapped key is the same", plaintext, v).collectsOwn()
	}

	m = "collected_provenance"
	h := refHeader{collected: vecTime, legal: 1, notice: "signup-v7", consent: "consent-2026-81f3", expires: vecNever}
	l.opens(string(m), "security", "every field that a collector writes", vecAddress, m.collectedAs("email", h, "security")).collectsOwn()
	for _, n := range []int{1, 31, 32, 1024} {
		m = maker(fmt.Sprintf("collected_plaintext_%d", n))
		v := refValue{kind: "email", id: m.bytes("value id", 16)}
		plaintext := strings.Repeat("0123456789abcdef", 64)[:n]
		v.slots = []refSlot{m.slotUnder(m.slotKey("security"), v, "security", vecPlain, plaintext)}
		l.opens(string(m), "security", fmt.Sprintf("%d bytes of plaintext", n), plaintext, v).collectsOwn()
	}

	m = "collected_key_rotated"
	older := m.slotKeyFor("security", vecCollect["security"][1])
	v = refValue{kind: "email", id: m.bytes("value id", 16)}
	v.slots = []refSlot{m.slotUnder(older, v, "security", vecPlain, vecAddress)}
	l.opens(string(m), "security", "wrapped for a key that is no longer primary", vecAddress, v).collectsOwn()

	m = "collected_two_purposes"
	v = m.collected("advertising", "security")
	l.opens(string(m), "security", "a collector of each purpose sealed a slot, under a key of its own", vecAddress, v).collectsOwn()
	l.opens(string(m)+"_other", "advertising", "the same value, asked for the other purpose", vecAddress, v).collectsOwn()

	m = "collected_beside_all"
	v = refValue{kind: "email", id: m.bytes("value id", 16)}
	v.slots = []refSlot{
		m.slot(v, "advertising", vecPlain, vecAddress), m.slotFor(v, "billing", vecSubject, vecPlain),
		m.slotUnder(m.slotKey("security"), v, "security", vecPlain, vecAddress),
	}
	l.opens(string(m), "security", "slots of types 1, 2 and 3, asked for that of type 3", vecAddress, v).collectsOwn()
	l.opens(string(m)+"_purpose", "advertising", "the same value, asked for the slot of type 1", vecAddress, v).collectsOwn()
	l.opens(string(m)+"_subject", "billing", "the same value, asked for the slot of type 2", vecAddress, v).own(vecSubject).collectsOwn()

	m = "collected_expired"
	l.sealed(string(m), "expired", "yes", "email", "security", "retention ended in 2020",
		m.collectedAs("email", refHeader{collected: vecPast, expires: vecPast + 1}, "security").text()).collectsOwn()
	m = "collected_time_latest"
	l.sealed(string(m), "corrupt", "yes", "email", "security", "collected more than a day after now, with a time of retention",
		m.collectedAs("email", refHeader{collected: vecMax - 1, expires: vecMax}, "security").text()).collectsOwn()
	m = "collected_mismatch"
	l.sealed(string(m), "mismatch", "yes", "email", "advertising", "an honest wrong purpose", m.collected("security").text()).collectsOwn()
	m = "collected_asked_of_subject"
	l.sealed(string(m), "subject", "yes", "email", "security", "asked for a subject: what a collector sealed is nobody's in particular",
		m.collected("security").text()).own(vecSubject).collectsOwn()
	m = "collected_asked_of_subject_forged"
	v = m.collected("security")
	v.slots[0].sealed[40] ^= 1
	l.sealed(string(m), "subject", "yes", "email", "security", "the header alone tells who may ask, whatever it labels", v.text()).
		own(vecSubject).collectsOwn()
}

// Points of low order on Curve25519, in one of the ways to write each: whatever
// the private key is, what is exchanged with them is zeros.
var vecLowOrder = []struct{ name, point string }{
	{"zero", "0000000000000000000000000000000000000000000000000000000000000000"},
	{"one", "0100000000000000000000000000000000000000000000000000000000000000"},
	{"of_order_8", "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"},
	{"of_order_8_other", "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"},
	{"minus_one", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
	{"zero_not_reduced", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
	{"one_not_reduced", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
}

// collectedFaults are values of collectors that do not open, or do not parse.
func (l *vecList) collectedFaults() {
	forged := func(name, comment string, make func(m maker) refValue) {
		l.sealed("collected_"+name, "corrupt", "yes", "email", "security", comment, make(maker("collected_"+name)).text()).collectsOwn()
	}
	// around puts content of a right value, which its own key opens, behind another
	// wrapping of that key.
	around := func(name, comment string, wrap func(m maker, key []byte) []byte) {
		forged(name, comment, func(m maker) refValue {
			v := refValue{kind: "email", id: m.bytes("value id", 16)}
			key := m.slotKey("security").key
			v.slots = []refSlot{m.slotUnder(slotKey{wrap(m, key), key}, v, "security", vecPlain, vecAddress)}
			return v
		})
	}
	own := vecCollect["security"][0]
	public := refPublic(own.key)
	info := func(name, comment string, info []byte) {
		around(name, comment, func(m maker, key []byte) []byte {
			return refWrapKey(m.bytes("ephemeral security", 32), own.id, public, info, key)
		})
	}
	info("info_of_other_purpose", "wrapped for security's key, but bound to advertising", refCollectInfo("advertising"))
	info("info_empty", "the wrapped key is bound to nothing", nil)
	info("info_without_version", "the purpose is bound, and not what the key is for", refString("security"))
	info("info_without_length", "no length tells where the purpose ends", []byte("col1security"))
	info("info_of_value", "what is bound is that of a value, all but its beginning", append([]byte("pii1"), refString("security")...))
	info("info_with_more", "a byte more than the purpose is bound", append(refCollectInfo("security"), 0))

	to := func(name, comment string, id uint32, key refKey) {
		around(name, comment, func(m maker, slotKey []byte) []byte {
			return refWrapKey(m.bytes("ephemeral security", 32), id, refPublic(key.key), refCollectInfo("security"), slotKey)
		})
	}
	ads := vecCollect["advertising"][0]
	to("key_of_other_purpose", "wrapped for advertising's key and bound to security", ads.id, ads)
	to("key_of_other_purpose_relabelled", "the same, under the id of a key of security", own.id, ads)
	to("key_relabelled", "wrapped for the purpose's older key, under the id of the primary one", own.id, vecCollect["security"][1])
	to("key_unknown", "a key id that the scope has no key for", own.id^0x100, own)
	to("key_of_seal", "the id of a key that seals values, which the purpose has", vecSecurity.seal[0].id, own)
	l.sealed("collected_key_retired", "corrupt", "yes", "email", "security", "wrapped for a key that was retired since",
		func() string {
			m := maker("collected_key_retired")
			v := refValue{kind: "email", id: m.bytes("value id", 16)}
			k := m.slotKeyFor("security", vecCollect["security"][1])
			v.slots = []refSlot{m.slotUnder(k, v, "security", vecPlain, vecAddress)}
			return v.text()
		}()).collects(own)
	forged("purpose_relabelled", "a collector of advertising sealed it, labelled security", func(m maker) refValue {
		v := m.collected("advertising")
		v.slots[0].purpose = "security"
		return v
	})

	// What HPKE itself has to refuse.
	suite := func(name, comment string, s refHPKE, enc func(enc []byte) []byte) {
		around(name, comment, func(m maker, key []byte) []byte {
			ephemeral := m.bytes("ephemeral security", 32)
			dh, _ := refExchange(ephemeral, public)
			return refWrapKeyWith(s, dh, enc(refPublic(ephemeral)), own.id, public, refCollectInfo("security"), key)
		})
	}
	same := func(enc []byte) []byte { return enc }
	suite("suite_aes128", "the key is wrapped with AES-128-GCM", refHPKE{0, 1}, same)
	suite("mode_psk", "the mode is that of a pre-shared key, which is empty", refHPKE{1, 2}, same)
	suite("mode_auth", "the mode is that of an authenticated sender", refHPKE{2, 2}, same)
	for _, c := range vecLowOrder {
		around("enc_"+c.name, "the encapsulated key is of low order, and the rest follows from what is then exchanged: zeros",
			func(m maker, key []byte) []byte {
				return refWrapKeyWith(refSuite, make([]byte, 32), refHex(c.point), own.id, public, refCollectInfo("security"), key)
			})
	}
	around("wrapped_with_aad", "the info is bound a second time, as associated data", func(m maker, key []byte) []byte {
		ephemeral := m.bytes("ephemeral security", 32)
		dh, _ := refExchange(ephemeral, public)
		info := refCollectInfo("security")
		gcm, nonce := refSuite.context(dh, refPublic(ephemeral), public, info)
		whole := refWrapKey(ephemeral, own.id, public, info, key)
		return gcm.Seal(whole[:37:37], nonce, key, info)
	})
	around("wrapped_second", "the wrapped key is the second message of its context", func(m maker, key []byte) []byte {
		ephemeral := m.bytes("ephemeral security", 32)
		dh, _ := refExchange(ephemeral, public)
		info := refCollectInfo("security")
		gcm, nonce := refSuite.context(dh, refPublic(ephemeral), public, info)
		nonce[11] ^= 1
		whole := refWrapKey(ephemeral, own.id, public, info, key)
		return gcm.Seal(whole[:37:37], nonce, key, nil)
	})

	flip := func(name, comment string, at int, bit byte) {
		forged(name, comment, func(m maker) refValue {
			v := m.collected("security")
			s := v.slots[0].sealed
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

	other := func(m maker) refValue { return (m + " other").collected("security") }
	forged("wrapped_key_of_another", "the wrapped key of another value, in front of this one's content", func(m maker) refValue {
		v := m.collected("security")
		copy(v.slots[0].sealed, other(m).slots[0].sealed[:85])
		return v
	})
	forged("enc_of_another", "the encapsulated key of another value", func(m maker) refValue {
		v := m.collected("security")
		copy(v.slots[0].sealed[5:], other(m).slots[0].sealed[5:37])
		return v
	})
	forged("slot_of_another", "the slot is another value's", func(m maker) refValue {
		v := m.collected("security")
		v.slots = other(m).slots
		return v
	})
	forged("batch_slots_mixed", "the slot is another value's of the same batch, so that the wrapped key is right", func(m maker) refValue {
		batch := m.slotKey("security")
		v, w := refValue{kind: "email", id: m.bytes("value id", 16)}, refValue{kind: "email", id: (m + " other").bytes("value id", 16)}
		v.slots = []refSlot{(m + " other").slotUnder(batch, w, "security", vecPlain, vecAddress)}
		return v
	})
	forged("batch_slot_of_other_purpose", "one wrapped key for two purposes, as if a batch could have one", func(m maker) refValue {
		v := m.collected("advertising")
		v.slots = append(v.slots, m.slotUnder(m.slotKey("advertising"), v, "security", vecPlain, vecAddress))
		return v
	})
	forged("header_edited", "the time of collection was moved", func(m maker) refValue {
		v := m.collected("security")
		v.slots[0].header[6]++
		return v
	})
	forged("consent_added", "a consent was invented", func(m maker) refValue {
		v := m.collected("security")
		h := vecPlain
		h.typ, h.consent = 3, "consent-1"
		v.slots[0].header = h.bytes()
		return v
	})
	forged("kind_relabelled", "sealed as a phone, labelled email", func(m maker) refValue {
		v := m.collectedAs("phone", vecPlain, "security")
		v.kind = "email"
		return v
	})

	// What the slot key is used with.
	h := vecPlain
	h.typ = 3
	content := func(name, comment string, seal func(m maker, k slotKey, id []byte) []byte) {
		forged(name, comment, func(m maker) refValue {
			v := refValue{kind: "email", id: m.bytes("value id", 16)}
			v.slots = []refSlot{{"security", h.bytes(), seal(m, m.slotKey("security"), v.id)}}
			return v
		})
	}
	aad := func(name, comment string, aad func(id []byte) []byte) {
		content(name, comment, func(m maker, k slotKey, id []byte) []byte {
			return refCollect(k.wrapped, k.key, m.bytes("nonce", 12), refPad(vecAddress), aad(id))
		})
	}
	aad("aad_empty", "nothing is bound", func([]byte) []byte { return nil })
	aad("aad_of_other_purpose", "another purpose is bound", func(id []byte) []byte {
		return refAAD("email", "advertising", id, h.bytes(), "")
	})
	aad("aad_of_type_1", "the header that is bound says type 1", func(id []byte) []byte {
		return refAAD("email", "security", id, vecPlain.bytes(), "")
	})
	aad("aad_with_subject", "a subject is bound, in a slot that has none", func(id []byte) []byte {
		return refAAD("email", "security", id, h.bytes(), vecSubject)
	})
	aad("aad_of_info", "what is bound is the info of the wrapped key", func([]byte) []byte { return refCollectInfo("security") })
	content("under_purpose_key", "the content is sealed under the purpose's own key, not under the one that is wrapped",
		func(m maker, k slotKey, id []byte) []byte {
			return refCollect(k.wrapped, vecSecurity.seal[0].key, m.bytes("nonce", 12), refPad(vecAddress),
				refAAD("email", "security", id, h.bytes(), ""))
		})
	for _, c := range []struct{ name, comment, padded string }{
		{"none", "plaintext up to the last byte", strings.Repeat("x", 32)},
		{"step_too_long", "a whole step of zeros more than needed", vecAddress + "\x80" + strings.Repeat("\x00", 14+32)},
		{"without_plaintext", "no plaintext before the marker", "\x80" + strings.Repeat("\x00", 31)},
		{"plaintext_over_long", "1,025 bytes of plaintext", string(refPad(strings.Repeat("x", 1025)))},
	} {
		content("padding_"+c.name, c.comment, func(m maker, k slotKey, id []byte) []byte {
			return refCollect(k.wrapped, k.key, m.bytes("nonce", 12), []byte(c.padded), refAAD("email", "security", id, h.bytes(), ""))
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
			v.slots[0].sealed = v.slots[0].sealed[:c.n]
			return v.text()
		})
	}
	l.malformed("collected_trailing_byte", "a byte after the tag", func(m maker) string {
		v := m.collected("security")
		v.slots[0].sealed = append(v.slots[0].sealed, 0)
		return v.text()
	})
	l.malformed("type_3_relabelled_1", "no slot of type 3 has the length of one of type 1", func(m maker) string {
		v := m.collected("security")
		v.slots[0].header[0] = 1
		return v.text()
	})
	l.malformed("type_3_relabelled_2", "no slot of type 3 has the length of one of type 2", func(m maker) string {
		v := m.collected("security")
		v.slots[0].header[0] = 2
		return v.text()
	})
}

// collectedRecords are key records with the keysets that not all of them have.
func (l *vecList) collectedRecords() {
	keys := vecRecords["security"]
	record := func(name, comment string, payload refKeyPayload) *vector {
		m := maker("key_record_" + name)
		kek := refKEK{vecKEK, m.bytes("kek nonce", 12)}
		data := refWrap(kek, "security", encodePayload(payload), m.bytes("dek", 32), m.bytes("nonce", 12))
		v := &vector{name: string(m), value: []byte(hex.EncodeToString(data) + "\n")}
		v.add("expect", "success")
		v.add("form", "key record")
		v.add("purpose", "security")
		v.addKeys("kek", vecKEK)
		v.add("comment", comment)
		v.add("opens", vecSample().text())
		v.add("plaintext", hex.EncodeToString([]byte(vecAddress)))
		v.add("subject", hex.EncodeToString([]byte(vecSubject)))
		v.add("pseudonym", hex.EncodeToString(refPseudonym("security", keys.refKeys, vecSubject)))
		*l = append(*l, v)
		return v
	}
	under := func(v *vector, field string, k refKey) {
		m := maker(v.name + " " + field)
		value := refValue{kind: "email", id: m.bytes("value id", 16)}
		value.slots = []refSlot{m.slotUnder(m.slotKeyFor("security", k), value, "security", vecPlain, vecAddress)}
		v.add(field, value.text())
	}
	primary, older := keys.collect[0], keys.collect[1]
	collector := func(v *vector) { v.add("collector", refCollectorOf("security", primary).text()) }

	v := record("collect", "with two keys of collectors, of which the first is primary", keys.payload("security"))
	under(v, "opens collected", primary)
	under(v, "opens collected", older)
	collector(v)

	with := func(entries ...refEntry) refKeyPayload {
		p := refPayload("security", keys.refKeys)
		p.Collect = &refKeyset{Keyset: base64.StdEncoding.EncodeToString(refProtoEntries(entries...))}
		return p
	}
	entries := refCollectEntries(keys.collect)
	entries[1].status = refDisabled
	v = record("collect_retired", "with a key of collectors that is retired", with(entries...))
	under(v, "opens collected", primary)
	under(v, "refuses", older)
	collector(v)

	imported := keys
	imported.collect, imported.imported = nil, []refKey{vecKey("elsewhere", 0xe15e0001)}
	v = record("import", "with a keyset of elsewhere, whose ciphertexts can be adopted", imported.payload("security"))
	m := maker(v.name)
	adopts := func(v *vector) {
		ad := []byte("row 17")
		v.add("adopts", hex.EncodeToString(refSeal(imported.imported[0], m.bytes("adopted nonce", 12), []byte(vecAddress), ad)))
		v.add("associated data", hex.EncodeToString(ad))
	}
	adopts(v)
	// An imported key opens no value, even one that is made as ours are.
	m = maker(v.name + " refuses")
	value := m.email()
	value.slots[0] = refSlotOf("email", "security", value.id, vecPlain, imported.imported[0], m.bytes("nonce", 12), vecAddress)
	v.add("refuses", value.text())

	both := imported
	both.collect = keys.collect
	v = record("collect_import", "with both", both.payload("security"))
	under(v, "opens collected", primary)
	collector(v)
	m = maker(v.name)
	adopts(v)

	// A keyset that is not one of collectors is as good as none: what needs it is
	// refused, and nothing else.
	good := refCollectEntry(primary, refPublic(primary.key), 2)
	retired := func(k refKey) refEntry {
		e := refCollectEntry(k, refPublic(k.key), 2)
		e.status = refDisabled
		return e
	}
	for _, c := range []struct {
		name, comment string
		entries       []refEntry
	}{
		{"empty", "a keyset of collectors without a key", nil},
		{"primary_retired", "the primary key is retired", []refEntry{retired(older), good}},
		{"all_retired", "every key is retired", []refEntry{retired(primary)}},
		{"of_aead", "a sealing key for collectors", []refEntry{
			{primary.id, refGCMType, refProtoBytes(nil, 3, primary.key), refSymmetric, refEnabled, 1}}},
		{"aes128", "a key of another suite", []refEntry{refCollectEntry(primary, refPublic(primary.key), 1)}},
		{"raw", "a key without a prefix can't be told from others", []refEntry{func() refEntry { e := good; e.prefix = 3; return e }()}},
		{"crunchy", "a prefix that no sealed part has", []refEntry{func() refEntry { e := good; e.prefix = 4; return e }()}},
		{"beside_other_suite", "a key of another suite beside a right one", []refEntry{good, refCollectEntry(older, refPublic(older.key), 1)}},
		{"halves_apart", "the public half is another key's", []refEntry{refCollectEntry(primary, refPublic(older.key), 2)}},
		{"public_alone", "the public half and no more", []refEntry{func() refEntry {
			e := good
			e.typ, e.material = strings.Replace(refHPKEType, "Private", "Public", 1), 3
			value, _ := refReadProto(e.value)
			e.value = value.only(2)
			return e
		}()}},
	} {
		v := record("collect_"+c.name, c.comment, with(c.entries...))
		under(v, "refuses", primary)
	}
}

// checkCollectRecord checks what a key record says beyond what all of them do.
func checkCollectRecord(t *testing.T, v *vector, s *vault.Scope, keys refRecord) {
	t.Helper()
	asked := v.asked()
	asked.kind, asked.keys = "email", keys
	for _, f := range v.fields {
		if f[0] != "opens collected" && f[0] != "refuses" {
			continue
		}
		want := map[string]string{"opens collected": "success", "refuses": "corrupt"}[f[0]]
		sealed, err := vault.ParseSealed(f[1])
		require.NoError(t, err)
		_, err = s.Reveal(t.Context(), vecEmail, sealed)
		require.Equal(t, want, vecClass(err))
		value, ok := refParse(f[1])
		require.True(t, ok)
		asked.subject = ""
		_, class := value.open(asked)
		require.Equal(t, want, class, "independent implementation")
	}
	if text := v.get("collector"); text != "" {
		require.Equal(t, text, refCollectorOf("security", keys.collect[0]).text())
	}
	ours := vecOpen(t, storeOf(t, "security/keys", refHex(string(bytes.TrimSuffix(v.value, []byte("\n"))))), vault.SharedKEK(refKEK{key: vecKEK}))
	c, err := ours.Collector(t.Context(), purpose.MustParse("security"))
	if want := v.get("collector"); want == "" {
		require.Equal(t, "no keys", vecClass(err))
	} else {
		require.NoError(t, err)
		text, err := c.MarshalText()
		require.NoError(t, err)
		require.Equal(t, want, string(text))
	}
	adopted, err := vault.Adopt(t.Context(), vecEmail, refHex(v.get("adopts")), refHex(v.get("associated data")), strings.ToLower, s)
	if v.get("adopts") == "" {
		require.Equal(t, "no keys", vecClass(err))
		return
	}
	require.NoError(t, err)
	plaintext, err := s.Reveal(t.Context(), vecEmail, adopted)
	require.NoError(t, err)
	require.Equal(t, v.get("plaintext"), hex.EncodeToString([]byte(plaintext)))
	opened, ok := refUnseal(keys.imported, refHex(v.get("adopts")), refHex(v.get("associated data")))
	require.True(t, ok, "independent implementation")
	require.Equal(t, plaintext, string(opened))
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
	good := func(name, purpose, comment string, k refKey) {
		c := refCollectorOf(purpose, k)
		v := add(name, "success", comment, c.text())
		v.insert([2]string{"purpose", purpose})
		v.collects(k)
		v.add("key id", fmt.Sprintf("%08x", c.id))
		v.add("public key", hex.EncodeToString(c.public))
	}
	own := vecCollect["security"][0]
	c := refCollectorOf("security", own)
	good("good", "security", "the text of a collector", own)
	good("rotated", "security", "of a key that is no longer primary seals for that one", vecCollect["security"][1])
	good("purpose_shortest", "s", "a purpose of one byte", vecKey("collect s", 0x5c000001))
	longest := "p" + strings.Repeat("-", 62)
	good("purpose_longest", longest, "a purpose of 63 bytes", vecKey("collect p", 0x10000001))
	good("key_id_highest", "security", "all bits of the key id are set", refKey{0xffffffff, own.key})

	text := func(name, comment, text string) { add(name, "corrupt", comment, text) }
	of := func(change func(c *refCollector)) string { d := c; change(&d); return d.text() }
	body := append(c.body(), refCollectorCheck("security", c.body())...)
	checked := func(body []byte) string {
		return refCollectorText("security", append(slices.Clone(body), refCollectorCheck("security", body)...))
	}
	flipped := func(at int) string {
		b := slices.Clone(body)
		b[at] ^= 1
		return refCollectorText("security", b)
	}
	text("version_unknown", "ofc2 is for another version", strings.Replace(c.text(), "ofc1", "ofc2", 1))
	text("version_uppercase", "there is one spelling of the first field", strings.Replace(c.text(), "ofc1", "OFC1", 1))
	text("version_of_value", "the first field is that of a sealed value", strings.Replace(c.text(), "ofc1", "pii1", 1))
	text("uppercase", "all in capitals, as from a form that means well", strings.ToUpper(c.text()))
	text("purpose_relabelled", "security's, labelled advertising", strings.Replace(c.text(), "security", "advertising", 1))
	text("purpose_uppercase", "one spelling of a name, though the check be right", of(func(c *refCollector) { c.purpose = "Security" }))
	text("purpose_empty", "a purpose has a letter at least", of(func(c *refCollector) { c.purpose = "" }))
	text("purpose_over_long", "64 bytes", of(func(c *refCollector) { c.purpose = "p" + strings.Repeat("-", 63) }))
	text("purpose_of_two", "a collector has one purpose", of(func(c *refCollector) { c.purpose = "advertising~security" }))
	text("field_missing", "no purpose", strings.Replace(c.text(), ".security", "", 1))
	text("field_extra", "a dot after the last field", c.text()+".")
	text("body_missing", "nothing after the purpose", "ofc1.security.")
	text("empty", "nothing at all", "")
	text("key_id_altered", "a bit of the key id", flipped(3))
	text("key_altered", "a bit of the public key", flipped(20))
	text("check_altered", "the last bit of the check", flipped(39))
	text("check_missing", "the key id and the public key alone", refCollectorText("security", c.body()))
	text("check_of_key", "the check is over the key alone, so that it does not find a wrong purpose",
		refCollectorText("security", append(c.body(), refCollectorCheck("", c.body())...)))
	text("key_prefixed", "Tink's prefix, of which only the id belongs here", checked(append([]byte{1}, c.body()...)))
	text("key_short", "a public key of 31 bytes", checked(c.body()[:35]))
	text("key_long", "a public key of 33 bytes", checked(append(c.body(), 0)))
	text("key_private_beside", "a private key after the public one", checked(append(c.body(), own.key...)))
	for _, low := range vecLowOrder {
		text("key_"+low.name, "a public key of low order, for which anybody opens what is sealed",
			of(func(c *refCollector) { c.public = refHex(low.point) }))
	}
	text("truncated_by_one", "the last character is missing", c.text()[:len(c.text())-1])
	text("base64_padded", "'=' at the end", c.text()+"==")
	text("base64_bits_left", "the bits that the last character has over are not zero", func() string {
		s := c.text()
		return s[:len(s)-1] + string(s[len(s)-1]+1)
	}())
	text("base64_standard_alphabet", "'+' and '/' for '-' and '_'", func() string {
		for i := 0; ; i++ {
			d := refCollectorOf("security", vecKey(fmt.Sprint("standard alphabet ", i), own.id))
			at := len("ofc1.security.")
			if s := d.text()[at:]; strings.Contains(s, "-") && strings.Contains(s, "_") {
				return d.text()[:at] + strings.NewReplacer("-", "+", "_", "/").Replace(s)
			}
		}
	}())
	insert := func(s string) string { at := len("ofc1.security.") + 28; return c.text()[:at] + s + c.text()[at:] }
	text("line_feed", "a line break in the body", insert("\n"))
	text("carriage_return", "a carriage return in the body", insert("\r"))
	text("line_feed_last", "a line break at the end, as from a file", c.text()+"\n")
	text("space_before", "nothing is trimmed", " "+c.text())
	text("space_last", "nothing is trimmed", c.text()+" ")
	text("nul_last", "NUL ends strings in C, and no text here", c.text()+"\x00")
	text("byte_order_mark", "nothing is trimmed", "\ufeff"+c.text())
	text("not_ascii", "a fullwidth letter in the body", insert("Ａ"))
	text("over_long", "longer than the longest text there is, by one line break that a lenient decoder would skip",
		refCollectorOf(longest, own).text()+"\n")
}

// checkCollectorText checks that both implementations read a collector's text,
// and what is sealed with it opens.
func checkCollectorText(t *testing.T, v *vector, scopes vecScopes) {
	text := string(v.value)
	c, err := vault.ParseCollector(text, nil)
	require.Equal(t, v.get("expect"), vecClass(err))
	ref, ok := refParseCollector(text)
	require.Equal(t, v.get("expect") == "success", ok, "independent implementation")
	if !ok {
		require.Nil(t, c)
		return
	}
	require.Equal(t, text, ref.text())
	again, err := c.MarshalText()
	require.NoError(t, err)
	require.Equal(t, text, string(again))
	require.Equal(t, v.get("purpose"), c.Purpose().String())
	require.Equal(t, v.get("purpose"), ref.purpose)
	require.Equal(t, v.get("key id"), fmt.Sprintf("%08x", ref.id))
	require.Equal(t, v.get("public key"), hex.EncodeToString(ref.public))

	asked := v.asked()
	asked.kind = "email"
	sealed, err := vault.Seal(t.Context(), vecEmail, vecAddress, c)
	require.NoError(t, err)
	written, err := sealed.MarshalText()
	require.NoError(t, err)
	value, ok := refParse(string(written))
	require.True(t, ok)
	plaintext, class := value.open(asked)
	require.Equal(t, "success", class)
	require.Equal(t, vecAddress, plaintext)

	theirs := refValue{kind: "email", id: refRandom(16)}
	theirs.slots = []refSlot{ref.seal("email", theirs.id, vecPlain, vecAddress)}
	sealed, err = vault.ParseSealed(theirs.text())
	require.NoError(t, err)
	plaintext, err = scopes.of(t, v).Reveal(t.Context(), vecEmail, sealed)
	require.NoError(t, err)
	require.Equal(t, vecAddress, plaintext)
}
