package faulttest

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// A hostileContext is a context of the caller's own, one of whose methods does not return.
type hostileContext struct {
	context.Context
	value, done func()
}

func (c hostileContext) Value(key any) any {
	c.value()
	return c.Context.Value(key)
}

func (c hostileContext) Done() <-chan struct{} {
	c.done()
	return c.Context.Done()
}

// Every operation meets a context that panics, or ends the goroutine. A decision is in an
// event nevertheless, and so is an operation on keys, which goes on without its caller. The
// next caller finds the vault as it should be.
func TestContextsThatDoNotReturn(t *testing.T) {
	var base *faultBase
	synctest.Test(t, func(t *testing.T) { base = newFaultBase(t) })
	nothing := func() {}
	panics := func() { panic(quoted) }
	for _, op := range faultOps {
		if op.unaudited || op.name == "Map over a person's" { // package context ends Map itself
			continue
		}
		for name, c := range map[string]hostileContext{
			"a value panics":             {value: panics, done: nothing},
			"a value ends the goroutine": {value: runtime.Goexit, done: nothing},
			"done panics":                {value: nothing, done: panics},
			"done ends the goroutine":    {value: nothing, done: runtime.Goexit},
		} {
			t.Run(op.name+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := base.world(t)
					defer w.v.Close()
					use := op.prepare(t, w)
					w.recorded()
					c.Context = t.Context()
					ended := make(chan struct{})
					go func() {
						defer close(ended)
						defer func() { recover() }()
						_, _ = use(c)
					}()
					<-ended
					synctest.Wait()
					events := w.recorded()
					_, err := use(t.Context())
					if !op.once || err == nil {
						require.NoError(t, err, "the next one")
					}
					if name == "a value panics" || name == "a value ends the goroutine" || ofKeys(w.recorded()) {
						require.NotEmpty(t, events)
					}
					for _, e := range events {
						require.Empty(t, e.Caller)
					}
				})
			})
		}
	}
}

// ofKeys reports whether events are of an operation on keys.
func ofKeys(events []audit.Event) bool {
	return slices.ContainsFunc(events, func(e audit.Event) bool {
		switch e.Action {
		case audit.Generate, audit.Rotate, audit.Promote, audit.Retire, audit.Reinstate, audit.Destroy, audit.Rewrap,
			audit.RewrapSubjects, audit.Suspend, audit.Resume, audit.Erase, audit.List, audit.CheckKEK, audit.CheckDenied:
			return true
		}
		return false
	})
}

// A progress that panics, or ends the goroutine, ends a run that has moved keys already.
func TestProgressThatDoesNotReturn(t *testing.T) {
	for name, end := range map[string]func(){"panics": func() { panic(quoted) }, "ends the goroutine": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			var events []audit.Event
			v := vaulttest.Generated(t, &vault.Options{Audit: contextAuditFunc(func(_ context.Context, e audit.Event) error {
				if e.Action == audit.RewrapSubjects {
					events = append(events, e)
				}
				return nil
			})}, vaulttest.Security)
			s := vaulttest.Scope(t, v, vaulttest.Security)
			for _, id := range []string{"alice", "bob"} {
				_, err := vault.Seal(t.Context(), vaulttest.Note, "text", s.For(id))
				require.NoError(t, err)
			}
			vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleSeal)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				defer func() { recover() }()
				_ = v.RewrapSubjects(t.Context(), vaulttest.Security, "", func(vault.Progress) error { end(); return nil })
			}()
			<-ended
			require.Len(t, events, 1)
			require.Positive(t, events[0].Count)
			require.Equal(t, audit.Failed, events[0].Outcome)
		})
	}
}
