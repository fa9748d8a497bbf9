package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/batch"
)

// scaling measures the gain from a second processor, for independent callers and for
// a batch.
func scaling(ctx context.Context, out io.Writer, rounds int) error {
	if runtime.GOMAXPROCS(0) < 2 {
		fmt.Fprintln(out, "\nOne processor: nothing to say of two.")
		return nil
	}
	r, err := newRaw()
	if err != nil {
		return err
	}
	o, err := newOurs(ctx, r.aead)
	if err != nil {
		return err
	}
	seal := func(ctx context.Context, address string) (pii.Email, error) {
		return pii.SealEmail(ctx, address, o.security)
	}
	reveal := func(ctx context.Context, e pii.Email) (string, error) { return e.Reveal(ctx, o.security) }
	index := func(ctx context.Context, address string) (pii.Index, error) {
		return pii.IndexEmail(ctx, address, o.security)
	}
	const n = 20_000
	addresses := slices.Repeat([]string{address}, n)
	emails := slices.Repeat([]pii.Email{o.email}, n)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\ntwo processors, speed of one = 1\ttwo callers\ttarget\tbatch.Map\ttarget\t\n")
	rounds = max(1, rounds/4) // fewer, because these slices are longer
	if err := twice(ctx, w, "seal", addresses, seal, rounds); err != nil {
		return err
	}
	if err := twice(ctx, w, "reveal", emails, reveal, rounds); err != nil {
		return err
	}
	if err := twice(ctx, w, "index", addresses, index, rounds); err != nil {
		return err
	}
	return w.Flush()
}

// twice compares a loop with the same loop run twice at once, and with a batch.
func twice[In, Out any](ctx context.Context, w io.Writer, name string, in []In, f func(context.Context, In) (Out, error), rounds int) error {
	loop := func() error {
		for _, item := range in {
			if _, err := f(ctx, item); err != nil {
				return err
			}
		}
		return nil
	}
	var alone, together, batched time.Duration
	var failed error
	best := func(to *time.Duration, f func() error) {
		start := time.Now()
		failed = errors.Join(failed, f())
		if took := time.Since(start); *to == 0 || took < *to {
			*to = took
		}
	}
	for range rounds {
		best(&alone, loop)
		best(&together, func() error {
			var errs [2]error
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() { errs[i] = loop() })
			}
			wg.Wait()
			return errors.Join(errs[:]...)
		})
		best(&batched, func() error {
			for _, err := range batch.Map(ctx, slices.Values(in), f) {
				if err != nil {
					return err
				}
			}
			return nil
		})
		if failed != nil {
			return failed
		}
	}
	fmt.Fprintf(w, "%s\t%.2f\t≥ 1.85\t%.2f\t≥ 1.80\t\n", name, 2*float64(alone)/float64(together), float64(alone)/float64(batched))
	return nil
}
