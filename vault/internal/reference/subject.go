package reference

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
)

// SubjectRecord is the plaintext of a subject record.
type SubjectRecord struct {
	State byte
	ID    uint32
	Time  uint64
	Key   []byte  // nil in a tombstone
	Of    Erasure // of a tombstone, but for the pseudonym
}

// Bytes writes the payload of the record.
func (r SubjectRecord) Bytes() []byte {
	b := binary.BigEndian.AppendUint32([]byte{r.State}, r.ID)
	b = slices.Concat(b, Uint40(r.Time), r.Key)
	if r.Key == nil && r.Of.Count > 0 {
		b = slices.Concat(binary.BigEndian.AppendUint64(b, r.Of.Count), r.Of.Digest, make([]byte, 8))
	}
	return b
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

// SubjectAAD returns the associated data of a subject record.
func SubjectAAD(name string, vault, pseudonym []byte) []byte {
	return slices.Concat([]byte("sub1"), String(name), vault, pseudonym)
}

// SealSubject writes a subject record.
func SealSubject(key Key, nonce []byte, name string, vault, pseudonym, payload []byte) []byte {
	return append([]byte("ofs1"), Seal(key, nonce, payload, SubjectAAD(name, vault, pseudonym))...)
}

// OpenSubject reads a subject record.
func OpenSubject(keys Keys, name, subject string, data []byte) (SubjectRecord, bool) {
	sealed, ok := bytes.CutPrefix(data, []byte("ofs1"))
	if !ok {
		return SubjectRecord{}, false
	}
	payload, ok := Unseal(keys.Seal, sealed, SubjectAAD(name, keys.Vault, Pseudonym(name, keys, subject)))
	r := &Reader{B: payload, Ok: ok}
	record := SubjectRecord{State: r.Next(1)[0], ID: uint32(Uint(r.Next(4))), Time: Uint(r.Next(5))}
	switch rest := r.B; {
	case !r.Ok || len(rest) != 32 || record.Time > Latest:
		return SubjectRecord{}, false
	case record.State == 1:
		record.Key = rest
		return record, true
	case record.State != 2 || Uint(rest[:8]) == 0 || !bytes.Equal(rest[24:], make([]byte, 8)):
		return SubjectRecord{}, false
	default:
		record.Of = Erasure{Count: Uint(rest[:8]), Digest: rest[8:24]}
		return record, true
	}
}

// SubjectKey returns the key of the subject asked for, or the class of the refusal.
func SubjectKey(asked Asked) (key Key, class string) {
	data, ok := asked.Store[SubjectName(asked.Purpose, Pseudonym(asked.Purpose, asked.Keys.Keys, asked.Subject))]
	if !ok {
		return Key{}, "corrupt"
	}
	record, ok := OpenSubject(asked.Keys.Keys, asked.Purpose, asked.Subject, data)
	switch {
	case !ok:
		return Key{}, "corrupt"
	case record.State == 2:
		return Key{}, "erased"
	}
	return Key{ID: record.ID, Key: record.Key}, ""
}

// Erasure is the state of a purpose's erasures after one of them.
type Erasure struct {
	Count             uint64
	Digest, Pseudonym []byte
}

// Next returns the state after the erasure of a further subject. The zero Erasure is the
// state before the first.
func (e Erasure) Next(keys Keys, name string, pseudonym []byte) Erasure {
	before := e.Digest
	if before == nil {
		before = make([]byte, 16)
	}
	input := slices.Concat([]byte("erd1"), String(name), keys.Vault, before)
	digest := CMAC(keys.Subject[0].Key, append(binary.BigEndian.AppendUint64(input, e.Count+1), pseudonym...))
	return Erasure{e.Count + 1, digest, pseudonym}
}

// hide hides the pseudonym of e, or shows it again.
func (e Erasure) hide(keys Keys, name string) Erasure {
	input := binary.BigEndian.AppendUint64(slices.Concat([]byte("erm1"), String(name), keys.Vault), e.Count)
	mask := CMAC(keys.Subject[0].Key, append(input, e.Digest...))
	hidden := make([]byte, len(e.Pseudonym))
	for i := range hidden {
		hidden[i] = e.Pseudonym[i] ^ mask[i]
	}
	return Erasure{e.Count, e.Digest, hidden}
}

// Bytes writes the fields of e.
func (e Erasure) Bytes() []byte {
	return slices.Concat(binary.BigEndian.AppendUint64(nil, e.Count), e.Digest, e.Pseudonym)
}

// ErasuresTag returns the tag that authenticates the record of erasures.
func ErasuresTag(keys Keys, name string, e Erasure) []byte {
	return CMAC(keys.Subject[0].Key, slices.Concat([]byte("era1"), String(name), keys.Vault, e.Bytes()))
}

// Erasures writes the record of erasures.
func Erasures(keys Keys, name string, e Erasure) []byte {
	return slices.Concat([]byte("ofe1"), e.hide(keys, name).Bytes(), ErasuresTag(keys, name, e))
}

// ReadErasures reads the record of erasures, and reports whether it is authentic.
func ReadErasures(keys Keys, name string, data []byte) (Erasure, bool) {
	r := &Reader{B: data, Ok: true}
	magic := r.Next(4)
	e := Erasure{Uint(r.Next(8)), r.Next(16), r.Next(16)}
	tag := r.Next(16)
	if !r.Ok || len(r.B) > 0 || string(magic) != "ofe1" || e.Count == 0 {
		return Erasure{}, false
	}
	e = e.hide(keys, name)
	return e, bytes.Equal(tag, ErasuresTag(keys, name, e))
}

// Pin is a pin.
type Pin struct {
	Purpose    string
	Vault      []byte
	Generation uint64
	Digest     []byte
	Erasure    Erasure
}

// Text writes a pin.
func (p Pin) Text() string {
	e := p.Erasure
	if e.Count == 0 {
		e.Digest, e.Pseudonym = make([]byte, 16), make([]byte, 16)
	}
	body := slices.Concat(binary.BigEndian.AppendUint64(slices.Clone(p.Vault), p.Generation), p.Digest, e.Bytes())
	sum := sha256.Sum256(slices.Concat([]byte("ofp1."+p.Purpose+"."), body))
	return "ofp1." + p.Purpose + "." + base64.RawURLEncoding.EncodeToString(append(body, sum[:4]...))
}

// A SealCount is the number of seals under one key.
type SealCount struct {
	ID uint32
	N  uint64
}

// SealsBody writes counts of seals in the given order, without their magic and tag.
func SealsBody(counts []SealCount) (b []byte) {
	for _, c := range counts {
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(b, c.ID), c.N)
	}
	return b
}

// SealsTag returns the tag that authenticates counts of seals.
func SealsTag(keys Keys, name string, body []byte) []byte {
	return CMAC(keys.Subject[0].Key, slices.Concat([]byte("sea1"), String(name), keys.Vault, body))
}

// Seals writes counts of seals.
func Seals(keys Keys, name string, counts []SealCount) []byte {
	body := SealsBody(counts)
	return slices.Concat([]byte("ofn1"), body, SealsTag(keys, name, body))
}

// ReadSeals reads counts of seals, and reports whether they are authentic.
func ReadSeals(keys Keys, name string, data []byte) (counts []SealCount, ok bool) {
	body, ok := bytes.CutPrefix(data, []byte("ofn1"))
	if !ok || len(body) < 16 || len(body)%12 != 16%12 {
		return nil, false
	}
	body, tag := body[:len(body)-16], body[len(body)-16:]
	for i := 0; i < len(body); i += 12 {
		c := SealCount{binary.BigEndian.Uint32(body[i:]), binary.BigEndian.Uint64(body[i+4:])}
		if c.N == 0 || len(counts) > 0 && counts[len(counts)-1].ID >= c.ID {
			return nil, false
		}
		counts = append(counts, c)
	}
	return counts, bytes.Equal(tag, SealsTag(keys, name, body))
}
