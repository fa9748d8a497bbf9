package vault

import (
	"context"
	"fmt"

	"github.com/onlyfor/onlyfor/purpose"
)

// A flight is one operation on stores and key services. It runs in a goroutine
// of its own, because a client that takes no context can hang for ever: its
// callers leave it when their time is up, and until it ends no second one like
// it starts. However many calls time out, one goroutine is left behind.
type flight struct {
	ctx  context.Context // done when the flight's own time is up
	done chan struct{}   // closed when it has ended
	err  error           // readable then
	key  *subjectKey     // likewise, of a flight that asks for one
}

type flightKey struct {
	action Action
	ring   ringKey
	detail string
}

// do runs f and returns its error, or that of a flight of the same key that is
// under way already. Not even the last caller's
// leaving ends the flight: what it finds is of use to the next.
func (b *backend) do(ctx context.Context, key flightKey, f func(context.Context) error) error {
	fl, _, err := b.depart(ctx, key, ignoring(f))
	if err != nil {
		return err
	}
	return fl.wait(ctx)
}

func ignoring(f func(context.Context) error) func(context.Context, *flight) error {
	return func(ctx context.Context, _ *flight) error { return f(ctx) }
}

// alone is do for operations that each have to take place: it waits for a
// flight that is under way, and then runs f itself.
func (b *backend) alone(ctx context.Context, a Action, p purpose.Purpose, f func(context.Context) error) error {
	for {
		fl, ours, err := b.depart(ctx, flightKey{action: a, ring: ringKey{purpose: p}}, ignoring(f))
		if err != nil {
			return err
		}
		err = fl.wait(ctx)
		select {
		case <-fl.done:
			if !ours {
				continue
			}
		default: // it goes on without us
		}
		return err
	}
}

// depart returns the flight of that key that is under way, or starts one.
func (b *backend) depart(ctx context.Context, key flightKey, f func(context.Context, *flight) error) (fl *flight, started bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, false, errClosed
	}
	if fl := b.flights[key]; fl != nil {
		return fl, false, nil
	}
	fl = &flight{done: make(chan struct{})}
	var cancel context.CancelFunc
	fl.ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), b.opts.Timeout)
	b.flights[key] = fl
	go func() {
		defer cancel()
		defer func() { // also if a client ends this goroutine
			b.mu.Lock()
			delete(b.flights, key)
			b.mu.Unlock()
			close(fl.done)
		}()
		fl.err = errBroken // unless f returns
		fl.err = guard(fl.ctx, func(ctx context.Context) error { return f(ctx, fl) })
	}()
	return fl, true, nil
}

// wait returns the flight's error, or [ErrUnavailable] once ctx is done or the
// flight's own time is up.
func (fl *flight) wait(ctx context.Context) error {
	select {
	case <-fl.done:
		return fl.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	case <-fl.ctx.Done():
	}
	select {
	case <-fl.done: // it ended, which is what ended its context
		return fl.err
	default:
		return fmt.Errorf("no answer in time: %w: %w", ErrUnavailable, context.DeadlineExceeded)
	}
}

// guard turns a panic of a store or a KEK, which nobody could recover from in
// this goroutine, into an error. What it says is dropped.
func guard(ctx context.Context, f func(context.Context) error) (err error) {
	defer func() {
		if recover() != nil {
			err = errBroken
		}
	}()
	return f(ctx)
}

var errBroken = fmt.Errorf("key store or KEK panicked: %w", ErrUnavailable)
