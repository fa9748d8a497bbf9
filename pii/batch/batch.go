// Package batch seals, reveals, indexes and re-seals many values on all cores:
//
//	seal := func(ctx context.Context, address string) (pii.Email, error) {
//		return pii.SealEmail(ctx, address, security)
//	}
//	for email, err := range batch.Map(ctx, slices.Values(addresses), seal) {
//		…
//	}
//
// Results come in the order of the input, one for each item. An item that fails
// yields its error, and the others yield their results. The input can be an
// iterator over rows of a database: memory does not grow with its length.
//
// [IndexesEmail] and its kin compute the indexes of a list, to match it with a [pii.IndexSet]
// or in a query.
//
// # Cheaper by the batch
//
// For values of many people, first call [vault.Scope.Prefetch] with the ids of a
// page: the page then costs one read of the key store. The values of one
// [vault.Collector.Batch] share one encapsulation.
//
// # Limits
//
// No single item gets faster: the function is called for each item.
//
// # Audit
//
// The actions of a run of 128 items are recorded together, with [audit.Batch]: one event for
// each action and result, with the number of values and a hash that stands for their ids.
// No item's result is returned, to the function or by Map, before its event is recorded.
package batch

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"sync/atomic"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// chunkSize is the number of items that a worker takes at a time. It is so great
// that the hand-over costs next to nothing.
const chunkSize = 128

// A chunk is a run of items and their results.
type chunk[In, Out any] struct {
	in   []In
	out  []Out
	errs []error
	done chan struct{} // closed when out and errs can be read

	panicked any // the value that f panicked with, or nil
}

// Map calls f for every item of in, from GOMAXPROCS goroutines at once, and yields
// the results in the order of the items.
//
// Map reads in and yields in the goroutine that ranges over it. It reads some
// hundreds of items ahead of the results that it has yielded. If the range ends
// early, f is not called again, and no goroutine is left behind.
//
// Once ctx is done, Map calls f no more and reads no further item. Each item that
// it has read but not processed yields [vault.ErrUnavailable] together with the
// error of ctx. If the input was not read to its end, the zero Out and one more
// such error follow.
//
// If f panics, Map panics in the goroutine that ranges over it. It first yields the
// results of earlier items, except for at most 127 items just before.
func Map[In, Out any](ctx context.Context, in iter.Seq[In], f func(context.Context, In) (Out, error)) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		workers := runtime.GOMAXPROCS(0)
		m := &mapper[In, Out]{
			f:       f,
			yield:   yield,
			todo:    make(chan *chunk[In, Out], 2*workers),
			pending: make([]*chunk[In, Out], 0, 2*workers),
			ended:   make(chan struct{}),
		}
		m.ctx, m.stop = context.WithCancel(ctx)
		for range workers {
			go m.work()
		}
		defer func() {
			m.stop()
			close(m.todo)
			for range workers {
				<-m.ended
			}
		}()
		if !m.feed(in) {
			return
		}
		if err := ctx.Err(); err != nil && m.cut {
			var zero Out
			yield(zero, unavailable(err))
		}
	}
}

// A mapper is one call of Map.
type mapper[In, Out any] struct {
	ctx     context.Context
	stop    context.CancelFunc
	f       func(context.Context, In) (Out, error)
	yield   func(Out, error) bool
	todo    chan *chunk[In, Out]
	pending []*chunk[In, Out] // handed to the workers, oldest first
	free    []*chunk[In, Out] // to be used again
	ended   chan struct{}     // each worker sends one when it ends
	cut     bool              // the input was not read to its end
}

// feed hands the input to the workers and yields their results. It reports false
// once the range has ended.
func (m *mapper[In, Out]) feed(in iter.Seq[In]) bool {
	c := m.chunk()
	for item := range in {
		if m.ctx.Err() != nil {
			m.cut = true
			break
		}
		if c.in = append(c.in, item); len(c.in) < chunkSize {
			continue
		}
		m.hand(c)
		if len(m.pending) == cap(m.pending) && !m.next() {
			return false
		}
		c = m.chunk()
	}
	if len(c.in) > 0 {
		m.hand(c)
	}
	for len(m.pending) > 0 {
		if !m.next() {
			return false
		}
	}
	return true
}

func (m *mapper[In, Out]) chunk() *chunk[In, Out] {
	if n := len(m.free); n > 0 {
		c := m.free[n-1]
		m.free = m.free[:n-1]
		return c
	}
	return &chunk[In, Out]{
		in: make([]In, 0, chunkSize), out: make([]Out, chunkSize), errs: make([]error, chunkSize),
	}
}

func (m *mapper[In, Out]) hand(c *chunk[In, Out]) {
	c.done = make(chan struct{})
	m.pending = append(m.pending, c)
	m.todo <- c // never blocks: there is room for all pending chunks
}

// next yields the oldest chunk's results.
func (m *mapper[In, Out]) next() bool {
	c := m.pending[0]
	<-c.done
	if c.panicked != nil {
		panic(c.panicked)
	}
	m.pending = append(m.pending[:0], m.pending[1:]...)
	for i := range c.in {
		if !m.yield(c.out[i], c.errs[i]) {
			return false
		}
	}
	// A free chunk keeps no items or results alive.
	clear(c.in)
	clear(c.out)
	clear(c.errs)
	c.in = c.in[:0]
	m.free = append(m.free, c)
	return true
}

func (m *mapper[In, Out]) work() {
	defer func() { m.ended <- struct{}{} }()
	for c := range m.todo {
		m.do(c)
	}
}

func (m *mapper[In, Out]) do(c *chunk[In, Out]) {
	defer close(c.done)
	// The items before a panic still have their results to yield. So the other workers go
	// on, until next comes to this chunk.
	defer func() {
		if panicked := recover(); panicked != nil {
			c.panicked = panicked
		}
	}()
	var returned atomic.Int64
	// The events of a chunk are joined. One call of f runs at a time, as each worker has its
	// own chunk; while one waits for its event, the next begins.
	audit.Batch(m.ctx, len(c.in), 1, func(ctx context.Context, i int) {
		if err := m.ctx.Err(); err != nil {
			c.errs[i] = unavailable(err)
		} else {
			c.out[i], c.errs[i] = m.f(ctx, c.in[i])
		}
		returned.Add(1)
	})
	if returned.Load() < int64(len(c.in)) {
		c.panicked = "batch: f ended its goroutine"
	}
}

func unavailable(err error) error {
	return fmt.Errorf("batch: %w: %w", err, vault.ErrUnavailable)
}
