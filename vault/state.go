package vault

import (
	"context"
	"errors"
	"fmt"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A purposeState is the state of a purpose in the store as a vault knows it. A store that
// has not this state and no later one went back, or is another store.
type purposeState struct {
	keys    *keys        // nil if the vault knows of none
	erasure erasureState // the last erasure that is complete
	erasing bool         // a later erasure was under way when the store was asked
}

const recordDigestSize = 16

// A recordDigest stands for one generation of a key record: the beginning of the SHA-256
// of its bytes.
type recordDigest [recordDigestSize]byte

// newRecordDigest returns the digest of a key record.
func newRecordDigest(data []byte) recordDigest {
	sum := digest(data)
	return recordDigest(sum[:])
}

// digestAt returns the digest of the record of the given generation. It reports whether
// the record of k is of that generation or a later one.
func (k *keys) digestAt(generation uint64) (d recordDigest, ok bool) {
	switch {
	case generation == 0 || generation > k.generation:
		return d, false
	case generation == k.generation:
		return k.digest, true
	}
	return recordDigest(k.history[(generation-1)*recordDigestSize:]), true
}

// follows reports whether the record of k is that of the given generation and digest, or
// came from it.
func (k *keys) follows(generation uint64, digest recordDigest) bool {
	d, ok := k.digestAt(generation)
	return ok && d == digest
}

// pin returns the pin of a state.
func (s purposeState) pin(p purpose.Purpose) Pin {
	return Pin{purpose: p, vault: s.keys.vault, generation: s.keys.generation, digest: s.keys.digest, erasure: s.erasure}
}

// A purposeRecords holds the records that a purpose is opened from, read in one call.
type purposeRecords struct {
	vault      format.VaultID
	keys       Record
	erasures   Record
	tombstones map[[IndexSize]byte]Record // of the erasures in the pin and in the known state
	pin        Pin
}

// readPurpose reads the records of p. A purpose without keys is errNone, or, if the vault
// or the pin knows of some, errRollback or errPin.
func (b *backend) readPurpose(ctx context.Context, p purpose.Purpose, at purposeState) (r purposeRecords, err error) {
	if r.pin, err = b.pin(ctx, p); err != nil {
		return r, err
	}
	names := []string{keyRecordName(p), erasuresName(p), vaultRecordName}
	var erased [][IndexSize]byte
	for _, e := range []erasureState{r.pin.erasure, at.erasure} {
		if e.count > 0 {
			erased, names = append(erased, e.pseudonym), append(names, subjectRecordName(p, e.pseudonym))
		}
	}
	records, err := b.get(ctx, names...)
	if err != nil {
		return r, err
	}
	r.keys, r.erasures = records[0], records[1]
	switch {
	case r.keys.Revision != 0:
	case !r.pin.IsZero():
		return r, errPin
	case at.keys != nil:
		return r, errRollback
	default:
		return r, errNone
	}
	if r.vault, err = b.checkVaultID(records[2]); err != nil {
		return r, err
	}
	if !r.pin.IsZero() && r.pin.vault != r.vault {
		return r, errOtherVault
	}
	r.tombstones = make(map[[IndexSize]byte]Record)
	for i, pseudonym := range erased {
		r.tombstones[pseudonym] = records[3+i]
	}
	return r, nil
}

// checkPurpose compares the records of p, and the keys k that they hold, with the pin and
// with the known state. It returns the last erasure that is complete, or the known one if
// k can't authenticate erasures.
//
// An erasure is known once it is complete. Nobody has to wait for one that is under way,
// or that a dead process has left behind.
func (b *backend) checkPurpose(ctx context.Context, p purpose.Purpose, r purposeRecords, k *keys, at purposeState) (now purposeState, err error) {
	now = purposeState{keys: k, erasure: at.erasure}
	if !r.pin.IsZero() && !k.follows(r.pin.generation, r.pin.digest) {
		return now, errPin
	}
	if at.keys != nil && !k.follows(at.keys.generation, at.keys.digest) {
		return now, errRollback
	}
	if at.keys != nil && k.lacks(at.keys) {
		return now, errLostKey
	}
	if k.pseudonym == nil {
		return now, nil
	}
	head, err := decodeErasures(k, p, r.erasures.Data)
	if err != nil {
		return now, err
	}
	if err := k.checkErasure(p, head, r.pin.erasure, r.tombstones, errPin); err != nil {
		return now, err
	}
	if err := k.checkErasure(p, head, at.erasure, r.tombstones, errRollback); err != nil {
		return now, err
	}
	if head == at.erasure || head.count == 0 {
		now.erasure = head
		return now, nil
	}
	records, err := b.get(ctx, subjectRecordName(p, head.pseudonym))
	if err != nil {
		return now, err
	}
	if _, ok := k.tombstoneOf(p, head, records[0].Data); ok {
		now.erasure = head
	} else {
		now.erasing = true
	}
	return now, nil
}

// checkErasure returns the given refusal unless the erasures in the store, of which head
// is the last, came from the known one, and its tombstone still stands.
func (k *keys) checkErasure(p purpose.Purpose, head, known erasureState, tombstones map[[IndexSize]byte]Record, refusal error) error {
	if known.count == 0 {
		return nil
	}
	if head.count < known.count || head.count == known.count && head != known {
		return refusal
	}
	data := tombstones[known.pseudonym].Data
	if _, ok := k.tombstoneOf(p, known, data); ok {
		return nil
	}
	if sealed, ok := cutSubjectRecord(data); ok && !k.seal.has(sealed) && !k.retired.has(sealed) {
		return movedError{refusal}
	}
	return refusal
}

// A movedError is a refusal because of a record under a key that the keys lack, which may
// be newer than they are.
type movedError struct{ refusal error }

func (e movedError) Error() string { return e.refusal.Error() }
func (e movedError) Unwrap() error { return e.refusal }

// load reads and opens the keys of p, and compares them with the known state. If ask is
// not set, and the record in the store has the revision of the known keys, load does not
// ask the key service.
//
// A purpose without a record is errNone. A store that lacks the pinned state is errPin,
// one that lacks the known state errRollback.
func (b *backend) load(ctx context.Context, id keysID, at purposeState, ask bool) (now purposeState, err error) {
	for tries := 1; ; tries++ {
		now, err = b.loadOnce(ctx, id, at, ask)
		// Records are not read as of one moment: a tombstone may have moved to a key
		// that the record of the keys, read before, does not have.
		if tries == 3 || !errors.As(err, new(movedError)) {
			return now, err
		}
	}
}

func (b *backend) loadOnce(ctx context.Context, id keysID, at purposeState, ask bool) (now purposeState, err error) {
	p := id.purpose
	r, err := b.readPurpose(ctx, p, at)
	if err != nil {
		return at, err
	}
	k := at.keys
	if ask || k == nil || r.keys.Revision != k.revision {
		w, err := b.kekClient(ctx, b.kekOf(p), p)
		if err != nil {
			return at, err
		}
		if k, err = b.unwrap(w, p, r.vault, r.keys); err != nil {
			return at, err
		}
	} else if _, _, err := cutKeyRecord(r.keys.Data, r.vault); err != nil {
		return at, err
	}
	now, err = b.checkPurpose(ctx, p, r, k, at)
	if err != nil {
		return at, err
	}
	if err := b.noteVaultID(r.vault); err != nil {
		return at, err
	}
	now.keys = k.restrict(id.subset)
	return now, nil
}

var (
	errPin      = fmt.Errorf("key store is older than its pin, or came from an older one: %w", ErrCorrupt)
	errRollback = fmt.Errorf("key store went back to an older state: %w", ErrCorrupt)
)
