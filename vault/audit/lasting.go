package audit

import (
	"context"
	"sync"
	"time"
)

// eventGrace is how much longer than its caller an auditor may take to record an event.
const eventGrace = 2 * time.Second

// A lastingContext is the ctx of an auditor: the caller's ctx, which lasts for another
// eventGrace. Otherwise a caller who is refused could keep the refusal out of the log: an
// auditor that stops when ctx is done, such as the client of a network, would lose the
// event if the ctx ends between the decision and the event, by chance or on purpose.
//
// The caller's ctx is asked when the auditor asks. If it panics then, it counts as ended.
type lastingContext struct {
	context.Context
	grace time.Duration

	once  sync.Once
	ended chan struct{} // closed when the ctx is done
	over  chan struct{} // closed when the auditor has returned
}

func newLastingContext(ctx context.Context) *lastingContext {
	return &lastingContext{Context: ctx, grace: eventGrace, ended: make(chan struct{}), over: make(chan struct{})}
}

// lastingly passes an event to an auditor with a lasting ctx, unless ctx is one: an auditor
// that is called passes the event on to another one.
func lastingly(ctx context.Context, to Auditor, e Event) error {
	if _, ok := ctx.(*lastingContext); ok {
		return to.Audit(ctx, e)
	}
	lasting := newLastingContext(ctx)
	defer lasting.end()
	return to.Audit(lasting, e)
}

// end ends the ctx when the auditor has returned.
func (c *lastingContext) end() { close(c.over) }

// Deadline returns the caller's deadline and the grace.
func (c *lastingContext) Deadline() (deadline time.Time, ok bool) {
	if deadline, ok = c.Context.Deadline(); ok {
		deadline = deadline.Add(c.grace)
	}
	return deadline, ok
}

// Done returns a channel that is closed when the grace is over, and when the auditor has
// returned.
func (c *lastingContext) Done() <-chan struct{} {
	c.once.Do(func() { go c.wait(c.callerDone()) })
	return c.ended
}

// wait waits for the end of the caller's ctx, and for the grace.
func (c *lastingContext) wait(caller <-chan struct{}) {
	defer close(c.ended)
	select {
	case <-c.over:
		return
	case <-caller:
	}
	timer := time.NewTimer(c.grace)
	defer timer.Stop()
	select {
	case <-c.over:
	case <-timer.C:
	}
}

// callerDone returns the channel of the caller's ctx. A ctx that panics has ended.
func (c *lastingContext) callerDone() (done <-chan struct{}) {
	ended := make(chan struct{})
	close(ended)
	done = ended
	defer func() { _ = recover() }()
	return c.Context.Done()
}

// Err returns nil as long as Done is not closed, and context.Canceled or
// context.DeadlineExceeded from then on.
func (c *lastingContext) Err() (err error) {
	select {
	case <-c.Done():
	default:
		return nil
	}
	defer func() {
		if recover() != nil || err == nil {
			err = context.Canceled // by the return of the auditor
		}
	}()
	return c.Context.Err()
}
