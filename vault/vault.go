package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A Vault holds the keys of purposes. Its methods may be called from many
// goroutines at once. A nil or zero Vault is [ErrInvalid] everywhere: see [Open].
type Vault struct {
	*backend
	opened *openedKeys
}

// Open returns a vault whose keys are in store, wrapped by kek. It calls neither of
// them yet; [Vault.Scope] does. opts may be nil. A nil store or kek, and an option out
// of bounds, is [ErrInvalid]; a ctx that is done is [ErrUnavailable].
func Open(ctx context.Context, store Store, kek KEK, opts *Options) (*Vault, error) {
	o, err := opts.withDefaults()
	switch {
	case store == nil:
		err = fmt.Errorf("nil store: %w", ErrInvalid)
	case kek == nil:
		err = errNoKEK
	case err == nil && ctx.Err() != nil:
		err = ctxError(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("vault: opening: %w", err)
	}
	stats := &counters{}
	v := &Vault{
		backend: &backend{
			store: &countedStore{store, &stats.store}, opts: o, stats: stats, clock: newClock(), jitter: rand.Float64(), operations: make(chan struct{}, maxCalls), budgets: newBuckets(o.Budget),
			calls: make(map[callID]*call), kek: kek, keks: make(map[purpose.Purpose]KEK), failed: make(map[keysID]*failures), seals: make(map[purpose.Purpose]*sealCounts),
		},
		opened: &openedKeys{},
	}
	if r, ok := store.(BatchReplacer); ok {
		v.replacer = &countedReplacer{r, &stats.store}
	}
	return v, nil
}

// Close forgets all keys. The vault and its scopes fail with [ErrNoKeys] from then on.
// Close always returns nil, and may be called again. Keys are not overwritten: they are
// left to the garbage collector.
//
// Close adds the seals of this vault to the counts in the store (see [Key]), and waits
// for that for up to five seconds. A vault that is dropped without Close is collected as
// well; the seals of the last [Options.Refresh] are then not counted.
func (v *Vault) Close() error {
	if !v.valid() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), min(maxPatience, v.opts.Timeout))
	defer cancel()
	var wg sync.WaitGroup
	for _, pk := range v.opened.all() {
		if pk.id.subset == allKeys {
			wg.Go(func() { _ = pk.writeSeals(ctx) })
		}
	}
	wg.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	for _, pk := range v.opened.all() {
		pk.close()
	}
	v.opened.clear()
	return nil
}

func (v *Vault) valid() bool { return v != nil && v.backend != nil }

// audited runs an operation and audits it. An operation goes on without its caller, so it is
// audited too if the caller's ctx panics, or ends the goroutine, while the caller waits.
func (v *Vault) audited(ctx context.Context, event func() audit.Event, operation func() error) error {
	returned := false
	defer func() {
		if !returned {
			_ = v.audit(ctx, event(), errLeft)
		}
	}()
	err := operation()
	returned = true
	return v.audit(ctx, event(), err)
}

// errLeft reports an operation whose caller did not wait for its end.
var errLeft = fmt.Errorf("caller did not wait: %w", ErrUnavailable)

// audit is the method of the backend, for a Vault that may be nil or zero. Such a Vault
// has no auditor.
func (v *Vault) audit(ctx context.Context, e audit.Event, err error) error {
	if !v.valid() {
		return err
	}
	return v.backend.audit(ctx, e, err)
}

// String returns "vault.Vault".
func (v *Vault) String() string { return "vault.Vault" }

// Format implements [fmt.Formatter]: every verb prints "vault.Vault".
func (v *Vault) Format(f fmt.State, verb rune) { printLabel(f, verb, v.String()) }

// Scope returns the right to use purpose p. The first call for p asks the key service.
// The vault keeps the unwrapped keys, so that further scopes of p cost nothing.
//
// Errors are [ErrNoKeys] if the purpose has no keys, if the key service refuses to
// unwrap them, as it does for the keys of another process's purpose, or if the KEK
// ignores associated data; [ErrCorrupt] for a key record that was altered or is older
// than its pin; [ErrUnavailable] if the store or the key service does not answer in
// time; [ErrInvalid] for the zero purpose.
func (v *Vault) Scope(ctx context.Context, p purpose.Purpose) (*Scope, error) {
	return v.scope(ctx, p, allKeys)
}

// Lookup returns the right to look values up for p, and no other right. It returns the
// errors of [Vault.Scope].
func (v *Vault) Lookup(ctx context.Context, p purpose.Purpose) (*Lookup, error) {
	s, err := v.scope(ctx, p, indexKeys)
	if err != nil {
		return nil, err
	}
	return newLookup(s), nil
}

// Reader returns the right to reveal values that were collected for p, and no other
// right. It returns the errors of [Vault.Scope].
func (v *Vault) Reader(ctx context.Context, p purpose.Purpose) (*Reader, error) {
	s, err := v.scope(ctx, p, readKeys)
	if err != nil {
		return nil, err
	}
	return newReader(s), nil
}

// Collector returns the right to collect values for p, without the right to
// anything else. It opens the keys of p to find the public key, so it needs the
// grants of [Vault.Scope] and has its errors. A purpose without keys for collectors
// is [ErrNoKeys] (see [Admin.Rotate]). The collector works on after the
// vault is closed.
func (v *Vault) Collector(ctx context.Context, p purpose.Purpose) (*Collector, error) {
	c, err := v.collector(ctx, p)
	if err = v.audit(ctx, v.openEvent(p), err); err != nil {
		return nil, keysError(audit.Open, p, err)
	}
	return c, nil
}

func (v *Vault) collector(ctx context.Context, p purpose.Purpose) (*Collector, error) {
	pk, err := v.openKeys(ctx, p, allKeys)
	if err != nil {
		return nil, err
	}
	keys, err := pk.newest(ctx)
	if err != nil {
		return nil, err
	}
	set := keys.collect()
	if set == nil {
		return nil, errNoCollectKeys
	}
	public := set.schedule.primary()
	if public == nil {
		return nil, errNoCollectKeys
	}
	return newCollector(Collector{purpose: p, public: public, auditor: v.opts.Audit, exact: v.opts.ExactTimes}), nil
}

var errNoCollectKeys = fmt.Errorf("none for collectors: %w", ErrNoKeys)

// scope returns a scope with a subset of the keys of p. Nothing leads from the scope to
// the other keys: its purposeKeys holds the subset alone, and knows no other
// purposeKeys.
func (v *Vault) scope(ctx context.Context, p purpose.Purpose, of subset) (*Scope, error) {
	pk, err := v.openKeys(ctx, p, of)
	if err = v.audit(ctx, v.openEvent(p), err); err != nil {
		return nil, keysError(audit.Open, p, err)
	}
	return newScope(pk), nil
}

// openEvent returns the event of opening the keys of p. It has the generation of the keys
// that are open, if there are some.
func (v *Vault) openEvent(p purpose.Purpose) audit.Event {
	e := audit.Event{Action: audit.Open, Purpose: p}
	if v.valid() && v.opts.Audit != nil { // otherwise the event goes nowhere
		if at := v.state(p); at.keys != nil {
			atKeys(&e, at.keys.generation, at.keys.digest)
		}
	}
	return e
}

func (v *Vault) openKeys(ctx context.Context, p purpose.Purpose, of subset) (*purposeKeys, error) {
	switch {
	case !v.valid():
		return nil, errNoVault
	case p.IsZero():
		return nil, errNoPurpose
	case ctx.Err() != nil:
		return nil, ctxError(ctx)
	}
	key := keysID{p, of}
	if pk := v.opened.find(key); pk != nil {
		_, err := pk.fresh(ctx)
		return pk, err
	}
	err := v.shared(ctx, callID{action: audit.Open, keys: key}, gate{places: v.operations}, func(ctx context.Context) error {
		if v.opened.find(key) != nil {
			return nil // opened since find was called above
		}
		asked := v.clock.exact()
		var at purposeState
		err := v.asking(key, func() (err error) {
			at, err = v.load(ctx, key, v.state(p), true)
			return err
		})
		if err != nil {
			return err
		}
		if err := v.checkLease(asked); err != nil {
			return err
		}
		return v.add(newPurposeKeys(v.backend, key, at, asked))
	})
	if err != nil {
		return nil, err
	}
	if pk := v.opened.find(key); pk != nil {
		return pk, nil
	}
	return nil, errClosed
}

// findAll returns the opened keys of p for scopes, for lookups and for readers.
func (v *Vault) findAll(p purpose.Purpose) []*purposeKeys {
	var all []*purposeKeys
	for _, of := range []subset{allKeys, indexKeys, readKeys} {
		if pk := v.opened.find(keysID{p, of}); pk != nil {
			all = append(all, pk)
		}
	}
	return all
}

func (v *Vault) add(pk *purposeKeys) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed { // Close came first, and has not closed pk
		pk.close()
		return errClosed
	}
	v.opened.add(pk)
	return nil
}

// state returns the state of p that this vault knows of. It is zero if the vault has
// opened no keys of p.
func (v *Vault) state(p purpose.Purpose) purposeState {
	for _, pk := range v.findAll(p) {
		if at := pk.known(); at.keys != nil {
			return at
		}
	}
	return purposeState{}
}

// keysError adds the action and the purpose of the keys to err.
func keysError(a audit.Action, p purpose.Purpose, err error) error {
	if p.IsZero() {
		return fmt.Errorf("vault: %s keys: %w", a.Gerund(), err)
	}
	return fmt.Errorf("vault: %s keys of %s: %w", a.Gerund(), p, err)
}

// Erase destroys the keys of one subject under the given purposes. Every value
// sealed with a scope that [Scope.For] narrowed to the subject becomes unreadable
// for these purposes, in every copy, backups of the data included. Other purposes
// live on. The cost does not depend on the number of values.
//
// When Erase returns, every operation for the subject through this vault fails with
// [ErrErased]. Other vaults, of this process or another, follow within
// [Options.SubjectLifetime]. A tombstone stays in the store, so that the subject
// does not come back by itself. Erasing again is no error, and the certificate
// states the first erasure.
//
// Indexes are computed with keys of the purpose, and so outlive an erasure. Set the
// index columns of the person's row to NULL in the transaction that records the
// erasure. Together with its KEK, an old backup of the key store still opens the
// values: see [Options.Pin].
//
// Purposes are erased in the order given. If one fails, the certificate lists the
// purposes that were done, and calling Erase again completes the rest. No purpose
// at all and a subject that [Scope.For] refuses are [ErrInvalid]; other errors are
// as for [Vault.Scope].
func (v *Vault) Erase(ctx context.Context, subject string, purposes ...purpose.Purpose) ([]Erasure, error) {
	var done []Erasure
	if len(purposes) == 0 {
		return done, keysError(audit.Erase, purpose.Purpose{}, v.audit(ctx, audit.Event{Action: audit.Erase, Count: 1}, errNoPurpose))
	}
	for _, p := range purposes {
		var e Erasure
		event := func() audit.Event {
			event := v.eraseEvent(p, e)
			if event.Subject == "" && ValidSubject(subject) {
				event.Subject = v.pseudonym(p, subject)
			}
			return event
		}
		err := v.audited(ctx, event, func() (err error) {
			e, err = v.eraseFor(ctx, subject, p)
			return err
		})
		if err != nil {
			return done, keysError(audit.Erase, p, err)
		}
		done = append(done, e)
	}
	return done, nil
}

// eraseEvent returns the event of an erasure under p. The erasure e is zero if it failed.
func (v *Vault) eraseEvent(p purpose.Purpose, e Erasure) audit.Event {
	event := v.openEvent(p)
	event.Action, event.Subject, event.Count = audit.Erase, e.Subject, 1
	if id, err := strconv.ParseUint(e.KeyID, 16, 32); err == nil { // "" for a subject without a key
		event.KeyID = uint32(id)
	}
	return event
}

// pseudonym returns the pseudonym of the subject under p, in hexadecimal digits, or "" if
// this vault has no keys of p open that can compute it.
func (v *Vault) pseudonym(p purpose.Purpose, subject string) string {
	if !v.valid() {
		return ""
	}
	for _, pk := range v.findAll(p) {
		if k := pk.current.Load(); k != nil && k.pseudonym != nil {
			if pseudonym, err := k.pseudonymOf(p, subject); err == nil {
				return hexID(pseudonym)
			}
		}
	}
	return ""
}

func (v *Vault) eraseFor(ctx context.Context, subject string, p purpose.Purpose) (Erasure, error) {
	if !ValidSubject(subject) {
		return Erasure{}, subjectError(subject)
	}
	return v.eraseBy(ctx, p, func(k *keys) ([IndexSize]byte, error) { return k.pseudonymOf(p, subject) },
		func() { v.markErased(p, subject) })
}

// eraseBy erases the subject under p that has the pseudonym that find returns.
func (v *Vault) eraseBy(ctx context.Context, p purpose.Purpose, find func(*keys) ([IndexSize]byte, error), markErased func()) (Erasure, error) {
	pk, err := v.openKeys(ctx, p, allKeys)
	if err != nil {
		return Erasure{}, err
	}
	done := make(chan Erasure, 1) // a call that was left early may still send
	err = v.exclusive(ctx, audit.Erase, p, func(ctx context.Context) error {
		k := pk.current.Load()
		if k == nil {
			return errClosed
		}
		pseudonym, err := find(k)
		if err != nil {
			return err
		}
		e, err := pk.erase(ctx, pseudonym, markErased)
		done <- e
		return err
	})
	if err != nil {
		return Erasure{}, err
	}
	return <-done, nil
}

// markErased makes every scope and reader of p in this vault treat the subject as
// erased.
func (v *Vault) markErased(p purpose.Purpose, subject string) {
	for _, pk := range v.findAll(p) {
		pk.subjects.Load().erase(subject)
	}
}

// Purposes returns the purposes that the store has keys for. It asks no key service.
//
// A key record that the store can't read, such as a malformed file of a [Dir], costs no
// other purpose: Purposes returns all purposes, this one included, and an error that is
// [ErrCorrupt] and names the first such record. A file of a Dir that is open to others is
// [ErrNoKeys] in the same way. With any other error the set is empty: a store that does
// not answer, and a ctx that is done, is [ErrUnavailable]; a closed vault is [ErrNoKeys]; a
// store that lists names out of order is [ErrCorrupt].
func (v *Vault) Purposes(ctx context.Context) (purpose.Set, error) {
	if !v.valid() {
		return purpose.Set{}, fmt.Errorf("vault: listing purposes: %w", errNoVault)
	}
	var found []purpose.Purpose
	var damaged error
	err := v.exclusive(ctx, actionPurposes, purpose.Purpose{}, func(ctx context.Context) (err error) {
		found, damaged, err = v.listPurposes(ctx)
		return err
	})
	if err != nil { // not found: a call that was left early may still write to it
		return purpose.Set{}, fmt.Errorf("vault: listing purposes: %w", err)
	}
	if damaged != nil {
		err = fmt.Errorf("vault: listing purposes: %w", damaged)
	}
	return purpose.NewSet(found...), err
}

// errOrder reports a store that lists a name which does not sort after the name before
// it.
var errOrder = fmt.Errorf("key store lists names out of order: %w", ErrCorrupt)

// listPurposes returns the purposes with a key record, and in damaged the error about the
// first key record that the store can't read.
func (v *Vault) listPurposes(ctx context.Context) (found []purpose.Purpose, damaged, err error) {
	folders, err := v.listFolders(ctx)
	if err != nil {
		return nil, nil, err
	}
	ofOne := func(err error) bool { return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNoKeys) }
	for some := range slices.Chunk(folders, recordsPerRead) {
		names := make([]string, len(some))
		for i, p := range some {
			names[i] = keyRecordName(p)
		}
		records, errs, err := v.getEach(ctx, names, ofOne)
		if err != nil {
			return nil, nil, err
		}
		for i, p := range some {
			if errs[i] != nil {
				damaged = cmp.Or(damaged, fmt.Errorf("%s: %w", recordLabel(names[i]), errs[i]))
			} else if records[i].Revision == 0 {
				continue
			}
			found = append(found, p)
		}
	}
	return found, damaged, nil
}

// namesPerFolder is the number of names of one folder that listFolders reads before it
// begins another List behind the folder, which may hold many subjects. Most folders have
// fewer names, so one List does for many purposes.
const namesPerFolder = 32

// listFolders returns the purposes that are names of folders in the store.
func (v *Vault) listFolders(ctx context.Context) (folders []purpose.Purpose, err error) {
	for after, more := "", true; more; {
		more = false
		last, seen := "", 0 // the folder of the last name, and how many names it had
		for name, err := range v.store.List(ctx, "", after) {
			switch {
			case ctx.Err() != nil:
				return nil, ctxError(ctx)
			case err != nil && seen > 0:
				// The fault may be within this folder, as of one of its subjects. If it is
				// not, the next List fails at once.
				after, more = last+"0", true
			case err != nil:
				return nil, storeError(err)
			case name <= after: // otherwise the loop might never end
				return nil, errOrder
			}
			if more {
				break
			}
			after = name
			folder, _, inFolder := strings.Cut(name, "/")
			if !inFolder { // such as the record of the vault
				last, seen = "", 0
				continue
			}
			if folder != last {
				last, seen = folder, 0
				if p, err := purpose.Parse(folder); err == nil {
					folders = append(folders, p)
				}
			}
			if seen++; seen == namesPerFolder {
				after, more = folder+"0", true // after all names in the folder
				break
			}
		}
	}
	return folders, nil
}

// operate runs an operation on the keys of p, and audits it. The operation adds facts to
// its event.
func (v *Vault) operate(ctx context.Context, e audit.Event, f func(context.Context, *pendingEvent) error) error {
	pending := &pendingEvent{event: e}
	err := v.audited(ctx, pending.taken, func() error {
		return v.run(ctx, e.Action, e.Purpose, func(ctx context.Context) error { return f(ctx, pending) })
	})
	if err != nil {
		return keysError(e.Action, e.Purpose, err)
	}
	return nil
}

// run runs an operation on the keys of p.
func (v *Vault) run(ctx context.Context, a audit.Action, p purpose.Purpose, f func(context.Context) error) error {
	switch {
	case !v.valid():
		return errNoVault
	case p.IsZero():
		return errNoPurpose
	case ctx.Err() != nil:
		return ctxError(ctx)
	}
	return v.exclusive(ctx, a, p, f)
}
