package migrate

import (
	"context"
	"fmt"
	"runtime"

	"github.com/onlyfor/onlyfor/vault"
)

// Options are the optional settings of a step. Nil is the same as Options{}.
type Options struct {
	// After is the key after which the step begins: the [Report.Last] or
	// [Progress.Last] of an earlier run. By default a step begins at the first row,
	// and loses only the time for passing over rows that are done.
	After string

	// Batch is the number of rows that are read at once, and written in one
	// transaction. It is 1000 by default, and 20,000 at most.
	Batch int

	// RowsPerSecond limits the rate at which rows are read. By default there is no
	// limit.
	RowsPerSecond int

	// Workers is the number of goroutines that seal and open. It is GOMAXPROCS by
	// default.
	Workers int

	// Pause is called between batches, and may wait: for replicas to catch up,
	// or for the night. An error ends the step, and the step returns it.
	Pause func(ctx context.Context) error

	// Progress is called after each batch, from one goroutine.
	Progress func(Progress)

	// Found is called for each finding, from one goroutine and in the order of the
	// keys. Plan reports duplicates after all other findings. The report has the
	// first 1000 findings only.
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
	switch {
	case out.Batch < 0 || out.Batch > maxBatch:
		return out, fmt.Errorf("option Batch is negative or above %d: %w", maxBatch, vault.ErrInvalid)
	case out.RowsPerSecond < 0:
		return out, fmt.Errorf("option RowsPerSecond is negative: %w", vault.ErrInvalid)
	case out.Workers < 0:
		return out, fmt.Errorf("option Workers is negative: %w", vault.ErrInvalid)
	case out.Batch == 0:
		out.Batch = defaultBatch
	}
	if out.RowsPerSecond > 0 { // a larger batch would exceed the limit for a moment
		out.Batch = min(out.Batch, out.RowsPerSecond)
	}
	if out.Workers == 0 {
		out.Workers = runtime.GOMAXPROCS(0)
	}
	return out, nil
}
