package piibeam

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A ledger is an auditor that keeps events.
type ledger struct {
	events []audit.Event
	err    error
}

func (l *ledger) Audit(_ context.Context, e audit.Event) error {
	l.events = append(l.events, e)
	return l.err
}

// A bundle makes one event for each batch and result, and emits rows in their order, at their
// times, after the events. Rows of other windows than the global one leave at once.
func TestBundlesAreRecordedByTheBatch(t *testing.T) {
	ctx, l := t.Context(), &ledger{}
	var b bundle[string]
	work := func(ctx context.Context, id, text string) (string, error) {
		require.Equal(t, "beam.seal", audit.Operation(ctx))
		e := audit.Event{Action: audit.Seal, Outcome: audit.Allowed, Purpose: purpose.MustParse("security"), Count: 1}
		var err error
		if text == "bad" {
			e.Outcome, e.Reason, err = audit.Denied, "erased", vault.ErrErased
		}
		if audit.Record(ctx, l, e) != nil {
			return "", vault.ErrUnavailable
		}
		return "sealed " + text, err
	}
	var emitted, failed []string
	emit := func(at beam.EventTime, id, out string) {
		require.NotEmpty(t, l.events, "emitted before its event")
		emitted = append(emitted, fmt.Sprint(at, id, out))
	}
	fail := func(at beam.EventTime, id, out string) { failed = append(failed, fmt.Sprint(at, id, out)) }
	rowOf := func(i int) row {
		text := fmt.Sprint(i)
		if i == 700 {
			text = "bad"
		}
		return row{beam.EventTime(1000 + i), fmt.Sprint("row-", i), text}
	}

	require.NoError(t, b.start("beam.seal", work))
	const rows = 2*batchSize + 200
	for i := range rows {
		require.NoError(t, b.add(ctx, window.SingleGlobalWindow[0], rowOf(i), emit, fail))
	}
	require.Len(t, emitted, 2*batchSize-1)
	require.NoError(t, b.finish(ctx, emit, fail))
	require.NoError(t, b.finish(ctx, emit, fail), "of nothing")
	var want []string
	for i := range rows {
		if i != 700 {
			want = append(want, fmt.Sprint(beam.EventTime(1000+i), "row-", i, "sealed ", i))
		}
	}
	require.Equal(t, want, emitted)
	require.Equal(t, fmt.Sprint(beam.EventTime(1700), "row-700", "subject is erased"), failed[0])
	var counts []int
	for _, e := range l.events {
		counts = append(counts, e.Count)
	}
	require.ElementsMatch(t, []int{batchSize, batchSize - 1, 1, 200}, counts)

	l.events, emitted = nil, nil
	require.NoError(t, b.add(ctx, window.IntervalWindow{Start: 0, End: 10}, rowOf(1), emit, fail))
	require.Len(t, emitted, 1)
	require.Len(t, l.events, 1)

	// A bundle that can't be recorded emits nothing, and leaves nothing to the next one.
	l.err, emitted = errors.New("disk full"), nil
	require.NoError(t, b.add(ctx, window.SingleGlobalWindow[0], rowOf(1), emit, fail))
	require.ErrorIs(t, b.finish(ctx, emit, fail), vault.ErrUnavailable)
	require.NoError(t, b.add(ctx, window.SingleGlobalWindow[0], rowOf(2), emit, fail))
	require.NoError(t, b.start("beam.seal", work))
	require.NoError(t, b.finish(ctx, emit, fail))
	require.Empty(t, emitted)
}
