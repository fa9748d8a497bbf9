package formattest

import (
	"bytes"
	"encoding/hex"
	"errors"
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

// The vectors of subjects: values sealed for one person, the records that hold
// the keys of persons, and the count of those erased.

const vecSubject = "user-1"

// vecSubjectKey returns the key of a subject, and its record.
func vecSubjectKey(name, subject string) (reference.Key, reference.SubjectRecord) {
	label := fmt.Sprintf("%s subject %q", name, subject)
	key := vaulttest.Key(label, uint32(reference.Uint(vaulttest.Bytes("id "+label, 4))))
	return key, reference.SubjectRecord{State: 1, ID: key.ID, Time: reference.Time, Key: key.Key}
}

// vecTombstone is what is left of a subject's record.
func vecTombstone(name, subject string) reference.SubjectRecord {
	key, _ := vecSubjectKey(name, subject)
	return reference.SubjectRecord{State: 2, ID: key.ID, Time: reference.Time + 1, Of: vecErasure(name, subject)}
}

// vecErasure is the erasure of a subject, the third under its purpose.
func vecErasure(name, subject string) reference.Erasure {
	var e reference.Erasure
	keys := vaulttest.Keys[name]
	for _, subject := range []string{"first", "second", subject} {
		e = e.Next(keys, name, reference.Pseudonym(name, keys, subject))
	}
	return e
}

// subjectRecord seals a record under the purpose's primary key.
func (m maker) subjectRecord(name, subject string, payload []byte) []byte {
	return m.subjectRecordUnder(vaulttest.Keys[name].Seal[0], name, subject, payload)
}

func (m maker) subjectRecordUnder(key reference.Key, name, subject string, payload []byte) []byte {
	nonce := m.bytes("nonce of record "+name+subject, 12)
	return reference.SealSubject(key, nonce, name, vaulttest.VaultID, reference.Pseudonym(name, vaulttest.Keys[name], subject), payload)
}

// slotFor seals a slot of type 2.
func (m maker) slotFor(v reference.Value, name, subject string, h reference.Header) reference.Slot {
	h.Typ = 2
	key, _ := vecSubjectKey(name, subject)
	return reference.SubjectSlot(v.Kind, name, v.ID, h, subject, key, m.bytes("nonce "+name, 12), vaulttest.Address)
}

// emailFor is the plain case for a subject.
func (m maker) emailFor(subject string) reference.Value {
	v := reference.Value{Kind: "email", ID: m.bytes("value id", 16)}
	v.Slots = []reference.Slot{m.slotFor(v, "security", subject, vaulttest.PlainHeader)}
	return v
}

// of makes v a vector of a subject, whose record the store holds.
func (v *vector) of(subject string, records ...[]byte) *vector {
	name := v.get("purpose")
	fields := [][2]string{{"subject", hex.EncodeToString([]byte(subject))}}
	for _, k := range vaulttest.Keys[name].Subject {
		fields = append(fields, [2]string{"subject key", fmt.Sprintf("%08x %x", k.ID, k.Key)})
	}
	for _, record := range records {
		fields = append(fields, recordField(name, subject, record))
	}
	return v.insert(fields...)
}

func recordField(name, subject string, record []byte) [2]string {
	place := reference.SubjectName(name, reference.Pseudonym(name, vaulttest.Keys[name], subject))
	return [2]string{"record", fmt.Sprintf("%s %x", place, record)}
}

// insert puts fields before the comment, where the keys are.
func (v *vector) insert(fields ...[2]string) *vector {
	i := slices.IndexFunc(v.fields, func(f [2]string) bool { return f[0] == "comment" })
	v.fields = slices.Insert(v.fields, i, fields...)
	return v
}

// own adds the record that belongs to the subject.
func (v *vector) own(subject string) *vector {
	_, record := vecSubjectKey(v.get("purpose"), subject)
	return v.of(subject, maker(v.name).subjectRecord(v.get("purpose"), subject, record.Bytes()))
}

func (l *vecList) subjects() {
	m := maker("subject")
	l.opens(string(m), "security", "sealed for one person", vaulttest.Address, m.emailFor(vecSubject)).own(vecSubject)

	m = "subject_binary"
	v := m.emailFor(vecSubject)
	vec := l.opens(string(m), "security", "the binary form", vaulttest.Address, v).own(vecSubject)
	vec.binary(v.Binary())

	for name, subject := range map[string]string{
		"subject_shortest": "\x01", "subject_not_text": "\xff\xfe\x00", "subject_longest": strings.Repeat("s", 255),
	} {
		m = maker(name)
		l.opens(name, "security", "a subject is 1 to 255 bytes of any kind", vaulttest.Address, m.emailFor(subject)).own(subject)
	}

	m = "subject_two_purposes"
	v = reference.Value{Kind: "email", ID: m.bytes("value id", 16)}
	v.Slots = []reference.Slot{m.slotFor(v, "advertising", vecSubject, vaulttest.FullHeader), m.slotFor(v, "security", vecSubject, vaulttest.PlainHeader)}
	l.opens(string(m), "advertising", "one person has a key of their own for each purpose", vaulttest.Address, v).own(vecSubject)

	m = "subject_beside_purpose"
	v.ID = m.bytes("value id", 16)
	v.Slots = []reference.Slot{m.slot(v, "advertising", vaulttest.PlainHeader, vaulttest.Address), m.slotFor(v, "security", vecSubject, vaulttest.PlainHeader)}
	l.opens(string(m), "security", "beside a slot of type 1", vaulttest.Address, v).own(vecSubject)

	m = "subject_record_under_older_key"
	_, record := vecSubjectKey("security", vecSubject)
	l.opens(string(m), "security", "the subject's key is wrapped with a key that is no longer primary", vaulttest.Address, m.emailFor(vecSubject)).
		of(vecSubject, m.subjectRecordUnder(vaulttest.Keys["security"].Seal[1], "security", vecSubject, record.Bytes()))

	m = "subject_expired"
	v = reference.Value{Kind: "email", ID: m.bytes("value id", 16)}
	v.Slots = []reference.Slot{m.slotFor(v, "security", vecSubject, reference.Header{Collected: vecPast, Expires: vecPast + 1})}
	l.sealed(string(m), "expired", "yes", "email", "security", "retention ended in 2020", v.Text()).own(vecSubject)

	m = "subject_mismatch"
	l.sealed(string(m), "mismatch", "yes", "email", "advertising", "an honest wrong purpose", m.emailFor(vecSubject).Text()).own(vecSubject)

	m = "subject_not_asked"
	l.sealed(string(m), "subject", "yes", "email", "security", "asked without a subject", m.emailFor(vecSubject).Text())
	m = "subject_not_asked_forged"
	v = m.emailFor(vecSubject)
	v.Slots[0].Sealed[20] ^= 1
	l.sealed(string(m), "subject", "yes", "email", "security", "the header alone tells who may ask, whatever it labels", v.Text())
	m = "subject_asked_of_purpose"
	l.sealed(string(m), "subject", "yes", "email", "security", "a value of the purpose, asked for a subject", m.email().Text()).own(vecSubject)

	m = "subject_erased"
	l.sealed(string(m), "erased", "yes", "email", "security", "what is left of the subject is a tombstone", m.emailFor(vecSubject).Text()).
		of(vecSubject, m.subjectRecord("security", vecSubject, vecTombstone("security", vecSubject).Bytes()))
	m = "subject_erased_never_sealed"
	l.sealed(string(m), "erased", "yes", "email", "security", "the subject had no key when it was erased", m.emailFor(vecSubject).Text()).
		of(vecSubject, m.subjectRecord("security", vecSubject, reference.SubjectRecord{State: 2, ID: 0, Time: reference.Time, Of: vecErasure("security", vecSubject)}.Bytes()))
	m = "subject_erased_elsewhere"
	l.opens(string(m), "security", "erased for advertising, and for that alone", vaulttest.Address, m.emailFor(vecSubject)).own(vecSubject).
		insert(recordField("advertising", vecSubject,
			m.subjectRecord("advertising", vecSubject, vecTombstone("advertising", vecSubject).Bytes())))
}

// subjectFaults are values that parse and must not open for the subject.
func (l *vecList) subjectFaults() {
	add := func(name, comment string, make func(m maker) reference.Value) *vector {
		return l.sealed(name, "corrupt", "yes", "email", "security", comment, make(maker(name)).Text())
	}
	add("subject_row_swapped", "another person's value", func(m maker) reference.Value { return m.emailFor("user-2") }).own(vecSubject)
	add("subject_without_record", "a person for whom nothing was ever sealed", func(m maker) reference.Value { return m.emailFor("user-2") }).of(vecSubject)
	add("subject_nonce_altered", "a bit of the nonce, which comes first", func(m maker) reference.Value {
		v := m.emailFor(vecSubject)
		v.Slots[0].Sealed[0] ^= 1
		return v
	}).own(vecSubject)
	for _, c := range []struct {
		name, comment string
		change        func(m maker, sealed []byte) []byte
	}{
		{"subject_with_key_prefix", "a key prefix in front, which would join the values of a person", func(_ maker, sealed []byte) []byte {
			own, _ := vecSubjectKey("security", vecSubject)
			return append(reference.Seal(own, make([]byte, 12), nil, nil)[:5], sealed...)
		}},
		{"subject_without_plaintext", "not even padding", func(_ maker, sealed []byte) []byte { return sealed[:12+16] }},
		{"subject_short", "a byte less than any sealed part has", func(_ maker, sealed []byte) []byte { return sealed[:12+31+16] }},
		{"subject_between_steps", "not padded to a multiple of 32 bytes", func(_ maker, sealed []byte) []byte { return append(sealed, 0) }},
		{"subject_over_long", "a step more than the longest plaintext needs", func(m maker, _ []byte) []byte { return m.bytes("sealed", 12+1056+32+16) }},
	} {
		m := maker(c.name)
		v := m.emailFor(vecSubject)
		v.Slots[0].Sealed = c.change(m, v.Slots[0].Sealed)
		l.sealed(c.name, "corrupt", "no", "email", "security", c.comment, v.Text()).own(vecSubject)
	}
	add("subject_ciphertext_altered", "a bit of the ciphertext", func(m maker) reference.Value {
		v := m.emailFor(vecSubject)
		v.Slots[0].Sealed[20] ^= 1
		return v
	}).own(vecSubject)
	add("subject_header_edited", "the time of collection was moved", func(m maker) reference.Value {
		v := m.emailFor(vecSubject)
		v.Slots[0].Header[6]++
		return v
	}).own(vecSubject)
	add("subject_kind_relabelled", "sealed as a phone, labelled email", func(m maker) reference.Value {
		v := reference.Value{Kind: "phone", ID: m.bytes("value id", 16)}
		v.Slots = []reference.Slot{m.slotFor(v, "security", vecSubject, vaulttest.PlainHeader)}
		v.Kind = "email"
		return v
	}).own(vecSubject)
	add("subject_purpose_relabelled", "sealed for the same person and another purpose", func(m maker) reference.Value {
		v := reference.Value{Kind: "email", ID: m.bytes("value id", 16)}
		v.Slots = []reference.Slot{m.slotFor(v, "advertising", vecSubject, vaulttest.PlainHeader)}
		v.Slots[0].Purpose = "security"
		return v
	}).own(vecSubject)
	add("subject_value_id_of_another", "the value id is that of another value of the same person", func(m maker) reference.Value {
		v := m.emailFor(vecSubject)
		v.ID = (m + " other").emailFor(vecSubject).ID
		return v
	}).own(vecSubject)

	h := vaulttest.PlainHeader
	h.Typ = 2
	header := h.Bytes()
	own, _ := vecSubjectKey("security", vecSubject)
	aad := func(name, comment string, change func(id []byte) []byte) {
		add(name, comment, func(m maker) reference.Value {
			v := m.emailFor(vecSubject)
			v.Slots[0].Sealed = reference.Seal(own, m.bytes("nonce", 12), reference.Pad(vaulttest.Address), change(v.ID))[5:]
			return v
		}).own(vecSubject)
	}
	aad("subject_aad_missing", "under the subject's key, but the subject is not bound", func(id []byte) []byte {
		return reference.AAD("email", "security", id, header, "")
	})
	aad("subject_aad_of_another", "under the subject's key, but another subject is bound", func(id []byte) []byte {
		return reference.AAD("email", "security", id, header, "user-2")
	})
	aad("subject_aad_without_length", "the subject is bound without its length", func(id []byte) []byte {
		whole := reference.AAD("email", "security", id, header, "")
		return append(whole[:len(whole)-2], vecSubject...)
	})
	aad("subject_aad_of_pseudonym", "the pseudonym is bound in place of the subject", func(id []byte) []byte {
		return reference.AAD("email", "security", id, header, string(reference.Pseudonym("security", vaulttest.Keys["security"], vecSubject)))
	})
	add("subject_under_purpose_key", "type 2 under the purpose's own key, with the subject bound", func(m maker) reference.Value {
		v := m.emailFor(vecSubject)
		v.Slots[0] = reference.SubjectSlot("email", "security", v.ID, h, vecSubject, m.key("security"), m.bytes("nonce", 12), vaulttest.Address)
		return v
	}).own(vecSubject)

	add("type_1_relabelled_2", "a value of the purpose, relabelled as the subject's", func(m maker) reference.Value {
		v := m.email()
		v.Slots[0].Header[0] = 2
		v.Slots[0].Sealed = v.Slots[0].Sealed[5:]
		return v
	}).own(vecSubject)
	prefixed := func(m maker) reference.Value {
		v := m.emailFor(vecSubject)
		v.Slots[0].Header[0] = 1
		v.Slots[0].Sealed = append(reference.Seal(m.key("security"), make([]byte, 12), nil, nil)[:5], v.Slots[0].Sealed...)
		return v
	}
	add("type_2_relabelled_1", "the subject's value, relabelled as the purpose's, with the id of its key, and asked without a subject", prefixed)
	l.sealed("type_2_relabelled_1_asked", "subject", "yes", "email", "security",
		"the same, asked for the subject: the header alone tells who may ask", func() string {
			return prefixed("type_2_relabelled_1_asked").Text()
		}()).own(vecSubject)

	// Records that are in the wrong place: the value is what it should be.
	misplaced := func(name, comment string, record func(m maker) []byte) {
		m := maker(name)
		l.sealed(name, "corrupt", "yes", "email", "security", comment, m.emailFor(vecSubject).Text()).of(vecSubject, record(m))
	}
	_, others := vecSubjectKey("security", "user-2")
	_, ads := vecSubjectKey("advertising", vecSubject)
	misplaced("subject_misplaced_record", "another person's record under this one's name", func(m maker) []byte {
		return m.subjectRecord("security", "user-2", others.Bytes())
	})
	misplaced("subject_misplaced_tombstone", "another person's tombstone under this one's name", func(m maker) []byte {
		return m.subjectRecord("security", "user-2", vecTombstone("security", "user-2").Bytes())
	})
	misplaced("subject_misplaced_of_other_purpose", "the person's record of another purpose", func(m maker) []byte {
		return m.subjectRecord("advertising", vecSubject, ads.Bytes())
	})
	misplaced("subject_misplaced_key", "a record that opens, with the key of another person in it", func(m maker) []byte {
		return m.subjectRecord("security", vecSubject, others.Bytes())
	})
}

// subjectRecords are records by themselves: "opens" is a value of the subject.
func (l *vecList) subjectRecords() {
	record := func(name, expect, comment string, data func(m maker) []byte) *vector {
		m := maker("subject_record_" + name)
		v := &vector{name: string(m), value: []byte(hex.EncodeToString(data(m)) + "\n")}
		v.add("expect", expect)
		v.add("form", "subject record")
		v.add("purpose", "security")
		v.add("vault", hex.EncodeToString(vaulttest.VaultID))
		v.addKeys("key", vaulttest.Keys["security"].Seal...)
		v.add("comment", comment)
		v.of(vecSubject)
		*l = append(*l, v)
		return v
	}
	_, good := vecSubjectKey("security", vecSubject)
	pseudonym := reference.Pseudonym("security", vaulttest.Keys["security"], vecSubject)
	holds := func(v *vector, r reference.SubjectRecord) {
		v.add("pseudonym", hex.EncodeToString(pseudonym))
		v.add("name", reference.SubjectName("security", pseudonym))
		v.add("time", fmt.Sprint(r.Time))
		v.add("key id", fmt.Sprintf("%08x", r.ID))
		if r.Key != nil {
			v.add("holds", hex.EncodeToString(r.Key))
		}
		v.add("opens", maker(v.name).emailFor(vecSubject).Text())
		v.add("plaintext", hex.EncodeToString([]byte(vaulttest.Address)))
	}
	of := func(payload []byte) func(maker) []byte {
		return func(m maker) []byte { return m.subjectRecord("security", vecSubject, payload) }
	}
	holds(record("good", "success", "the key of one person", of(good.Bytes())), good)
	holds(record("older_key", "success", "sealed under a key that is no longer primary", func(m maker) []byte {
		return m.subjectRecordUnder(vaulttest.Keys["security"].Seal[1], "security", vecSubject, good.Bytes())
	}), good)
	latest := good
	latest.Time = vecMax
	holds(record("time_latest", "success", "the latest time there is", of(latest.Bytes())), latest)
	tombstone := vecTombstone("security", vecSubject)
	holds(record("tombstone", "erased", "a person who was erased", of(tombstone.Bytes())), tombstone)
	empty := reference.SubjectRecord{State: 2, ID: 0, Time: reference.Time, Of: vecErasure("security", vecSubject)}
	holds(record("tombstone_without_key", "erased", "a person who had no key when they were erased", of(empty.Bytes())), empty)

	data := func(change func(b []byte) []byte) func(maker) []byte {
		return func(m maker) []byte { return change(m.subjectRecord("security", vecSubject, good.Bytes())) }
	}
	cut := func(n int) func(maker) []byte { return data(func(b []byte) []byte { return b[:n] }) }
	flip := func(n int) func(maker) []byte {
		return data(func(b []byte) []byte { b[(n+len(b))%len(b)] ^= 1; return b })
	}
	for _, c := range []struct {
		name, comment string
		make          func(maker) []byte
	}{
		{"version_unknown", "ofs2 is for another version", data(func(b []byte) []byte { b[3] = '2'; return b })},
		{"of_key_record", "the first bytes are those of a key record", data(func(b []byte) []byte { b[2] = 'k'; return b })},
		{"without_version", "nothing before the sealed part", data(func(b []byte) []byte { return b[4:] })},
		{"truncated_in_version", "three bytes", cut(3)},
		{"truncated_after_version", "no sealed part", cut(4)},
		{"truncated_in_key_id", "ends in the id of the key that it is sealed under", cut(4 + 3)},
		{"truncated_after_key_id", "ends before the nonce", cut(4 + 5)},
		{"truncated_in_nonce", "ends in the nonce", cut(4 + 5 + 6)},
		{"truncated_by_one", "the last byte is missing", data(func(b []byte) []byte { return b[:len(b)-1] })},
		{"trailing_byte", "a byte after the tag", data(func(b []byte) []byte { return append(b, 0) })},
		{"key_unknown", "sealed under a key that the purpose does not have", flip(4 + 4)},
		{"key_relabelled", "the id of the purpose's other key", data(func(b []byte) []byte { b[8] = 1; return b })},
		{"key_prefix_zero", "Tink's CRUNCHY prefix", data(func(b []byte) []byte { b[4] = 0; return b })},
		{"nonce_altered", "a bit of the nonce", flip(4 + 5)},
		{"payload_altered", "the bit that tells a key from a tombstone", flip(4 + 5 + 12)},
		{"tag_altered", "the last bit of the tag", flip(-1)},

		{"of_another", "another person's", func(m maker) []byte {
			_, other := vecSubjectKey("security", "user-2")
			return m.subjectRecord("security", "user-2", other.Bytes())
		}},
		{"of_other_purpose", "the person's of another purpose", func(m maker) []byte {
			_, other := vecSubjectKey("advertising", vecSubject)
			return m.subjectRecord("advertising", vecSubject, other.Bytes())
		}},
		{"bound_to_other_purpose", "another purpose is bound, under a key of this one", func(m maker) []byte {
			return reference.SealSubject(m.key("security"), m.bytes("nonce", 12), "advertising", vaulttest.VaultID, pseudonym, good.Bytes())
		}},
		{"bound_to_subject", "the subject is bound in place of its pseudonym", func(m maker) []byte {
			return reference.SealSubject(m.key("security"), m.bytes("nonce", 12), "security", vaulttest.VaultID, []byte(vecSubject), good.Bytes())
		}},
		{"bound_to_other_vault", "another vault is bound, under a key of this one", func(m maker) []byte {
			return reference.SealSubject(m.key("security"), m.bytes("nonce", 12), "security", vaulttest.Bytes("other vault", 16), pseudonym, good.Bytes())
		}},
		{"bound_to_no_vault", "the vault is not bound", func(m maker) []byte {
			return reference.SealSubject(m.key("security"), m.bytes("nonce", 12), "security", nil, pseudonym, good.Bytes())
		}},
		{"bound_to_nothing", "nothing is bound", func(m maker) []byte {
			return append([]byte("ofs1"), reference.Seal(m.key("security"), m.bytes("nonce", 12), good.Bytes(), nil)...)
		}},
		{"bound_without_length", "no length tells where the purpose ends", func(m maker) []byte {
			aad := slices.Concat([]byte("sub1security"), vaulttest.VaultID, pseudonym)
			return append([]byte("ofs1"), reference.Seal(m.key("security"), m.bytes("nonce", 12), good.Bytes(), aad)...)
		}},
		{"bound_as_value", "what is bound is that of a value, all but its beginning", func(m maker) []byte {
			aad := slices.Concat([]byte("pii1"), reference.String("security"), vaulttest.VaultID, pseudonym)
			return append([]byte("ofs1"), reference.Seal(m.key("security"), m.bytes("nonce", 12), good.Bytes(), aad)...)
		}},
		{"under_own_key", "sealed under the subject's key, not the purpose's", func(m maker) []byte {
			key, _ := vecSubjectKey("security", vecSubject)
			return m.subjectRecordUnder(key, "security", vecSubject, good.Bytes())
		}},
		{"of_value", "the sealed part of a value", func(m maker) []byte {
			return append([]byte("ofs1"), m.email().Slots[0].Sealed...)
		}},

		{"time_after_9999", "a second after the last one of the year 9999", of(reference.SubjectRecord{State: 1, ID: good.ID, Time: vecMax + 1, Key: good.Key}.Bytes())},
		{"time_greatest", "the greatest number of the field", of(reference.SubjectRecord{State: 1, ID: good.ID, Time: 1<<40 - 1, Key: good.Key}.Bytes())},
		{"tombstone_time_after_9999", "a second after the last one of the year 9999", of(reference.SubjectRecord{State: 2, ID: good.ID, Time: vecMax + 1, Of: tombstone.Of}.Bytes())},
		{"state_zero", "no such state", of(reference.SubjectRecord{State: 0, ID: good.ID, Time: good.Time, Key: good.Key}.Bytes())},
		{"state_unknown", "no such state", of(reference.SubjectRecord{State: 3, ID: good.ID, Time: good.Time, Key: good.Key}.Bytes())},
		{"state_unknown_without_key", "no such state", of(reference.SubjectRecord{State: 3, ID: good.ID, Time: good.Time, Key: nil}.Bytes())},
		{"state_255", "no such state", of(reference.SubjectRecord{State: 255, ID: good.ID, Time: good.Time, Key: good.Key}.Bytes())},
		{"key_missing", "the state says that there is a key", of(reference.SubjectRecord{State: 1, ID: good.ID, Time: good.Time, Key: nil}.Bytes())},
		{"tombstone_short", "a tombstone without the erasure that it is of", of(reference.SubjectRecord{State: 2, ID: good.ID, Time: good.Time}.Bytes())},
		{"tombstone_of_no_erasure", "a tombstone of an erasure with the count zero", of(reference.SubjectRecord{State: 2, ID: good.ID, Time: good.Time, Key: make([]byte, 32)}.Bytes())},
		{"tombstone_not_filled_up", "a tombstone that does not end in zeros", of(func() []byte {
			b := tombstone.Bytes()
			b[len(b)-1] = 1
			return b
		}())},
		{"tombstone_with_key", "a tombstone that keeps the key", of(reference.SubjectRecord{State: 2, ID: good.ID, Time: good.Time, Key: good.Key}.Bytes())},
		{"tombstone_with_byte", "a byte after the tombstone", of(reference.SubjectRecord{State: 2, ID: good.ID, Time: good.Time, Key: append(tombstone.Bytes()[10:], 0)}.Bytes())},
		{"key_short", "a key of 31 bytes", of(reference.SubjectRecord{State: 1, ID: good.ID, Time: good.Time, Key: good.Key[:31]}.Bytes())},
		{"key_aes128", "a key of 16 bytes", of(reference.SubjectRecord{State: 1, ID: good.ID, Time: good.Time, Key: good.Key[:16]}.Bytes())},
		{"key_long", "a key of 33 bytes", of(reference.SubjectRecord{State: 1, ID: good.ID, Time: good.Time, Key: append(slices.Clone(good.Key), 0)}.Bytes())},
		{"payload_empty", "nothing is sealed", of(nil)},
		{"payload_truncated_in_state", "a state and nothing else", of([]byte{2})},
		{"payload_truncated_in_time", "a tombstone whose time lacks a byte", of(empty.Bytes()[:9])},
	} {
		v := record(c.name, "corrupt", c.comment, c.make)
		v.add("opens", maker(v.name).emailFor(vecSubject).Text())
	}
}

func (l *vecList) erasures() {
	keys := vaulttest.Keys["security"]
	count := func(name, expect, comment string, data []byte) *vector {
		v := &vector{name: "erasures_" + name, value: []byte(hex.EncodeToString(data) + "\n")}
		v.add("expect", expect)
		v.add("form", "erasures")
		v.add("purpose", "security")
		v.add("vault", hex.EncodeToString(vaulttest.VaultID))
		v.addKeys("subject key", keys.Subject...)
		v.add("comment", comment)
		*l = append(*l, v)
		return v
	}
	state := vecErasure("security", vecSubject)
	for name, n := range map[string]uint64{"one": 1, "many": 1<<40 + 7} {
		e := state
		e.Count = n
		v := count(name, "success", "the last of so many erasures", reference.Erasures(keys, "security", e))
		v.add("erasures", fmt.Sprint(n))
		v.add("digest", hex.EncodeToString(e.Digest))
		v.add("pseudonym", hex.EncodeToString(e.Pseudonym))
	}
	good := func(change func(b []byte) []byte) []byte { return change(reference.Erasures(keys, "security", state)) }
	tagged := func(tag []byte) []byte { return append(reference.Erasures(keys, "security", state)[:44], tag...) }
	fields := state.Bytes()
	key := keys.Subject[0].Key
	other := keys
	other.Vault = vaulttest.Bytes("other vault", 16)
	none := state
	none.Count = 0
	for _, c := range []struct {
		name, comment string
		data          []byte
	}{
		{"altered", "the count was set back", good(func(b []byte) []byte { b[11] = 2; return b })},
		{"altered_up", "the count was raised", good(func(b []byte) []byte { b[4] = 0x80; return b })},
		{"digest_altered", "a bit of the digest", good(func(b []byte) []byte { b[20] ^= 1; return b })},
		{"pseudonym_altered", "a bit of the pseudonym", good(func(b []byte) []byte { b[43] ^= 1; return b })},
		{"tag_altered", "the last bit of the tag", good(func(b []byte) []byte { b[59] ^= 1; return b })},
		{"pseudonym_in_clear", "the pseudonym is not hidden", good(func(b []byte) []byte { copy(b[28:], state.Pseudonym); return b })},
		{"tag_zero", "a tag of zeros", tagged(make([]byte, 16))},
		{"zero", "a record of no erasure, which is never written", reference.Erasures(keys, "security", none)},
		{"version_unknown", "ofe2 is for another version", good(func(b []byte) []byte { b[3] = '2'; return b })},
		{"without_version", "nothing before the count", good(func(b []byte) []byte { return b[4:] })},
		{"truncated_in_count", "ends in the count", good(func(b []byte) []byte { return b[:8] })},
		{"truncated_after_count", "ends with the count", good(func(b []byte) []byte { return b[:12] })},
		{"truncated_after_digest", "no pseudonym", good(func(b []byte) []byte { return b[:28] })},
		{"truncated_after_pseudonym", "no tag", good(func(b []byte) []byte { return b[:44] })},
		{"truncated_by_one", "the last byte of the tag is missing", good(func(b []byte) []byte { return b[:59] })},
		{"trailing_byte", "a byte after the tag", good(func(b []byte) []byte { return append(b, 0) })},
		{"of_other_purpose", "another purpose's record", reference.Erasures(vaulttest.Keys["advertising"], "advertising", vecErasure("advertising", vecSubject))},
		{"bound_to_other_purpose", "another purpose is bound, under this one's key", reference.Erasures(keys, "advertising", state)},
		{"bound_to_other_vault", "another vault is bound, under this one's key", reference.Erasures(other, "security", state)},
		{"bound_to_nothing", "the tag is over the fields alone", tagged(reference.CMAC(key, fields))},
		{"under_index_key", "the tag is made with the index key", tagged(reference.ErasuresTag(reference.Keys{Vault: keys.Vault, Subject: keys.Index}, "security", state))},
		{"tag_of_pseudonym", "the tag is a pseudonym: that of a subject whose id is what the tag should be over, but for the beginning",
			tagged(reference.Pseudonym("security", keys, string(slices.Concat(keys.Vault, fields))))},
	} {
		count(c.name, "corrupt", c.comment, c.data)
	}
}

// checkSubjectRecord asks everything that reads a record: revealing, sealing,
// prefetching, re-wrapping and erasing.
func checkSubjectRecord(t *testing.T, v *vector) {
	ctx := t.Context()
	data := reference.Hex(string(bytes.TrimSuffix(v.value, []byte("\n"))))
	asked := v.asked()
	p := purpose.MustParse(asked.Purpose)
	name := reference.SubjectName(asked.Purpose, reference.Pseudonym(asked.Purpose, asked.Keys.Keys, asked.Subject))
	opened := func() (*vault.Admin, *vault.Scope, vault.Store) {
		store := vaulttest.StoreOfRecords(t, map[string]reference.Record{asked.Purpose: asked.Keys}, map[string][]byte{name: data})
		v := vaulttest.OpenKept(t, store, vault.SharedKEK(vaulttest.KEK{Key: vaulttest.KEKKey}))
		return v, vaulttest.ScopeNamed(t, v, asked.Purpose), store
	}
	expect := v.get("expect")
	value, err := vault.ParseSealed(v.get("opens"))
	require.NoError(t, err)
	ours, s, _ := opened()
	plaintext, err := s.For(asked.Subject).Reveal(ctx, vaulttest.Email, value)
	require.Equal(t, expect, vaulttest.Class(err))
	if expect == "success" {
		require.Equal(t, v.get("plaintext"), hex.EncodeToString([]byte(plaintext)))
	}
	_, s, _ = opened()
	sealed, err := vault.Seal(ctx, vaulttest.Email, vaulttest.Address, s.For(asked.Subject))
	require.Equal(t, expect, vaulttest.Class(err))
	_, s, _ = opened()
	err = s.Prefetch(ctx, asked.Subject)
	require.Equal(t, expect == "corrupt", errors.Is(err, vault.ErrCorrupt))
	require.Equal(t, expect != "corrupt", err == nil)

	record, ok := reference.OpenSubject(asked.Keys.Keys, asked.Purpose, asked.Subject, data)
	require.Equal(t, expect != "corrupt", ok, "independent implementation")
	if !ok {
		err := ours.RewrapSubjects(ctx, p, "", nil)
		require.True(t, err == nil || errors.Is(err, vault.ErrCorrupt)) // one on the primary key is not looked into
		// Whoever garbles a record must not keep its subject from being erased.
		ours, _, store := opened()
		_, err = ours.Erase(ctx, asked.Subject, p)
		require.NoError(t, err)
		buried, ok := reference.OpenSubject(asked.Keys.Keys, asked.Purpose, asked.Subject, vaulttest.Content(t, store)[name])
		require.True(t, ok)
		require.EqualValues(t, 2, buried.State)
		return
	}
	require.Equal(t, v.get("name"), name)
	require.Equal(t, v.get("time"), fmt.Sprint(record.Time))
	require.Equal(t, v.get("key id"), fmt.Sprintf("%08x", record.ID))
	require.Equal(t, v.get("holds"), hex.EncodeToString(record.Key))
	if expect == "success" {
		text, err := sealed.MarshalText()
		require.NoError(t, err)
		value, _ := reference.Parse(string(text))
		asked.Kind, asked.Store = "email", map[string][]byte{name: data}
		_, class := value.Open(asked)
		require.Equal(t, "success", class)
	}
	ours, s, store := opened()
	pseudonym, err := s.Pseudonym(ctx, asked.Subject)
	require.NoError(t, err)
	require.Equal(t, v.get("pseudonym"), pseudonym)
	require.NoError(t, ours.RewrapSubjects(ctx, p, "", nil))
	again, ok := reference.OpenSubject(asked.Keys.Keys, asked.Purpose, asked.Subject, vaulttest.Content(t, store)[name])
	require.True(t, ok)
	require.Equal(t, record, again)
	certificate, err := ours.Erase(ctx, asked.Subject, p)
	require.NoError(t, err)
	erasure := certificate[0]
	require.Equal(t, strings.TrimPrefix(v.get("key id"), "00000000"), erasure.KeyID)
	if expect == "erased" {
		require.Equal(t, v.get("time"), fmt.Sprint(erasure.Erased.Unix()))
	}
	buried, ok := reference.OpenSubject(asked.Keys.Keys, asked.Purpose, asked.Subject, vaulttest.Content(t, store)[name])
	require.True(t, ok)
	require.EqualValues(t, 2, buried.State)
	require.Equal(t, record.ID, buried.ID)
}

func checkErasures(t *testing.T, v *vector) {
	ctx := t.Context()
	data := reference.Hex(string(bytes.TrimSuffix(v.value, []byte("\n"))))
	asked := v.asked()
	p := purpose.MustParse(asked.Purpose)
	store := vaulttest.StoreOfRecords(t, map[string]reference.Record{asked.Purpose: asked.Keys}, map[string][]byte{asked.Purpose + "/erasures": data})
	ours := vaulttest.OpenKept(t, store, vault.SharedKEK(vaulttest.KEK{Key: vaulttest.KEKKey}))
	_, err := ours.Scope(ctx, p)
	require.Equal(t, v.get("expect"), vaulttest.Class(err))
	e, ok := reference.ReadErasures(asked.Keys.Keys, asked.Purpose, data)
	require.Equal(t, err == nil, ok, "independent implementation")
	certificate, eraseErr := ours.Erase(ctx, "nobody", p)
	_, pinErr := ours.Pin(ctx, p)
	require.Equal(t, v.get("expect"), vaulttest.Class(pinErr))
	require.Equal(t, v.get("expect"), vaulttest.Class(eraseErr))
	if err != nil {
		return
	}
	require.Equal(t, v.get("erasures"), fmt.Sprint(e.Count))
	require.Equal(t, v.get("digest"), hex.EncodeToString(e.Digest))
	require.Equal(t, v.get("pseudonym"), hex.EncodeToString(e.Pseudonym))
	// The record is an intent, so its subject is erased before the next one.
	last := vaulttest.Content(t, store)[fmt.Sprintf("%s/subjects/%x/%x", asked.Purpose, e.Pseudonym[:1], e.Pseudonym)]
	require.NotEmpty(t, last)
	next := e.Next(asked.Keys.Keys, asked.Purpose, reference.Pseudonym(asked.Purpose, asked.Keys.Keys, "nobody"))
	require.Equal(t, reference.Erasures(asked.Keys.Keys, asked.Purpose, next), vaulttest.Content(t, store)[asked.Purpose+"/erasures"])
	pin := reference.Pin{
		Purpose: asked.Purpose, Vault: asked.Keys.Vault, Generation: 1,
		Digest: reference.RecordDigest(vaulttest.Content(t, store)[asked.Purpose+"/keys"]), Erasure: next,
	}
	require.Equal(t, pin.Text(), certificate[0].Pin.String())
}
