package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A backend calls the store and the KEK for a vault and for the keys that the vault
// opened. It holds no opened keys, and no reference leads from it to any.
type backend struct {
	store    Store
	replacer *countedReplacer // nil if the store is no BatchReplacer
	opts     Options
	vault    atomic.Pointer[format.VaultID] // nil until keys have opened

	stats      *counters
	clock      *clock
	jitter     float64       // from 0 to 1
	unwrapped  atomic.Int64  // the sum of unwraps
	operations chan struct{} // holds one element for each operation under way
	budgets    map[purpose.Purpose]*bucket

	mu      sync.Mutex
	closed  bool
	calls   map[callID]*call
	kek     KEK
	keks    map[purpose.Purpose]KEK // set by Rewrap, in place of kek
	seals   map[purpose.Purpose]*sealCounts
	unwraps map[purpose.Purpose]int // by the KEK, that no event has yet
	failed  map[keysID]*failures    // by keys that did not open, or whose lease was not renewed
}

var (
	errClosed    = fmt.Errorf("vault is closed: %w", ErrNoKeys)
	errNoVault   = fmt.Errorf("nil vault: %w", ErrInvalid)
	errNoKEK     = fmt.Errorf("nil KEK: %w", ErrInvalid)
	errNoPurpose = fmt.Errorf("no purpose: %w", ErrInvalid)
	errNone      = fmt.Errorf("key store has none: %w", ErrNoKeys)
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

// unwrap opens a key record, with one call to the key service.
func (b *backend) unwrap(w kekClient, p purpose.Purpose, id format.VaultID, record Record) (*keys, error) {
	r, err := unwrap(w, p, id, record.Data)
	if err != nil {
		return nil, err
	}
	k, err := r.open()
	if err != nil {
		return nil, errKeyRecord
	}
	k.revision, k.digest = record.Revision, newRecordDigest(record.Data)
	k.seal.countWith(b.sealCounts(p))
	return k, nil
}

// now returns the time that a record about a subject holds: the day alone, unless the
// options ask for more, because times join listings of different purposes.
func (b *backend) now() time.Time { return recordTime(time.Now(), b.opts.ExactTimes) }

// recordTime returns the given time as a record about a subject holds it. A clock that is
// set after the year 9999 counts as the end of that year: no reader accepts a later time,
// and an erasure must not fail because of a clock.
func recordTime(now time.Time, exact bool) time.Time {
	now = time.Unix(min(now.Unix(), format.MaxSeconds), 0).UTC()
	if exact {
		return now
	}
	return now.Truncate(format.Day * time.Second)
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

// replace replaces records with one call of a store that is a BatchReplacer. It returns one
// revision for each record, with 0 for a record that was not written.
func (b *backend) replace(ctx context.Context, records []Record) ([]int64, error) {
	revisions, err := b.replacer.replace(ctx, records)
	if err != nil {
		return nil, storeError(err)
	}
	if len(revisions) != len(records) || len(revisions) > 0 && slices.Min(revisions) < 0 {
		return nil, fmt.Errorf("key store: not a revision for each record: %w", ErrCorrupt)
	}
	return revisions, nil
}

// recordsPerRead is the number of records that are read in one call where there are many.
const recordsPerRead = 256

// getEach reads the named records, as get does. A store may refuse to read several
// records because of one of them, with an error that ofOne accepts. After such a refusal
// getEach reads each half by itself, down to the records at fault: they have revision 0
// in the result, and an error each in errs.
func (b *backend) getEach(ctx context.Context, names []string, ofOne func(error) bool) (records []Record, errs []error, err error) {
	records, err = b.get(ctx, names...)
	switch {
	case err == nil:
		return records, make([]error, len(names)), nil
	case ctx.Err() != nil:
		return nil, nil, ctxError(ctx)
	case errors.Is(err, ErrUnavailable) || !ofOne(err):
		return nil, nil, err
	case len(names) == 1:
		return make([]Record, 1), []error{err}, nil
	}
	for half := range slices.Chunk(names, (len(names)+1)/2) {
		some, failed, err := b.getEach(ctx, half, ofOne)
		if err != nil {
			return nil, nil, err
		}
		records, errs = append(records, some...), append(errs, failed...)
	}
	return records, errs, nil
}

// The failures of one kind of keys to open are counted, so that a withdrawn grant and an
// outage do not ask the key service for every value: ten questions at once, ten more
// each second.
type failures struct {
	left  int    // how many more questions may fail
	since moment // when left was last topped up
	last  error
}

// maxFailures bounds how many keys the failures are counted of.
const maxFailures = 1024

// asking runs f, which asks the key service for keys, and counts a failure. Once too many
// have failed, it returns the error of the last one.
func (b *backend) asking(key keysID, f func() error) (err error) {
	if err := b.mayAsk(key); err != nil {
		return err
	}
	err = errBroken // unless f returns
	defer func() { b.noteAnswer(key, err) }()
	err = f()
	return err
}

func (b *backend) mayAsk(key keysID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.failed[key]
	if f == nil {
		return nil
	}
	now := b.clock.now()
	if more := (now - f.since) / moment(askEvery); more > 0 {
		f.left, f.since = int(min(maxAsks, moment(f.left)+more)), now
	}
	if f.left == 0 {
		return f.last
	}
	return nil
}

func (b *backend) noteAnswer(key keysID, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.failed[key]
	switch {
	case err == nil || err == errNone: // without keys, the key service was not asked
		delete(b.failed, key)
		return
	case f == nil:
		if len(b.failed) >= maxFailures {
			clear(b.failed)
		}
		f = &failures{left: maxAsks, since: b.clock.now()}
		b.failed[key] = f
	}
	f.left, f.last = max(0, f.left-1), err
}

// early returns d, shortened by this vault's own fraction of at most a tenth: processes
// that started together do not ask together.
func (b *backend) early(d time.Duration) time.Duration {
	return d - time.Duration(b.jitter*float64(d)/10)
}

// lapse returns the moment at which a lease is over that was asked for at the given time.
func (b *backend) lapse(asked moment) moment { return asked + moment(b.early(b.opts.KeyLifetime)) }

// checkLease is [ErrUnavailable] if a lease that was asked for at the given time is
// over before it begins.
func (b *backend) checkLease(asked moment) error {
	if b.clock.exact() >= b.lapse(asked) {
		return fmt.Errorf("answer of the key service came too late: %w", ErrUnavailable)
	}
	return nil
}
