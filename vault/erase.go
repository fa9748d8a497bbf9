package vault

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
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
	// Erased is the time of the erasure, in UTC and whole seconds.
	Erased time.Time `json:"erased"`
	// Generation is the [Admin.Generation] that this erasure led to, for
	// [Options.Pins].
	Generation uint64 `json:"generation"`
}

// erase puts a tombstone in the place of the subject's record. It calls markErased
// as soon as the tombstone is in the store, when the key may no longer be used. It
// counts the erasure before: if the process dies between the two, the count is one
// too high, which harms nobody.
func (pk *purposeKeys) erase(ctx context.Context, subject string, markErased func()) (Erasure, error) {
	keys := pk.current.Load()
	if keys == nil {
		return Erasure{}, errClosed
	}
	pseudonym, err := keys.pseudonymOf(pk.id.purpose, subject)
	if err != nil {
		return Erasure{}, err
	}
	e := Erasure{Purpose: pk.id.purpose, Subject: hex.EncodeToString(pseudonym[:])}
	name := subjectRecordName(pk.id.purpose, pseudonym)
	counted := false
	for {
		if ctx.Err() != nil {
			return e, ctxError(ctx)
		}
		records, err := pk.backend.get(ctx, name)
		if err != nil {
			return e, err
		}
		tombstone := subjectRecord{at: time.Now()}
		if records[0].Revision != 0 {
			old, err := pk.openSubjectRecord(ctx, keys, pseudonym, records[0].Data)
			if err != nil && !errors.Is(err, ErrCorrupt) {
				return e, err
			}
			// A garbled record must not prevent an erasure.
			clear(old.key)
			if err == nil && old.key == nil { // erased earlier
				markErased()
				return pk.describe(ctx, e, old)
			}
			tombstone.id = old.id
		}
		if !counted {
			if err := pk.countErasure(ctx, keys); err != nil {
				return e, err
			}
			counted = true
		}
		if keys = pk.current.Load(); keys == nil { // openSubjectRecord may have found newer keys
			return e, errClosed
		}
		_, err = pk.backend.store.Put(ctx, Record{
			Name: name, Data: tombstone.encode(keys, pk.id.purpose, pseudonym), Revision: records[0].Revision,
		})
		switch {
		case errors.Is(err, ErrConflict):
			continue // sealed, re-wrapped or erased meanwhile
		case err != nil:
			return e, storeError(err)
		}
		markErased()
		return pk.describe(ctx, e, tombstone)
	}
}

// describe completes e with the facts of the tombstone. It reads the generation
// after the tombstone was written, so every store without the tombstone has a lower
// generation.
func (pk *purposeKeys) describe(ctx context.Context, e Erasure, tombstone subjectRecord) (Erasure, error) {
	if tombstone.id != 0 {
		e.KeyID = fmt.Sprintf("%08x", tombstone.id)
	}
	e.Erased = tombstone.at.UTC().Truncate(time.Second)
	if err := pk.refreshNow(ctx); err != nil {
		return e, err
	}
	keys := pk.current.Load()
	if keys == nil {
		return e, errClosed
	}
	e.Generation = keys.generation + pk.erasures.Load()
	return e, nil
}

// The count of erasures under a purpose is a record of its own, so that an erasure
// does not ask the key service. The sum of the count and the generation of the keys
// says how far a store has come. The count is authenticated with the pseudonym key,
// which outlives all other keys.

const erasuresMagic = "ofe1"

var errErasures = fmt.Errorf("malformed count of erasures: %w", ErrCorrupt)

// countErasure adds one to the count of erasures in the store. A count below the
// known number is errRollback.
func (pk *purposeKeys) countErasure(ctx context.Context, keys *keys) error {
	for {
		if ctx.Err() != nil {
			return ctxError(ctx)
		}
		seen := pk.erasures.Load()
		records, err := pk.backend.get(ctx, erasuresName(pk.id.purpose))
		if err != nil {
			return err
		}
		n, err := decodeErasures(keys, pk.id.purpose, records[0].Data)
		if err != nil {
			return err
		}
		if n < seen {
			return errRollback
		}
		data, err := encodeErasures(keys, pk.id.purpose, n+1)
		if err != nil {
			return err
		}
		_, err = pk.backend.store.Put(ctx, Record{Name: erasuresName(pk.id.purpose), Data: data, Revision: records[0].Revision})
		switch {
		case errors.Is(err, ErrConflict):
			continue
		case err != nil:
			return storeError(err)
		}
		pk.noteErasures(n + 1)
		return nil
	}
}

// erasuresName returns the name of the record that counts the erasures under p.
func erasuresName(p purpose.Purpose) string { return p.String() + "/erasures" }

// encodeErasures returns the record for n erasures under p.
func encodeErasures(k *keys, p purpose.Purpose, n uint64) ([]byte, error) {
	tag, err := k.pseudonym.compute(format.AppendErasuresInput(nil, p.String(), n))
	if err != nil {
		return nil, err
	}
	return append(binary.BigEndian.AppendUint64([]byte(erasuresMagic), n), tag[:]...), nil
}

// decodeErasures returns the number of erasures in a record. It is 0 for no data:
// no subject was erased yet. A record that is malformed or was altered is
// errErasures.
func decodeErasures(k *keys, p purpose.Purpose, data []byte) (uint64, error) {
	if data == nil {
		return 0, nil
	}
	if len(data) != len(erasuresMagic)+8+IndexSize {
		return 0, errErasures
	}
	n := binary.BigEndian.Uint64(data[len(erasuresMagic):])
	want, err := encodeErasures(k, p, n)
	if err != nil {
		return 0, err
	}
	if subtle.ConstantTimeCompare(data, want) != 1 {
		return 0, errErasures
	}
	return n, nil
}
