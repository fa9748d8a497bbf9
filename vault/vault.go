package vault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
)

// A Vault holds the keys of purposes. Its methods may be called from many
// goroutines at once. The zero Vault can't be used: see [Open].
type Vault struct {
	*backend
	opened map[keysID]*purposeKeys // guarded by the mutex of the backend
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
	return &Vault{
		backend: &backend{
			store: store, opts: o, calls: make(map[callID]*call), kek: kek, keks: make(map[purpose.Purpose]KEK),
		},
		opened: make(map[keysID]*purposeKeys),
	}, nil
}

// Close forgets all keys. The vault and its scopes fail with [ErrNoKeys] from then on.
// Close always returns nil, and may be called again. Keys are not overwritten: they are
// left to the garbage collector.
func (v *Vault) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	for _, pk := range v.opened {
		pk.close()
	}
	clear(v.opened)
	return nil
}

// String returns "vault.Vault".
func (v *Vault) String() string { return "vault.Vault" }

// Format implements [fmt.Formatter]: every verb prints "vault.Vault".
func (v *Vault) Format(f fmt.State, verb rune) { printLabel(f, verb, v.String()) }

// Generate makes keys for each of the given purposes that has none yet. It leaves
// existing keys untouched. If a purpose fails, the purposes before it stay done, and
// another call completes the rest. If two processes generate at once, the keys of one
// are kept and both use them.
//
// A KEK that ignores associated data is refused with [ErrNoKeys] before
// anything is stored. A zero purpose is [ErrInvalid].
func (v *Vault) Generate(ctx context.Context, purposes ...purpose.Purpose) error {
	for _, p := range purposes {
		err := v.operate(ctx, ActionGenerate, p, func(ctx context.Context) error {
			return v.generate(ctx, p)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (v *Vault) generate(ctx context.Context, p purpose.Purpose) error {
	records, err := v.get(ctx, keyRecordName(p))
	if err != nil || records[0].Revision != 0 {
		return err
	}
	kek := v.kekOf(p)
	if err := generateKEK(ctx, kek, p); err != nil {
		return err
	}
	r, err := newKeyRecord(p)
	if err != nil {
		return fmt.Errorf("generating keysets: %w", ErrUnavailable)
	}
	err = v.put(ctx, kek, p, r, 0)
	if errors.Is(err, ErrConflict) {
		// Another process was first. If its keys are there, the purpose has them.
		if records, getErr := v.get(ctx, keyRecordName(p)); getErr == nil && records[0].Revision != 0 {
			return nil
		}
	}
	return err
}

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

// scope returns a scope with a subset of the keys of p. Nothing leads from the scope to
// the other keys: its purposeKeys holds the subset alone, and knows no other
// purposeKeys.
func (v *Vault) scope(ctx context.Context, p purpose.Purpose, of subset) (*Scope, error) {
	pk, err := v.openKeys(ctx, p, of)
	if err = v.audit(ctx, Event{Action: ActionOpen, Purpose: p}, err); err != nil {
		return nil, keysError(ActionOpen, p, err)
	}
	return &Scope{opened: pk}, nil
}

func (v *Vault) openKeys(ctx context.Context, p purpose.Purpose, of subset) (*purposeKeys, error) {
	switch {
	case p.IsZero():
		return nil, errNoPurpose
	case ctx.Err() != nil:
		return nil, ctxError(ctx)
	}
	key := keysID{p, of}
	if pk := v.find(key); pk != nil {
		_, err := pk.fresh(ctx)
		return pk, err
	}
	err := v.shared(ctx, callID{action: ActionOpen, keys: key}, func(ctx context.Context) error {
		if v.find(key) != nil {
			return nil // opened since find was called above
		}
		asked := time.Now()
		k, erasures, err := v.load(ctx, key, &keys{}, 0)
		if err != nil {
			return err
		}
		if err := v.checkLease(asked); err != nil {
			return err
		}
		return v.add(newPurposeKeys(v.backend, key, k, erasures, asked))
	})
	if err != nil {
		return nil, err
	}
	if pk := v.find(key); pk != nil {
		return pk, nil
	}
	return nil, errClosed
}

func (v *Vault) find(key keysID) *purposeKeys {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.opened[key]
}

// findAll returns the opened keys of p for scopes, for lookups and for readers.
func (v *Vault) findAll(p purpose.Purpose) []*purposeKeys {
	var all []*purposeKeys
	for _, of := range []subset{allKeys, indexKeys, readKeys} {
		if pk := v.find(keysID{p, of}); pk != nil {
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
	v.opened[pk.id] = pk
	return nil
}

// readKeyRecord reads and unwraps the key record of p, so that it can be changed.
func (v *Vault) readKeyRecord(ctx context.Context, p purpose.Purpose) (*keyRecord, Record, error) {
	return v.readKeyRecordWith(ctx, v.kekOf(p), p)
}

func (v *Vault) readKeyRecordWith(ctx context.Context, kek KEK, p purpose.Purpose) (*keyRecord, Record, error) {
	at, seen := v.state(p)
	records, err := v.get(ctx, keyRecordName(p), erasuresName(p))
	if err != nil {
		return nil, Record{}, err
	}
	if records[0].Revision == 0 {
		return nil, Record{}, errNone
	}
	w, err := newKEKClient(ctx, kek, p)
	if err != nil {
		return nil, Record{}, err
	}
	r, err := unwrap(w, p, records[0].Data)
	if err != nil {
		return nil, Record{}, err
	}
	k, err := r.open()
	if err != nil {
		return nil, Record{}, fmt.Errorf("malformed key record: %w", ErrCorrupt)
	}
	erasures, err := decodeErasures(k, p, records[1].Data)
	switch {
	case err != nil:
		return nil, Record{}, err
	case r.Generation+erasures < v.opts.Pins[p]:
		return nil, Record{}, errPin
	case r.Generation < at || erasures < seen:
		return nil, Record{}, errRollback // a change would make it look newer
	}
	return r, records[0], nil
}

// state returns the generation of the keys that scopes of p use, and the number of
// erasures that they know of. Both are 0 if no scope of p is open.
func (v *Vault) state(p purpose.Purpose) (generation, erasures uint64) {
	if pk := v.find(keysID{p, allKeys}); pk != nil {
		if k := pk.current.Load(); k != nil {
			return k.generation, pk.erasures.Load()
		}
	}
	return 0, 0
}

// keysError adds the action and the purpose of the keys to err.
func keysError(a Action, p purpose.Purpose, err error) error {
	if p.IsZero() {
		return fmt.Errorf("vault: %s keys: %w", a.Gerund(), err)
	}
	return fmt.Errorf("vault: %s keys of %s: %w", a.Gerund(), p, err)
}

// Purposes returns the purposes that the store has keys for. It asks no key service.
// A store that does not answer, and a ctx that is done, is [ErrUnavailable]; a closed
// vault is [ErrNoKeys]; a store that lists names out of order is [ErrCorrupt].
func (v *Vault) Purposes(ctx context.Context) (purpose.Set, error) {
	var found []purpose.Purpose
	err := v.exclusive(ctx, actionPurposes, purpose.Purpose{}, func(ctx context.Context) (err error) {
		found, err = v.listPurposes(ctx)
		return err
	})
	if err != nil {
		return purpose.Set{}, fmt.Errorf("vault: listing purposes: %w", err)
	}
	return purpose.NewSet(found...), nil
}

// errOrder reports a store that lists a name which does not sort after the name before
// it.
var errOrder = fmt.Errorf("key store lists names out of order: %w", ErrCorrupt)

func (v *Vault) listPurposes(ctx context.Context) (found []purpose.Purpose, err error) {
	after := ""
	for {
		folder, more := "", false
		for name, err := range v.store.List(ctx, "", after) {
			if err != nil {
				return nil, storeError(err)
			}
			if name <= after { // otherwise the loop would never end
				return nil, errOrder
			}
			folder, _, more = strings.Cut(name, "/")
			break
		}
		if !more {
			return found, nil
		}
		if p, err := purpose.Parse(folder); err == nil {
			records, err := v.get(ctx, keyRecordName(p))
			if err != nil {
				return nil, err
			}
			if records[0].Revision != 0 {
				found = append(found, p)
			}
		}
		after = folder + "0" // after all names in the folder, as it may hold many subjects
	}
}
