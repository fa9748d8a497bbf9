package vault

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A purposeKeys holds the opened keys of one purpose, as one vault knows them now,
// and renews them. All scopes of the purpose share one purposeKeys, as do all its
// lookups and all its readers.
//
// The keys are behind atomic pointers alone, which reflection can't follow: no
// printer and no test diff gets from a scope to a key.
type purposeKeys struct {
	backend      *backend
	id           keysID
	current      atomic.Pointer[keys] // nil once the vault is closed
	subjects     atomic.Pointer[subjectCache]
	erasures     atomic.Uint64 // the number of erasures that the store has counted
	subjectReads chan struct{} // holds one element for each read of subject records under way

	stale        atomic.Bool // the store is due to be read again
	refreshTimer *time.Timer // sets stale
	auditing     atomic.Bool // an event of a background refresh is being recorded

	leaseOver   atomic.Bool    // the key service has to agree before the next use
	renewalDue  atomic.Bool    // the next background refresh asks the key service too
	leaseTimers [2]*time.Timer // set renewalDue and leaseOver

	mu      sync.Mutex
	asks    int                                 // how many more unknown ids may cause a read of the store
	since   time.Time                           // when asks was last topped up
	unknown map[[format.KeyIDSize]byte]struct{} // ids that the store had no key for
}

// A keysID identifies opened keys in a vault, which has one purposeKeys for each
// purpose and each subset of its keys that a handle needs.
type keysID struct {
	purpose purpose.Purpose
	subset  subset
}

// newPurposeKeys returns the keys k with their timers running. The key service was
// asked for k at the given time.
func newPurposeKeys(b *backend, key keysID, k *keys, erasures uint64, asked time.Time) *purposeKeys {
	pk := &purposeKeys{
		backend:      b,
		id:           key,
		subjectReads: make(chan struct{}, maxSubjectReads),
		unknown:      make(map[[format.KeyIDSize]byte]struct{}),
	}
	pk.current.Store(k)
	pk.subjects.Store(newSubjectCache(b.opts.SubjectCache, b.opts.SubjectLifetime, b.opts.Timeout))
	pk.erasures.Store(erasures)
	pk.refreshTimer = time.AfterFunc(b.opts.Refresh, func() { pk.stale.Store(true) })
	due, lapse := b.leaseLeft(asked)
	pk.leaseTimers = [2]*time.Timer{
		time.AfterFunc(due, func() { pk.renewalDue.Store(true) }),
		time.AfterFunc(lapse, func() { pk.leaseOver.Store(true) }),
	}
	return pk
}

// peek returns the current keys without waiting, nil if the vault is closed. If the
// store is due to be read again, peek starts the read in the background, and no
// caller waits for it.
func (pk *purposeKeys) peek() *keys {
	if pk.stale.Load() && pk.stale.CompareAndSwap(true, false) {
		pk.refreshTimer.Reset(pk.backend.opts.Refresh)
		pk.stopIfClosed()
		go pk.refreshInBackground()
	}
	return pk.current.Load()
}

// fresh returns the keys for an operation. Once their lease is over, every caller
// waits until the key service has agreed to the keys anew. A closed vault is
// errClosed.
func (pk *purposeKeys) fresh(ctx context.Context) (*keys, error) {
	if pk.leaseOver.Load() {
		if _, err := pk.refresh(ctx, actionRenew); err != nil {
			return nil, err
		}
	}
	if k := pk.peek(); k != nil {
		return k, nil
	}
	return nil, errClosed
}

// refreshInBackground refreshes the keys while no caller waits. It records an event
// if the store went back to an older state, or if the keys are refused by now: an
// operator has to know.
func (pk *purposeKeys) refreshInBackground() {
	ctx := context.Background()
	_, err := pk.refresh(ctx, actionRefresh)
	if err == nil && pk.renewalDue.Load() {
		_, err = pk.refresh(ctx, actionRenew)
	}
	if !errors.Is(err, ErrCorrupt) && (!errors.Is(err, ErrNoKeys) || err == errClosed) {
		return
	}
	// No caller notices an auditor that hangs. One that heeds its context is
	// abandoned after the timeout. One that does not is called no more until it
	// returns.
	if pk.auditing.CompareAndSwap(false, true) {
		defer pk.auditing.Store(false)
		ctx, cancel := context.WithTimeout(ctx, pk.backend.opts.Timeout)
		defer cancel()
		pk.backend.audit(ctx, audit.Event{Action: audit.Open, Purpose: pk.id.purpose}, err)
	}
}

// refreshNow refreshes the keys from a read of the store that begins after the
// call. A refresh that is under way may have read the store before, so after
// joining one refreshNow refreshes again. If the store does not answer, or its
// record does not open, the current keys stay in use.
func (pk *purposeKeys) refreshNow(ctx context.Context) error {
	if ours, err := pk.refresh(ctx, actionRefresh); ours || err != nil {
		return err
	}
	_, err := pk.refresh(ctx, actionRefresh)
	return err
}

// refresh reads the store, or joins a refresh that is under way. It reports in ours
// whether this caller started the refresh.
//
// A refresh asks the key service to open newer keys. Only actionRenew asks it about
// the current keys too: a caller that only needs the state of the store must not
// fail while the key service is down and the lease still runs.
func (pk *purposeKeys) refresh(ctx context.Context, a audit.Action) (ours bool, err error) {
	c, ours, err := pk.backend.start(ctx, callID{action: a, keys: pk.id}, withoutCall(func(ctx context.Context) error {
		// The store may not fall behind the state that was known before it was asked.
		at, seen := pk.current.Load(), pk.erasures.Load()
		if at == nil {
			return errClosed
		}
		known := at
		if a == actionRenew {
			known = &keys{}
		}
		asked := time.Now()
		k, erasures, err := pk.backend.load(ctx, pk.id, known, seen)
		if err != nil {
			return err
		}
		if k.generation < at.generation || k.generation == at.generation && k.digest != at.digest || erasures < seen {
			return errRollback
		}
		pk.noteErasures(erasures)
		if k.revision != known.revision { // then the key service was asked
			if err := pk.backend.checkLease(asked); err != nil {
				return err
			}
			pk.renewLease(asked)
		}
		return pk.install(k)
	}))
	if err != nil {
		return false, err
	}
	return ours, c.wait(ctx)
}

// install replaces the current keys by k if k is newer.
func (pk *purposeKeys) install(k *keys) error {
	for {
		at := pk.current.Load()
		switch {
		case at == nil:
			return errClosed
		case k.generation <= at.generation:
			return nil
		}
		if pk.current.CompareAndSwap(at, k) {
			pk.mu.Lock()
			clear(pk.unknown)
			pk.mu.Unlock()
			return nil
		}
	}
}

// noteErasures raises the known number of erasures to the given one.
func (pk *purposeKeys) noteErasures(erasures uint64) {
	for at := pk.erasures.Load(); at < erasures; at = pk.erasures.Load() {
		pk.erasures.CompareAndSwap(at, erasures)
	}
}

// renewLease notes that the key service, asked at the given time, agreed to the
// current keys. It clears the flags before it sets the timers, which may set the
// flags again at once.
func (pk *purposeKeys) renewLease(asked time.Time) {
	pk.renewalDue.Store(false)
	pk.leaseOver.Store(false)
	due, lapse := pk.backend.leaseLeft(asked)
	pk.leaseTimers[0].Reset(due)
	pk.leaseTimers[1].Reset(lapse)
	pk.stopIfClosed()
}

// findKey returns keys that include the key named by sealed. If the current keys
// lack it, findKey reads the store: another process may have rotated. If the store
// lacks it too, the error is ErrCorrupt.
//
// An id that the store did not know causes no second read until there are newer
// keys, and reads for other ids are limited in rate. So a value sealed under a
// brand-new key can be refused for a moment during a flood of forgeries.
func (pk *purposeKeys) findKey(ctx context.Context, sealed []byte) (*keys, error) {
	if len(sealed) < format.KeyIDSize {
		return nil, ErrCorrupt
	}
	id := [format.KeyIDSize]byte(sealed)
	if k := pk.current.Load(); k != nil && k.has(sealed) {
		return k, nil // another caller has found it
	}
	// Callers that meet one id at the same time share one read.
	err := pk.backend.shared(ctx, callID{actionFindKey, pk.id, string(id[:])}, func(ctx context.Context) error {
		if k := pk.current.Load(); k != nil && k.has(id[:]) {
			return nil
		}
		if !pk.mayAsk(id) {
			return ErrCorrupt
		}
		if err := pk.refreshNow(ctx); err != nil {
			return err
		}
		if k := pk.current.Load(); k != nil && !k.has(id[:]) {
			pk.mu.Lock()
			defer pk.mu.Unlock()
			if len(pk.unknown) >= maxUnknown {
				clear(pk.unknown)
			}
			pk.unknown[id] = struct{}{}
			return ErrCorrupt
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	k := pk.current.Load()
	switch {
	case k == nil:
		return nil, errClosed
	case !k.has(sealed):
		return nil, ErrCorrupt // destroyed meanwhile
	}
	return k, nil
}

// Forged values can name unknown keys, so the work that unknown keys cause is
// bounded: ten reads of the store at once, ten more each second, and so many
// remembered ids.
const (
	maxAsks    = 10
	askEvery   = time.Second / maxAsks
	maxUnknown = 1024
)

// mayAsk reports whether the unknown key id may cause a read of the store, and
// counts that read.
func (pk *purposeKeys) mayAsk(id [format.KeyIDSize]byte) bool {
	pk.mu.Lock()
	defer pk.mu.Unlock()
	if _, asked := pk.unknown[id]; asked {
		return false
	}
	now := time.Now()
	if more := now.Sub(pk.since) / askEvery; more > 0 {
		pk.asks, pk.since = int(min(maxAsks, time.Duration(pk.asks)+more)), now
	}
	if pk.asks == 0 {
		return false
	}
	pk.asks--
	return true
}

// close makes every later use of the keys fail.
func (pk *purposeKeys) close() {
	pk.current.Store(nil)
	pk.stopIfClosed()
	pk.subjects.Store(newSubjectCache(0, 0, 0))
}

// stopIfClosed stops the timers if the keys are closed. Each function that sets a
// timer calls it afterwards, since close may have run in between.
func (pk *purposeKeys) stopIfClosed() {
	if pk.current.Load() != nil {
		return
	}
	for _, t := range []*time.Timer{pk.refreshTimer, pk.leaseTimers[0], pk.leaseTimers[1]} {
		t.Stop()
	}
}
