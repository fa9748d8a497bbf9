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
	taken, yielded, most := 0, 0, 0
	for range batch.Map(t.Context(), numbers(100_000, &taken), halve) {
		yielded++
		most = max(most, taken-yielded)
	}
	require.Equal(t, 100_000, yielded)
	require.LessOrEqual(t, most, ahead())
}

// ahead is the most that Map takes of its input before it yields.
func ahead() int { return 128 * (2*runtime.GOMAXPROCS(0) + 1) }

// A gate is a function for [batch.Map] whose calls last until it opens. It opens
// when every goroutine of the bubble waits: the workers in it, and the range for
// the workers. Nothing depends on which of them was faster.
type gate struct {
	calls atomic.Int32
	open  chan struct{}
}

// newGate returns a gate. before runs when it is about to open.
func newGate(before func(g *gate)) *gate {
	g := &gate{open: make(chan struct{})}
	go func() {
		synctest.Wait()
		before(g)
		close(g.open)
	}()
	return g
}

func (g *gate) f(context.Context, int) (int, error) {
	g.calls.Add(1)
	<-g.open
	return 7, nil
}

func TestAllProcessorsTakePart(t *testing.T) {
	workers := runtime.GOMAXPROCS(0)
	synctest.Test(t, func(t *testing.T) {
		var atOnce int32
		g := newGate(func(g *gate) { atOnce = g.calls.Load() })
		taken := 0
		collect(batch.Map(t.Context(), numbers(128*workers*2, &taken), g.f))
		require.EqualValues(t, workers, atOnce)
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
		require.LessOrEqual(t, taken, ahead())
		after := calls.Load()
		synctest.Wait()
		require.Equal(t, after, calls.Load(), "and calls nothing afterwards")
	})
}

// A batch that is cancelled while each of its workers is within a call makes no
// other call.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		workers := runtime.GOMAXPROCS(0)
		g := newGate(func(*gate) { cancel() })
		taken := 0
		out, errs := collect(batch.Map(ctx, numbers(1_000_000, &taken), g.f))
		require.EqualValues(t, workers, g.calls.Load())
		require.LessOrEqual(t, taken, ahead())
		require.Equal(t, workers, requireCancelled(t, out, errs))
		require.Len(t, errs, 128*2*workers+1, "all that was taken is answered, and then that it ended")
	})
}

// A call that cancels the batch is the last of its worker. Every other worker may
// begin one more: the one that it looked at the context for just before.
func TestCancelWithinACall(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var calls, late atomic.Int32
	var cancelled atomic.Bool
	f := func(context.Context, int) (int, error) {
		if cancelled.Load() {
			late.Add(1)
		}
		if calls.Add(1) == 200 {
			cancel()
			cancelled.Store(true)
		}
		return 7, nil
	}
	taken := 0
	out, errs := collect(batch.Map(ctx, numbers(1_000_000, &taken), f))
	require.Less(t, int(late.Load()), runtime.GOMAXPROCS(0))
	require.EqualValues(t, calls.Load(), requireCancelled(t, out, errs))
}

// requireCancelled fails unless each result is that of a call or that of an item
// whose call was cancelled, and the last says that the input was not read to its
// end. It returns how many are those of calls.
func requireCancelled(t *testing.T, out []int, errs []error) (done int) {
	t.Helper()
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
	require.Error(t, errs[len(errs)-1])
	return done
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
