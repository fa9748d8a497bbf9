package vault

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// TestCallersWhoLeave lets the ctx of each operation end while its event is on the way to
// an auditor over a network, which stops when its ctx is done.
func TestCallersWhoLeave(t *testing.T) {
	security, ads := purpose.MustParse("security"), purpose.MustParse("advertising")
	kind := MustKind("note", "vault.Note")
	type world struct {
		v          *Admin
		kek        KEK
		here, ads  *Scope
		value, own Sealed
		collector  *Collector
	}
	operations := map[string]func(ctx context.Context, w *world){
		"seal":                func(ctx context.Context, w *world) { _, _ = Seal(ctx, kind, "text", w.here, w.ads) },
		"seal nothing":        func(ctx context.Context, w *world) { _, _ = Seal(ctx, kind, "", w.here) },
		"seal of a collector": func(ctx context.Context, w *world) { _, _ = Seal(ctx, kind, "text", w.collector) },
		"reveal":              func(ctx context.Context, w *world) { _, _ = w.here.Reveal(ctx, kind, w.value) },
		"reveal for another":  func(ctx context.Context, w *world) { _, _ = w.ads.Reveal(ctx, kind, w.own) },
		"reveal for a person": func(ctx context.Context, w *world) { _, _ = w.here.For("alice").Reveal(ctx, kind, w.value) },
		"hint":                func(ctx context.Context, w *world) { _, _ = w.here.Hint(ctx, kind, w.value, strings.ToUpper) },
		"index":               func(ctx context.Context, w *world) { _, _ = w.here.Index(ctx, kind, "text") },
		"index nothing":       func(ctx context.Context, w *world) { _, _ = w.here.Indexes(ctx, kind, "") },
		"index a value": func(ctx context.Context, w *world) {
			_, _ = w.here.IndexSealed(ctx, kind, w.value, func(s string) (string, bool) { return s, true })
		},
		"extend": func(ctx context.Context, w *world) {
			_, _ = Extend(ctx, kind, w.own, nil, w.here, w.ads.Under(purpose.Basis{Consent: "c-1"}))
		},
		"extend without a basis": func(ctx context.Context, w *world) { _, _ = Extend(ctx, kind, w.own, nil, w.here, w.ads) },
		"reseal":                 func(ctx context.Context, w *world) { _, _ = Reseal(ctx, kind, w.value, nil, w.here, w.ads) },
		"scope":                  func(ctx context.Context, w *world) { _, _ = w.v.Scope(ctx, purpose.MustParse("billing")) },
		"generate":               func(ctx context.Context, w *world) { _ = w.v.Generate(ctx, purpose.MustParse("billing")) },
		"generate what is there": func(ctx context.Context, w *world) { _ = w.v.Generate(ctx, security) },
		"list":                   func(ctx context.Context, w *world) { _, _ = w.v.Keys(ctx, security) },
		"rotate":                 func(ctx context.Context, w *world) { _ = w.v.Rotate(ctx, security, RoleSeal) },
		"rotate what is not":     func(ctx context.Context, w *world) { _ = w.v.Rotate(ctx, purpose.MustParse("billing"), RoleSeal) },
		"retire":                 func(ctx context.Context, w *world) { _ = w.v.Retire(ctx, security, 1) },
		"destroy":                func(ctx context.Context, w *world) { _ = w.v.Destroy(ctx, security, 1) },
		"rewrap":                 func(ctx context.Context, w *world) { _ = w.v.Rewrap(ctx, w.kek, security) },
		"prove a refusal":        func(ctx context.Context, w *world) { _ = w.v.CheckDenied(ctx, security) },
		"check a KEK":            func(ctx context.Context, w *world) { _ = w.v.CheckKEK(ctx, security) },
		"erase":                  func(ctx context.Context, w *world) { _, _ = w.v.Erase(ctx, "alice", security) },
		"suspend":                func(ctx context.Context, w *world) { _ = w.v.Suspend(ctx, security, Suspension{}) },
		"resume":                 func(ctx context.Context, w *world) { _ = w.v.Resume(ctx, security, "") },
		"promote":                func(ctx context.Context, w *world) { _ = w.v.Promote(ctx, security, 1) },
		"reinstate":              func(ctx context.Context, w *world) { _ = w.v.Reinstate(ctx, security, 1) },
		"rewrap subjects":        func(ctx context.Context, w *world) { _ = w.v.RewrapSubjects(ctx, security, "", nil) },
		"withdraw":               func(ctx context.Context, w *world) { _, _ = w.value.Withdraw(ctx, ads, w.v) },
	}
	run := func(t *testing.T, operation func(context.Context, *world), leave bool) (all []audit.Event) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			started := false
			network := auditorFunc(func(ctx context.Context, e audit.Event) error {
				if !started {
					return nil
				}
				if leave {
					cancel()
				}
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(eventGrace / 2):
					all = append(all, e)
					return nil
				}
			})
			v, err := OpenAdmin(t.Context(), Memory(), testKEK(t), &Options{Audit: network})
			require.NoError(t, err)
			defer v.Close()
			w := &world{v: v, kek: testKEK(t)}
			for _, p := range []purpose.Purpose{security, ads} {
				require.NoError(t, v.Generate(t.Context(), p))
			}
			w.here, err = v.Scope(t.Context(), security)
			require.NoError(t, err)
			w.ads, err = v.Scope(t.Context(), ads)
			require.NoError(t, err)
			w.collector, err = v.Vault().Collector(t.Context(), security)
			require.NoError(t, err)
			w.own, err = Seal(t.Context(), kind, "text", w.here)
			require.NoError(t, err)
			w.value, err = Seal(t.Context(), kind, "text", w.here, w.ads)
			require.NoError(t, err)
			started = true
			operation(audit.WithCaller(ctx, "sign-in"), w)
			synctest.Wait()
			started = false
		})
		return all
	}
	for name, operation := range operations {
		t.Run(name, func(t *testing.T) {
			calm := run(t, operation, false)
			require.NotEmpty(t, calm)
			left := run(t, operation, true)
			require.Len(t, left, len(calm))
			for i := range calm {
				require.Equal(t, calm[i].Action, left[i].Action)
				require.Equal(t, calm[i].Purpose, left[i].Purpose)
				require.Equal(t, "sign-in", left[i].Caller)
			}
		})
	}
}

// TestEventsHaveOneWay finds the calls of auditors in the code: all go through recordEvent,
// which lets the ctx last.
func TestEventsHaveOneWay(t *testing.T) {
	callers := map[string][]string{}
	fset := token.NewFileSet()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, 0)
		require.NoError(t, err)
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); n.Sel.Name == "Audit" && ok && x.Name != "opts" || ok && x.Name == "audit" && n.Sel.Name == "Record" {
						callers[n.Sel.Name] = append(callers[n.Sel.Name], fn.Name.Name)
					}
				case *ast.CallExpr:
					if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "callAuditor" {
						callers[id.Name] = append(callers[id.Name], fn.Name.Name)
					}
				}
				return true
			})
		}
	}
	require.Equal(t, []string{"callAuditor"}, callers["Record"])
	require.Equal(t, []string{"recordEvent", "recordEvent"}, callers["callAuditor"], "the second is for a ctx that panics")
}

// An auditor that hangs ends with the grace, as one that hangs on a living ctx ends with
// the ctx.
func TestAuditorThatHangsIsLeft(t *testing.T) {
	hangs := auditorFunc(func(ctx context.Context, _ audit.Event) error {
		<-ctx.Done()
		return ctx.Err()
	})
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		recorded, err := recordEvent(ctx, hangs, audit.Event{}, nil)
		require.False(t, recorded)
		require.ErrorIs(t, err, ErrUnavailable)
		require.Equal(t, time.Minute+eventGrace, time.Since(start))
	})
}

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
		ctx, cancel := context.WithDeadline(audit.WithCaller(t.Context(), "sign-in"), at)
		defer cancel()
		c = newLastingContext(ctx)
		require.Equal(t, "sign-in", audit.Caller(c))
		deadline, _ := c.Deadline()
		require.Equal(t, at.Add(eventGrace), deadline)
		derived, stop := context.WithCancel(c)
		defer stop()
		time.Sleep(time.Minute + eventGrace - 1)
		require.NoError(t, c.Err())
		require.NoError(t, derived.Err())
		time.Sleep(1)
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
			recorded, err := recordEvent(ctx, auditorFunc(func(ctx context.Context, _ audit.Event) error { return ask(ctx) }), audit.Event{}, errors.New("refused"))
			require.True(t, recorded)
			require.EqualError(t, err, "refused")
		})
	}
}
