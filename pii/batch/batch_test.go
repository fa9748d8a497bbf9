package batch_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/batch"
	"github.com/onlyfor/onlyfor/vault"
)

// numbers yields 0 to n-1 and counts how many were taken.
func numbers(n int, taken *int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			*taken++
			if !yield(i) {
				return
			}
		}
	}
}

var errOdd = errors.New("odd")

func halve(_ context.Context, n int) (int, error) {
	if n%2 != 0 {
		return -1, errOdd
	}
	return n / 2, nil
}

// collect returns the results, for a batch that should be answered in full.
func collect[T any](seq iter.Seq2[T, error]) (out []T, errs []error) {
	for v, err := range seq {
		out = append(out, v)
		errs = append(errs, err)
	}
	return out, errs
}

func TestResultsAreInOrderAndErrorsTheItemsOwn(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 129, 1000, 12345} {
		taken := 0
		out, errs := collect(batch.Map(t.Context(), numbers(n, &taken), halve))
		require.Len(t, out, n)
		require.Equal(t, n, taken)
		for i := range n {
			want, wantErr := halve(t.Context(), i)
			require.Equal(t, want, out[i])
			require.Equal(t, wantErr, errs[i])
		}
	}
}

func TestSequenceCanBeRangedOverAgain(t *testing.T) {
	seq := batch.Map(t.Context(), slices.Values([]int{2, 4}), halve)
	for range 2 {
		out, _ := collect(seq)
		require.Equal(t, []int{1, 2}, out)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	taken, yielded, ahead := 0, 0, 0
	for range batch.Map(t.Context(), numbers(100_000, &taken), halve) {
		yielded++
		ahead = max(ahead, taken-yielded)
	}
	require.Equal(t, 100_000, yielded)
	require.LessOrEqual(t, ahead, 128*(2*runtime.GOMAXPROCS(0)+1))
}

func TestAllProcessorsTakePart(t *testing.T) {
	workers := runtime.GOMAXPROCS(0)
	if workers == 1 {
		t.Skip("there is one processor")
	}
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		f := func(context.Context, int) (int, error) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Millisecond)
			now.Add(-1)
			return 0, nil
		}
		taken := 0
		collect(batch.Map(t.Context(), numbers(128*workers*2, &taken), f))
		require.EqualValues(t, workers, most.Load())
	})
}

func TestBreakingOffLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails if a goroutine is left behind
		var calls atomic.Int32
		taken := 0
		for n := range batch.Map(t.Context(), numbers(1_000_000, &taken), func(context.Context, int) (int, error) {
			calls.Add(1)
			return 0, nil
		}) {
			require.Zero(t, n)
			break
		}
		require.Less(t, taken, 10_000)
		after := calls.Load()
		synctest.Wait()
		require.Equal(t, after, calls.Load(), "and calls nothing afterwards")
	})
}

// A batch that is cancelled stops within one item for each worker.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var calls atomic.Int32
		workers := runtime.GOMAXPROCS(0)
		f := func(context.Context, int) (int, error) {
			if calls.Add(1) == 200 {
				cancel()
			}
			return 7, nil
		}
		taken := 0
		out, errs := collect(batch.Map(ctx, numbers(1_000_000, &taken), f))
		require.LessOrEqual(t, int(calls.Load()), 200+workers)
		require.Less(t, taken, 10_000)

		// All that was taken is answered, in its place, and then that it ended.
		done := 0
		for i, err := range errs {
			if err == nil {
				require.Equal(t, 7, out[i])
				done++
				continue
			}
			require.ErrorIs(t, err, vault.ErrUnavailable)
			require.ErrorIs(t, err, context.Canceled)
			require.Zero(t, out[i])
		}
		require.EqualValues(t, calls.Load(), done)
		require.Error(t, errs[len(errs)-1])
	})
}

func TestCancelledBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	taken := 0
	_, errs := collect(batch.Map(ctx, numbers(1000, &taken), halve))
	require.Len(t, errs, 1)
	require.ErrorIs(t, errs[0], vault.ErrUnavailable)
	_, errs = collect(batch.Map(ctx, numbers(0, &taken), halve))
	require.Empty(t, errs, "nothing was cut off")
}

// A cancel after the last item cuts nothing off.
func TestCancelledAfter(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	in := func(yield func(int) bool) {
		yield(2)
		yield(4)
	}
	n := 0
	for _, err := range batch.Map(ctx, in, halve) {
		require.NoError(t, err)
		n++
		cancel()
	}
	require.Equal(t, 2, n)
}

func TestPanicsReachTheCaller(t *testing.T) {
	for name, f := range map[string]func(context.Context, int) (int, error){
		"panic":  func(_ context.Context, n int) (int, error) { panic(fmt.Sprint("at ", n)) },
		"goexit": func(context.Context, int) (int, error) { runtime.Goexit(); return 0, nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				taken := 0
				require.Panics(t, func() { collect(batch.Map(t.Context(), numbers(1000, &taken), f)) })
			})
		})
	}
	t.Run("of the input", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			in := func(yield func(int) bool) {
				for i := range 500 {
					yield(i)
				}
				panic("rows broke")
			}
			require.PanicsWithValue(t, "rows broke", func() { collect(batch.Map(t.Context(), in, halve)) })
		})
	})
	t.Run("of the range", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			taken := 0
			require.PanicsWithValue(t, "enough", func() {
				for range batch.Map(t.Context(), numbers(1000, &taken), halve) {
					panic("enough")
				}
			})
		})
	})
}
