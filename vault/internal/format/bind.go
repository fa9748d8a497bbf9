package format

import (
	"encoding/binary"
	"encoding/hex"

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
//	era1  AppendErasuresInput     input of the pseudonym key        purpose, vault id, count, digest, pseudonym
//	erd1  AppendErasureDigest     input of the pseudonym key        purpose, vault id, digest before, count, pseudonym
//	erm1  AppendErasureMask       input of the pseudonym key        purpose, vault id, count, digest
//	sea1  AppendSealsInput        input of the pseudonym key        purpose, vault id, counts of seals
//	sub1  AppendSubjectAAD        associated data, subject record   purpose, vault id, pseudonym
//	col1  AppendCollectorInfo     info of HPKE                      purpose
//	ofk1  AppendKeyRecordAAD      associated data, key record       role, purpose, vault id, name of the KEK, wrapped key
//	ofc1  AppendCollectorCheck    checksum of a collector's text    purpose, key id, X25519 public key
//	ofc2  AppendCollectorCheck    checksum of a collector's text    purpose, key id, X-Wing public key
//	ofp1  AppendPinCheck          checksum of a pin's text          purpose, body of the pin
//	-     KEKAAD                  associated data of a KEK          role, purpose, vault id
//
// The purpose is in each of them though every purpose has keys of its own: if a
// keyset were copied to another purpose, the two could still not be joined.

// PseudonymSize is the size of a subject's pseudonym, in bytes.
const PseudonymSize = 16

// VaultIDSize is the size of the random id of a vault, in bytes.
const VaultIDSize = 16

// A VaultID is the id of a vault.
type VaultID [VaultIDSize]byte

// ErasureDigestSize is the size of the digest in the record of erasures, in bytes.
const ErasureDigestSize = 16

// An ErasureDigest stands for an erasure and all erasures before it.
type ErasureDigest [ErasureDigestSize]byte

// Magics of records and of the text of a pin.
const (
	VaultMagic     = "ofv1"
	KeyRecordMagic = "ofk1"
	ErasuresMagic  = "ofe1"
	PinMagic       = "ofp1"
)

// SealsMagic is the magic of the counts of seals.
const SealsMagic = "ofn1"

// Magics of the text of a collector, by the KEM of its key.
const (
	CollectorMagic      = "ofc1" // X25519
	CollectorMagicXWing = "ofc2" // X-Wing
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

// AppendErasuresInput appends the input of the pseudonym key for the tag of the record
// of erasures.
func AppendErasuresInput(b []byte, purpose string, vault VaultID, count uint64, digest ErasureDigest, pseudonym [PseudonymSize]byte) []byte {
	b = append(b, "era1"...)
	b = AppendString8(b, purpose)
	b = append(b, vault[:]...)
	b = binary.BigEndian.AppendUint64(b, count)
	b = append(b, digest[:]...)
	return append(b, pseudonym[:]...)
}

// AppendErasureMask appends the input of the pseudonym key for the bytes that hide the
// pseudonym in the record of erasures. Two erasures of a purpose never share count and
// digest, so no two records share these bytes.
func AppendErasureMask(b []byte, purpose string, vault VaultID, count uint64, digest ErasureDigest) []byte {
	b = append(b, "erm1"...)
	b = AppendString8(b, purpose)
	b = append(b, vault[:]...)
	b = binary.BigEndian.AppendUint64(b, count)
	return append(b, digest[:]...)
}

// AppendErasureDigest appends the input of the pseudonym key for the digest of an erasure:
// the digest of the erasure before it, its count and its pseudonym. So a digest stands for
// all erasures up to its own, in their order.
func AppendErasureDigest(b []byte, purpose string, vault VaultID, before ErasureDigest, count uint64, pseudonym [PseudonymSize]byte) []byte {
	b = append(b, "erd1"...)
	b = AppendString8(b, purpose)
	b = append(b, vault[:]...)
	b = append(b, before[:]...)
	b = binary.BigEndian.AppendUint64(b, count)
	return append(b, pseudonym[:]...)
}

// AppendSealsInput appends the input of the pseudonym key for the tag of the counts of
// seals, which are the body of their record.
func AppendSealsInput(b []byte, purpose string, vault VaultID, counts []byte) []byte {
	b = append(b, "sea1"...)
	b = AppendString8(b, purpose)
	b = append(b, vault[:]...)
	return append(b, counts...)
}

// AppendSubjectAAD appends the associated data of a record about a subject.
func AppendSubjectAAD(b []byte, purpose string, vault VaultID, pseudonym [PseudonymSize]byte) []byte {
	b = append(b, "sub1"...)
	b = AppendString8(b, purpose)
	b = append(b, vault[:]...)
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
func AppendKeyRecordAAD(b []byte, purpose string, vault VaultID, kek string, wrapped []byte) []byte {
	b = AppendString8(append(b, KeyRecordMagic...), role)
	b = AppendString8(b, purpose)
	b = append(b, vault[:]...)
	b = AppendString8(b, kek)
	return append(b, wrapped...)
}

// AppendCollectorCheck appends the bytes whose checksum ends the text of a collector
// with the given magic. It finds typing errors and protects against nobody.
func AppendCollectorCheck(b []byte, magic, purpose string, key []byte) []byte {
	return append(append(b, magic+"."+purpose+"."...), key...)
}

// AppendPinCheck appends the bytes whose checksum ends the text of a pin. It finds
// typing errors and protects against nobody.
func AppendPinCheck(b []byte, purpose string, body []byte) []byte {
	return append(append(b, PinMagic+"."+purpose+"."...), body...)
}

// KEKAAD returns the associated data for wrapping the key of a purpose's record
// with a KEK. No name of a purpose has a blank.
func KEKAAD(purpose string, vault VaultID) []byte {
	return hex.AppendEncode([]byte("onlyfor "+role+" "+purpose+" "), vault[:])
}

// WrongKEKAAD returns associated data of no purpose, to test that a KEK binds
// associated data. It differs from KEKAAD in the last byte alone: a KEK may bind no
// more than a beginning.
func WrongKEKAAD(purpose string, vault VaultID) []byte {
	aad := KEKAAD(purpose, vault)
	aad[len(aad)-1] = '!'
	return aad
}
