package piibeam

import (
	"context"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"

	"github.com/onlyfor/onlyfor/vault/audit"
)

// batchSize is the number of rows whose events are joined.
const batchSize = 500

// An emitter emits a row's id and its result, at the time of the row.
type emitter[Out any] = func(beam.EventTime, string, Out)

// A row is an element of a collection.
type row struct {
	at       beam.EventTime
	id, text string
}

// A bundle keeps rows and works on a batch of them at a time, so that the batch makes one
// event for each result. A row leaves only after its event was recorded.
type bundle[Out any] struct {
	operation string
	work      func(ctx context.Context, id, text string) (Out, error)
	rows      []row
}

// start starts a bundle of the given operation.
func (b *bundle[Out]) start(operation string, work func(ctx context.Context, id, text string) (Out, error)) error {
	b.operation, b.work, b.rows = operation, work, nil
	return nil
}

// add adds a row. A runner emits the rows that are left at the end of a bundle in the global
// window, so a row of any other window is done at once.
func (b *bundle[Out]) add(ctx context.Context, w beam.Window, r row, emit emitter[Out], failed emitter[string]) error {
	if !w.Equals(window.SingleGlobalWindow[0]) {
		return b.do(ctx, []row{r}, emit, failed)
	}
	if b.rows = append(b.rows, r); len(b.rows) < batchSize {
		return nil
	}
	return b.finish(ctx, emit, failed)
}

// finish does the rows that were kept.
func (b *bundle[Out]) finish(ctx context.Context, emit emitter[Out], failed emitter[string]) error {
	rows := b.rows
	b.rows = nil
	return b.do(ctx, rows, emit, failed)
}

// do works on rows. A row whose value is at fault is emitted as failed; any other failure
// fails the bundle.
func (b *bundle[Out]) do(ctx context.Context, rows []row, emit emitter[Out], failed emitter[string]) error {
	results, errs := make([]Out, len(rows)), make([]error, len(rows))
	audit.Batch(audit.WithOperation(ctx, b.operation), len(rows), 1, func(ctx context.Context, i int) {
		results[i], errs[i] = b.work(ctx, rows[i].id, rows[i].text)
	})
	for i, r := range rows {
		switch {
		case errs[i] == nil:
			emit(r.at, r.id, results[i])
		case rowsFault(errs[i]):
			failed(r.at, r.id, errs[i].Error())
		default:
			return errs[i]
		}
	}
	return nil
}
