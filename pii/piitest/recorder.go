package piitest

import (
	"context"
	"slices"
	"sync"

	"github.com/onlyfor/onlyfor/vault"
)

// A Recorder is a [vault.Auditor] that keeps events for a test to look at. The
// zero Recorder is empty and ready for use, from many goroutines at once.
type Recorder struct {
	mu     sync.Mutex
	events []vault.Event
}

// Audit records e. It never fails.
func (r *Recorder) Audit(_ context.Context, e vault.Event) error {
	mustTest()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	return nil
}

// Events returns what was recorded so far, oldest first.
func (r *Recorder) Events() []vault.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Denied returns the events that were refusals, oldest first.
func (r *Recorder) Denied() []vault.Event {
	return slices.DeleteFunc(r.Events(), func(e vault.Event) bool { return e.Outcome != vault.Denied })
}

// Reset forgets what was recorded.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = nil
}
