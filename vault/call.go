package vault

import (
	"context"
	"fmt"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A call is one operation on the store and the key service. It runs in a
// goroutine of its own, because a client that takes no context can hang for ever.
// Callers leave the call when their time is up. No second call of the same id starts
// before the first has ended, so only one goroutine is left behind, however many
// callers time out.
type call struct {
	ctx  context.Context // done when the time of the call is up
	done chan struct{}   // closed when the call has ended

	// Both are written before done is closed, and read after it.
	err error
	key *subjectKey // of a call that loads one
}

// A callID identifies a call. Only one call of each id runs at a time.
type callID struct {
	action audit.Action
	keys   keysID
	detail string
}

// shared runs f and returns its error, or joins the call of that id that is under way.
// The call goes on when its last caller has left: the next caller can use its result.
func (b *backend) shared(ctx context.Context, id callID, f func(context.Context) error) error {
	c, _, err := b.start(ctx, id, withoutCall(f))
	if err != nil {
		return err
	}
	return c.wait(ctx)
}

// exclusive runs f when no other call of that action and purpose is under way. It is
// for operations that can't share a result, because each has to take place.
func (b *backend) exclusive(ctx context.Context, a audit.Action, p purpose.Purpose, f func(context.Context) error) error {
	for {
		c, ours, err := b.start(ctx, callID{action: a, keys: keysID{purpose: p}}, withoutCall(f))
		if err != nil {
			return err
		}
		err = c.wait(ctx)
		select {
		case <-c.done:
			if !ours {
				continue
			}
		default: // the call goes on without this caller
		}
		return err
	}
}

func withoutCall(f func(context.Context) error) func(context.Context, *call) error {
	return func(ctx context.Context, _ *call) error { return f(ctx) }
}

// start returns the call of that id that is under way, or starts one.
func (b *backend) start(ctx context.Context, id callID, f func(context.Context, *call) error) (c *call, started bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, false, errClosed
	}
	if c := b.calls[id]; c != nil {
		return c, false, nil
	}
	own, cancel := b.ownTime(ctx)
	c = run(own, func() {
		b.mu.Lock()
		delete(b.calls, id)
		b.mu.Unlock()
	}, cancel, f)
	b.calls[id] = c
	return c, true, nil
}

// ownTime returns the context of a call. It outlives the context of the caller.
func (b *backend) ownTime(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), b.opts.Timeout)
}

// run starts a call. It calls ended before the call can be seen to have ended, and
// cancel, which ends ctx, after that.
func run(ctx context.Context, ended, cancel func(), f func(context.Context, *call) error) *call {
	c := &call{ctx: ctx, done: make(chan struct{})}
	go func() {
		defer cancel()
		defer func() { // a client can also end this goroutine
			ended()
			close(c.done)
		}()
		c.err = errBroken // unless f returns
		c.err = guard(ctx, func(ctx context.Context) error { return f(ctx, c) })
	}()
	return c
}

// wait returns the error of the call, or [ErrUnavailable] once ctx is done or the
// time of the call is up.
func (c *call) wait(ctx context.Context) error {
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return ctxError(ctx)
	case <-c.ctx.Done():
	}
	select {
	case <-c.done: // the end of the call ended its context
		return c.err
	default:
		return fmt.Errorf("no answer in time: %w: %w", ErrUnavailable, context.DeadlineExceeded)
	}
}

// ctxError returns [ErrUnavailable] with the error of ctx, which is done.
func ctxError(ctx context.Context) error { return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err()) }

// guard runs f, and turns a panic of a store or a KEK into an error. No caller could
// recover from the panic, because f runs in a goroutine of its own. The value of the
// panic is dropped.
func guard(ctx context.Context, f func(context.Context) error) (err error) {
	defer func() {
		if recover() != nil {
			err = errBroken
		}
	}()
	return f(ctx)
}

var errBroken = fmt.Errorf("key store or KEK panicked: %w", ErrUnavailable)
