package formattest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// The vectors of unknown flags, types, fields, states and versions. Version 1 is
// frozen, so a reader must refuse all of them. Each is complete: the field of an
// unknown flag follows, and everything is sealed properly with the unknown part
// bound. A reader that knew the unknown part would open the vector, and a vector
// without the field would be refused by such a reader for the lack of the field.
// TestTheUnknownPartIsTheOnlyFault is that reader.

// An unknownValue is a sealed value with one unknown part.
type unknownValue struct {
	name, comment string
	value         reference.Value // of one slot, for security
	magic         string          // first field of the text form, which the slot binds
	binary        []byte          // the binary form, if that is the vector's form
	subject       string          // "" for none
}

// unknownFields are fields of the shapes that optional fields of a slot have.
var unknownFields = []struct {
	name, comment string
	field         []byte
}{
	{"text", "a text follows, with its length", reference.String("partner-import-7")},
	{"time", "a time of five bytes follows", reference.Uint40(vaulttest.Never)},
	{"byte", "a byte follows", []byte{1}},
}

func unknownValues() []unknownValue {
	var all []unknownValue
	// under is a value with the given header, sealed under the purpose's own key.
	under := func(m maker, magic string, header []byte) reference.Value {
		v := reference.Value{Kind: "email", ID: m.bytes("value id", 16)}
		v.Slots = []reference.Slot{{Purpose: "security", Header: header, Sealed: reference.Seal(m.key("security"), m.bytes("nonce", 12),
			reference.Pad(vaulttest.Address), unknownAAD(v, header, magic, ""))}}
		return v
	}

	full := vaulttest.FullHeader
	full.From = "billing" // not security, which the slot is for
	for _, flag := range []byte{0x40, 0x80} {
		for _, f := range unknownFields {
			name := fmt.Sprintf("flag_unknown_%02x_%s", flag, f.name)
			comment := fmt.Sprintf("%#x stands for nothing in this version: %s", flag, f.comment)
			header := slices.Concat([]byte{1, flag}, reference.Uint40(reference.Time), f.field)
			all = append(all, unknownValue{name, comment, under(maker(name), "pii1", header), "pii1", nil, ""})

			name += "_after_all"
			header = append(full.Bytes(), f.field...)
			header[1] |= flag
			all = append(all, unknownValue{name, comment + " after every other field", under(maker(name), "pii1", header), "pii1", nil, ""})
		}
	}

	typed := func(typ byte) []byte {
		h := vaulttest.PlainHeader
		h.Typ = typ
		return h.Bytes()
	}
	for _, typ := range []byte{0, 5, 6, 255} {
		name := fmt.Sprintf("type_unknown_%d", typ)
		m := maker(name + "_of_purpose")
		all = append(all, unknownValue{string(m), "no such slot type, sealed as type 1 is", under(m, "pii1", typed(typ)), "pii1", nil, ""})

		m = maker(name + "_of_subject")
		v := m.emailFor(vecSubject)
		key, _ := vecSubjectKey("security", vecSubject)
		v.Slots[0].Header = typed(typ)
		v.Slots[0].Sealed = reference.Seal(key, m.bytes("nonce", 12), reference.Pad(vaulttest.Address), unknownAAD(v, typed(typ), "pii1", vecSubject))
		all = append(all, unknownValue{string(m), "no such slot type, sealed as type 2 is, for the subject asked", v, "pii1", nil, vecSubject})

		m = maker(name + "_of_collector")
		v = m.collected("security")
		k := m.slotKey("security")
		v.Slots[0].Header = typed(typ)
		v.Slots[0].Sealed = reference.Collect(k.wrapped, k.key, m.bytes("nonce", 12), reference.Pad(vaulttest.Address), unknownAAD(v, typed(typ), "pii1", ""))
		all = append(all, unknownValue{string(m), "no such slot type, sealed as type 3 is", v, "pii1", nil, ""})
	}

	for _, magic := range []string{"pii0", "pii2", "pii3"} {
		m := maker("version_unknown_" + magic)
		all = append(all, unknownValue{string(m), magic + " is for another version of the format, and is bound",
			under(m, magic, typed(1)), magic, nil, ""})
	}
	for _, first := range []byte{0, 2, 3} {
		m := maker(fmt.Sprintf("binary_version_unknown_%02x", first))
		magic := fmt.Sprintf("pii%d", first)
		v := under(m, magic, typed(1))
		data := v.Binary()
		data[0] = first
		all = append(all, unknownValue{string(m), fmt.Sprintf("%02x is for another version of the format, and %s is bound", first, magic),
			v, magic, data, ""})
	}
	return all
}

// unknownAAD is reference.AAD of a slot for security, of a version that need not be
// version 1.
func unknownAAD(v reference.Value, header []byte, magic, subject string) []byte {
	aad := reference.AAD(v.Kind, "security", v.ID, header, subject)
	copy(aad, magic)
	return aad
}

// An unknownRecord is a record, or the text of a collector, with one unknown part.
type unknownRecord struct {
	name, comment, form string
	data                []byte
	known               func(t *testing.T, data []byte) // opens data as a reader that knew the unknown part would
}

func unknownRecords() []unknownRecord {
	var all []unknownRecord
	keys := vaulttest.Keys["security"]

	// Key records.
	good := reference.Payload("security", keys)
	keyRecord := func(name, comment, magic string, payload []byte) {
		m := maker("key_record_" + name)
		kek := vaulttest.KEK{Key: vaulttest.KEKKey, Nonce: m.bytes("kek nonce", 12)}
		dek := m.bytes("dek", 32)
		wrapped, err := kek.Encrypt(dek, reference.KEKAAD("security", vaulttest.VaultID))
		if err != nil {
			panic(err)
		}
		aad := reference.RecordAAD("security", vaulttest.VaultID, "", wrapped)
		copy(aad, magic)
		head := reference.RecordHead(vaulttest.VaultID, "", wrapped)
		copy(head, magic)
		data := reference.GCM(dek).Seal(append(head, m.bytes("nonce", 12)...), m.bytes("nonce", 12), payload, aad)
		all = append(all, unknownRecord{string(m), comment, "key record", data, func(t *testing.T, data []byte) {
			rest := data[len(head):]
			plain, err := reference.GCM(dek).Open(nil, rest[:12], rest[12:], aad)
			require.NoError(t, err)
			var p reference.KeyPayload // whatever is unknown is skipped
			require.NoError(t, json.Unmarshal(plain, &p))
			require.Equal(t, good, p)
		}})
	}
	inserted := func(at, field string) []byte {
		payload := encodePayload(good)
		changed := bytes.Replace(payload, []byte(at), []byte(at+field+","), 1)
		if bytes.Equal(payload, changed) {
			panic("nothing was inserted")
		}
		return changed
	}
	keyset := func(k reference.Key, typ string, field, prefix uint64) string {
		set := base64.StdEncoding.EncodeToString(reference.ProtoKeyset([]reference.Key{k}, typ, field, prefix))
		return fmt.Sprintf(`{"keyset":%q,"created":{"%d":%d}}`, set, k.ID, reference.Time)
	}
	sealing := keyset(vaulttest.Key("unknown role", 0x5ec00077), reference.GCMType, 3, 1)
	prf := keyset(vaulttest.Key("unknown role", 0x5ec00078), reference.CMACType, 2, 3)
	for _, role := range []string{"import", "sign", "wrap"} {
		keyRecord("role_unknown_"+role, "a keyset of a role of another version, with a key that seals", "ofk1", inserted(`{`, `"`+role+`":`+sealing))
		keyRecord("role_unknown_"+role+"_of_prf", "a keyset of a role of another version, with a key that indexes", "ofk1", inserted(`{`, `"`+role+`":`+prf))
	}
	keyRecord("role_unknown_null", "a role of another version without a keyset", "ofk1", inserted(`{`, `"wrap":null`))
	keyRecord("field_unknown_number", "a number of another version", "ofk1", inserted(`{`, `"version":2`))
	keyRecord("field_unknown_text", "a text of another version", "ofk1", inserted(`{`, `"comment":"rotated"`))
	for _, role := range []string{"seal", "index", "subject"} {
		keyRecord(role+"_field_unknown", "a keyset with a field of another version: the times of destruction of its keys", "ofk1",
			inserted(`"`+role+`":{`, `"destroyed":{"1589641218":1767323045}`))
	}
	respelled := func(from, to string) []byte {
		return bytes.Replace(encodePayload(good), []byte(`"`+from+`":`), []byte(`"`+to+`":`), 1)
	}
	undated := strings.Split(sealing, `"created"`)[0] + `"created":{}}` // or its time would join those of the other
	keyRecord("role_uppercase", "names are spelled in one way", "ofk1", respelled("seal", "SEAL"))
	keyRecord("role_not_ascii", "the first letter is a long s, which some JSON libraries fold to s", "ofk1", respelled("seal", "ſeal"))
	keyRecord("field_uppercase", "names are spelled in one way", "ofk1", respelled("keyset", "Keyset"))
	keyRecord("role_uppercase_beside", "a keyset under a name that some JSON libraries fold to that of another", "ofk1", inserted(`{`, `"SEAL":`+undated))
	keyRecord("role_twice", "a keyset of which some JSON libraries drop the first", "ofk1", inserted(`{`, `"seal":`+undated))
	keyRecord("field_twice", "a field of which some JSON libraries drop the first", "ofk1", inserted(`"seal":{`, `"keyset":""`))
	for _, magic := range []string{"ofk0", "ofk2"} {
		keyRecord("version_unknown_"+magic, magic+" is for another version, and is bound", magic, encodePayload(good))
	}

	// Subject records.
	_, record := vecSubjectKey("security", vecSubject)
	pseudonym := reference.Pseudonym("security", keys, vecSubject)
	subjectRecord := func(name, comment, magic, tag string, payload []byte) {
		m := maker("subject_record_" + name)
		aad := slices.Concat([]byte(tag), reference.String("security"), vaulttest.VaultID, pseudonym)
		data := append([]byte(magic), reference.Seal(m.key("security"), m.bytes("nonce", 12), payload, aad)...)
		all = append(all, unknownRecord{string(m), comment, "subject record", data, func(t *testing.T, data []byte) {
			plain, ok := reference.Unseal(keys.Seal, data[4:], aad)
			require.True(t, ok)
			require.Equal(t, payload, plain)
			require.Equal(t, record.Bytes()[1:10], plain[1:10], "the id and time of the subject's key")
		}})
	}
	state := func(state byte, key []byte, more ...byte) []byte {
		r := reference.SubjectRecord{State: state, ID: record.ID, Time: record.Time, Key: key}
		if key == nil {
			r.Of = vecErasure("security", vecSubject)
		}
		return append(r.Bytes(), more...)
	}
	for _, n := range []byte{0, 3, 4, 255} {
		name := fmt.Sprintf("state_unknown_%d", n)
		subjectRecord(name+"_of_key", "no such state, with a key", "ofs1", "sub1", state(n, record.Key))
		subjectRecord(name+"_of_tombstone", "no such state, without a key", "ofs1", "sub1", state(n, nil))
	}
	for _, f := range unknownFields {
		subjectRecord("key_followed_by_"+f.name, "a field of another version after the key: "+f.comment, "ofs1", "sub1", state(1, record.Key, f.field...))
		subjectRecord("tombstone_followed_by_"+f.name, "a field of another version after the tombstone: "+f.comment, "ofs1", "sub1", state(2, nil, f.field...))
	}
	for _, n := range []string{"0", "2"} {
		subjectRecord("version_unknown_ofs"+n, "ofs"+n+" is for another version, and sub"+n+" is bound", "ofs"+n, "sub"+n, record.Bytes())
	}

	// Counts of erasures.
	for _, n := range []string{"0", "2"} {
		state := vecErasure("security", vecSubject)
		input := slices.Concat([]byte("era"+n), reference.String("security"), vaulttest.VaultID, state.Bytes())
		fields := reference.Erasures(keys, "security", state)[4:44]
		data := slices.Concat([]byte("ofe"+n), fields, reference.CMAC(keys.Subject[0].Key, input))
		all = append(all, unknownRecord{"erasures_version_unknown_ofe" + n, "ofe" + n + " is for another version, and the tag is over era" + n, "erasures", data,
			func(t *testing.T, data []byte) {
				require.Equal(t, reference.CMAC(keys.Subject[0].Key, input), data[44:])
			}})
	}

	// Texts of collectors.
	c := reference.CollectorOf("security", vaulttest.Collect["security"][0])
	for _, magic := range []string{"ofc0", "ofc3"} {
		check := unknownCheck(magic, c.Body())
		text := reference.CollectorText(magic, "security", append(c.Body(), check...))
		all = append(all, unknownRecord{"collector_text_version_unknown_" + magic, magic + " is for another version, and is checked", "collector", []byte(text),
			func(t *testing.T, data []byte) {
				fields := strings.Split(string(data), ".")
				body, err := base64.RawURLEncoding.DecodeString(fields[2])
				require.NoError(t, err)
				require.Equal(t, append(c.Body(), unknownCheck(fields[0], c.Body())...), body)
			}})
	}
	return all
}

// unknownCheck is reference.CollectorCheck for a text of security's of any version.
func unknownCheck(magic string, body []byte) []byte {
	sum := sha256.Sum256(slices.Concat([]byte(magic+".security."), body))
	return sum[:4]
}

func (l *vecList) unknown() {
	for _, u := range unknownValues() {
		v := l.sealed(u.name, "corrupt", "no", "email", "security", u.comment, strings.Replace(u.value.Text(), "pii1", u.magic, 1))
		if u.binary != nil {
			v.binary(u.binary)
		}
		if u.subject != "" {
			v.own(u.subject)
		}
		if strings.HasSuffix(u.name, "_of_collector") {
			v.collectsOwn(kemX25519)
		}
	}
	for _, u := range unknownRecords() {
		v := &vector{name: u.name, value: u.data}
		v.add("expect", "corrupt")
		v.add("form", u.form)
		if u.form != "collector" {
			v.value = []byte(hex.EncodeToString(u.data) + "\n")
			v.add("purpose", "security")
			v.add("vault", hex.EncodeToString(vaulttest.VaultID))
		}
		switch u.form {
		case "key record":
			v.addKeys("kek", vaulttest.KEKKey)
		case "subject record":
			v.addKeys("key", vaulttest.Keys["security"].Seal...)
		case "erasures":
			v.addKeys("subject key", vaulttest.Keys["security"].Subject...)
		}
		v.add("comment", u.comment)
		if u.form == "subject record" {
			v.of(vecSubject)
			v.add("opens", maker(v.name).emailFor(vecSubject).Text())
		}
		*l = append(*l, v)
	}
}

// Each vector above is read here as by a reader that knew its unknown part, and
// opens. So no other fault keeps a reader from opening it, and a reader that should
// come to know the part fails TestVectors.
func TestTheUnknownPartIsTheOnlyFault(t *testing.T) {
	for _, u := range unknownValues() {
		t.Run(u.name, func(t *testing.T) {
			slot := u.value.Slots[0]
			aad := unknownAAD(u.value, slot.Header, u.magic, u.subject)
			padded, ok := reference.Unseal(vecSecurity.Seal, slot.Sealed, aad)
			switch {
			case u.subject != "":
				key, _ := vecSubjectKey("security", u.subject)
				padded, ok = reference.Unseal([]reference.Key{key}, slot.Sealed, aad)
			case strings.HasSuffix(u.name, "_of_collector"):
				padded, ok = reference.Uncollect(vaulttest.Collect["security"], 3, "security", slot.Sealed, aad)
			}
			require.True(t, ok)
			require.Equal(t, reference.Pad(vaulttest.Address), padded)

			// In version 1, without the unknown part, the header is one that both readers accept.
			known := u.value.Clone()
			header := known.Slots[0].Header
			header[1] &= 0x3f
			if header[0] == 0 || header[0] > 4 {
				header[0] = map[bool]byte{false: 1, true: 3}[len(slot.Sealed) > 85]
			}
			h, rest, ok := reference.CutHeader(header)
			require.True(t, ok)
			known.Slots[0].Header = header[:len(header)-len(rest)]
			require.Equal(t, h.Bytes(), known.Slots[0].Header)
			_, err := vault.ParseSealed(known.Text())
			require.NoError(t, err)
		})
	}
	for _, u := range unknownRecords() {
		t.Run(u.name, func(t *testing.T) { u.known(t, u.data) })
	}
}
