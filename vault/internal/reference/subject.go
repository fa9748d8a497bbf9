package reference

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// SubjectRecord is the plaintext of a subject record.
type SubjectRecord struct {
	State byte
	ID    uint32
	Time  uint64
	Key   []byte
}

// Bytes writes the payload of the record.
func (r SubjectRecord) Bytes() []byte {
	b := binary.BigEndian.AppendUint32([]byte{r.State}, r.ID)
	return slices.Concat(b, Uint40(r.Time), r.Key)
}

// Pseudonym returns the pseudonym of a subject: 16 bytes, which a key store names in
// hexadecimal digits.
func Pseudonym(name string, keys Keys, subject string) []byte {
	return CMAC(keys.Subject[0].Key, slices.Concat([]byte("psn1"), String(name), []byte(subject)))
}

// SubjectName returns the name of a subject record in the key store.
func SubjectName(name string, pseudonym []byte) string {
	return fmt.Sprintf("%s/subjects/%x/%x", name, pseudonym[:1], pseudonym)
}

func subjectAAD(name string, pseudonym []byte) []byte {
	return slices.Concat([]byte("sub1"), String(name), pseudonym)
}

// SealSubject writes a subject record.
func SealSubject(key Key, nonce []byte, name string, pseudonym, payload []byte) []byte {
	return append([]byte("ofs1"), Seal(key, nonce, payload, subjectAAD(name, pseudonym))...)
}

// OpenSubject reads a subject record.
func OpenSubject(keys Keys, name, subject string, data []byte) (SubjectRecord, bool) {
	sealed, ok := bytes.CutPrefix(data, []byte("ofs1"))
	if !ok {
		return SubjectRecord{}, false
	}
	payload, ok := Unseal(keys.Seal, sealed, subjectAAD(name, Pseudonym(name, keys, subject)))
	r := &Reader{B: payload, Ok: ok}
	record := SubjectRecord{r.Next(1)[0], uint32(Uint(r.Next(4))), Uint(r.Next(5)), r.B}
	if !r.Ok || !(record.State == 1 && len(record.Key) == 32 || record.State == 2 && len(record.Key) == 0) {
		return SubjectRecord{}, false
	}
	return record, true
}

// SubjectKey returns the key of the subject asked for, or the class of the refusal.
func SubjectKey(asked Asked) (keys []Key, class string) {
	data, ok := asked.Store[SubjectName(asked.Purpose, Pseudonym(asked.Purpose, asked.Keys.Keys, asked.Subject))]
	if !ok {
		return nil, "corrupt"
	}
	record, ok := OpenSubject(asked.Keys.Keys, asked.Purpose, asked.Subject, data)
	switch {
	case !ok:
		return nil, "corrupt"
	case record.State == 2:
		return nil, "erased"
	}
	return []Key{{record.ID, record.Key}}, ""
}

// ErasuresTag returns the tag that authenticates a count of erasures.
func ErasuresTag(keys Keys, name string, n uint64) []byte {
	return CMAC(keys.Subject[0].Key, binary.BigEndian.AppendUint64(append([]byte("era1"), String(name)...), n))
}

// Erasures writes the count of erasures.
func Erasures(keys Keys, name string, n uint64) []byte {
	return append(binary.BigEndian.AppendUint64([]byte("ofe1"), n), ErasuresTag(keys, name, n)...)
}

// ReadErasures reads a count of erasures, and reports whether it is authentic.
func ReadErasures(keys Keys, name string, data []byte) (uint64, bool) {
	r := &Reader{B: data, Ok: true}
	magic, n, tag := r.Next(4), Uint(r.Next(8)), r.Next(16)
	ok := r.Ok && len(r.B) == 0 && string(magic) == "ofe1" && bytes.Equal(tag, ErasuresTag(keys, name, n))
	return n, ok
}
