package vault

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// Rewrap wraps the keys of the given purposes with another KEK. This vault uses that KEK
// for them from then on. The keys do not change, and nor do values and indexes. Purposes
// are done in the order given; after a failure, another call completes the rest.
//
// Other processes keep the keys that they have opened. A process that opens keys while
// purposes are being moved needs [EitherKEK]. A nil KEK or no purpose is [ErrInvalid];
// other errors are the errors of [Admin.Rotate].
func (a *Admin) Rewrap(ctx context.Context, kek KEK, purposes ...purpose.Purpose) error {
	var refusal error
	switch {
	case kek == nil:
		refusal = errNoKEK
	case len(purposes) == 0:
		refusal = errNoPurpose
	}
	if refusal != nil {
		return keysError(audit.Rewrap, purpose.Purpose{}, a.Vault().audit(ctx, audit.Event{Action: audit.Rewrap}, refusal))
	}
	for _, p := range purposes {
		err := a.operate(ctx, audit.Event{Action: audit.Rewrap, Purpose: p}, func(ctx context.Context, e *pendingEvent) error {
			r, old, err := a.readKeyRecord(ctx, p)
			if err != nil {
				// An earlier call may have re-wrapped the record and lost the answer.
				// If so, the new KEK opens it.
				done, record, failed := a.readKeyRecordWith(ctx, kek, p)
				if failed != nil {
					return err
				}
				e.at(done.Generation, newRecordDigest(record.Data))
			} else {
				if err := generateKEK(ctx, kek, p); err != nil {
					return err
				}
				r.advance(old.Data)
				digest, err := a.put(ctx, kek, p, r, old.Revision)
				if err != nil {
					return err
				}
				e.at(r.Generation, digest)
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			a.keks[p] = kek
			clear(a.failed)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Progress reports how many subjects [Admin.RewrapSubjects] has done.
type Progress struct {
	// Seen is the number of subjects that were read. Changed is the number of subjects
	// that were re-wrapped. Corrupt is the number of subjects whose record does not open,
	// which RewrapSubjects left as it was.
	Seen, Changed, Corrupt int
	// After is the position to continue from after an interruption: the name of the
	// last record that was read. If the call raised Corrupt, it is the record that does
	// not open, and ends in the pseudonym of its subject.
	After string
}

// RewrapSubjects wraps the keys of all subjects under p with the primary key of p. Call
// it after [Admin.Rotate] and before [Admin.Retire]. Values do not change.
//
// It reads 256 records with one call of the store, and a [BatchReplacer] writes them with
// another one. It calls progress, which may be nil, for every subject. If progress returns
// an error, RewrapSubjects ends and returns that error; up to 255 subjects more may have been
// re-wrapped. after is "" or the [Progress.After] of an interrupted run. Starting over costs
// only time, because subjects that are done are skipped. Other processes may use the keys
// meanwhile.
//
// A record that does not open costs one subject: RewrapSubjects counts it in
// [Progress.Corrupt], goes on with the other subjects, and at the end returns an error
// that is [ErrCorrupt] and names the first such record. If it is [ErrRetired] too, the key
// that wraps the record is retired: call [Admin.Reinstate]. If not, restore the record from
// a backup of the key store, or erase the subject. Then call again. Other errors are the errors
// of [Admin.Rotate]. An after that no run returned is [ErrInvalid].
func (a *Admin) RewrapSubjects(ctx context.Context, p purpose.Purpose, after string, progress func(Progress) error) error {
	e := audit.Event{Action: audit.RewrapSubjects, Purpose: p}
	// A progress that panics, or ends the goroutine, ends a run that has moved keys.
	err := a.Vault().audited(ctx, func() audit.Event { return e }, func() error {
		return a.rewrapSubjects(ctx, p, after, progress, &e)
	})
	if err != nil {
		return keysError(audit.RewrapSubjects, p, err)
	}
	return nil
}

// rewrapSubjects is RewrapSubjects, which adds to its event e.
func (a *Admin) rewrapSubjects(ctx context.Context, p purpose.Purpose, after string, progress func(Progress) error, e *audit.Event) error {
	pk, err := a.Vault().openKeys(ctx, p, allKeys)
	if err != nil {
		return err
	}
	if err := pk.refreshNow(ctx); err != nil { // another process may have rotated
		return err
	}
	pk.stamp(e)
	prefix := subjectPrefix(p)
	if after != "" && !strings.HasPrefix(after, prefix) {
		return fmt.Errorf("not a position of this purpose: %w", ErrInvalid)
	}
	at := Progress{After: after}
	var damaged error // about the first record that does not open
	for {
		// One call for each page, each batch and each subject that the batch left: a store
		// that hangs or panics is left behind, as everywhere else, and progress may take its
		// time.
		var names []string
		err := a.exclusive(ctx, audit.RewrapSubjects, p, func(ctx context.Context) (err error) {
			names, err = a.subjectsAfter(ctx, prefix, at.After)
			return err
		})
		if err != nil {
			return err
		}
		for some := range slices.Chunk(names, recordsPerRead) {
			var moves []subjectMove
			err := a.exclusive(ctx, audit.RewrapSubjects, p, func(ctx context.Context) (err error) {
				moves, err = pk.moveSubjects(ctx, some)
				return err
			})
			if err != nil {
				return err
			}
			for _, m := range moves {
				if m.changed {
					e.Count++ // even if progress ends the run before it gets there
				}
			}
			for i, name := range some {
				m := moves[i]
				if m.left {
					m.err = a.exclusive(ctx, audit.RewrapSubjects, p, func(ctx context.Context) (err error) {
						m.changed, err = pk.rewrapSubject(ctx, name, m.record)
						return err
					})
					if m.err == nil && m.changed {
						e.Count++
					}
				}
				switch {
				case ofOneRecord(m.err), errors.Is(m.err, ErrRetired):
					at.Corrupt++
					if damaged == nil {
						damaged = fmt.Errorf("%s: %w", recordLabel(name), m.err)
					}
				case m.err != nil:
					return m.err
				case m.changed:
					at.Changed++
				}
				at.Seen++
				at.After = name
				if progress != nil {
					if err := progress(at); err != nil {
						return err
					}
				}
			}
		}
		if len(names) < subjectsPerPage {
			return damaged
		}
	}
}

// recordLabel returns the name of a record for an error. Another name than a store
// accepts is not repeated.
func recordLabel(name string) string {
	if !validName(name) {
		return "record of a malformed name"
	}
	return "record " + name
}

// subjectsPerPage is the number of names of subjects that are read at a time.
const subjectsPerPage = 1000

// subjectsAfter returns the first subjectsPerPage names of subjects that sort after the
// name after.
func (a *Admin) subjectsAfter(ctx context.Context, prefix, after string) (names []string, err error) {
	for name, err := range a.store.List(ctx, prefix, after) {
		switch {
		case err != nil:
			return nil, storeError(err)
		case name <= after: // otherwise the loop would never end
			return nil, errOrder
		}
		names, after = append(names, name), name
		if len(names) == subjectsPerPage {
			break
		}
	}
	return names, nil
}

// A subjectMove is the result of moving one record of a subject to the newest key.
type subjectMove struct {
	changed bool
	err     error
	// left is set if the record is to be moved by itself. record is the record as it was
	// read, of revision 0 if it has to be read again.
	left   bool
	record Record
}

// moveSubjects re-wraps the records of the given names. One read tells which of them are
// done already, and one call of a store that can replaces the others. An error of one record
// costs the other records nothing; such a record, and each that the store did not replace,
// is left to rewrapSubject. After an error, nothing is known of any record.
func (pk *purposeKeys) moveSubjects(ctx context.Context, names []string) ([]subjectMove, error) {
	moves := make([]subjectMove, len(names))
	var read []string // well-formed names, which are the names of moves[at[i]]
	var at []int
	var pseudonyms [][IndexSize]byte
	for i, name := range names {
		pseudonym, err := pk.subjectOf(name)
		if err != nil {
			moves[i].err = err
			continue
		}
		read, at, pseudonyms = append(read, name), append(at, i), append(pseudonyms, pseudonym)
	}
	if len(read) == 0 {
		return moves, nil
	}
	keys, err := pk.confirmed(ctx)
	if err != nil {
		return nil, err
	}
	records, errs, err := pk.readRecords(ctx, read)
	if errors.Is(err, ErrUnavailable) {
		return nil, err
	}
	if err != nil { // such as denied access to one of them
		for _, i := range at {
			moves[i].left = true
		}
		return moves, nil
	}
	var todo []int // indexes of read
	for j, i := range at {
		m := &moves[i]
		sealed, ok := cutSubjectRecord(records[j].Data)
		switch {
		case errs[j] != nil:
			m.err = errs[j]
		case records[j].Revision == 0:
		case !ok:
			m.err = errSubjectRecord
		// A process whose clock is ahead may have moved the record to the next key
		// already: moving it back would undo its work.
		case keys.seal.onNewest(sealed):
		default:
			m.left, m.record = true, records[j]
			todo = append(todo, j)
		}
	}
	if pk.backend.replacer == nil || len(todo) < 2 {
		return moves, nil
	}
	return moves, pk.replaceSubjects(ctx, keys, todo, func(j int) (*subjectMove, [IndexSize]byte) { return &moves[at[j]], pseudonyms[j] })
}

// replaceSubjects re-wraps the records of todo, which move returns with their pseudonyms,
// and replaces them with one call of the store.
func (pk *purposeKeys) replaceSubjects(ctx context.Context, keys *keys, todo []int, move func(int) (*subjectMove, [IndexSize]byte)) error {
	var fresh []Record
	var of []*subjectMove
	for _, j := range todo {
		m, pseudonym := move(j)
		record, err := pk.openSubjectRecord(ctx, keys, pseudonym, m.record.Data)
		if err != nil {
			continue // rewrapSubject reports it in its turn
		}
		fresh = append(fresh, Record{Name: m.record.Name, Data: record.encode(keys, pk.id.purpose, pseudonym), Revision: m.record.Revision})
		of = append(of, m)
		clear(record.key)
	}
	if pk.current.Load() != keys || len(fresh) == 0 {
		return nil // opening a record installed newer keys: do not wrap it with older ones
	}
	revisions, err := pk.backend.replace(ctx, fresh)
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	for i, m := range of {
		switch {
		case err != nil, revisions[i] == 0:
			m.record = Record{} // written by somebody, perhaps by this call
		default:
			m.left, m.changed = false, true
		}
	}
	return nil
}

// subjectOf returns the pseudonym in the name of a subject's record.
func (pk *purposeKeys) subjectOf(name string) ([IndexSize]byte, error) {
	raw, err := hex.DecodeString(name[strings.LastIndexByte(name, '/')+1:])
	if err != nil || len(raw) != IndexSize {
		return [IndexSize]byte{}, errSubjectRecord
	}
	pseudonym := [IndexSize]byte(raw)
	if name != subjectRecordName(pk.id.purpose, pseudonym) {
		// A copy under another name opens, and no erasure reaches it. It must not live on
		// under the newest key.
		return [IndexSize]byte{}, errSubjectRecord
	}
	return pseudonym, nil
}

// rewrapSubject re-wraps one record, which at is as it was read. It reads the record if the
// revision of at is 0.
func (pk *purposeKeys) rewrapSubject(ctx context.Context, name string, at Record) (changed bool, err error) {
	pseudonym, err := pk.subjectOf(name)
	if err != nil {
		return false, err
	}
	for ; ; at = (Record{}) {
		if ctx.Err() != nil {
			return false, ctxError(ctx)
		}
		keys, err := pk.confirmed(ctx)
		if err != nil {
			return false, err
		}
		if at.Revision == 0 {
			records, errs, err := pk.readRecords(ctx, []string{name})
			if err = cmp.Or(err, cmp.Or(errs...)); err != nil || records[0].Revision == 0 {
				return false, err
			}
			at = records[0]
		}
		sealed, ok := cutSubjectRecord(at.Data)
		if !ok {
			return false, errSubjectRecord
		}
		if keys.seal.onNewest(sealed) { // as in moveSubjects
			return false, nil
		}
		record, err := pk.openSubjectRecord(ctx, keys, pseudonym, at.Data)
		if err != nil {
			return false, err
		}
		if pk.current.Load() != keys {
			clear(record.key)
			continue // opening the record installed newer keys: do not wrap it with older ones
		}
		data := record.encode(keys, pk.id.purpose, pseudonym)
		clear(record.key)
		_, err = pk.backend.store.Put(ctx, Record{Name: name, Data: data, Revision: at.Revision})
		if errors.Is(err, ErrConflict) {
			continue // erased, or re-wrapped by another process
		}
		return err == nil, storeError(err)
	}
}

// WrappedBy returns the name of the KEK that wrapped the keys of p, as its [KeyNamer]
// stated it, or "" if the KEK has no name. It asks the key service: a name in a record
// that does not open is a claim of anybody who can write to the store. Its errors are the
// errors of [Vault.Scope].
func (a *Admin) WrappedBy(ctx context.Context, p purpose.Purpose) (string, error) {
	found := make(chan string, 1) // a call that was left early may still send
	err := a.operate(ctx, audit.Event{Action: audit.List, Purpose: p}, func(ctx context.Context, e *pendingEvent) error {
		r, record, err := a.readKeyRecord(ctx, p)
		if err != nil {
			return err
		}
		e.at(r.Generation, newRecordDigest(record.Data))
		h, _, err := cutKeyRecord(record.Data, format.VaultID(r.Vault))
		found <- h.kek
		return err
	})
	if err != nil {
		return "", err
	}
	return <-found, nil
}
