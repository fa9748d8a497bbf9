package audit

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
)

// maxWaiting is the number of actions that wait for their event before a batch records
// them. Each of them has a goroutine.
const maxWaiting = 1024

// maxWait is how long an action waits for others to join its event.
const maxWait = time.Second

// Batch calls f for each i from 0 to n-1, from at most the given number of goroutines at a
// time, and returns when all calls have returned. The actions of these calls that have one
// result make one event together.
//
// An action within f, under the ctx of f, waits for its event as always: it returns its
// result after the event was recorded, and fails if that fails. While it waits, Batch calls
// f for the next i. When no call of f can go on, or after one second, Batch records the
// events of all actions that wait, joined where they have the same result: the same
// auditor, action, outcome, reason, purposes, kind, role, ground, notice, recipient, caller
// and operation. So no refusal hides among other results. In an event for several values, Count
// is their number, Unwraps is a sum, Root stands for their ids, and every other field that differs among them
// is zero. Actions on keys, and erasures, are never joined.
//
// The calls of f should not wait for each other. If f panics, Batch calls f no more, and
// panics once all calls have returned. A call that ends its goroutine has returned.
func Batch(ctx context.Context, n, workers int, f func(ctx context.Context, i int)) {
	b := &batch{n: n, workers: max(1, workers), parent: ctx, f: f, ended: make(chan struct{})}
	b.ctx = context.WithValue(ctx, batchKey{}, b)
	b.mu.Lock()
	b.schedule()
	b.mu.Unlock()
	<-b.ended
	if b.panicked != nil {
		panic(b.panicked)
	}
}

type batchKey struct{}

// A batch is one call of Batch.
type batch struct {
	ctx, parent context.Context // with and without this batch
	f           func(ctx context.Context, i int)
	n, workers  int
	ended       chan struct{} // closed when the last call has returned

	mu        sync.Mutex
	next      int       // the next i
	calls     int       // calls of f that have not returned
	running   int       // goroutines that neither wait for an event nor for their turn
	waiting   []*action // for their event
	recorded  []*action // waiting for their turn to go on
	recording bool
	done      bool
	timer     *time.Timer
	panicked  any
}

// An action waits for its event.
type action struct {
	to       Auditor
	event    Event
	err      error
	released chan struct{} // closed when the action may go on
	gone     bool          // the action did not wait
}

// schedule lets as many goroutines run as there are workers, and records events when none
// can. The caller holds the mutex.
func (b *batch) schedule() {
	for b.running < b.workers {
		if len(b.recorded) > 0 {
			a := b.recorded[0]
			b.recorded = b.recorded[1:]
			if !a.gone {
				b.running++
				close(a.released)
			}
			continue
		}
		if b.next == b.n || len(b.waiting) >= maxWaiting {
			break
		}
		b.running++
		b.calls++
		go b.loop()
	}
	switch {
	case b.running <= 0 && len(b.waiting) > 0:
		b.record()
	case b.calls == 0 && b.next == b.n && !b.recording && !b.done:
		b.done = true
		close(b.ended)
	}
}

// loop calls f until there is nothing left to do, or others have to go on first.
func (b *batch) loop() {
	defer func() {
		panicked := recover()
		b.mu.Lock()
		defer b.mu.Unlock()
		if panicked != nil && b.panicked == nil {
			b.panicked, b.next = panicked, b.n
		}
		b.calls--
		b.running--
		b.schedule()
	}()
	for {
		b.mu.Lock()
		if b.next == b.n || len(b.recorded) > 0 || len(b.waiting) >= maxWaiting {
			b.mu.Unlock()
			return
		}
		i := b.next
		b.next++
		b.mu.Unlock()
		b.f(b.ctx, i)
	}
}

// record starts to record the events of the actions that wait. The caller holds the mutex.
func (b *batch) record() {
	if b.recording {
		return // and schedules when it is done
	}
	if b.timer != nil {
		b.timer.Stop()
	}
	all := b.waiting
	b.waiting, b.recording = nil, true
	go func() {
		defer func() { // an auditor can also end this goroutine
			b.mu.Lock()
			defer b.mu.Unlock()
			b.recorded, b.recording = append(b.recorded, all...), false
			if len(b.waiting) > 0 {
				b.wake()
			}
			b.schedule()
		}()
		for _, a := range all {
			a.err = errUnrecorded // unless its event is recorded
		}
		for _, same := range group(all) {
			err := guarded(b.parent, same[0].to, joined(same))
			for _, a := range same {
				a.err = err
			}
		}
	}()
}

// wake has the actions that wait recorded after maxWait. The caller holds the mutex.
func (b *batch) wake() {
	b.timer = time.AfterFunc(maxWait, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.waiting) > 0 {
			b.record()
		}
	})
}

var errUnrecorded = errors.New("auditor did not return")

// guarded calls the auditor. A panic of it is an error.
func guarded(ctx context.Context, to Auditor, e Event) (err error) {
	defer func() {
		if recover() != nil {
			err = errUnrecorded
		}
	}()
	return lastingly(ctx, to, e)
}

// Record passes e to the auditor, with a ctx that lasts for two seconds after ctx is done.
// Within [Batch] it joins e with the events of other
// actions first. Package vault calls it. It is for auditors' wrappers and for packages that
// record events of their own. An auditor of a type that can't be compared is called for each
// event.
func Record(ctx context.Context, to Auditor, e Event) error {
	b, ok := batchOf(ctx)
	if !ok { // the auditor would fail with it too
		own, cancel := context.WithTimeout(context.Background(), maxWait)
		defer cancel()
		return to.Audit(own, e)
	}
	if b == nil || !e.joins() || !reflect.ValueOf(to).Comparable() {
		return lastingly(ctx, to, e)
	}
	a := &action{to: to, event: e, released: make(chan struct{})}
	b.mu.Lock()
	if b.done { // by a goroutine that outlived its call of f
		b.mu.Unlock()
		return lastingly(b.parent, to, e)
	}
	if b.waiting = append(b.waiting, a); len(b.waiting) == 1 && !b.recording {
		b.wake()
	}
	b.running--
	b.schedule()
	b.mu.Unlock()
	select {
	case <-a.released:
		return a.err
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-a.released: // meanwhile
		return a.err
	default:
	}
	a.gone = true // its event is recorded nevertheless
	b.running++
	return ctx.Err()
}

// batchOf returns the batch of a context, nil if it has none. It reports false if the
// context panics.
func batchOf(ctx context.Context) (b *batch, ok bool) {
	defer func() { ok = recover() == nil }()
	b, _ = ctx.Value(batchKey{}).(*batch)
	return b, true
}

// joins reports whether the event may be joined with others.
func (e *Event) joins() bool {
	switch e.Action {
	case Seal, Reveal, Send, Hint, Index, Extend, Reseal, Withdraw, Sweep, Clear:
		return true
	}
	return false
}

// A result is the fields that events have in common if they are joined.
type result struct {
	to                Auditor
	action            Action
	outcome           Outcome
	purpose, at, from purpose.Purpose
	role              string
	collected         purpose.Set
	kind, reason      string
	legal             purpose.Legal
	notice            string
	recipient         string
	caller, operation string
}

// group returns the actions by their results, in the order of the first of each.
func group(all []*action) (groups [][]*action) {
	number := make(map[result]int)
	for _, a := range all {
		e := &a.event
		r := result{
			a.to, e.Action, e.Outcome, e.Purpose, e.To, e.From, e.Role, e.Collected, e.Kind, e.Reason,
			e.Provenance.Legal, e.Provenance.Notice, e.Recipient, e.Caller, e.Operation,
		}
		n, known := number[r]
		if !known {
			n = len(groups)
			number[r], groups = n, append(groups, nil)
		}
		groups[n] = append(groups[n], a)
	}
	return groups
}

// joined returns one event for actions of one result.
func joined(all []*action) Event {
	e := all[len(all)-1].event
	if len(all) == 1 {
		return e
	}
	var ids []string
	e.Count, e.Unwraps = 0, 0
	for _, a := range all {
		o := &a.event
		e.Count += o.Count
		e.Unwraps += o.Unwraps
		ids = append(ids, o.Value)
		if o.NewValue != "" {
			ids = append(ids, o.NewValue)
		}
		keep(&e.KeyID, o.KeyID)
		keep(&e.Generation, o.Generation)
		keep(&e.Digest, o.Digest)
		keep(&e.Subject, o.Subject)
		keep(&e.Value, o.Value)
		keep(&e.NewValue, o.NewValue)
		keep(&e.Provenance.Collected, o.Provenance.Collected)
		keep(&e.Provenance.Stated, o.Provenance.Stated)
		keep(&e.Provenance.Consent, o.Provenance.Consent)
		keep(&e.Provenance.Expires, o.Provenance.Expires)
		keep(&e.Provenance.From, o.Provenance.From)
	}
	e.Root = rootOf(ids)
	return e
}

// keep sets the field to zero unless it is that of the other event.
func keep[T comparable](field *T, other T) {
	if *field != other {
		var zero T
		*field = zero
	}
}
