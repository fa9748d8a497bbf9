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

// A Certificate is the proof of an erasure, for keeping: what was destroyed, for
// which purposes, and when. It is made for JSON and holds neither the subject's
// id nor a key.
type Certificate struct {
	// Erasures are in the order in which their purposes were given.
	Erasures []Erasure `json:"erasures"`
}

// An Erasure says that what was sealed for one subject under one purpose can no
// longer be read.
type Erasure struct {
	// Purpose is what can no longer be done with the person's data.
	Purpose purpose.Purpose `json:"purpose"`
	// Subject is the pseudonym of the person under this purpose, 32 hex digits.
	// [Scope.Pseudonym] tells whose it is.
	Subject string `json:"subject"`
	// KeyID is the id of the key that was destroyed, 8 hex digits, "" if the
	// subject had none.
	KeyID string `json:"key_id,omitempty"`
	// Erased is when, in UTC and whole seconds.
	Erased time.Time `json:"erased"`
	// Generation is what [Vault.Generation] had reached with this erasure, for
	// [Options.Pins].
	Generation uint64 `json:"generation"`
}

// Erase destroys the keys of one subject under the given purposes. All values
// that were sealed with scopes narrowed to the subject by [Scope.For] are
// unreadable for these purposes from then on, wherever they are, backups of the
// data included; other purposes live on. The cost does not depend on how many
// values there are.
//
// When Erase returns, no operation for the subject succeeds any more through
// this vault: it is [ErrErased]. Through others, of this process or another, that
// is so when [Options.SubjectLifetime] has passed. A tombstone stays in the store,
// so that the subject does not come back by itself. Erasing again is no error, and
// certifies the first time.
//
// Indexes are computed with keys of the purpose, and so outlive an erasure. Set
// the index columns of the person's row to NULL in the same transaction that
// records the erasure. What remains recoverable, by whoever has both, is an old
// backup of the key store and its KEK: see [Options.Pins].
//
// Purposes are erased in the order given. If one fails, the certificate tells
// which were done, and calling again completes the rest. No purpose at all and
// a subject that [Scope.For] refuses are [ErrInvalid]; other errors are those of
// [Vault.Scope].
func (v *Vault) Erase(ctx context.Context, subject string, purposes ...purpose.Purpose) (Certificate, error) {
	var c Certificate
	if len(purposes) == 0 {
		return c, keysError(ActionErase, purpose.Purpose{}, errNoPurpose)
	}
	for _, p := range purposes {
		e, err := v.eraseFor(ctx, subject, p)
		if err = v.audit(ctx, Event{Action: ActionErase, Purpose: p, Subject: e.Subject}, err); err != nil {
			return c, keysError(ActionErase, p, err)
		}
		c.Erasures = append(c.Erasures, e)
	}
	return c, nil
}

func (v *Vault) eraseFor(ctx context.Context, subject string, p purpose.Purpose) (Erasure, error) {
	if subject == "" || len(subject) > format.MaxSubject {
		return Erasure{}, errSubjectID
	}
	pk, err := v.openKeys(ctx, p, allKeys)
	if err != nil {
		return Erasure{}, err
	}
	var e Erasure
	err = v.exclusive(ctx, ActionErase, p, func(ctx context.Context) error {
		var err error
		e, err = pk.erase(ctx, subject, func() { v.markErased(p, subject) })
		return err
	})
	if err != nil {
		return Erasure{}, err
	}
	return e, nil
}

// erase calls forget once nobody may use the subject's key any more. It counts the erasure first: if the process dies before the tombstone is
// written, one too many was counted, which harms nobody.
func (pk *purposeKeys) erase(ctx context.Context, subject string, forget func()) (Erasure, error) {
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
			// A record that was garbled must not stand in the way of an erasure.
			clear(old.key)
			if err == nil && old.key == nil { // before now
				forget()
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
		if keys = pk.current.Load(); keys == nil { // decode may have learned newer ones
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
		forget()
		return pk.describe(ctx, e, tombstone)
	}
}

// forget makes every scope and reader of this vault take the subject for erased.
func (v *Vault) markErased(p purpose.Purpose, subject string) {
	for _, pk := range v.findAll(p) {
		pk.subjects.Load().erase(subject)
	}
}

// describe fills in what e says of the tombstone. It reads the generation after
// that was written: so every store without the tombstone has a lower one.
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

// The number of erasures under a purpose is a record of its own, so that an
// erasure does not ask the key service. Together with the generation of the keys
// it says how far a store has come. It is authenticated with the key of
// pseudonyms, which outlives all others.

const erasuresMagic = "ofe1"

func erasuresName(p purpose.Purpose) string { return p.String() + "/erasures" }

func encodeErasures(k *keys, p purpose.Purpose, n uint64) ([]byte, error) {
	tag, err := k.pseudonym.compute(format.AppendErasuresInput(nil, p.String(), n))
	if err != nil {
		return nil, err
	}
	return append(binary.BigEndian.AppendUint64([]byte(erasuresMagic), n), tag[:]...), nil
}

// decodeErasures returns 0 for no data: nobody was erased yet.
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

var errErasures = fmt.Errorf("malformed count of erasures: %w", ErrCorrupt)

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
