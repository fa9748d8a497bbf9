package vault

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A subjectKey is the opened key of one subject under one purpose.
type subjectKey struct {
	prefix [format.KeyIDSize]byte // of the slots that it seals, like a keyset's
	gcm    cipher.AEAD
}

// A subjectRecord is what the store keeps about one subject: its key or, once
// erased, that there is none any more. It is sealed under the purpose's keys,
// bound to the subject's pseudonym, so that neither can be another's.
type subjectRecord struct {
	id  uint32    // of the key
	key []byte    // nil in a tombstone
	at  time.Time // of the making of key or tombstone
}

const (
	subjectMagic = "ofs1"

	stateKey       = 1
	stateTombstone = 2
	stateSize      = 1 + 4 + format.TimeSize // state, key id, time
)

// subjectRecordName keeps the files of a [Dir] in 256 folders a purpose.
func subjectRecordName(p purpose.Purpose, pseudonym [IndexSize]byte) string {
	name := hex.EncodeToString(pseudonym[:])
	return subjectPrefix(p) + name[:2] + "/" + name
}

func subjectPrefix(p purpose.Purpose) string { return p.String() + "/subjects/" }

func (k *keys) pseudonymOf(p purpose.Purpose, subject string) ([IndexSize]byte, error) {
	scr := getScratch()
	defer scr.release()
	return k.pseudonym.compute(format.AppendPseudonymInput(scr.plaintext(len(scr.plain)), p.String(), subject))
}

func newSubjectRecord() subjectRecord {
	var id [4]byte
	rand.Read(id[:])
	r := subjectRecord{id: binary.BigEndian.Uint32(id[:]), key: make([]byte, format.DEKSize), at: time.Now()}
	rand.Read(r.key)
	return r
}

// encode seals r under the primary key of k.
func (r subjectRecord) encode(k *keys, p purpose.Purpose, pseudonym [IndexSize]byte) []byte {
	plain := make([]byte, 0, stateSize+format.DEKSize)
	defer func() { clear(plain[:cap(plain)]) }()
	state := byte(stateKey)
	if r.key == nil {
		state = stateTombstone
	}
	plain = append(plain, state)
	plain = binary.BigEndian.AppendUint32(plain, r.id)
	plain = format.AppendSeconds(plain, r.at)
	plain = append(plain, r.key...)
	return k.seal.seal([]byte(subjectMagic), plain, format.AppendSubjectAAD(nil, p.String(), pseudonym))
}

// decodeSubject is the reverse of encode. Every fault is ErrCorrupt.
func decodeSubject(k *keys, p purpose.Purpose, pseudonym [IndexSize]byte, data []byte) (subjectRecord, error) {
	sealed, ok := cutSubject(data)
	if !ok {
		return subjectRecord{}, errSubjectRecord
	}
	plain, err := k.seal.open(nil, sealed, format.AppendSubjectAAD(nil, p.String(), pseudonym))
	if err != nil || len(plain) < stateSize {
		return subjectRecord{}, errSubjectRecord
	}
	r := subjectRecord{id: binary.BigEndian.Uint32(plain[1:]), at: format.Seconds(plain[5:])}
	switch {
	case plain[0] == stateKey && len(plain) == stateSize+format.DEKSize:
		r.key = plain[stateSize:]
	case plain[0] == stateTombstone && len(plain) == stateSize:
	default:
		return subjectRecord{}, errSubjectRecord
	}
	return r, nil
}

var errSubjectRecord = fmt.Errorf("malformed subject record: %w", ErrCorrupt)

func cutSubject(data []byte) (sealed []byte, ok bool) {
	if len(data) < len(subjectMagic) || string(data[:len(subjectMagic)]) != subjectMagic {
		return nil, false
	}
	return data[len(subjectMagic):], true
}

// open returns the key of the record, ready for use, and ErrErased for a
// tombstone.
func (r subjectRecord) open() (*subjectKey, error) {
	if r.key == nil {
		return nil, ErrErased
	}
	defer clear(r.key)
	gcm, err := newGCM(r.key)
	if err != nil {
		return nil, errSubjectRecord
	}
	k := &subjectKey{gcm: gcm}
	k.prefix[0] = 1 // as in Tink's prefix
	binary.BigEndian.PutUint32(k.prefix[1:], r.id)
	return k, nil
}

// seal and open are those of a cipherSet, with the one key.
func (k *subjectKey) seal(dst, plaintext, aad []byte) []byte {
	return k.gcm.Seal(append(dst, k.prefix[:]...), nil, plaintext, aad)
}

func (k *subjectKey) open(dst, sealed, aad []byte) ([]byte, error) {
	if len(sealed) < format.KeyIDSize || [format.KeyIDSize]byte(sealed) != k.prefix {
		return dst, ErrCorrupt
	}
	out, err := k.gcm.Open(dst, nil, sealed[format.KeyIDSize:], aad)
	if err != nil {
		return dst, ErrCorrupt
	}
	return out, nil
}
