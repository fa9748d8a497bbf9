package vault

import (
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// An Erasure says that values sealed for one subject under one purpose can no
// longer be read.
type Erasure struct {
	// Purpose is the purpose that the person's data can no longer be used for.
	Purpose purpose.Purpose `json:"purpose"`
	// Subject is the pseudonym of the person under this purpose, 32 hex digits.
	// [Scope.Pseudonym] computes it from the subject's id.
	Subject string `json:"subject"`
	// KeyID is the id of the destroyed key, 8 hex digits, "" if the subject had
	// none.
	KeyID string `json:"key_id,omitempty"`
	// Erased is the day of the erasure, in UTC, or its second with [Options.ExactTimes].
	Erased time.Time `json:"erased"`
	// Pin is the state that this erasure led to, for [Options.Pin].
	Pin Pin `json:"pin"`
}

// An erasureState is the state of the erasures under a purpose: their number, a digest of
// all of them in their order, and the pseudonym of the last. It is zero before the first.
//
// The record of erasures holds the state. It is written before the tombstone, as an
// intent: if the process dies between the two, the next process that erases, or makes a
// pin, writes the tombstone. The tombstone holds count and digest too, so a store that
// lacks a known erasure is told from one that has it and others since, without a list of
// all erasures. The record is authenticated with the pseudonym key, which outlives all
// others, so an erasure does not ask the key service.
type erasureState struct {
	count     uint64
	digest    format.ErasureDigest
	pseudonym [IndexSize]byte
}

const erasureStateSize = 8 + format.ErasureDigestSize + IndexSize

var errErasures = fmt.Errorf("malformed record of erasures: %w", ErrCorrupt)

// append appends the bytes of s.
func (s erasureState) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, s.count)
	b = append(b, s.digest[:]...)
	return append(b, s.pseudonym[:]...)
}

// readErasureState is the reverse of append.
func readErasureState(b []byte) erasureState {
	return erasureState{
		binary.BigEndian.Uint64(b), format.ErasureDigest(b[8:]), [IndexSize]byte(b[8+format.ErasureDigestSize:]),
	}
}

// valid reports whether s is the state of some erasures, or the zero state.
func (s erasureState) valid() bool { return s.count > 0 || s == erasureState{} }

// next returns the state after the erasure of a subject.
func (s erasureState) next(k *keys, p purpose.Purpose, pseudonym [IndexSize]byte) (erasureState, error) {
	count := s.count + 1
	digest, err := k.pseudonym.compute(format.AppendErasureDigest(nil, p.String(), k.vault, s.digest, count, pseudonym))
	return erasureState{count, digest, pseudonym}, err
}

// hide hides the pseudonym of s in the record of erasures, whose reader must not learn
// which of the subjects' records is a tombstone. Hidden once more, it is as before.
func (s erasureState) hide(k *keys, p purpose.Purpose) (erasureState, error) {
	mask, err := k.pseudonym.compute(format.AppendErasureMask(nil, p.String(), k.vault, s.count, s.digest))
	subtle.XORBytes(s.pseudonym[:], s.pseudonym[:], mask[:])
	return s, err
}

// erasuresName returns the name of the record of the erasures under p.
func erasuresName(p purpose.Purpose) string { return p.String() + "/erasures" }

// encodeErasures returns the record of a state.
func encodeErasures(k *keys, p purpose.Purpose, s erasureState) ([]byte, error) {
	tag, err := k.pseudonym.compute(format.AppendErasuresInput(nil, p.String(), k.vault, s.count, s.digest, s.pseudonym))
	if err != nil {
		return nil, err
	}
	hidden, err := s.hide(k, p)
	if err != nil {
		return nil, err
	}
	return append(hidden.append([]byte(format.ErasuresMagic)), tag[:]...), nil
}

// decodeErasures returns the state in a record. It is zero for no data: no subject was
// erased yet. A record that is malformed or was altered is errErasures.
func decodeErasures(k *keys, p purpose.Purpose, data []byte) (erasureState, error) {
	if data == nil {
		return erasureState{}, nil
	}
	const magic = len(format.ErasuresMagic)
	if len(data) != magic+erasureStateSize+IndexSize {
		return erasureState{}, errErasures
	}
	s, err := readErasureState(data[magic:]).hide(k, p)
	if err != nil {
		return erasureState{}, err
	}
	want, err := encodeErasures(k, p, s)
	if err != nil {
		return erasureState{}, err
	}
	if s.count == 0 || subtle.ConstantTimeCompare(data, want) != 1 {
		return erasureState{}, errErasures
	}
	return s, nil
}

// tombstoneOf returns the tombstone in the given record if it is the tombstone of e. It may
// be under a retired key: a purpose has to open before its key can be reinstated.
func (k *keys) tombstoneOf(p purpose.Purpose, e erasureState, data []byte) (subjectRecord, bool) {
	for _, set := range []*cipherSet{k.seal, k.retired} {
		r, err := decodeSubject(set, k.vault, p, e.pseudonym, data)
		if err == nil {
			clear(r.key)
			return r, r.key == nil && r.count == e.count && r.digest == e.digest
		}
	}
	return subjectRecord{}, false
}

// completeErasure puts the tombstone of e in the place of the subject's record, unless it
// is there, and returns it.
func (pk *purposeKeys) completeErasure(ctx context.Context, k *keys, e erasureState) (subjectRecord, error) {
	name := subjectRecordName(pk.id.purpose, e.pseudonym)
	for {
		if ctx.Err() != nil {
			return subjectRecord{}, ctxError(ctx)
		}
		records, err := pk.backend.get(ctx, name)
		if err != nil {
			return subjectRecord{}, err
		}
		if done, ok := k.tombstoneOf(pk.id.purpose, e, records[0].Data); ok {
			return done, nil
		}
		tombstone := subjectRecord{at: pk.backend.now(), count: e.count, digest: e.digest}
		if records[0].Revision != 0 {
			old, err := pk.openSubjectRecord(ctx, k, e.pseudonym, records[0].Data)
			clear(old.key)
			// A garbled record must not prevent an erasure.
			if err != nil && !errors.Is(err, ErrCorrupt) {
				return subjectRecord{}, err
			}
			tombstone.id = old.id
			if now := pk.current.Load(); now == nil {
				return subjectRecord{}, errClosed
			} else if now != k {
				k = now // opening the record installed newer keys: do not seal the tombstone with older ones
				continue
			}
		}
		_, err = pk.backend.store.Put(ctx, Record{Name: name, Data: tombstone.encode(k, pk.id.purpose, e.pseudonym), Revision: records[0].Revision})
		switch {
		case errors.Is(err, ErrConflict):
			continue // sealed, re-wrapped or erased meanwhile
		case err != nil:
			return subjectRecord{}, storeError(err)
		}
		return tombstone, nil
	}
}

// erase writes the intent to erase a subject, and then the tombstone in the place of the
// subject's record. It calls markErased as soon as the tombstone is in the store, when the
// key may no longer be used.
func (pk *purposeKeys) erase(ctx context.Context, pseudonym [IndexSize]byte, markErased func()) (Erasure, error) {
	p := pk.id.purpose
	e := Erasure{Purpose: p, Subject: hex.EncodeToString(pseudonym[:])}
	if _, err := pk.confirmed(ctx); err != nil { // at once, if the store is known to be down
		return e, err
	}
	// A store that went back must not be written to: the erasure would be lost with the
	// next restore, and would make the store look newer.
	if err := pk.refreshNow(ctx); err != nil {
		return e, err
	}
	for {
		if ctx.Err() != nil {
			return e, ctxError(ctx)
		}
		at := pk.known()
		if at.keys == nil {
			return e, errClosed
		}
		records, err := pk.backend.get(ctx, erasuresName(p))
		if err != nil {
			return e, err
		}
		head, err := decodeErasures(at.keys, p, records[0].Data)
		switch {
		case err != nil:
			return e, err
		case head.count < at.erasure.count || head.count == at.erasure.count && head != at.erasure:
			return e, errRollback
		case head != at.erasure:
			if _, err := pk.completeErasure(ctx, at.keys, head); err != nil {
				return e, err
			}
			pk.noteErasure(head)
		}
		// The subject's record is read after the record of erasures. If that is
		// unchanged when the intent is written, nobody has erased the subject meanwhile.
		subject, err := pk.backend.get(ctx, subjectRecordName(p, pseudonym))
		if err != nil {
			return e, err
		}
		if subject[0].Revision != 0 {
			old, err := pk.openSubjectRecord(ctx, at.keys, pseudonym, subject[0].Data)
			clear(old.key)
			switch {
			case err != nil && !errors.Is(err, ErrCorrupt):
				return e, err
			case err == nil && old.key == nil: // erased earlier
				markErased()
				return pk.certify(e, old, pseudonym)
			}
			if now := pk.known(); now.keys != at.keys { // newer keys sealed the record
				continue
			}
		}
		next, err := head.next(at.keys, p, pseudonym)
		if err != nil {
			return e, err
		}
		data, err := encodeErasures(at.keys, p, next)
		if err != nil {
			return e, err
		}
		_, err = pk.backend.store.Put(ctx, Record{Name: erasuresName(p), Data: data, Revision: records[0].Revision})
		switch {
		case errors.Is(err, ErrConflict):
			continue // another erasure was first
		case err != nil:
			return e, storeError(err)
		}
		tombstone, err := pk.completeErasure(ctx, at.keys, next)
		if err != nil {
			return e, err
		}
		markErased()
		pk.noteErasure(next)
		return pk.certify(e, tombstone, pseudonym)
	}
}

// certify completes e with the facts of the tombstone.
func (pk *purposeKeys) certify(e Erasure, tombstone subjectRecord, pseudonym [IndexSize]byte) (Erasure, error) {
	at := pk.known()
	if at.keys == nil {
		return e, errClosed
	}
	if tombstone.id != 0 {
		e.KeyID = fmt.Sprintf("%08x", tombstone.id)
	}
	e.Erased = tombstone.at.UTC().Truncate(time.Second)
	at.erasure = erasureState{tombstone.count, tombstone.digest, pseudonym}
	e.Pin = at.pin(e.Purpose)
	return e, nil
}

// EraseAgain repeats erasures by their certificates, after a key store was put back to a
// state from before them. It needs the pseudonyms in the certificates, and no ids of
// subjects. Certificates of erasures that the store has are no error. The certificates are
// taken in the order of their erasure. If all erasures since the state of the store are
// repeated, the erasures of earlier pins hold again.
//
// A certificate needs its Purpose and its Subject. Its Pin may be zero; a pin of another
// purpose or another vault is [ErrInvalid], because its pseudonym means nobody here, and
// so is a certificate with no purpose or with a malformed subject. Every vault that has
// the key of such a subject in memory, this one included, forgets it within
// [Options.SubjectLifetime]. The result has a certificate for each erasure, in the order
// in which they were done. If one fails, the result has those before it.
func (v *Vault) EraseAgain(ctx context.Context, certificates ...Erasure) ([]Erasure, error) {
	certificates = slices.Clone(certificates)
	slices.SortStableFunc(certificates, func(a, b Erasure) int { return cmp.Compare(a.Pin.erasure.count, b.Pin.erasure.count) })
	var done []Erasure
	if !v.valid() {
		return done, keysError(audit.Erase, purpose.Purpose{}, errNoVault)
	}
	for _, c := range certificates {
		var e Erasure
		event := func() audit.Event {
			event := v.eraseEvent(c.Purpose, e)
			event.Reason = reasonAgain
			if _, ok := parsePseudonym(c.Subject); ok {
				event.Subject = c.Subject
			}
			return event
		}
		err := v.audited(ctx, event, func() (err error) {
			e, err = v.eraseAgain(ctx, c)
			return err
		})
		if err != nil {
			return done, keysError(audit.Erase, c.Purpose, err)
		}
		done = append(done, e)
	}
	return done, nil
}

const reasonAgain = "again" // of an event about EraseAgain

var errCertificate = fmt.Errorf("malformed certificate of an erasure: %w", ErrInvalid)

func (v *Vault) eraseAgain(ctx context.Context, c Erasure) (Erasure, error) {
	pseudonym, ok := parsePseudonym(c.Subject)
	if !ok || !c.Pin.IsZero() && c.Pin.purpose != c.Purpose {
		return Erasure{}, errCertificate
	}
	return v.eraseBy(ctx, c.Purpose, func(k *keys) ([IndexSize]byte, error) {
		if !c.Pin.IsZero() && c.Pin.vault != k.vault {
			return [IndexSize]byte{}, fmt.Errorf("certificate of another vault: %w", ErrInvalid)
		}
		return pseudonym, nil
	}, func() {})
}

// parsePseudonym returns the pseudonym with the given 32 hexadecimal digits.
func parsePseudonym(text string) (pseudonym [IndexSize]byte, ok bool) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != IndexSize || hex.EncodeToString(raw) != text {
		return pseudonym, false
	}
	return [IndexSize]byte(raw), true
}
