package format

import (
	"encoding/binary"

	purposes "github.com/onlyfor/onlyfor/purpose"
)

// Every input that a primitive binds or computes from is made in this file, and
// begins with a tag of its own. So the input of one use is never the input of
// another. Each field has a fixed length or is preceded by its length, except for
// the last one. So two different lists of fields are never equal bytes: ("a", "bc")
// is not ("ab", "c").
//
//	tag   function                used as                           fields after the tag
//	pii1  AppendSlotAAD           associated data of a slot         kind, purpose, value id, header, subject
//	idx1  AppendIndexInput        input of an index key             kind, purpose, canonical text
//	psn1  AppendPseudonymInput    input of the pseudonym key        purpose, subject
//	era1  AppendErasuresInput     input of the pseudonym key        purpose, number of erasures
//	sub1  AppendSubjectAAD        associated data, subject record   purpose, pseudonym
//	col1  AppendCollectorInfo     info of HPKE                      purpose
//	ofk1  AppendKeyRecordAAD      associated data, key record       role, purpose, wrapped key
//	ofc1  AppendCollectorCheck    checksum of a collector's text    purpose, key id, public key
//	-     KEKAAD                  associated data of a KEK          role, purpose
//
// The purpose is in each of them though every purpose has keys of its own: if a
// keyset were copied to another purpose, the two could still not be joined.

// PseudonymSize is the size of a subject's pseudonym, in bytes.
const PseudonymSize = 16

// Magics of records and of the text of a collector.
const (
	KeyRecordMagic = "ofk1"
	CollectorMagic = "ofc1"
)

// MaxSlotAAD is the size of the longest associated data of a slot.
const MaxSlotAAD = len("pii1") + 1 + MaxKind + 1 + purposes.MaxLen + IDSize + MaxHeader + 2 + MaxSubject

// MaxIndexInput and MaxPseudonymInput are the sizes of the longest inputs of an
// index key and of a pseudonym key.
const (
	MaxIndexInput     = len("idx1") + 1 + MaxKind + 1 + purposes.MaxLen + MaxPlaintext
	MaxPseudonymInput = len("psn1") + 1 + purposes.MaxLen + MaxSubject
)

// AppendSlotAAD appends the associated data of a slot.
func AppendSlotAAD(b []byte, kind, purpose string, id, header []byte, subject string) []byte {
	b = append(b, "pii1"...)
	b = AppendString8(b, kind)
	b = AppendString8(b, purpose)
	b = append(b, id...)
	b = append(b, header...) // its flags tell where it ends
	b = binary.BigEndian.AppendUint16(b, uint16(len(subject)))
	return append(b, subject...)
}

// AppendIndexInput appends the input of an index key for the index of a canonical
// text.
func AppendIndexInput(b []byte, kind, purpose, canonical string) []byte {
	b = append(b, "idx1"...)
	b = AppendString8(b, kind)
	b = AppendString8(b, purpose)
	return append(b, canonical...)
}

// IndexInputSize returns the number of bytes that AppendIndexInput appends.
func IndexInputSize(kind, purpose, canonical string) int {
	return len("idx1") + 1 + len(kind) + 1 + len(purpose) + len(canonical)
}

// AppendPseudonymInput appends the input of the pseudonym key for the pseudonym of
// a subject.
func AppendPseudonymInput(b []byte, purpose, subject string) []byte {
	b = append(b, "psn1"...)
	b = AppendString8(b, purpose)
	return append(b, subject...)
}

// AppendErasuresInput appends the input of the pseudonym key for the tag of a
// number of erasures.
func AppendErasuresInput(b []byte, purpose string, n uint64) []byte {
	b = append(b, "era1"...)
	b = AppendString8(b, purpose)
	return binary.BigEndian.AppendUint64(b, n)
}

// AppendSubjectAAD appends the associated data of a record about a subject.
func AppendSubjectAAD(b []byte, purpose string, pseudonym [PseudonymSize]byte) []byte {
	b = append(b, "sub1"...)
	b = AppendString8(b, purpose)
	return append(b, pseudonym[:]...)
}

// AppendCollectorInfo appends the info of HPKE for wrapping the key of a
// collector's slot. The rest of the slot is bound where that key is used.
func AppendCollectorInfo(b []byte, purpose string) []byte {
	return AppendString8(append(b, "col1"...), purpose)
}

// role tells the keys of a purpose from other keys that a KEK may wrap.
const role = "purpose-keys"

// AppendKeyRecordAAD appends the associated data of a key record.
func AppendKeyRecordAAD(b []byte, purpose string, wrapped []byte) []byte {
	b = AppendString8(append(b, KeyRecordMagic...), role)
	b = AppendString8(b, purpose)
	return append(b, wrapped...)
}

// AppendCollectorCheck appends the bytes whose checksum ends the text of a
// collector. It finds typing errors and protects against nobody.
func AppendCollectorCheck(b []byte, purpose string, key []byte) []byte {
	return append(append(b, CollectorMagic+"."+purpose+"."...), key...)
}

// KEKAAD returns the associated data for wrapping the key of a purpose's record
// with a KEK. No name of a purpose has a blank.
func KEKAAD(purpose string) []byte { return []byte("onlyfor " + role + " " + purpose) }

// WrongKEKAAD returns associated data of no purpose, to test that a KEK binds
// associated data. It differs from KEKAAD in the last byte alone: a KEK may bind no
// more than a beginning.
func WrongKEKAAD(purpose string) []byte {
	aad := KEKAAD(purpose)
	aad[len(aad)-1] = '!'
	return aad
}
