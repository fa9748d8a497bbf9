package faulttest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// Every operation meets every fault of an auditor, at each of the events that it
// records. What can't be recorded hands out nothing, and holds up nobody else.
func TestAuditFaults(t *testing.T) {
	var base *faultBase
	synctest.Test(t, func(t *testing.T) { base = newFaultBase(t) })
	for _, op := range faultOps {
		if op.unaudited {
			continue
		}
		for name, f := range map[string]func(t *testing.T, w *faultWorld, use faultUse){
			"fails":              auditorFails,
			"panics":             auditorPanics,
			"waits":              auditorWaits,
			"its caller leaves":  callerLeaves,
			"hangs":              auditorHangs,
			"is slow":            auditorIsSlow,
			"fails on a refusal": auditorFailsOnARefusal,
			"uses the vault":     auditorUsesTheVault(op),
		} {
			t.Run(op.name+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := base.world(t)
					defer w.v.Close()
					use := op.prepare(t, w)
					w.recorded()
					f(t, w, use)
					w.auditWith(nil)
					_, err := use(t.Context())
					if !op.once || err == nil {
						require.NoError(t, err, "the next one")
					}
					(&faultCell{op: op}).sound(t, w)
				})
			})
		}
	}
}

// unrecorded checks the outcome of what could not be recorded.
func unrecorded(t *testing.T, out any, err error) {
	t.Helper()
	require.ErrorIs(t, err, vault.ErrUnavailable)
	require.NotContains(t, err.Error(), quoted)
	requireNothing(t, out)
}

func auditorFails(t *testing.T, w *faultWorld, use faultUse) {
	w.auditWith(func(_ context.Context, e audit.Event) error { return fmt.Errorf("%s %v", quoted, e) })
	out, err := use(t.Context())
	unrecorded(t, out, err)
	require.ErrorContains(t, err, "audit failed")
	require.NotEmpty(t, w.recorded())
}

func auditorPanics(t *testing.T, w *faultWorld, use faultUse) {
	w.auditWith(func(_ context.Context, e audit.Event) error { panic(fmt.Sprint(quoted, e)) })
	out, err := use(t.Context())
	unrecorded(t, out, err)
}

// auditorWaits is one that heeds its context.
func auditorWaits(t *testing.T, w *faultWorld, use faultUse) {
	w.auditWith(func(ctx context.Context, _ audit.Event) error {
		<-ctx.Done()
		return fmt.Errorf("%s: %w", quoted, ctx.Err())
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	began := time.Now()
	out, err := use(ctx)
	unrecorded(t, out, err)
	events := time.Duration(len(w.recorded()))
	require.NotZero(t, events)
	require.LessOrEqual(t, time.Since(began), 3*time.Second+events*eventGrace)
}

// eventGrace is how much longer than its caller's ctx that of an auditor lasts, for each
// event.
const eventGrace = 2 * time.Second

// callerLeaves lets the ctx of the caller end while its event is on the way to an auditor
// over a network, which stops when its ctx is done.
func callerLeaves(t *testing.T, w *faultWorld, use faultUse) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var sent, lost atomic.Int32
	w.auditWith(func(ctx context.Context, _ audit.Event) error {
		cancel()
		select {
		case <-ctx.Done():
			lost.Add(1)
			return ctx.Err()
		case <-time.After(eventGrace / 2):
			sent.Add(1)
			return nil
		}
	})
	_, _ = use(ctx)
	time.Sleep(eventGrace) // an operation on many values leaves its workers
	require.NotZero(t, sent.Load())
	require.Zero(t, lost.Load())
}

// auditorHangs is one that does not. It holds up what it was asked about, as it is
// documented to, but nobody else who does the same or something else.
func auditorHangs(t *testing.T, w *faultWorld, use faultUse) {
	hung, freed := make(chan struct{}), make(chan struct{})
	w.auditWith(func(context.Context, audit.Event) error {
		w.auditWith(nil)
		close(hung)
		<-freed
		return errors.New(quoted)
	})
	type result struct {
		out any
		err error
	}
	results := make(chan result, 1)
	go func() {
		out, err := use(t.Context())
		results <- result{out, err}
	}()
	<-hung
	_, err := use(t.Context())
	if !errors.Is(err, vault.ErrInvalid) { // of an operation that can take place once
		require.NoError(t, err, "the same again")
	}
	_, err = w.v.Scope(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	close(freed)
	r := <-results
	unrecorded(t, r.out, r.err)
}

func auditorIsSlow(t *testing.T, w *faultWorld, use faultUse) {
	w.auditWith(func(context.Context, audit.Event) error {
		time.Sleep(time.Hour)
		return nil
	})
	_, err := use(t.Context())
	require.NoError(t, err)
	for _, e := range w.recorded() {
		require.Equal(t, audit.Allowed, e.Outcome)
	}
}

// What is refused stays refused, and is an outage as well.
func auditorFailsOnARefusal(t *testing.T, w *faultWorld, use faultUse) {
	w.plug.pull(&fault{of: ofAll, do: failing(func(call) error { return vault.ErrCorrupt })}, 0)
	defer w.plug.in()
	w.auditWith(func(context.Context, audit.Event) error { return errors.New(quoted) })
	out, err := use(t.Context())
	unrecorded(t, out, err)
	if kinds, _, _ := w.plug.seen(); len(kinds) > 0 {
		require.ErrorIs(t, err, vault.ErrCorrupt)
	}
	// The first event has the refusal alone. An event for another purpose comes later, and
	// says too that the first one is lost: the operation is not allowed any more.
	events := w.recorded()
	require.NotEmpty(t, events)
	require.NotErrorIs(t, events[0].Err, vault.ErrUnavailable)
	for _, e := range events[1:] {
		require.NotEqual(t, audit.Allowed, e.Outcome)
	}
}

// auditorUsesTheVault is one that does, while it is asked, what it was asked about:
// no lock is held.
func auditorUsesTheVault(op faultOp) func(t *testing.T, w *faultWorld, use faultUse) {
	return func(t *testing.T, w *faultWorld, use faultUse) {
		w.auditWith(func(ctx context.Context, _ audit.Event) error {
			w.auditWith(nil)
			if _, err := use(ctx); err != nil && !op.once {
				return err
			}
			_, err := w.v.Scope(ctx, vaulttest.Security)
			return err
		})
		_, err := use(t.Context())
		require.NoError(t, err)
		require.Greater(t, len(w.recorded()), 2)
	}
}

// What a vault records on its own account has nobody who waits for it. An auditor
// that hangs then must not gather goroutines: neither one that heeds its context
// nor one that does not.
func TestBackgroundAuditLeavesOneGoroutine(t *testing.T) {
	for name, heeds := range map[string]bool{"heeds its context": true, "hangs": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kek := vault.SharedKEK(vaulttest.NewAEAD(t))
				store := vaulttest.Swappable(vault.Memory())
				freed := make(chan struct{})
				defer close(freed)
				var events atomic.Int32
				var armed atomic.Bool
				v := vaulttest.Open(t, store, kek, &vault.Options{SuspendLifetime: 24 * time.Hour, Audit: contextAuditFunc(func(ctx context.Context, e audit.Event) error {
					if !armed.Load() || e.Outcome == audit.Allowed {
						return nil
					}
					events.Add(1)
					if heeds {
						<-ctx.Done()
						return ctx.Err()
					}
					<-freed
					return nil
				})})
				require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
				older := vaulttest.CopyOf(t, store.Now(), "security/keys")
				vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleSeal)
				l := vaulttest.Lookup(t, v, vaulttest.Security)
				s := vaulttest.Scope(t, v, vaulttest.Security)
				store.Swap(older) // which every look finds out, and records
				armed.Store(true)
				before := vaulttest.Goroutines(t)
				for range 20 {
					time.Sleep((5 * time.Minute))
					synctest.Wait()
					_, err := s.Index(t.Context(), vaulttest.Note, "text")
					require.NoError(t, err)
					_, err = l.Index(t.Context(), vaulttest.Note, "text")
					require.NoError(t, err)
				}
				time.Sleep(30*time.Second + eventGrace)
				synctest.Wait()
				if heeds {
					vaulttest.RequireGoroutines(t, before)
					require.EqualValues(t, 2*20, events.Load(), "each is recorded again")
				} else {
					vaulttest.RequireGoroutines(t, before+2) // one for each handle
				}
				v.Close()
			})
		})
	}
}

type contextAuditFunc func(context.Context, audit.Event) error

func (f contextAuditFunc) Audit(ctx context.Context, e audit.Event) error { return f(ctx, e) }
