package vault

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
)

// A Vault holds the keys of purposes. Its methods may be called from many
// goroutines at once. The zero Vault is of no use: see [Open].
type Vault struct {
	store Store
	kek   KEK
	opts  Options
	share share // of the keys, which is kept

	mu      sync.Mutex
	closed  bool
	rings   map[purpose.Purpose]*ring
	flights map[flightKey]*flight
	keks    map[purpose.Purpose]KEK // since Rewrap, in place of kek
	narrows map[narrowKey]*Vault
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
		err = fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	if err != nil {
		return nil, fmt.Errorf("vault: opening: %w", err)
	}
	return newVault(store, kek, o), nil
}

func newVault(store Store, kek KEK, opts Options) *Vault {
	return &Vault{
		store:   store,
		kek:     kek,
		opts:    opts,
		rings:   make(map[purpose.Purpose]*ring),
		flights: make(map[flightKey]*flight),
		keks:    make(map[purpose.Purpose]KEK),
		narrows: make(map[narrowKey]*Vault),
	}
}

var (
	errClosed    = fmt.Errorf("vault is closed: %w", ErrNoKeys)
	errNoKEK     = fmt.Errorf("nil KEK: %w", ErrInvalid)
	errNoPurpose = fmt.Errorf("no purpose: %w", ErrInvalid)
)

// Close forgets all keys. Scopes of the vault fail with [ErrNoKeys] from then
// on, and so does the vault. It always returns nil, and may be called again.
// Keys are left to the garbage collector: they are not overwritten.
func (v *Vault) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	for _, r := range v.rings {
		r.close()
	}
	clear(v.rings)
	for _, n := range v.narrows {
		n.Close()
	}
	return nil
}

// String returns "vault.Vault".
func (v *Vault) String() string { return "vault.Vault" }

// Format implements [fmt.Formatter]: every verb prints "vault.Vault".
func (v *Vault) Format(f fmt.State, verb rune) { printLabel(f, verb, v.String()) }

// Generate makes keys for each of the given purposes that has none yet, and
// leaves those that it has untouched. Purposes done before one that fails stay
// done; calling again completes the rest. When two processes generate at once,
// one's keys are kept and used by both.
//
// A KEK that ignores associated data is refused with [ErrNoKeys] before
// anything is stored. A zero purpose is [ErrInvalid].
func (v *Vault) Generate(ctx context.Context, purposes ...purpose.Purpose) error {
	for _, p := range purposes {
		err := v.administer(ctx, ActionGenerate, p, func(ctx context.Context) error {
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
	r, err := v.ring(ctx, p)
	if err = v.audit(ctx, Event{Action: ActionOpen, Purpose: p}, err); err != nil {
		return nil, keysError(ActionOpen, p, err)
	}
	return &Scope{ring: r}, nil
}

func (v *Vault) ring(ctx context.Context, p purpose.Purpose) (*ring, error) {
	switch {
	case p.IsZero():
		return nil, errNoPurpose
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	if r := v.opened(p); r != nil {
		_, err := r.usable(ctx)
		return r, err
	}
	err := v.do(ctx, ActionOpen, p, "", func(ctx context.Context) error {
		if v.opened(p) != nil {
			return nil // since we looked
		}
		asked := time.Now()
		k, erasures, err := v.load(ctx, p, &keys{})
		if err != nil {
			return err
		}
		if err := v.stillCounts(asked); err != nil {
			return err
		}
		return v.keep(p, k, erasures, asked)
	})
	if err != nil {
		return nil, err
	}
	if r := v.opened(p); r != nil {
		return r, nil
	}
	return nil, errClosed
}

func (v *Vault) opened(p purpose.Purpose) *ring {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.rings[p]
}

func (v *Vault) keep(p purpose.Purpose, k *keys, erasures uint64, asked time.Time) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed { // Close came first, and would not see this ring
		return errClosed
	}
	v.rings[p] = newRing(v, p, k, erasures, asked)
	return nil
}

func (v *Vault) kekOf(p purpose.Purpose) KEK {
	v.mu.Lock()
	defer v.mu.Unlock()
	if kek := v.keks[p]; kek != nil {
		return kek
	}
	return v.kek
}

// load reads and opens the keys of p, and tells how many erasures there were.
// If those at hand are what the store has, it returns these, and the key service
// is not asked.
func (v *Vault) load(ctx context.Context, p purpose.Purpose, at *keys) (k *keys, erasures uint64, err error) {
	records, err := v.get(ctx, keyRecordName(p), erasuresName(p))
	if err != nil {
		return nil, 0, err
	}
	if records[0].Revision == 0 {
		return nil, 0, errNone
	}
	k = at
	switch {
	case records[0].Revision != at.revision:
		w, err := newWrapper(ctx, v.kekOf(p), p)
		if err != nil {
			return nil, 0, err
		}
		if k, err = v.unwrap(w, p, records[0]); err != nil {
			return nil, 0, err
		}
	case at.pseudonym == nil: // which the count can't be checked without
		_, seen := v.known(p)
		return at, seen, nil
	}
	if erasures, err = decodeErasures(k, p, records[1].Data); err != nil {
		return nil, 0, err
	}
	if k.generation+erasures < v.opts.Pins[p] {
		return nil, 0, errPin
	}
	return k.only(v.share), erasures, nil
}

var errNone = fmt.Errorf("key store has none: %w", ErrNoKeys)

// record reads and unwraps the key record of p, for changing it.
func (v *Vault) record(ctx context.Context, p purpose.Purpose) (*keyRecord, Record, error) {
	return v.recordWith(ctx, v.kekOf(p), p)
}

func (v *Vault) recordWith(ctx context.Context, kek KEK, p purpose.Purpose) (*keyRecord, Record, error) {
	at, seen := v.known(p)
	records, err := v.get(ctx, keyRecordName(p), erasuresName(p))
	if err != nil {
		return nil, Record{}, err
	}
	if records[0].Revision == 0 {
		return nil, Record{}, errNone
	}
	w, err := newWrapper(ctx, kek, p)
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
func (v *Vault) known(p purpose.Purpose) (generation, erasures uint64) {
	if r := v.opened(p); r != nil {
		if k := r.keys.Load(); k != nil {
			return k.generation, r.erasures.Load()
		}
	}
	return 0, 0
}

var errPin = fmt.Errorf("key store is older than its pin: %w", ErrCorrupt)

// unwrap opens a key record, with one call of the key service.
func (v *Vault) unwrap(w wrapper, p purpose.Purpose, record Record) (*keys, error) {
	r, err := unwrap(w, p, record.Data)
	if err != nil {
		return nil, err
	}
	k, err := r.open()
	if err != nil {
		return nil, fmt.Errorf("malformed key record: %w", ErrCorrupt)
	}
	k.revision, k.digest = record.Revision, sha256.Sum256(record.Data)
	return k, nil
}

// get reads records in one call. It returns one for each name, with revision 0
// where there is none.
func (v *Vault) get(ctx context.Context, names ...string) ([]Record, error) {
	found, err := v.store.Get(ctx, names...)
	if err != nil {
		return nil, storeError(err)
	}
	byName := make(map[string]Record, len(found))
	for _, r := range found {
		if r.Revision < 0 {
			return nil, fmt.Errorf("key store: record of no revision: %w", ErrCorrupt)
		}
		byName[r.Name] = r
	}
	records := make([]Record, len(names))
	for i, name := range names {
		records[i] = byName[name]
	}
	return records, nil
}

// keysError says what was done to the keys of which purpose.
func keysError(a Action, p purpose.Purpose, err error) error {
	if p.IsZero() {
		return fmt.Errorf("vault: %s keys: %w", a.Gerund(), err)
	}
	return fmt.Errorf("vault: %s keys of %s: %w", a.Gerund(), p, err)
}
