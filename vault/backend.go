package vault

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
)

// A backend calls the store and the KEK for a vault and for the keys that the vault
// opened. It holds no opened keys, and no reference leads from it to any.
type backend struct {
	store Store
	opts  Options

	mu     sync.Mutex
	closed bool
	calls  map[callID]*call
	kek    KEK
	keks   map[purpose.Purpose]KEK // set by Rewrap, in place of kek
}

var (
	errClosed    = fmt.Errorf("vault is closed: %w", ErrNoKeys)
	errNoVault   = fmt.Errorf("nil vault: %w", ErrInvalid)
	errNoKEK     = fmt.Errorf("nil KEK: %w", ErrInvalid)
	errNoPurpose = fmt.Errorf("no purpose: %w", ErrInvalid)
	errNone      = fmt.Errorf("key store has none: %w", ErrNoKeys)
	errPin       = fmt.Errorf("key store is older than its pin: %w", ErrCorrupt)
	errRollback  = fmt.Errorf("key store went back to an older state: %w", ErrCorrupt)
)

// kekOf returns the KEK that wraps the keys of p now.
func (b *backend) kekOf(p purpose.Purpose) KEK {
	b.mu.Lock()
	defer b.mu.Unlock()
	if kek := b.keks[p]; kek != nil {
		return kek
	}
	return b.kek
}

// load reads and opens the keys of p, and returns the number of erasures under p.
// If the record in the store has the revision of at, load returns at, and does not
// ask the key service. The argument seen is the number of erasures known so far.
//
// A purpose without a record is errNone, and a store older than its pin is errPin.
func (b *backend) load(ctx context.Context, key keysID, at *keys, seen uint64) (k *keys, erasures uint64, err error) {
	p := key.purpose
	records, err := b.get(ctx, keyRecordName(p), erasuresName(p))
	if err != nil {
		return nil, 0, err
	}
	if records[0].Revision == 0 {
		return nil, 0, errNone
	}
	k = at
	switch {
	case records[0].Revision != at.revision:
		w, err := newKEKClient(ctx, b.kekOf(p), p)
		if err != nil {
			return nil, 0, err
		}
		if k, err = b.unwrap(w, p, records[0]); err != nil {
			return nil, 0, err
		}
	case at.pseudonym == nil: // the key that authenticates the count
		return at, seen, nil
	}
	if erasures, err = decodeErasures(k, p, records[1].Data); err != nil {
		return nil, 0, err
	}
	if k.generation+erasures < b.opts.Pins[p] {
		return nil, 0, errPin
	}
	return k.restrict(key.subset), erasures, nil
}

// unwrap opens a key record, with one call to the key service.
func (b *backend) unwrap(w kekClient, p purpose.Purpose, record Record) (*keys, error) {
	r, err := unwrap(w, p, record.Data)
	if err != nil {
		return nil, err
	}
	k, err := r.open()
	if err != nil {
		return nil, errKeyRecord
	}
	k.revision, k.digest = record.Revision, digest(record.Data)
	return k, nil
}

// get reads the named records in one call. It returns one record for each name,
// with revision 0 where the store has none.
func (b *backend) get(ctx context.Context, names ...string) ([]Record, error) {
	found, err := b.store.Get(ctx, names...)
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

// leaseLeft returns how long it is until the key service is to be asked again, and
// until the lease that it gave is over. Both count from the time of the question:
// the answer may have been on its way for long, and the grant withdrawn meanwhile.
func (b *backend) leaseLeft(asked time.Time) (due, lapse time.Duration) {
	lapse = b.opts.KeyLifetime - time.Since(asked)
	return lapse - b.opts.KeyLifetime/2, lapse
}

// checkLease is [ErrUnavailable] if a lease that was asked for at the given time is
// over before it begins.
func (b *backend) checkLease(asked time.Time) error {
	if _, lapse := b.leaseLeft(asked); lapse <= 0 {
		return fmt.Errorf("answer of the key service came too late: %w", ErrUnavailable)
	}
	return nil
}
