package vault

import (
	"context"
	"errors"
	"maps"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// Each time that the key service unwraps keys, an event says so: see
// [audit.Event.Unwraps]. A backend counts the unwraps of a purpose, and the next event
// about the keys of the purpose takes the count. Uses of values leave the counts alone.

// noteUnwrap counts a key that the KEK of p has unwrapped.
func (b *backend) noteUnwrap(p purpose.Purpose, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.unwraps == nil {
		b.unwraps = make(map[purpose.Purpose]int)
	}
	b.unwraps[p] += n
	maps.DeleteFunc(b.unwraps, func(_ purpose.Purpose, n int) bool { return n == 0 })
}

// takeUnwraps returns the number of unwraps that no event has yet, and begins again at 0.
func (b *backend) takeUnwraps(p purpose.Purpose) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.unwraps[p]
	delete(b.unwraps, p)
	return n
}

// hasUnwraps reports whether there are unwraps that no event has yet.
func (b *backend) hasUnwraps(p purpose.Purpose) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.unwraps[p] > 0
}

// auditKeys is audit for an event about the keys of a purpose, which takes the unwraps. If
// the event is not recorded, the next one has them.
func (b *backend) auditKeys(ctx context.Context, e audit.Event, err error) error {
	e.Unwraps = b.takeUnwraps(e.Purpose)
	result := b.audit(ctx, e, err)
	if e.Unwraps > 0 && errors.Is(result, errUnaudited) {
		b.noteUnwrap(e.Purpose, e.Unwraps)
	}
	return result
}

// recordUnwraps records the unwraps of an action that has no event of its own, because a
// use of a value waits for it. The event of that use decides whether the auditor works.
func (pk *purposeKeys) recordUnwraps(ctx context.Context, a audit.Action) {
	if p := pk.id.purpose; pk.backend.hasUnwraps(p) {
		_ = pk.backend.auditKeys(ctx, audit.Event{Action: a, Purpose: p, Generation: pk.generation()}, nil)
	}
}
