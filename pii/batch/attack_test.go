package batch_test

import (
	"context"
	"iter"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/batch"
)

// What is yielded before a panic is what f returned: nobody cancelled anything.
func TestResultsBeforeAPanicAreTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := func(_ context.Context, n int) (int, error) {
			if n == 200 { // in the second chunk, done long before the first
				panic("item 200")
			}
			if n < 128 {
				time.Sleep(time.Millisecond)
			}
			return n, nil
		}
		taken, yielded := 0, 0
		require.PanicsWithValue(t, "item 200", func() {
			for n, err := range batch.Map(t.Context(), numbers(1000, &taken), f) {
				require.NoError(t, err)
				require.Equal(t, yielded, n)
				yielded++
			}
		})
		require.Equal(t, 128, yielded)
	})
}

// However many of the goroutines f ends, the range ends too.
func TestEveryGoroutineEnded(t *testing.T) {
	for _, from := range []int{0, 127, 128, 129, 5000} {
		synctest.Test(t, func(t *testing.T) {
			taken := 0
			require.Panics(t, func() {
				collect(batch.Map(t.Context(), numbers(100_000, &taken), func(_ context.Context, n int) (int, error) {
					if n >= from {
						runtime.Goexit()
					}
					return n, nil
				}))
			})
			require.LessOrEqual(t, taken, from+2*ahead())
		})
	}
}

// A test that fails within a range ends its goroutine from there.
func TestTheRangeEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			taken := 0
			for range batch.Map(t.Context(), numbers(10_000, &taken), halve) {
				runtime.Goexit()
			}
		}()
		<-done
	})
}

// Batches can be made of batches, in the input, in f and in the range, without
// waiting for each other.
func TestBatchesWithinBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		double := func(_ context.Context, n int) (int, error) { return 2 * n, nil }
		inner := func(n int) iter.Seq2[int, error] {
			taken := 0
			return batch.Map(t.Context(), numbers(n, &taken), double)
		}
		in := func(yield func(int) bool) {
			for n, err := range inner(1000) {
				require.NoError(t, err)
				if !yield(n) {
					return
				}
			}
		}
		f := func(ctx context.Context, n int) (int, error) {
			out, _ := collect(batch.Map(ctx, slices.Values([]int{n, n + 1}), double))
			return out[0], nil
		}
		got := 0
		for n, err := range batch.Map(t.Context(), in, f) {
			require.NoError(t, err)
			require.Equal(t, 4*got, n)
			got++
			if got%100 == 0 {
				out, _ := collect(inner(200))
				require.Len(t, out, 200)
			}
		}
		require.Equal(t, 1000, got)

		for range batch.Map(t.Context(), in, f) {
			break // which ends the batch in the input too
		}
	})
}

// One sequence can be ranged over by many goroutines at once, if its input can.
func TestSequenceOfManyGoroutines(t *testing.T) {
	items := make([]int, 1000)
	for i := range items {
		items[i] = 2 * i
	}
	seq := batch.Map(t.Context(), slices.Values(items), halve)
	var wg sync.WaitGroup
	var wrong atomic.Int32
	for range 8 {
		wg.Go(func() {
			want := 0
			for n, err := range seq {
				if n != want || err != nil {
					wrong.Add(1)
				}
				want++
			}
			if want != len(items) {
				wrong.Add(1)
			}
		})
	}
	wg.Wait()
	require.Zero(t, wrong.Load())
}

// The context that f gets ends with the batch and not before, and carries what the
// caller's does.
func TestContextOfTheFunction(t *testing.T) {
	type key struct{}
	var last context.Context
	ctx := context.WithValue(t.Context(), key{}, "x")
	_, errs := collect(batch.Map(ctx, slices.Values([]int{1}), func(ctx context.Context, n int) (int, error) {
		last = ctx
		require.Equal(t, "x", ctx.Value(key{}))
		return n, ctx.Err()
	}))
	require.NoError(t, errs[0])
	require.ErrorIs(t, last.Err(), context.Canceled)
}
