package audit

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// An auditor that hangs ends with the grace, as one that hangs on a living ctx ends with
// the ctx.
func TestAuditorThatHangsIsLeft(t *testing.T) {
	hangs := lastingFunc(func(ctx context.Context, _ Event) error {
		<-ctx.Done()
		return ctx.Err()
	})
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, Record(ctx, hangs, Event{}), context.DeadlineExceeded)
		require.Equal(t, time.Minute+eventGrace, time.Since(start))
	})
}

type lastingFunc func(context.Context, Event) error

func (f lastingFunc) Audit(ctx context.Context, e Event) error { return f(ctx, e) }

type strangeContext struct {
	context.Context
	done     func() <-chan struct{}
	err      func() error
	deadline func() (time.Time, bool)
}

func (c strangeContext) Done() <-chan struct{}       { return c.done() }
func (c strangeContext) Err() error                  { return c.err() }
func (c strangeContext) Deadline() (time.Time, bool) { return c.deadline() }

func TestLastingContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newLastingContext(t.Context())
		require.NoError(t, c.Err())
		_, ok := c.Deadline()
		require.False(t, ok)
		c.end()
		<-c.Done()
		require.ErrorIs(t, c.Err(), context.Canceled, "the auditor has returned")

		at := time.Now().Add(time.Minute)
		ctx, cancel := context.WithDeadline(WithCaller(t.Context(), "sign-in"), at)
		defer cancel()
		c = newLastingContext(ctx)
		require.Equal(t, "sign-in", Caller(c))
		deadline, _ := c.Deadline()
		require.Equal(t, at.Add(eventGrace), deadline)
		derived, stop := context.WithCancel(c)
		defer stop()
		time.Sleep(time.Minute + eventGrace - 1)
		require.NoError(t, c.Err())
		require.NoError(t, derived.Err())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.ErrorIs(t, c.Err(), context.DeadlineExceeded)
		require.ErrorIs(t, derived.Err(), context.DeadlineExceeded)
		c.end()

		for _, done := range []func() <-chan struct{}{
			func() <-chan struct{} { panic("done") },
			func() <-chan struct{} { ended := make(chan struct{}); close(ended); return ended },
		} {
			c = newLastingContext(strangeContext{t.Context(), done, func() error { panic("err") }, func() (time.Time, bool) { return at, true }})
			require.NoError(t, c.Err(), "for the grace")
			start := time.Now()
			<-c.Done()
			require.Equal(t, eventGrace, time.Since(start))
			require.ErrorIs(t, c.Err(), context.Canceled)
			c.end()
		}
	})
}

// A caller's ctx that panics when the auditor asks for its end keeps no event out of the
// log.
func TestContextThatPanicsWhenItIsAsked(t *testing.T) {
	ctx := strangeContext{
		t.Context(), func() <-chan struct{} { panic("done") }, func() error { panic("err") }, func() (time.Time, bool) { panic("deadline") },
	}
	for name, ask := range map[string]func(context.Context) error{
		"done": func(ctx context.Context) error { _ = ctx.Done(); return nil },
		"err":  func(ctx context.Context) error { return ctx.Err() },
		"a derived ctx": func(ctx context.Context) error {
			own, cancel := context.WithCancel(ctx)
			defer cancel()
			return own.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			refused := errors.New("refused")
			got := Event{}
			err := Record(ctx, lastingFunc(func(ctx context.Context, e Event) error { got = e; return ask(ctx) }), Event{Err: refused})
			require.NoError(t, err)
			require.Equal(t, refused, got.Err)
		})
	}
}
