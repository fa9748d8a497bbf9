package faulttest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// Every operation meets every fault of a store and of a key service, from each of
// the calls on that it makes: some 2800 of them, in bubbles, so that waiting takes no
// time and a goroutine that stays behind fails the test. In each, the operation returns
// in time, with the sentinel that is documented and none of the words of who failed,
// hands out nothing unless it succeeded, and is recorded as what it was. Once the fault
// is over the very next call works, and all that was sealed before opens for another
// process. A call that hangs and heeds its context is shared by those who ask for the
// same until Options.Timeout is over, and by nobody after that. A call that panics, or
// ends its goroutine, is said to have done so, and nobody waits until a deadline.
//
// With -short only the first call of each kind fails.
func TestFaults(t *testing.T) {
	var base *faultBase
	synctest.Test(t, func(t *testing.T) { base = newFaultBase(t) })
	faults := faultsOf(t, base)
	cells := 0
	for _, op := range faultOps {
		t.Run(op.name, func(t *testing.T) {
			kinds := faultCalls(t, base, op)
			for i := range faults {
				f := &faults[i]
				for from, kind := range kinds {
					if !f.meets(kind) || testing.Short() && slices.Contains(kinds[:from], kind) {
						continue
					}
					if cells++; vaulttest.UnderRace && cells%3 != 0 { // all are tried without the detector
						continue
					}
					t.Run(fmt.Sprintf("%s/from call %d, %s", f.name, from+1, kind), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) { (&faultCell{base, op, f, from}).run(t) })
					})
				}
			}
		})
	}
}

// faultCalls returns the calls that an operation makes when nothing fails.
func faultCalls(t *testing.T, base *faultBase, op faultOp) (kinds []string) {
	synctest.Test(t, func(t *testing.T) {
		w := base.world(t)
		use := op.prepare(t, w)
		w.plug.pull(nil, 0)
		out, err := use(t.Context())
		require.NoError(t, err)
		closeIfVault(out)
		kinds, _, _ = w.plug.seen()
		w.v.Close()
	})
	return kinds
}

// A faultCell is one operation and one fault, from one call on.
type faultCell struct {
	base *faultBase
	op   faultOp
	f    *fault
	from int
}

func (c *faultCell) run(t *testing.T) {
	w := c.base.world(t)
	defer w.v.Close()
	defer time.Sleep(time.Hour) // time stands still once this returns, and nothing may be left then
	defer w.plug.in()
	use := c.op.prepare(t, w)
	before := vaulttest.Goroutines(t)
	w.recorded()
	w.plug.pull(c.f, c.from)
	began := time.Now()
	out, err := use(t.Context())
	_, met, wrong := w.plug.seen()
	require.NotEmpty(t, met)
	c.judge(t, out, err, met[0], wrong)
	c.recorded(t, w, err)
	if c.f.breaks {
		require.Zero(t, time.Since(began), "waited for an answer that can't come")
		if err != nil && met[0] != kekProbe && !c.op.refusal {
			require.ErrorContains(t, err, "key store or KEK panicked")
			require.NotErrorIs(t, err, context.DeadlineExceeded)
		}
	}

	if c.f.hangs {
		require.LessOrEqual(t, time.Since(began), faultTimeout*time.Duration(max(1, c.op.waits)), "longer than Options.Timeout")
		for range 10 {
			c.inTime(t, use)
		}
		time.Sleep(faultTimeout)
		synctest.Wait()
		vaulttest.RequireGoroutines(t, before+max(2, c.op.left))
	}
	w.plug.in()
	if time.Since(began) >= faultTimeout {
		time.Sleep(time.Second) // for what goes on to notice that it is over
	}
	synctest.Wait()
	c.lifted(t, w, use, err)
	c.sound(t, w)
}

// inTime checks that a caller gets away once their time is up.
func (c *faultCell) inTime(t *testing.T, use faultUse) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	began := time.Now()
	out, err := use(ctx)
	require.LessOrEqual(t, time.Since(began), 3*time.Second, "longer than its context")
	require.ErrorIs(t, err, vault.ErrUnavailable)
	requireNothing(t, out)
}

// judge checks what an operation says of a fault.
func (c *faultCell) judge(t *testing.T, out any, err error, met string, wrong bool) {
	want, orNot := c.f.want, c.f.orNot
	switch {
	case met == kekProbe: // which is there to fail
		orNot = true
		want = append([]error{vault.ErrUnavailable, vault.ErrNoKeys}, want...)
	case c.op.refusal && strings.HasPrefix(c.f.name, "denies") && met != storeGet:
		orNot = true
	case c.op.tolerant && met == storeGet && wrong:
		orNot = true
	case c.op.listsOnce && met == storeList && c.f.name == "lists all there is, again and again":
		orNot = true // the first List is to have all there is
	case c.op.completes == c.from+1 && met == storeGet && wrong:
		orNot = true
	}
	if c.answers() && !wrong { // there was nothing to get wrong
		want = nil
	}
	if err == nil {
		if !orNot {
			require.Empty(t, want, "succeeded")
		}
		return
	}
	require.NotEmpty(t, want, "failed: %v", err)
	require.True(t, oneOf(err, append(c.op.also, want...)), "another error: %v", err)
	require.NotErrorIs(t, err, vault.ErrErased)
	require.NotContains(t, err.Error(), quoted)
	require.NotContains(t, err.Error(), "\n")
	require.Less(t, len(err.Error()), 400)
	ofOneRecord := errors.Is(err, vault.ErrCorrupt) || met == storeGet && errors.Is(err, vault.ErrNoKeys)
	if c.op.goesOn && ofOneRecord && !errors.Is(err, vault.ErrUnavailable) {
		return
	}
	requireNothing(t, out)
}

// answers reports whether the fault is a wrong answer, and not the lack of one.
func (c *faultCell) answers() bool {
	for _, verb := range []string{"answers", "has", "lacks", "lists", "loses", "numbers"} {
		if strings.HasPrefix(c.f.name, verb) {
			return true
		}
	}
	return false
}

// recorded checks that what failed was recorded as such.
func (c *faultCell) recorded(t *testing.T, w *faultWorld, err error) {
	if c.op.unaudited || c.f.once && c.op.waits > 1 { // of which one goes well
		return
	}
	events := w.recorded()
	require.NotEmpty(t, events)
	for _, e := range events {
		require.Equal(t, err == nil, e.Outcome == audit.Allowed, "%s: %s", e.Action, e.Outcome)
		if e.Err != nil {
			require.NotContains(t, e.Err.Error(), quoted)
		}
	}
}

// lifted checks that the very next call works: what failed is not remembered.
func (c *faultCell) lifted(t *testing.T, w *faultWorld, use faultUse, before error) {
	out, err := use(t.Context())
	closeIfVault(out)
	if c.op.once && err != nil { // the first took place
		require.ErrorIs(t, err, vault.ErrInvalid)
		require.True(t, before == nil || c.f.name == "loses its answer" || c.f.hangs, "%v", before)
		return
	}
	require.NoError(t, err)
}

// sound checks that whatever was sealed before opens for another process, and that
// an erasure that was certified is one.
func (c *faultCell) sound(t *testing.T, w *faultWorld) {
	v := w.fresh(t, nil)
	defer v.Close()
	s := vaulttest.Scope(t, v, vaulttest.Security)
	vaulttest.Opens(t, s, w.value)
	if strings.HasPrefix(c.op.name, "Erase") {
		vaulttest.Refuses(t, s.For("alice"), w.alices, vault.ErrErased)
		return
	}
	vaulttest.Opens(t, s.For("alice"), w.alices)
}

// requireNothing fails if an operation that failed hands out anything.
func requireNothing(t *testing.T, out any) {
	if out != nil && !reflect.ValueOf(out).IsZero() {
		require.Fail(t, "handed out in spite of an error", "a %T", out)
	}
}

func closeIfVault(out any) {
	if v, ok := out.(*vault.Admin); ok {
		v.Close()
	}
}
