package piitest

import (
	"context"
	"slices"
	"sync"

	"github.com/onlyfor/onlyfor/vault/audit"
)

// A Recorder is a [audit.Auditor] that keeps events for a test. A [Kit] has one. A
// service that opens its own vault gets one as its [vault.Options].Audit. The zero
// Recorder is empty and ready for use, from many goroutines at once.
type Recorder struct {
	mu     sync.Mutex
	events []recorded
	resets int // tells a Recording that the events before it are gone
}

// recorded is an event with the call site and the context of its cause.
type recorded struct {
	audit.Event
	callSite callSite
	ctx      context.Context
}

// Audit records e. It never fails.
func (r *Recorder) Audit(ctx context.Context, e audit.Event) error {
	mustTest()
	at := vaultCaller()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, recorded{e, at, ctx})
	return nil
}

// Events returns the events recorded so far, oldest first.
func (r *Recorder) Events() []audit.Event {
	all, _ := r.since(0)
	return eventsOf(all)
}

// Refusals returns the events that were refusals, oldest first.
func (r *Recorder) Refusals() []audit.Event {
	return slices.DeleteFunc(r.Events(), func(e audit.Event) bool { return e.Outcome != audit.Denied })
}

// Reset forgets the events recorded so far, for recordings under way too.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = nil
	r.resets++
}

// Record begins a recording: its assertions are about events from now on. Any number
// of recordings may run at once.
func (r *Recorder) Record() *Recording {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &Recording{recorder: r, from: len(r.events), resets: r.resets}
}

// since returns a copy of the events from number i on, and the number of resets.
func (r *Recorder) since(i int) ([]recorded, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events[min(i, len(r.events)):]), r.resets
}

func eventsOf(all []recorded) []audit.Event {
	events := make([]audit.Event, len(all))
	for i, e := range all {
		events[i] = e.Event
	}
	return events
}
