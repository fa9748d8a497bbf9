package vault

import (
	"context"
	"errors"
	"fmt"
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
	counts       *purposeCounts
	current      atomic.Pointer[keys] // nil once the vault is closed
	subjects     atomic.Pointer[subjectCache]
	erasure      atomic.Pointer[erasureState] // the last erasure that is known to be complete
	erasing      atomic.Bool                  // a later one was under way when the store was asked
	subjectReads chan struct{}                // holds one element for each read of subject records under way
	keyReads     chan struct{}                // holds one element for each read for an unknown id under way

	// Moments of the backend's clock.
	lookDue   atomic.Int64 // the store is to be read in the background
	lookLimit atomic.Int64 // the store is to be read before the keys seal, index or wrap
	renewDue  atomic.Int64 // the key service is to be asked in the background
	lapse     atomic.Int64 // the key service has to agree before the next use
	looked    atomic.Int64 // the store last confirmed the keys
	unsure    atomic.Int64 // the store has to answer before values are used: they may be suspended

	budget *bucket // nil if there is none

	lookErr  atomic.Pointer[error] // of the last look at the store, nil if it succeeded
	renewErr atomic.Pointer[error] // of the last question to the key service, nil if it succeeded
	retry    atomic.Int64          // while subject records can't be read: when to try again
	counting atomic.Bool           // the seals of this vault are to be written soon
	writing  atomic.Bool           // they are being written
	renewing atomic.Bool           // the key service is being asked in the background
	events   sync.Mutex            // locked while an event of a background call is recorded
	recorded map[audit.Action]string

	mu      sync.Mutex
	look    *look                               // under way, or nil
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

// newPurposeKeys returns the keys of a state. The store and the key service were asked for
// them at the given time.
func newPurposeKeys(b *backend, key keysID, at purposeState, asked moment) *purposeKeys {
	pk := &purposeKeys{
		backend:      b,
		id:           key,
		counts:       b.stats.purpose(key.purpose),
		subjectReads: make(chan struct{}, maxSubjectReads),
		keyReads:     make(chan struct{}, maxAsks),
		recorded:     make(map[audit.Action]string),
		budget:       b.budgets[key.purpose],
		unknown:      make(map[[format.KeyIDSize]byte]struct{}),
	}
	pk.current.Store(at.keys)
	pk.erasure.Store(&at.erasure)
	pk.erasing.Store(at.erasing)
	pk.subjects.Store(newSubjectCache(b.clock, b.opts.SubjectCache, b.opts.SubjectLifetime, b.opts.SubjectGrace, b.opts.Timeout))
	pk.noteLook(asked)
	pk.renewLease(asked)
	pk.counting.Store(key.subset != allKeys) // other handles do not seal
	return pk
}

// peek returns the current keys without waiting, nil if the vault is closed. If the
// store is due to be read again, peek starts the read in the background.
func (pk *purposeKeys) peek() *keys {
	if pk.backend.clock.now() >= pk.lookDue.Load() {
		pk.startLook()
	}
	return pk.current.Load()
}

// fresh returns the keys for an operation that reads. Once their lease is over, every
// caller waits until the key service has agreed to the keys anew. A closed vault is
// errClosed.
func (pk *purposeKeys) fresh(ctx context.Context) (*keys, error) {
	if pk.backend.clock.now() >= pk.lapse.Load() {
		if _, err := pk.refresh(ctx, actionRenew); err != nil {
			return nil, err
		}
	}
	if k := pk.peek(); k != nil {
		return k, nil
	}
	return nil, errClosed
}

// newest returns the keys for an operation that seals or indexes. Keys that nobody used
// for longer than [Options.Refresh] may have been replaced, or destroyed, meanwhile, so
// the caller waits for a look at the store. If the store does not answer, the keys stay
// in use, and further callers do not wait while looks in the background fail.
func (pk *purposeKeys) newest(ctx context.Context) (*keys, error) {
	if !pk.counting.Load() {
		pk.countSoon()
	}
	return pk.confirmedOrKept(ctx)
}

// usable returns the keys for an operation that reveals a value, or finds a person. The
// caller waits for a look at the store as the caller of newest does. If the store has not
// answered for [Options.SuspendLifetime], usable is [ErrUnavailable].
func (pk *purposeKeys) usable(ctx context.Context) (*keys, error) {
	now := pk.backend.clock.now()
	if now < pk.lookDue.Load() && now < pk.lookLimit.Load() && now < pk.lapse.Load() { // nearly always
		if k := pk.current.Load(); k != nil {
			return k, nil // lookLimit is never later than unsure
		}
		return nil, errClosed
	}
	k, err := pk.confirmedOrKept(ctx)
	if err == nil && pk.backend.clock.now() >= pk.unsure.Load() {
		return nil, fmt.Errorf("key store has not answered for %v, so the use may be suspended: %w", pk.backend.opts.SuspendLifetime, ErrUnavailable)
	}
	return k, err
}

// confirmedOrKept returns keys that the store confirmed within [Options.Refresh] or, if it
// does not answer, the keys that are here.
func (pk *purposeKeys) confirmedOrKept(ctx context.Context) (*keys, error) {
	now, due := pk.backend.clock.now(), pk.lookDue.Load()
	if now < due && now < pk.lookLimit.Load() && now < pk.lapse.Load() { // nearly always
		if k := pk.current.Load(); k != nil {
			return k, nil
		}
		return nil, errClosed
	}
	k, err := pk.fresh(ctx)
	now = pk.backend.clock.now()
	if err != nil || pk.lookErr.Load() != nil && now < due+moment(failureCounts) {
		return k, err
	}
	if now < pk.lookLimit.Load() {
		return pk.fresh(ctx) // a look may have ended since k was loaded, and replaced k
	}
	l := pk.startLook()
	patience := time.NewTimer(time.Duration(l.began-pk.backend.clock.now()) + min(maxPatience, pk.backend.opts.Timeout))
	defer patience.Stop()
	select {
	case <-l.done:
	case <-patience.C:
	case <-ctx.Done():
		return nil, ctxError(ctx)
	}
	return pk.fresh(ctx)
}

// maxPatience is how long callers wait for a look at a store that may be down.
const maxPatience = 5 * time.Second

// confirmed returns the keys for an operation that writes a subject's record. A record
// that was wrapped with a destroyed key would open for nobody, so the store must have
// confirmed the keys within [Options.Refresh].
func (pk *purposeKeys) confirmed(ctx context.Context) (*keys, error) {
	pk.countSoon()
	if _, err := pk.fresh(ctx); err != nil {
		return nil, err
	}
	if pk.backend.clock.now() < pk.lookLimit.Load() {
		return pk.fresh(ctx) // a look may have ended since the first call, and replaced the keys
	}
	if err := pk.lookErr.Load(); err != nil && pk.backend.clock.now() < pk.lookDue.Load() {
		return nil, *err // a moment ago
	}
	l := pk.startLook()
	select {
	case <-l.done:
	case <-ctx.Done():
		return nil, ctxError(ctx)
	}
	if l.err != nil {
		return nil, l.err
	}
	return pk.fresh(ctx)
}

// A look is a read of the keys from the store that no caller has asked for.
type look struct {
	began moment
	done  chan struct{}
	err   error // written before done is closed, and read after it
}

// failureCounts is how long after its time a look that is due makes up for one that
// failed.
const failureCounts = 10 * time.Second

// lookPause is the least time between two looks. A look that fails is followed by
// another one after this time.
const lookPause = time.Second

// startLook returns the look that is under way, or starts one. So there is one goroutine
// for it, however long the store takes.
func (pk *purposeKeys) startLook() *look {
	pk.mu.Lock()
	defer pk.mu.Unlock()
	now := pk.backend.clock.exact()
	pk.lookDue.Store(now + moment(lookPause))
	if pk.look == nil {
		pk.look = &look{began: now, done: make(chan struct{})}
		go pk.runLook(pk.look)
	}
	return pk.look
}

// runLook refreshes the keys and, if the key service is due to be asked, has it agree to
// them.
func (pk *purposeKeys) runLook(l *look) {
	ctx := context.Background()
	_, l.err = pk.refresh(ctx, actionRefresh)
	if l.err != nil {
		pk.lookErr.Store(&l.err)
	}
	pk.mu.Lock()
	pk.look = nil
	pk.mu.Unlock()
	close(l.done)
	pk.report(audit.Refresh, l.err)
	if l.err == nil && pk.backend.clock.now() >= pk.renewDue.Load() && pk.renewing.CompareAndSwap(false, true) {
		defer pk.renewing.Store(false)
		_, err := pk.refresh(ctx, actionRenew)
		pk.report(audit.Renew, err)
	}
}

// report records an event when the background calls of an action start to fail, when
// they fail for another reason, and when they succeed again: an operator has to know
// before the keys lapse. It also does so whenever the key service has unwrapped keys.
//
// No caller notices an auditor that hangs. One that heeds its context is abandoned after
// the timeout. One that does not is called no more until it returns.
func (pk *purposeKeys) report(a audit.Action, err error) {
	if err == errClosed || !pk.events.TryLock() {
		return
	}
	defer pk.events.Unlock()
	if reason := reasonOf(err); reason != pk.recorded[a] || pk.backend.hasUnwraps(pk.id.purpose) {
		ctx, cancel := context.WithTimeout(context.Background(), pk.backend.opts.Timeout)
		defer cancel()
		e := audit.Event{Action: a, Purpose: pk.id.purpose}
		pk.stamp(&e)
		if !errors.Is(pk.backend.audit(ctx, e, err), errUnaudited) {
			pk.recorded[a] = reason
		}
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
	_, ours, err = pk.backend.join(ctx, callID{action: a, keys: pk.id}, gate{}, withoutCall(func(ctx context.Context) error {
		// The store may not fall behind the state that was known before it was asked.
		at := pk.known()
		if at.keys == nil {
			return errClosed
		}
		asked := pk.backend.clock.exact()
		var (
			now purposeState
			err error
		)
		load := func() error {
			now, err = pk.backend.load(ctx, pk.id, at, a == actionRenew)
			return err
		}
		if a == actionRenew {
			if err = pk.backend.asking(pk.id, load); err != nil {
				pk.renewErr.Store(&err)
			}
		} else {
			err = load()
		}
		if err != nil {
			return err
		}
		pk.noteErasure(now.erasure)
		pk.erasing.Store(now.erasing)
		if a == actionRenew || now.keys.revision != at.keys.revision { // then the key service was asked
			if err := pk.backend.checkLease(asked); err != nil {
				return err
			}
			pk.renewLease(asked)
		}
		defer pk.noteLook(asked)
		return pk.install(now.keys)
	}))
	return ours, err
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

// known returns the state that these keys are of. Its keys are nil once the vault is
// closed.
func (pk *purposeKeys) known() purposeState {
	return purposeState{keys: pk.current.Load(), erasure: *pk.erasure.Load()}
}

// stamp adds the generation of the current keys to an event, unless the vault is closed.
func (pk *purposeKeys) stamp(e *audit.Event) {
	if k := pk.current.Load(); k != nil {
		atKeys(e, k.generation, k.digest)
	}
}

// noteErasure notes that an erasure is complete, unless a later one is known.
func (pk *purposeKeys) noteErasure(e erasureState) {
	for at := pk.erasure.Load(); at.count < e.count; at = pk.erasure.Load() {
		pk.erasure.CompareAndSwap(at, &e)
	}
}

// renewLease notes that the key service, asked at the given time, agreed to the
// current keys. The answer may have been on its way for long, and the grant withdrawn
// meanwhile, so the lease counts from the question.
func (pk *purposeKeys) renewLease(asked moment) {
	pk.renewDue.Store(asked + moment(pk.backend.early(pk.backend.opts.KeyLifetime/2)))
	pk.lapse.Store(pk.backend.lapse(asked))
	pk.renewErr.Store(nil)
}

// noteLook notes that the store, asked at the given time, confirmed the current keys.
func (pk *purposeKeys) noteLook(asked moment) {
	lifetime := pk.backend.early(pk.backend.opts.SuspendLifetime)
	refresh := min(pk.backend.opts.Refresh, lifetime)
	if k := pk.current.Load(); k != nil && len(k.suspended.inForce(time.Now())) > 0 {
		refresh = min(refresh, suspendedRefresh)
	}
	pk.lookErr.Store(nil)
	pk.looked.Store(asked)
	pk.unsure.Store(asked + moment(lifetime))
	pk.lookDue.Store(asked + moment(pk.backend.early(refresh/2)))
	pk.lookLimit.Store(asked + moment(refresh))
}

// hasten brings the next look at the store forward if a suspension is in force that this
// vault has just made.
func (pk *purposeKeys) hasten() {
	if k := pk.current.Load(); k == nil || len(k.suspended.inForce(time.Now())) == 0 {
		return
	}
	soon := pk.backend.clock.exact() + moment(min(pk.backend.opts.Refresh, suspendedRefresh))
	pk.lookDue.Store(min(pk.lookDue.Load(), soon))
	pk.lookLimit.Store(min(pk.lookLimit.Load(), soon))
}

// findKey returns keys that include the key named by sealed. If the current keys
// lack it, findKey reads the store: another process may have rotated. If the store
// lacks it too, the error is ErrCorrupt, and ErrRetired for a key that the purpose
// retired or destroyed.
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
	g := gate{places: pk.keyReads, admit: func() error {
		if k := pk.current.Load(); k != nil && !k.has(id[:]) && !pk.mayAsk(id) {
			return k.unknown(id[:])
		}
		return nil
	}}
	err := pk.backend.shared(ctx, callID{actionFindKey, pk.id, string(id[:])}, g, func(ctx context.Context) error {
		if k := pk.current.Load(); k != nil && k.has(id[:]) {
			return nil
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
			return k.unknown(id[:])
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
		return nil, k.unknown(sealed) // retired meanwhile
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
	pk.subjects.Store(newSubjectCache(pk.backend.clock, 0, 0, 0, 0))
}
