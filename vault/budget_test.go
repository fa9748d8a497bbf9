package vault

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// All handles of a purpose spend one budget, which comes back steadily. The first refusal
// in a row is an event of its own.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		security := purpose.MustParse("security")
		var events []audit.Event
		budgets := map[purpose.Purpose]Budget{security: {PerMinute: 60, Burst: 4}}
		w := newBrakeWorld(t, &Options{Budget: budgets, Audit: auditorFunc(func(_ context.Context, e audit.Event) error {
			events = append(events, e)
			return nil
		})})
		budgets[security] = Budget{} // the vault has a copy
		uses := w.uses
		uses["lookup"] = func() error { _, err := w.l.Indexes(ctx, lookKind, "text"); return err }
		for name, use := range uses {
			time.Sleep(4 * time.Second) // the whole burst
			events = nil
			for i := range 4 {
				require.NoError(t, use(), "%s %d", name, i)
			}
			require.Empty(t, budgetEvents(events))
			for range 3 {
				err := use()
				require.ErrorIs(t, err, ErrBudget)
				require.ErrorIs(t, err, ErrUnavailable)
				require.ErrorContains(t, err, "budget of the purpose is used up: unavailable")
				require.Equal(t, "budget", events[len(events)-1].Reason)
				require.Equal(t, audit.Failed, events[len(events)-1].Outcome)
			}
			require.Len(t, budgetEvents(events), 1)
			require.Equal(t, security, budgetEvents(events)[0].Purpose)
			time.Sleep(time.Second)
			require.NoError(t, use(), "one comes back each second")
			require.ErrorIs(t, use(), ErrBudget)
			require.Len(t, budgetEvents(events), 1, "the budget was not whole meanwhile")
		}
		// These cost nothing, and neither does the other purpose.
		for range 20 {
			_, err := Seal(ctx, lookKind, "text", w.s)
			require.NoError(t, err)
			_, err = Reseal(ctx, lookKind, w.old, nil, w.s)
			require.NoError(t, err)
			ads, err := w.idle.Scope(ctx, purpose.MustParse("advertising"))
			require.NoError(t, err)
			_, err = ads.Index(ctx, lookKind, "text")
			require.NoError(t, err)
		}
		// A clock that is set forward refills nothing.
		require.ErrorIs(t, uses["reveal"](), ErrBudget)
		suspend(w.idle.backend, time.Hour)
		require.ErrorIs(t, uses["reveal"](), ErrBudget)
	})
}

func budgetEvents(all []audit.Event) (found []audit.Event) {
	for _, e := range all {
		if e.Action == audit.Budget {
			found = append(found, e)
		}
	}
	return found
}

// Goroutines share a bucket, and get no more out of it than it holds.
func TestBucketIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBuckets(map[purpose.Purpose]Budget{{}: {PerMinute: 1, Burst: 1000}})[purpose.Purpose{}]
		var taken, firsts atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 500 {
					ok, first := b.take()
					if ok {
						taken.Add(1)
					}
					if first {
						firsts.Add(1)
					}
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1000, taken.Load())
		require.EqualValues(t, 1, firsts.Load())
		time.Sleep(365 * 24 * time.Hour)
		for range 1000 {
			ok, _ := b.take()
			require.True(t, ok)
		}
		ok, first := b.take()
		require.False(t, ok)
		require.True(t, first, "the bucket was full meanwhile")
	})
}

func TestBudgetsOutOfBounds(t *testing.T) {
	p := purpose.MustParse("security")
	for _, b := range []Budget{{PerMinute: -1}, {Burst: 1}, {PerMinute: 1, Burst: -1}, {PerMinute: maxBudget + 1}, {PerMinute: 1, Burst: maxBudget + 1}} {
		_, err := (&Options{Budget: map[purpose.Purpose]Budget{p: b}}).withDefaults()
		require.ErrorIs(t, err, ErrInvalid)
	}
	require.Empty(t, newBuckets(map[purpose.Purpose]Budget{p: {}}))
	b := newBuckets(map[purpose.Purpose]Budget{p: {PerMinute: maxBudget}})[p]
	require.Positive(t, b.interval)
	b = newBuckets(map[purpose.Purpose]Budget{p: {PerMinute: 1, Burst: maxBudget}})[p]
	require.Positive(t, b.depth)
}
