package vault

import (
	"context"
	"fmt"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A call is one operation on the store and the key service. It runs in a
// goroutine of its own, because a client that takes no context can hang for ever.
// Callers leave the call when their time is up. No second call of the same id starts
// before the first has ended. If there can be many ids, a caller takes a place before
// it starts a call, and the call keeps the place until it ends. So a fixed number of
// goroutines is left behind, however many callers time out.
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

// A gate limits the calls that start. The zero gate limits none: it is for ids of
// which there is a fixed number.
type gate struct {
	admit  func() error  // refuses a call that nobody has started yet; nil admits all
	places chan struct{} // holds one element for each call under way
}

// maxCalls bounds how many operations of a vault are under way at a time.
const maxCalls = 64

// shared runs f and returns its error, or joins the call of that id that is under way.
// The call goes on when its last caller has left: the next caller can use its result.
func (b *backend) shared(ctx context.Context, id callID, g gate, f func(context.Context) error) error {
	_, _, err := b.join(ctx, id, g, withoutCall(f))
	return err
}

// exclusive runs f when no other call of that action and purpose is under way. It is
// for operations that can't share a result, because each has to take place.
func (b *backend) exclusive(ctx context.Context, a audit.Action, p purpose.Purpose, f func(context.Context) error) error {
	own, cancel := b.ownTime(ctx)
	defer cancel()
	for {
		c, ours, err := b.start(ctx, own, callID{action: a, keys: keysID{purpose: p}}, gate{places: b.operations}, withoutCall(f))
		switch {
		case err != nil:
			return err
		case ours:
			return c.wait(ctx)
		}
		if err := c.waitBeside(ctx, own); !c.ended() {
			return err // the call goes on without this caller
		}
		switch { // its own turn would come too late
		case ctx.Err() != nil:
			return ctxError(ctx)
		case own.Err() != nil:
			return errLate
		}
	}
}

func withoutCall(f func(context.Context) error) func(context.Context, *call) error {
	return func(ctx context.Context, _ *call) error { return f(ctx) }
}

// join runs f in a call, or joins the call of that id that is under way, and waits for
// it. It reports in ours whether this caller started the call.
//
// The time of a call is the time of the caller that started it, who may have left long
// ago. So a caller that joined a call, which then ended because its time was up, starts
// over for as long as the caller has time itself.
func (b *backend) join(ctx context.Context, id callID, g gate, f func(context.Context, *call) error) (c *call, ours bool, err error) {
	own, cancel := b.ownTime(ctx)
	defer cancel()
	for {
		c, ours, err = b.start(ctx, own, id, g, f)
		switch {
		case err != nil:
			return nil, false, err
		case ours:
			return c, true, c.wait(ctx)
		}
		err = c.waitBeside(ctx, own)
		if err == nil || !c.timedOut() || ctx.Err() != nil || own.Err() != nil {
			return c, false, err
		}
	}
}

// start returns the call of that id that is under way, or starts one. The caller's time
// is up when ctx or own is done. The time of own is the time of the call.
func (b *backend) start(ctx, own context.Context, id callID, g gate, f func(context.Context, *call) error) (c *call, started bool, err error) {
	free := func() {} // gives the place back
	b.mu.Lock()
	defer b.mu.Unlock()
	for admitted, placed := g.admit == nil, g.places == nil; ; {
		switch c := b.calls[id]; {
		case b.closed:
			free()
			return nil, false, errClosed
		case c != nil:
			free()
			return c, false, nil
		}
		if !admitted {
			if err := g.admit(); err != nil {
				return nil, false, err
			}
			admitted = true
		}
		if placed {
			break
		}
		if err := b.unlocked(func() error { return takePlace(ctx, own, g.places) }); err != nil {
			return nil, false, err
		}
		placed, free = true, func() { <-g.places }
	}
	c = run(ctx, own, func() {
		free()
		b.mu.Lock()
		delete(b.calls, id)
		b.mu.Unlock()
	}, f)
	b.calls[id] = c
	return c, true, nil
}

// unlocked runs f without the mutex, which the caller holds, also after a panic of f: a ctx
// of the caller's own can panic, or end the goroutine.
func (b *backend) unlocked(f func() error) error {
	b.mu.Unlock()
	defer b.mu.Lock()
	return f()
}

// takePlace waits for a place. The caller's time is up when ctx or own is done.
func takePlace(ctx, own context.Context, places chan struct{}) error {
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctxError(ctx)
	case <-own.Done():
		return fmt.Errorf("too many calls are waiting: %w: %w", ErrUnavailable, own.Err())
	}
}

// ownTime returns the time that a caller has, whatever its context allows.
func (b *backend) ownTime(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), b.opts.Timeout)
}

// run starts a call, which outlives ctx and has the time of own. It calls ended before
// the call can be seen to have ended.
func run(ctx, own context.Context, ended func(), f func(context.Context, *call) error) *call {
	deadline, _ := own.Deadline()
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
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

// wait returns the error of the call to the caller that started it, or [ErrUnavailable]
// once ctx is done or the time of the call is up.
func (c *call) wait(ctx context.Context) error {
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return ctxError(ctx)
	case <-c.ctx.Done():
	}
	if c.ended() { // the end of the call ended its context
		return c.err
	}
	return errLate
}

// waitBeside is wait for a caller that joined the call. The caller's time is up when
// ctx or own is done. A client needs a moment to notice that the time of the call is
// up; the caller waits for that moment, so that it can start over.
func (c *call) waitBeside(ctx, own context.Context) error {
	deadline, _ := c.ctx.Deadline()
	late := time.NewTimer(time.Until(deadline.Add(noticing)))
	defer late.Stop()
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return ctxError(ctx)
	case <-own.Done():
	case <-late.C:
	}
	if c.ended() {
		return c.err
	}
	return errLate
}

// noticing is how long a client takes to notice that its context is done.
const noticing = time.Second

// ended reports whether the call has ended.
func (c *call) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// timedOut reports whether the call has ended and its time is up.
func (c *call) timedOut() bool {
	deadline, _ := c.ctx.Deadline()
	return c.ended() && !time.Now().Before(deadline)
}

// errLate is [ErrUnavailable] for a store or a key service that hangs.
var errLate = fmt.Errorf("no answer in time: %w: %w", ErrUnavailable, context.DeadlineExceeded)

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
