package vault

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
)

// Nothing leads from a handle to the Vault, to keys of another purpose, or to keys that
// the handle does not need. Reflection can't follow closures, method values and timers;
// the garbage collector follows everything. So each test keeps one handle, drops the
// rest of the process's vault, and requires that the rest is collected.
func TestNothingLeadsFromAHandleToOtherKeys(t *testing.T) {
	for _, h := range []struct {
		name  string
		open  func(ctx context.Context, v *Vault, p purpose.Purpose) (any, error)
		needs string // the opened keys that the handle holds, "" if it holds none
	}{
		{"scope", func(ctx context.Context, v *Vault, p purpose.Purpose) (any, error) { return v.Scope(ctx, p) }, "all"},
		{"narrowed scope", func(ctx context.Context, v *Vault, p purpose.Purpose) (any, error) {
			s, err := v.Scope(ctx, p)
			return s.For("alice").Under(purpose.Basis{Consent: "c-1"}), err
		}, "all"},
		{"lookup", func(ctx context.Context, v *Vault, p purpose.Purpose) (any, error) { return v.Lookup(ctx, p) }, "index"},
		{"reader", func(ctx context.Context, v *Vault, p purpose.Purpose) (any, error) { return v.Reader(ctx, p) }, "read"},
		{"narrowed reader", func(ctx context.Context, v *Vault, p purpose.Purpose) (any, error) {
			r, err := v.Reader(ctx, p)
			return r.For("alice"), err
		}, "read"},
		{"collector", func(ctx context.Context, v *Vault, p purpose.Purpose) (any, error) { return v.Collector(ctx, p) }, ""},
		{"batch of a collector", func(ctx context.Context, v *Vault, p purpose.Purpose) (any, error) {
			c, err := v.Collector(ctx, p)
			require.NoError(t, err)
			return c.Under(purpose.Basis{Consent: "c-1"}).Batch()
		}, ""},
		// The test can see what is left: from the vault everything is reached.
		{"vault", func(_ context.Context, v *Vault, _ purpose.Purpose) (any, error) { return v, nil }, "vault"},
	} {
		t.Run(h.name, func(t *testing.T) {
			w := newIsolated(t, h.open)
			needs := func(name string) bool {
				return h.needs == "vault" || h.needs != "" && strings.HasPrefix(name, "security/"+h.needs)
			}
			// After a rotation in this process, handles share keys that each of them needs.
			shares := func(name string) bool {
				key, of := strings.CutPrefix(name, "security/")
				_, key, _ = strings.Cut(key, " ")
				return of && slices.Contains(map[string][]string{
					"all":   {"key that seals", "key of pseudonyms", "key of collectors", "key that indexes"},
					"read":  {"key that seals", "key of pseudonyms", "key of collectors"},
					"index": {"key that indexes"},
				}[h.needs], key)
			}
			w.collect(func(name string) bool { return needs(name) || shares(name) })
			for name, alive := range w.alive {
				switch {
				case needs(name):
					require.True(t, alive(), "%s was collected, though the handle needs it", name)
				case !shares(name):
					require.False(t, alive(), "the handle leads to %s", name)
				}
			}
			if h.needs == "all" {
				_, err := w.handle.(*Scope).Index(t.Context(), MustKind("note", "vault.Note"), "text")
				require.NoError(t, err, "the handle works on")
			}
			runtime.KeepAlive(w.handle)
		})
	}
}

// An isolated is one handle of a vault that is gone.
type isolated struct {
	handle any
	alive  map[string]func() bool // what the vault held, and whether it is still there
}

// collect runs the garbage collector until all that is not kept is collected, but not
// for ever.
func (w *isolated) collect(kept func(name string) bool) {
	collectUntil(func() bool {
		left := false
		for name, alive := range w.alive {
			left = left || alive() && !kept(name)
		}
		return !left
	})
}

// collectUntil runs the garbage collector until done returns true. It gives up after a
// minute: on a busy machine, a goroutine that is about to end and leads to what is to be
// collected may not run for a long time.
func collectUntil(done func() bool) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		runtime.GC()
		if done() {
			return
		}
	}
}

// newIsolated opens and uses every handle of two purposes, and returns one of them. It
// does so in a goroutine of its own, whose stack is gone when it returns.
func newIsolated(t *testing.T, open func(context.Context, *Vault, purpose.Purpose) (any, error)) *isolated {
	t.Helper()
	done := make(chan *isolated)
	go func() {
		defer close(done)
		done <- openIsolated(t, open)
	}()
	w := <-done
	require.NotNil(t, w, "see above")
	return w
}

func openIsolated(t *testing.T, open func(context.Context, *Vault, purpose.Purpose) (any, error)) *isolated {
	ctx := context.Background()
	security, advertising := purpose.MustParse("security"), purpose.MustParse("advertising")
	note := MustKind("note", "vault.Note")
	must := func(err error) {
		t.Helper()
		require.NoError(t, err)
	}
	store, kek := Memory(), testKEK(t)
	a, err := OpenAdmin(ctx, store, kek, nil)
	must(err)
	must(a.Generate(ctx, security, advertising))
	v := a.Vault()

	// Every handle is opened and used, with others in one call where there are such calls.
	scopes := map[purpose.Purpose]*Scope{}
	for _, p := range []purpose.Purpose{security, advertising} {
		s, err := v.Scope(ctx, p)
		must(err)
		r, err := v.Reader(ctx, p)
		must(err)
		l, err := v.Lookup(ctx, p)
		must(err)
		c, err := v.Collector(ctx, p)
		must(err)
		scopes[p] = s
		collected, err := Seal(ctx, note, "text", c)
		must(err)
		_, err = Reseal(ctx, note, collected, nil, s.For("alice"))
		must(err)
		_, err = r.Reveal(ctx, note, collected)
		must(err)
		_, err = l.Indexes(ctx, note, "text")
		must(err)
		of, err := Seal(ctx, note, "text", s.For("alice"))
		must(err)
		_, err = r.For("alice").Reveal(ctx, note, of)
		must(err)
		must(r.Prefetch(ctx, "alice", "bob"))
	}
	sec, ads := scopes[security], scopes[advertising]
	both, err := Seal(ctx, note, "text", sec.For("alice"), ads.For("alice"))
	must(err)
	_, err = ads.For("alice").Reveal(ctx, note, both)
	must(err)
	one, err := Seal(ctx, note, "text", ads)
	must(err)
	_, err = Extend(ctx, note, one, nil, ads, sec.Under(purpose.Basis{Consent: "c-1"}))
	must(err)
	must(a.Rotate(ctx, security, RoleSeal))
	must(a.Rotate(ctx, advertising, RoleIndex))
	must(a.RewrapSubjects(ctx, security, "", nil))
	must(a.Rewrap(ctx, testKEK(t), security))
	_, err = v.Erase(ctx, "bob", security, advertising)
	must(err)
	must(v.CheckKEK(ctx, security, advertising))
	_, err = v.Purposes(ctx)
	must(err)
	for _, s := range scopes { // a refresh in the background
		s.opened.lookDue.Store(0)
		s.opened.peek()
	}

	handle, err := open(ctx, v, security)
	must(err)
	w := &isolated{handle: handle, alive: map[string]func() bool{"vault": aliveness(v), "admin's vault": aliveness(a.base)}}
	for _, pk := range v.opened.all() {
		id := pk.id
		name := fmt.Sprintf("%s/%s", id.purpose, map[subset]string{allKeys: "all", indexKeys: "index", readKeys: "read"}[id.subset])
		k := pk.current.Load()
		w.alive[name] = aliveness(pk)
		w.alive[name+" keys"] = aliveness(k)
		if k.seal != nil {
			w.alive[name+" key that seals"] = aliveness(k.seal)
			alice, known := pk.subjects.Load().get("alice")
			require.True(t, known)
			w.alive[name+" key of alice"] = aliveness(alice)
		}
		if k.index != nil {
			w.alive[name+" key that indexes"] = aliveness(k.index)
		}
		if k.pseudonym != nil {
			w.alive[name+" key of pseudonyms"] = aliveness(k.pseudonym)
		}
		if k.collect != nil {
			w.alive[name+" key of collectors"] = aliveness(k.collect())
		}
	}
	require.Len(t, v.opened.all(), 6)
	require.Greater(t, len(w.alive), 24)
	for calls := 1; calls > 0; runtime.Gosched() { // a call that is under way leads to its keys
		v.mu.Lock()
		calls = len(v.calls)
		v.mu.Unlock()
	}
	return w
}

// aliveness returns a function that reports whether p has not been collected, and does
// not keep p.
func aliveness[T any](p *T) func() bool {
	w := weak.Make(p)
	return func() bool { return w.Value() != nil }
}
