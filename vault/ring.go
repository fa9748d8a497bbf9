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
type ring struct {
	backend  *backend
	key      ringKey
	keys     atomic.Pointer[keys] // nil once the vault is closed
	subjects atomic.Pointer[subjectCache]
	erasures atomic.Uint64 // that the store has seen
	loads    chan struct{} // holds one for each read about subjects that is waiting

	stale     atomic.Bool // the store is to be looked at again
	timer     *time.Timer // sets stale
	recording atomic.Bool // what a look of the ring's own has found

	lapsed atomic.Bool    // the key service has to say yes first
	due    atomic.Bool    // it is to be asked along with the next look
	lapse  [2]*time.Timer // set due and lapsed

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
func newRing(b *backend, key ringKey, k *keys, erasures uint64, asked time.Time) *ring {
	r := &ring{
		backend: b,
		key:     key,
		loads:   make(chan struct{}, maxLoads),
		unknown: make(map[[format.KeyIDSize]byte]struct{}),
	}
	r.keys.Store(k)
	r.subjects.Store(newSubjectCache(b.opts.SubjectCache, b.opts.SubjectLifetime, b.opts.Timeout))
	r.erasures.Store(erasures)
	r.timer = time.AfterFunc(b.opts.Refresh, func() { r.stale.Store(true) })
	due, lapse := b.timesLeft(asked)
	r.lapse = [2]*time.Timer{
		time.AfterFunc(due, func() { r.due.Store(true) }),
		time.AfterFunc(lapse, func() { r.lapsed.Store(true) }),
	}
	return r
}

// close makes every use of the ring fail.
func (r *ring) close() {
	r.keys.Store(nil)
	r.stopIfClosed()
	r.subjects.Store(newSubjectCache(0, 0, 0))
}

// stopIfClosed stops the timers of a ring that is closed. Whoever sets one calls
// it afterwards, for Close may have come between.
func (r *ring) stopIfClosed() {
	if r.keys.Load() != nil {
		return
	}
	for _, t := range []*time.Timer{r.timer, r.lapse[0], r.lapse[1]} {
		t.Stop()
	}
}

// current returns the keys to work with, nil if the vault is closed. If it is
// time to look at the store again, that is done meanwhile: nobody waits for it.
func (r *ring) current() *keys {
	if r.stale.Load() && r.stale.CompareAndSwap(true, false) {
		r.timer.Reset(r.backend.opts.Refresh)
		r.stopIfClosed()
		go r.refreshUnasked()
	}
	return r.keys.Load()
}

// usable returns the keys to work with. Once they have lapsed, whoever comes
// waits for the key service to say yes to them anew.
func (r *ring) usable(ctx context.Context) (*keys, error) {
	if r.lapsed.Load() {
		if _, err := r.look(ctx, actionAsk); err != nil {
			return nil, err
		}
	}
	if k := r.current(); k != nil {
		return k, nil
	}
	return nil, errClosed
}

// granted notes that the key service, asked at the given time, has said yes to the
// keys at hand. The flags come before the timers, which may set them again at once.
func (r *ring) granted(asked time.Time) {
	r.due.Store(false)
	r.lapsed.Store(false)
	due, lapse := r.backend.timesLeft(asked)
	r.lapse[0].Reset(due)
	r.lapse[1].Reset(lapse)
	r.stopIfClosed()
}

// refreshUnasked is refresh on the ring's own account. That the store went back,
// or that the keys are refused by now, concerns somebody, so it is recorded.
func (r *ring) refreshUnasked() {
	ctx := context.Background()
	_, err := r.look(ctx, actionRefresh)
	if err == nil && r.due.Load() {
		_, err = r.look(ctx, actionAsk)
	}
	if !errors.Is(err, ErrCorrupt) && (!errors.Is(err, ErrNoKeys) || err == errClosed) {
		return
	}
	// Nobody waits for this, so an auditor that hangs is given up where it heeds its
	// context, and asked no more until it answers where it does not.
	if r.recording.CompareAndSwap(false, true) {
		defer r.recording.Store(false)
		ctx, cancel := context.WithTimeout(ctx, r.backend.opts.Timeout)
		defer cancel()
		r.backend.audit(ctx, Event{Action: ActionOpen, Purpose: r.key.purpose}, err)
	}
}

// refresh takes up what the store holds by now, and not before: who joins a look
// that is under way gets what was read already, and looks again. If that can't be
// had, or can't be opened, the keys at hand stay in use.
func (r *ring) refresh(ctx context.Context) error {
	if ours, err := r.look(ctx, actionRefresh); ours || err != nil {
		return err
	}
	_, err := r.look(ctx, actionRefresh)
	return err
}

// look looks at the store, or joins a look that is under way. The key service is
// asked for keys that are newer than those at hand. For those at hand it is asked
// by actionAsk alone: whoever only wants to know what the store has must not fail
// while the key service is down and the keys have not lapsed.
func (r *ring) look(ctx context.Context, a Action) (ours bool, err error) {
	fl, ours, err := r.backend.depart(ctx, flightKey{action: a, ring: r.key}, ignoring(func(ctx context.Context) error {
		// What was known before the store was asked is what it may not go back on.
		at, seen := r.keys.Load(), r.erasures.Load()
		if at == nil {
			return errClosed
		}
		known := at
		if a == actionAsk {
			known = &keys{}
		}
		asked := time.Now()
		k, erasures, err := r.backend.load(ctx, r.key, known, seen)
		if err != nil {
			return err
		}
		if k.generation < at.generation || k.generation == at.generation && k.digest != at.digest || erasures < seen {
			return errRollback
		}
		r.saw(erasures)
		if k.revision != known.revision { // then it was asked
			if err := r.backend.stillCounts(asked); err != nil {
				return err
			}
			r.granted(asked)
		}
		return r.take(k)
	}))
	if err != nil {
		return false, err
	}
	return ours, fl.wait(ctx)
}

// take puts newer keys in the place of older ones.
func (r *ring) take(k *keys) error {
	for {
		at := r.keys.Load()
		switch {
		case at == nil:
			return errClosed
		case k.generation <= at.generation:
			return nil
		}
		if r.keys.CompareAndSwap(at, k) {
			r.mu.Lock()
			clear(r.unknown)
			r.mu.Unlock()
			return nil
		}
	}
}

// saw takes note of how many erasures the store has seen.
func (r *ring) saw(erasures uint64) {
	for at := r.erasures.Load(); at < erasures; at = r.erasures.Load() {
		r.erasures.CompareAndSwap(at, erasures)
	}
}

// learn returns newer keys, which know the key that sealed names: another
// process may have rotated. It is ErrCorrupt if the store knows of none, which
// it is not asked again for an id that it did not know, and not too often for
// others. Under a flood of forgeries a value that was sealed with a brand-new
// key can so be refused for a moment.
func (r *ring) learn(ctx context.Context, sealed []byte) (*keys, error) {
	if len(sealed) < format.KeyIDSize {
		return nil, ErrCorrupt
	}
	id := [format.KeyIDSize]byte(sealed)
	if k := r.keys.Load(); k != nil && k.knows(sealed) {
		return k, nil // others have learned it meanwhile
	}
	// All who meet this id at once ask once.
	err := r.backend.do(ctx, flightKey{actionLearn, r.key, string(id[:])}, func(ctx context.Context) error {
		if k := r.keys.Load(); k != nil && k.knows(id[:]) {
			return nil
		}
		if !r.mayAsk(id) {
			return ErrCorrupt
		}
		if err := r.refresh(ctx); err != nil {
			return err
		}
		if k := r.keys.Load(); k != nil && !k.knows(id[:]) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if len(r.unknown) >= maxUnknown {
				clear(r.unknown)
			}
			r.unknown[id] = struct{}{}
			return ErrCorrupt
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	k := r.keys.Load()
	switch {
	case k == nil:
		return nil, errClosed
	case !k.knows(sealed):
		return nil, ErrCorrupt // destroyed meanwhile
	}
	return k, nil
}

func (r *ring) mayAsk(id [format.KeyIDSize]byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, asked := r.unknown[id]; asked {
		return false
	}
	now := time.Now()
	if more := now.Sub(r.since) / askEvery; more > 0 {
		r.asks, r.since = int(min(maxAsks, time.Duration(r.asks)+more)), now
	}
	if r.asks == 0 {
		return false
	}
	r.asks--
	return true
}
