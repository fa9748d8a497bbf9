// Package batch seals, reveals, indexes and re-seals many values on all cores:
//
//	seal := func(ctx context.Context, address string) (pii.Email, error) {
//		return pii.SealEmail(ctx, address, security)
//	}
//	for email, err := range batch.Map(ctx, slices.Values(addresses), seal) {
//		…
//	}
//
// Results come in the order of the input, one for one; an item that fails yields
// its error and the others their results. Memory is bounded whatever the length
// of the input, which can be an iterator over rows of a database.
//
// # Cheaper by the batch
//
// For values of many people, call [vault.Scope.Prefetch] with the ids of a page
// first, so that the page costs one read of the key store. Collectors share one
// encapsulation in a [vault.Collector.Batch].
//
// # What it does not do
//
// It makes no item faster: the same function is called for each, and is audited
// for each.
package batch

import (
	"context"
	"fmt"
	"iter"
	"runtime"

	"github.com/onlyfor/onlyfor/vault"
)

// chunkSize is how many items a worker takes at a time: enough for handing them
// over to cost next to nothing.
const chunkSize = 128

// A chunk is some items in a row, and what became of them.
type chunk[In, Out any] struct {
	in   []In
	out  []Out
	errs []error
	done chan struct{} // closed when out and errs can be read

	panicked any // what f panicked with, nil if it did not
}

// Map calls f for every item of in, from as many goroutines at once as there
// are processors to use, and yields the results in the order of the items.
//
// It takes items from in, and yields, in the goroutine that ranges over it; it takes
// some hundreds of items ahead of what it has yielded. When the range ends
// early, f is not called again, and no goroutine is left behind.
//
// Once ctx is done, f is not called again either, and no further item is taken:
// those taken already yield [vault.ErrUnavailable] together with the error of ctx,
// and one more such pair, with the zero Out, says that the input has not been
// read to its end. If f panics, so does Map, in the goroutine that ranges over it
// and after it has yielded what comes before.
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

// A mapper is one run of Map.
type mapper[In, Out any] struct {
	ctx     context.Context
	stop    context.CancelFunc
	f       func(context.Context, In) (Out, error)
	yield   func(Out, error) bool
	todo    chan *chunk[In, Out]
	pending []*chunk[In, Out] // handed to the workers, oldest first
	free    []*chunk[In, Out] // for using again
	ended   chan struct{}     // gets one from each worker
	cut     bool              // the input was not read to its end
}

// feed hands the input to the workers and yields what they return. It reports
// false once nothing more may be yielded.
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
	m.todo <- c // never blocks: there is room for all that can be pending
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
	// What was in it is not kept alive by being free.
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
	finished := false
	defer func() {
		if !finished {
			if c.panicked = recover(); c.panicked == nil {
				c.panicked = "batch: f ended its goroutine"
			}
			// What is before it is still answered as it should be, so nothing is
			// stopped here: next does that when its turn comes.
		}
	}()
	for i, item := range c.in {
		if err := m.ctx.Err(); err != nil {
			c.errs[i] = unavailable(err)
			continue
		}
		c.out[i], c.errs[i] = m.f(m.ctx, item)
	}
	finished = true
}

func unavailable(err error) error {
	return fmt.Errorf("batch: %w: %w", err, vault.ErrUnavailable)
}
