package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/batch"
	"github.com/onlyfor/onlyfor/vault"
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
	text, aad := []byte(address), make([]byte, boundSize)
	byTink, err := r.aead.Encrypt(text, aad)
	if err != nil {
		return err
	}
	checks, err := newChecked(nil, nil)
	if err != nil {
		return err
	}
	checkedText, err := checks.seal(ctx, address, "", true)
	if err != nil {
		return err
	}
	texts, ciphertexts := slices.Repeat([]string{checkedText}, n), slices.Repeat([][]byte{byTink}, n)
	for _, row := range []error{
		twice(ctx, w, "raw Tink Encrypt", addresses, func(context.Context, string) ([]byte, error) { return r.aead.Encrypt(text, aad) }, rounds),
		twice(ctx, w, "raw SHA-256, without allocation", addresses, func(_ context.Context, address string) (byte, error) {
			sum := sha256.Sum256([]byte(address))
			return sum[0], nil
		}, rounds),
		twice(ctx, w, "floor, with the checks: seal", addresses, func(ctx context.Context, address string) (string, error) { return checks.seal(ctx, address, "", true) }, rounds),
		twice(ctx, w, "seal", addresses, seal, rounds),
		twice(ctx, w, "raw Tink Decrypt", ciphertexts, func(_ context.Context, b []byte) ([]byte, error) { return r.aead.Decrypt(b, aad) }, rounds),
		twice(ctx, w, "floor, with the checks: reveal", texts, func(ctx context.Context, text string) (string, error) { return checks.reveal(ctx, text, "") }, rounds),
		twice(ctx, w, "reveal", emails, reveal, rounds),
		twice(ctx, w, "raw Tink AES-CMAC PRF", addresses, func(context.Context, string) ([]byte, error) { return r.prf.ComputePrimaryPRF(text, vault.IndexSize) }, rounds),
		twice(ctx, w, "floor, with the checks: index", addresses, func(ctx context.Context, address string) ([16]byte, error) { return checks.index(ctx, address) }, rounds),
		twice(ctx, w, "index", addresses, index, rounds),
	} {
		if row != nil {
			return row
		}
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
	targets := [2]string{"≥ 1.85", "≥ 1.80"}
	if strings.HasPrefix(name, "raw ") || strings.HasPrefix(name, withChecks) {
		targets = [2]string{"floor", "floor"}
	}
	fmt.Fprintf(w, "%s\t%.2f\t%s\t%.2f\t%s\t\n", name, 2*float64(alone)/float64(together), targets[0], float64(alone)/float64(batched), targets[1])
	return nil
}
