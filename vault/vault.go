package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
)

// A Vault holds the keys of purposes. Its methods may be called from many
// goroutines at once. The zero Vault is of no use: see [Open].
type Vault struct {
	*backend
	opened map[keysID]*purposeKeys // guarded by the mutex of the backend
}

// Open returns the vault whose wrapped keys are in store and open with kek.
// It asks neither of them anything yet: [Vault.Scope] does. A nil store or kek
// is [ErrInvalid]; opts may be nil.
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

// Close forgets all keys. Scopes of the vault fail with [ErrNoKeys] from then
// on, and so does the vault. It always returns nil, and may be called again.
// Keys are left to the garbage collector: they are not overwritten.
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
func (v *Vault) Format(f fmt.State, _ rune) { io.WriteString(f, v.String()) }

// Generate makes keys for each of the given purposes that has none yet, and
// leaves those that it has untouched. Purposes done before one that fails stay
// done; calling again completes the rest. When two processes generate at once,
// one's keys are kept and used by both.
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
		// Another process was first, and its keys are the purpose's: if there are any.
		if records, getErr := v.get(ctx, keyRecordName(p)); getErr == nil && records[0].Revision != 0 {
			return nil
		}
	}
	return err
}

// Scope returns the right to use purpose p. This is where the key service is
// asked; the vault keeps what it answers, so that further scopes of p cost
// nothing.
//
// Errors are [ErrNoKeys] where the purpose has no keys, the key service refuses
// to unwrap them, as it does for another purpose's, or the KEK ignores associated
// data; [ErrCorrupt] for a key record that was altered or is older than its pin;
// [ErrUnavailable] if store or key service do not answer in time; [ErrInvalid]
// for the zero purpose.
func (v *Vault) Scope(ctx context.Context, p purpose.Purpose) (*Scope, error) {
	return v.scope(ctx, p, allKeys)
}

// scope returns a scope whose keys are a share of those of p. Nothing leads from
// it to the others: its ring holds these alone, and knows no other ring.
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
			return nil // since we looked
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

// openedAll returns the rings that scopes, lookups and readers of p have here.
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
	if v.closed { // Close came first, and would not see this ring
		pk.close()
		return errClosed
	}
	v.opened[pk.id] = pk
	return nil
}

// record reads and unwraps the key record of p, for changing it.
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
		return nil, Record{}, errRollback // or a change would make it pass for the newer one
	}
	return r, records[0], nil
}

// known returns what the scopes of p know of how far its keys have come.
func (v *Vault) state(p purpose.Purpose) (generation, erasures uint64) {
	if pk := v.find(keysID{p, allKeys}); pk != nil {
		if k := pk.current.Load(); k != nil {
			return k.generation, pk.erasures.Load()
		}
	}
	return 0, 0
}

// keysError says what was done to the keys of which purpose.
func keysError(a Action, p purpose.Purpose, err error) error {
	if p.IsZero() {
		return fmt.Errorf("vault: %s keys: %w", a.Gerund(), err)
	}
	return fmt.Errorf("vault: %s keys of %s: %w", a.Gerund(), p, err)
}

// Purposes returns the purposes that the store has keys for. It asks no key
// service. [ErrUnavailable] is a store that does not answer and a ctx that is
// done, [ErrNoKeys] a closed vault.
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

// errOrder is a store that lists what it was not asked for.
var errOrder = fmt.Errorf("key store lists names out of order: %w", ErrCorrupt)

func (v *Vault) listPurposes(ctx context.Context) (found []purpose.Purpose, err error) {
	after := ""
	for {
		folder, more := "", false
		for name, err := range v.store.List(ctx, "", after) {
			if err != nil {
				return nil, storeError(err)
			}
			if name <= after { // or there would be no end
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
		after = folder + "0" // past all of "folder/", subjects may be many
	}
}
