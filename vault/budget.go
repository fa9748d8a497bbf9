package vault

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A Budget bounds how many values and texts of one purpose a [Vault] reveals, hints,
// indexes and extends. It slows down a program that has been taken over, or an insider who
// copies a table, and makes an event of it. See [Options.Budget]. The zero Budget bounds
// nothing.
type Budget struct {
	// PerMinute is the steady rate, from 1 to 16,777,216 operations a minute.
	PerMinute int
	// Burst is how many operations may come at once after a time without any, from 1 to
	// 16,777,216. The default is PerMinute, but at least 1.
	Burst int
}

// maxBudget is the greatest rate and the greatest burst: at this rate, whole nanoseconds
// are exact to a thousandth.
const maxBudget = 1 << 24

// check refuses a budget out of bounds.
func (b Budget) check() error {
	if b.PerMinute < 0 || b.PerMinute > maxBudget || b.Burst < 0 || b.Burst > maxBudget || b.PerMinute == 0 && b.Burst > 0 {
		return fmt.Errorf("negative, above 16,777,216, or a burst without a rate: %w", ErrInvalid)
	}
	return nil
}

// A bucket is a budget in use: the generic cell rate algorithm of ITU-T I.371, which is a
// token bucket in one number. It works by the monotonic clock, so nobody refills it by
// setting the clock of the machine.
type bucket struct {
	start    time.Time
	interval int64 // nanoseconds for one operation
	depth    int64 // nanoseconds that the operations of a burst take together

	full  atomic.Int64 // when the bucket is full again, in nanoseconds since start
	spent atomic.Bool  // it was empty, and has not been full since
}

// newBuckets returns the buckets of the given budgets.
func newBuckets(budgets map[purpose.Purpose]Budget) map[purpose.Purpose]*bucket {
	buckets := make(map[purpose.Purpose]*bucket, len(budgets))
	for p, b := range budgets {
		if b.PerMinute == 0 {
			continue
		}
		if b.Burst == 0 {
			b.Burst = b.PerMinute
		}
		interval := int64(time.Minute) / int64(b.PerMinute)
		buckets[p] = &bucket{start: time.Now(), interval: interval, depth: interval * int64(b.Burst)}
	}
	return buckets
}

// take takes one operation out of the bucket. It reports whether there was one left and,
// if not, whether this is the first refusal since the bucket was last full.
func (b *bucket) take() (ok, first bool) {
	now := int64(time.Since(b.start))
	for {
		full := b.full.Load()
		next := max(full, now) + b.interval
		if next-now > b.depth {
			return false, b.spent.CompareAndSwap(false, true)
		}
		if b.full.CompareAndSwap(full, next) {
			if full <= now && b.spent.Load() {
				b.spent.Store(false)
			}
			return true, false
		}
	}
}

// spend takes one operation out of the budget of the purpose. The first refusal in a row
// makes an event of its own.
func (s *Scope) spend(ctx context.Context) error {
	b := s.opened.budget
	if b == nil {
		return nil
	}
	ok, first := b.take()
	if ok {
		return nil
	}
	if first {
		// The operation is refused whether or not this event can be recorded.
		e := audit.Event{Action: audit.Budget, Purpose: s.opened.id.purpose}
		s.opened.stamp(&e)
		_ = s.opened.backend.audit(ctx, e, ErrBudget)
	}
	return ErrBudget
}
