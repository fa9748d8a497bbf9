package audit_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A journal is an auditor that keeps events.
type journal struct {
	mu     sync.Mutex
	events []audit.Event
	err    error
	during func(ctx context.Context)
}

func (j *journal) Audit(ctx context.Context, e audit.Event) error {
	if j.during != nil {
		j.during(ctx)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
	return j.err
}

func (j *journal) count() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.events)
}

func revealed(i int) audit.Event {
	return audit.Event{
		Action: audit.Reveal, Outcome: audit.Allowed, Purpose: purpose.MustParse("security"), Kind: "email", Value: fmt.Sprintf("%032x", i), Count: 1,
		KeyID: 7, Subject: fmt.Sprint(i), Provenance: purpose.Provenance{Notice: "n-1", Consent: fmt.Sprint("c-", i)},
	}
}

// All actions of a batch make one event, and none of them returns before it is recorded.
func TestBatchRecordsBeforeResults(t *testing.T) {
	for _, workers := range []int{0, 1, 3, 1000} {
		j := &journal{}
		var calls, running, most atomic.Int64
		audit.Batch(t.Context(), 500, workers, func(ctx context.Context, i int) {
			most.Store(max(most.Load(), running.Add(1)))
			calls.Add(1)
			running.Add(-1)
			require.NoError(t, audit.Record(ctx, j, revealed(i)))
			require.Equal(t, 1, j.count(), "an action returned before its event")
		})
		require.EqualValues(t, 500, calls.Load())
		require.LessOrEqual(t, most.Load(), int64(max(1, workers)))
		require.Len(t, j.events, 1)
		e := j.events[0]
		require.Len(t, e.Root, 64)
		e.Root = ""
		require.Equal(t, audit.Event{
			Action: audit.Reveal, Outcome: audit.Allowed, Purpose: purpose.MustParse("security"), Kind: "email", Count: 500, KeyID: 7,
			Provenance: purpose.Provenance{Notice: "n-1"},
		}, e)
	}
}

// Every field that says how an action came out keeps events apart.
func TestBatchHidesNoResult(t *testing.T) {
	other := &journal{}
	for name, differs := range map[string]func(*audit.Event){
		"action":    func(e *audit.Event) { e.Action = audit.Hint },
		"outcome":   func(e *audit.Event) { e.Outcome = audit.Denied },
		"reason":    func(e *audit.Event) { e.Reason = "erased" },
		"purpose":   func(e *audit.Event) { e.Purpose = purpose.MustParse("billing") },
		"to":        func(e *audit.Event) { e.To = purpose.MustParse("billing") },
		"from":      func(e *audit.Event) { e.From = purpose.MustParse("billing") },
		"role":      func(e *audit.Event) { e.Role = "seal" },
		"collected": func(e *audit.Event) { e.Collected = purpose.NewSet(purpose.MustParse("billing")) },
		"kind":      func(e *audit.Event) { e.Kind = "phone" },
		"ground":    func(e *audit.Event) { e.Provenance.Legal = purpose.Contract },
		"notice":    func(e *audit.Event) { e.Provenance.Notice = "n-2" },
		"caller":    func(e *audit.Event) { e.Caller = "x" },
		"recipient": func(e *audit.Event) { e.Recipient = "mail.example" },
		"operation": func(e *audit.Event) { e.Operation = "x" },
		"auditor":   nil,
	} {
		j := &journal{}
		audit.Batch(t.Context(), 500, 2, func(ctx context.Context, i int) {
			e, to := revealed(i), j
			switch {
			case i != 250:
			case differs == nil:
				to = other
			default:
				differs(&e)
			}
			require.NoError(t, audit.Record(ctx, to, e))
		})
		all := slices.Concat(j.events, other.events)
		other.events = nil
		require.Len(t, all, 2, name)
		slices.SortFunc(all, func(a, b audit.Event) int { return a.Count - b.Count })
		want := revealed(250)
		if differs != nil {
			differs(&want)
		}
		require.Equal(t, want, all[0], "the event of one action is as it was")
		require.Equal(t, 499, all[1].Count, name)
	}
}

// Erasures and uses of keys are recorded one by one.
func TestBatchJoinsNoErasures(t *testing.T) {
	j := &journal{}
	audit.Batch(t.Context(), 10, 2, func(ctx context.Context, i int) {
		for _, a := range []audit.Action{audit.Erase, audit.Open, audit.Rotate} {
			require.NoError(t, audit.Record(ctx, j, audit.Event{Action: a, Subject: fmt.Sprint(i)}))
		}
	})
	require.Len(t, j.events, 30)
}

// If the event can't be recorded, no action of it succeeds, whatever the auditor does.
func TestBatchFailsClosed(t *testing.T) {
	for name, j := range map[string]*journal{
		"error":  {err: errors.New("full")},
		"panic":  {during: func(context.Context) { panic("x") }},
		"goexit": {during: func(context.Context) { runtime.Goexit() }},
	} {
		var failed atomic.Int64
		audit.Batch(t.Context(), 100, 2, func(ctx context.Context, i int) {
			if audit.Record(ctx, j, revealed(i)) != nil {
				failed.Add(1)
			}
		})
		require.EqualValues(t, 100, failed.Load(), name)
	}
}

// Two actions one after the other make two events, and a function that does more than its
// actions runs no more often at a time than there are workers.
func TestBatchGoesOnInTurn(t *testing.T) {
	j := &journal{}
	var running, most atomic.Int64
	work := func() {
		most.Store(max(most.Load(), running.Add(1)))
		runtime.Gosched()
		running.Add(-1)
	}
	audit.Batch(t.Context(), 200, 2, func(ctx context.Context, i int) {
		work()
		require.NoError(t, audit.Record(ctx, j, revealed(i)))
		work()
		require.NoError(t, audit.Record(ctx, j, revealed(i)))
		work()
	})
	require.LessOrEqual(t, most.Load(), int64(2))
	require.Len(t, j.events, 2)
	require.Equal(t, j.events[0], j.events[1])
}

// Goroutines of a call, calls that wait for others, and an auditor that uses the vault
// itself do not stop a batch.
func TestBatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		second := make(chan bool)
		audit.Batch(t.Context(), 2, 2, func(ctx context.Context, i int) { // one waits for the other
			if i == 0 {
				require.NoError(t, audit.Record(ctx, j, revealed(i)))
				close(second)
				return
			}
			<-second
			require.NoError(t, audit.Record(ctx, j, revealed(i)))
		})
		require.Len(t, j.events, 2)

		j = &journal{}
		audit.Batch(t.Context(), 20, 2, func(ctx context.Context, i int) {
			var own sync.WaitGroup
			for range 3 {
				own.Go(func() { require.NoError(t, audit.Record(ctx, j, revealed(i))) })
			}
			own.Wait()
		})
		total := 0
		for _, e := range j.events {
			total += e.Count
		}
		require.Equal(t, 60, total)

		j = &journal{}
		j.during = func(ctx context.Context) {
			j.during = nil
			require.NoError(t, audit.Record(ctx, j, audit.Event{Action: audit.Seal}))
		}
		audit.Batch(t.Context(), 20, 2, func(ctx context.Context, i int) { require.NoError(t, audit.Record(ctx, j, revealed(i))) })
		require.Len(t, j.events, 2)

		j, start := &journal{}, time.Now()
		j.during = func(ctx context.Context) {
			j.during = nil
			require.NoError(t, audit.Record(ctx, j, audit.Event{Action: audit.Seal}))
		}
		audit.Batch(t.Context(), 1, 1, func(ctx context.Context, i int) { // a batch in a batch
			audit.Batch(ctx, 20, 2, func(ctx context.Context, i int) { require.NoError(t, audit.Record(ctx, j, revealed(i))) })
		})
		require.Len(t, j.events, 2)
		require.Equal(t, start, time.Now())

		late := make(chan context.Context, 1)
		audit.Batch(t.Context(), 1, 1, func(ctx context.Context, i int) { late <- ctx })
		require.NoError(t, audit.Record(<-late, j, revealed(1)), "after the batch")
		audit.Batch(t.Context(), 0, 1, nil)
	})
}

// A caller that waits no longer gets an error, and its event is recorded nevertheless.
func TestBatchLetsCallersGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, start := &journal{}, time.Now()
		audit.Batch(t.Context(), 2, 2, func(ctx context.Context, i int) {
			if i == 0 {
				ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
				defer cancel()
				require.ErrorIs(t, audit.Record(ctx, j, revealed(i)), context.DeadlineExceeded)
				return
			}
			time.Sleep(time.Minute)
			require.NoError(t, audit.Record(ctx, j, revealed(i)))
		})
		require.Equal(t, time.Minute, time.Since(start), "nobody waits for the caller who is gone")
		require.Len(t, j.events, 2)

		j = &journal{during: func(context.Context) { time.Sleep(time.Minute) }}
		audit.Batch(t.Context(), 1, 1, func(ctx context.Context, i int) {
			ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			require.ErrorIs(t, audit.Record(ctx, j, revealed(i)), context.DeadlineExceeded)
		})
		require.Equal(t, 1, j.count(), "the batch ended before its last event was recorded")
	})
}

// The first of several panics comes out of Batch.
func TestBatchPanicsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		require.PanicsWithValue(t, 0, func() {
			audit.Batch(t.Context(), 3, 3, func(ctx context.Context, i int) {
				time.Sleep(time.Duration(i+1) * time.Second)
				panic(i)
			})
		})
	})
}

// A panic comes out of Batch, and the actions of other calls are recorded.
func TestBatchPanics(t *testing.T) {
	j := &journal{}
	require.PanicsWithValue(t, "x", func() {
		audit.Batch(t.Context(), 100, 1, func(ctx context.Context, i int) {
			if i == 50 {
				panic("x")
			}
			require.NoError(t, audit.Record(ctx, j, revealed(i)))
		})
	})
	require.Len(t, j.events, 1)
	require.Equal(t, 50, j.events[0].Count)
	var calls atomic.Int64
	audit.Batch(t.Context(), 100, 1, func(context.Context, int) {
		calls.Add(1)
		runtime.Goexit()
	})
	require.EqualValues(t, 100, calls.Load())
}

// A batch of many thousands has no more goroutines than wait for one event. It records
// that event at once.
func TestBatchIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, start := &journal{}, time.Now()
		audit.Batch(t.Context(), 5000, 2, func(ctx context.Context, i int) { require.NoError(t, audit.Record(ctx, j, revealed(i))) })
		total := 0
		for _, e := range j.events {
			require.LessOrEqual(t, e.Count, 1024+2)
			total += e.Count
		}
		require.Equal(t, 5000, total)
		require.LessOrEqual(t, len(j.events), 6)
		require.Equal(t, start, time.Now())
	})
}

// An auditor that can't be compared is called for each event.
func TestRecordOfAnIncomparableAuditor(t *testing.T) {
	var n atomic.Int64
	a := auditorFunc(func(audit.Event) error { n.Add(1); return nil })
	audit.Batch(t.Context(), 10, 2, func(ctx context.Context, i int) { require.NoError(t, audit.Record(ctx, a, revealed(i))) })
	require.EqualValues(t, 10, n.Load())
}

// An unwrap of the key service that one of the joined actions had to wait for is not lost.
func TestBatchAddsUpUnwraps(t *testing.T) {
	j := &journal{}
	audit.Batch(t.Context(), 10, 10, func(ctx context.Context, i int) {
		e := audit.Event{Action: audit.Reveal, Outcome: audit.Allowed, Count: 1, Unwraps: i % 3}
		require.NoError(t, audit.Record(ctx, j, e))
	})
	count, unwraps := 0, 0
	for _, e := range j.events {
		count, unwraps = count+e.Count, unwraps+e.Unwraps
	}
	require.Equal(t, 10, count)
	require.Equal(t, 9, unwraps)
}
