package migrate

import (
	"context"
	"fmt"
	"runtime"

	"github.com/onlyfor/onlyfor/vault"
)

// Options are the optional settings of a step; nil stands for the defaults.
type Options struct {
	// After is where to go on: the [Report.Last] or [Progress.Last] of an earlier
	// run. By default a step begins at the first row, which loses nothing but time:
	// rows that are done are passed over.
	After string

	// Batch is how many rows are read at once, and written in one transaction. It
	// is 1000 by default, and 20,000 at most.
	Batch int

	// RowsPerSecond limits how fast rows are gone through. By default nothing does.
	RowsPerSecond int

	// Workers is how many goroutines seal and open. It is GOMAXPROCS by default.
	Workers int

	// Pause is called between batches, and may wait: for replicas to catch up,
	// or for the night. An error ends the step, and is returned as it is.
	Pause func(ctx context.Context) error

	// Progress is called after each batch, from one goroutine: see [Bar].
	Progress func(Progress)

	// Found is called for each finding, from one goroutine and in the order of the
	// keys; Plan finds duplicates after all else. The report has but the first of
	// them.
	Found func(Finding)
}

const (
	defaultBatch = 1000
	maxBatch     = 20_000
)

func (o *Options) withDefaults() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Batch < 0 || out.Batch > maxBatch || out.RowsPerSecond < 0 || out.Workers < 0 {
		return out, fmt.Errorf("option out of range: %w", vault.ErrInvalid)
	}
	if out.Batch == 0 {
		out.Batch = defaultBatch
	}
	if out.RowsPerSecond > 0 { // or one batch could take longer than the limit allows
		out.Batch = min(out.Batch, out.RowsPerSecond)
	}
	if out.Workers == 0 {
		out.Workers = runtime.GOMAXPROCS(0)
	}
	return out, nil
}
