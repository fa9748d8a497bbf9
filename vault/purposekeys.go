package vault

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A ring is the keys of one purpose as one vault knows them now. All scopes of
// the purpose share it.
//
// It holds keys behind atomic pointers alone, which reflection can't follow: no
// printer and no test diff gets from a scope to a key.
type purposeKeys struct {
	backend      *backend
	id           keysID
	current      atomic.Pointer[keys] // nil once the vault is closed
	subjects     atomic.Pointer[subjectCache]
	erasures     atomic.Uint64 // that the store has seen
	subjectReads chan struct{} // holds one for each read about subjects that is waiting

	stale        atomic.Bool // the store is to be looked at again
	refreshTimer *time.Timer // sets stale
	auditing     atomic.Bool // what a look of the ring's own has found

	leaseOver   atomic.Bool    // the key service has to say yes first
	renewalDue  atomic.Bool    // it is to be asked along with the next look
	leaseTimers [2]*time.Timer // set due and lapsed

	mu      sync.Mutex
	asks    int                                 // how many more unknown keys may make us look
	since   time.Time                           // when asks was last topped up
	unknown map[[format.KeyIDSize]byte]struct{} // ids of which the store had nothing
}

// What forged values can make a ring do is bounded: ask the store ten times at
// once and ten times a second, and remember so many ids.
const (
	maxAsks    = 10
	askEvery   = time.Second / maxAsks
	maxUnknown = 1024
)

// newRing returns the ring of keys that the key service was asked for at the given
// time.
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

// close makes every use of the ring fail.
func (pk *purposeKeys) close() {
	pk.current.Store(nil)
	pk.stopIfClosed()
	pk.subjects.Store(newSubjectCache(0, 0, 0))
}

// stopIfClosed stops the timers of a ring that is closed. Whoever sets one calls
// it afterwards, for Close may have come between.
func (pk *purposeKeys) stopIfClosed() {
	if pk.current.Load() != nil {
		return
	}
	for _, t := range []*time.Timer{pk.refreshTimer, pk.leaseTimers[0], pk.leaseTimers[1]} {
		t.Stop()
	}
}

// current returns the keys to work with, nil if the vault is closed. If it is
// time to look at the store again, that is done meanwhile: nobody waits for it.
func (pk *purposeKeys) peek() *keys {
	if pk.stale.Load() && pk.stale.CompareAndSwap(true, false) {
		pk.refreshTimer.Reset(pk.backend.opts.Refresh)
		pk.stopIfClosed()
		go pk.refreshInBackground()
	}
	return pk.current.Load()
}

// usable returns the keys to work with. Once they have lapsed, whoever comes
// waits for the key service to say yes to them anew.
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

// granted notes that the key service, asked at the given time, has said yes to the
// keys at hand. The flags come before the timers, which may set them again at once.
func (pk *purposeKeys) renewLease(asked time.Time) {
	pk.renewalDue.Store(false)
	pk.leaseOver.Store(false)
	due, lapse := pk.backend.leaseLeft(asked)
	pk.leaseTimers[0].Reset(due)
	pk.leaseTimers[1].Reset(lapse)
	pk.stopIfClosed()
}

// refreshUnasked is refresh on the ring's own account. That the store went back,
// or that the keys are refused by now, concerns somebody, so it is recorded.
func (pk *purposeKeys) refreshInBackground() {
	ctx := context.Background()
	_, err := pk.refresh(ctx, actionRefresh)
	if err == nil && pk.renewalDue.Load() {
		_, err = pk.refresh(ctx, actionRenew)
	}
	if !errors.Is(err, ErrCorrupt) && (!errors.Is(err, ErrNoKeys) || err == errClosed) {
		return
	}
	// Nobody waits for this, so an auditor that hangs is given up where it heeds its
	// context, and asked no more until it answers where it does not.
	if pk.auditing.CompareAndSwap(false, true) {
		defer pk.auditing.Store(false)
		ctx, cancel := context.WithTimeout(ctx, pk.backend.opts.Timeout)
		defer cancel()
		pk.backend.audit(ctx, Event{Action: ActionOpen, Purpose: pk.id.purpose}, err)
	}
}

// refresh takes up what the store holds by now, and not before: who joins a look
// that is under way gets what was read already, and looks again. If that can't be
// had, or can't be opened, the keys at hand stay in use.
func (pk *purposeKeys) refreshNow(ctx context.Context) error {
	if ours, err := pk.refresh(ctx, actionRefresh); ours || err != nil {
		return err
	}
	_, err := pk.refresh(ctx, actionRefresh)
	return err
}

// look looks at the store, or joins a look that is under way. The key service is
// asked for keys that are newer than those at hand. For those at hand it is asked
// by actionAsk alone: whoever only wants to know what the store has must not fail
// while the key service is down and the keys have not lapsed.
func (pk *purposeKeys) refresh(ctx context.Context, a Action) (ours bool, err error) {
	c, ours, err := pk.backend.start(ctx, callID{action: a, keys: pk.id}, withoutCall(func(ctx context.Context) error {
		// What was known before the store was asked is what it may not go back on.
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
		if k.revision != known.revision { // then it was asked
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

// take puts newer keys in the place of older ones.
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

// saw takes note of how many erasures the store has seen.
func (pk *purposeKeys) noteErasures(erasures uint64) {
	for at := pk.erasures.Load(); at < erasures; at = pk.erasures.Load() {
		pk.erasures.CompareAndSwap(at, erasures)
	}
}

// learn returns newer keys, which know the key that sealed names: another
// process may have rotated. It is ErrCorrupt if the store knows of none, which
// it is not asked again for an id that it did not know, and not too often for
// others. Under a flood of forgeries a value that was sealed with a brand-new
// key can so be refused for a moment.
func (pk *purposeKeys) findKey(ctx context.Context, sealed []byte) (*keys, error) {
	if len(sealed) < format.KeyIDSize {
		return nil, ErrCorrupt
	}
	id := [format.KeyIDSize]byte(sealed)
	if k := pk.current.Load(); k != nil && k.has(sealed) {
		return k, nil // others have learned it meanwhile
	}
	// All who meet this id at once ask once.
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
