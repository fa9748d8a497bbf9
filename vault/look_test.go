package vault

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// Checks of when keys in use are read again, and of the clock that decides it.

// suspend makes the wall clock of b pass by d while the monotonic clock and all timers
// stand still, as on a machine that is suspended.
func suspend(b *backend, d time.Duration) {
	b.clock.mu.Lock()
	defer b.clock.mu.Unlock()
	read := b.clock.read
	b.clock.read = func() (wall, monotonic time.Duration) {
		wall, monotonic = read()
		return wall + d, monotonic
	}
}

// passing are the ways in which a process can be idle for a time.
var passing = map[string]func(b *backend, d time.Duration){
	"idle":      func(_ *backend, d time.Duration) { time.Sleep(d) },
	"suspended": func(b *backend, d time.Duration) { time.Sleep(clockLag); synctest.Wait(); suspend(b, d) },
	"clock set back": func(b *backend, d time.Duration) {
		suspend(b, -24*time.Hour)
		time.Sleep(d)
	},
}

var lookKind = MustKind("look", "vault.Look")

// lookUses are the operations that must not use keys which were replaced long ago.
// Each reports whether the newest keys were in use.
var lookUses = map[string]func(t *testing.T, ctx context.Context, v *Admin, s *Scope, l *Lookup, old Sealed) (newest bool, err error){
	"seal": func(t *testing.T, ctx context.Context, v *Admin, s *Scope, _ *Lookup, _ Sealed) (bool, error) {
		x, err := Seal(ctx, lookKind, "text", s)
		return err == nil && sealedByNewest(t, v, x), err
	},
	"reseal": func(t *testing.T, ctx context.Context, v *Admin, s *Scope, _ *Lookup, old Sealed) (bool, error) {
		x, err := Reseal(ctx, lookKind, old, nil, s)
		return err == nil && sealedByNewest(t, v, x), err
	},
	"extend": func(t *testing.T, ctx context.Context, v *Admin, s *Scope, _ *Lookup, _ Sealed) (bool, error) {
		ads := purpose.MustParse("advertising")
		from, err := v.Scope(ctx, ads)
		require.NoError(t, err)
		of, err := Seal(ctx, lookKind, "text", from)
		require.NoError(t, err)
		x, err := Extend(ctx, lookKind, of, nil, from, s.Under(purpose.Basis{Consent: "c"}))
		return err == nil && sealedByNewest(t, v, x), err
	},
	"index": func(t *testing.T, ctx context.Context, v *Admin, s *Scope, _ *Lookup, _ Sealed) (bool, error) {
		x, err := s.Index(ctx, lookKind, "text")
		return err == nil && x == newestIndex(t, v), err
	},
	"indexes": func(t *testing.T, ctx context.Context, v *Admin, s *Scope, _ *Lookup, _ Sealed) (bool, error) {
		x, err := s.Indexes(ctx, lookKind, "text")
		return err == nil && x[0] == newestIndex(t, v), err
	},
	"index of a sealed value": func(t *testing.T, ctx context.Context, v *Admin, s *Scope, _ *Lookup, old Sealed) (bool, error) {
		x, err := s.IndexSealed(ctx, lookKind, old, func(text string) (string, bool) { return text, true })
		return err == nil && x == newestIndex(t, v), err
	},
	"lookup": func(t *testing.T, ctx context.Context, v *Admin, _ *Scope, l *Lookup, _ Sealed) (bool, error) {
		x, err := l.Index(ctx, lookKind, "text")
		return err == nil && x == newestIndex(t, v), err
	},
	"subject's record": func(t *testing.T, ctx context.Context, v *Admin, s *Scope, _ *Lookup, _ Sealed) (bool, error) {
		_, err := Seal(ctx, lookKind, "text", s.For("new"))
		return err == nil && recordByNewest(t, v, s, "new"), err
	},
	"erase": func(t *testing.T, ctx context.Context, v *Admin, s *Scope, _ *Lookup, _ Sealed) (bool, error) {
		idle := Vault{backend: s.opened.backend, opened: openedOf(s.opened)}
		_, err := idle.Erase(ctx, "gone", s.Purpose())
		return err == nil && recordByNewest(t, v, s, "gone"), err
	},
	"collector": func(t *testing.T, ctx context.Context, v *Admin, s *Scope, _ *Lookup, _ Sealed) (bool, error) {
		idle := Vault{backend: s.opened.backend, opened: openedOf(s.opened)}
		c, err := idle.Collector(ctx, s.Purpose())
		if err != nil {
			return false, err
		}
		newest, err := v.Collector(ctx, s.Purpose())
		require.NoError(t, err)
		return c.public.id == newest.public.id, nil
	},
}

// sealedByNewest reports whether x opens for a vault that has the newest keys alone.
func sealedByNewest(t *testing.T, v *Admin, x Sealed) bool {
	s, err := v.Scope(t.Context(), purpose.MustParse("security"))
	require.NoError(t, err)
	return x.OnPrimaryKey(s)
}

func newestIndex(t *testing.T, v *Admin) [IndexSize]byte {
	s, err := v.Scope(t.Context(), purpose.MustParse("security"))
	require.NoError(t, err)
	x, err := s.Index(t.Context(), lookKind, "text")
	require.NoError(t, err)
	return x
}

// recordByNewest reports whether the newest key wraps the record of a subject.
func recordByNewest(t *testing.T, v *Admin, s *Scope, subject string) bool {
	mine, err := v.Scope(t.Context(), s.Purpose())
	require.NoError(t, err)
	k := mine.opened.current.Load()
	pseudonym, err := k.pseudonymOf(s.Purpose(), subject)
	require.NoError(t, err)
	records, err := v.get(t.Context(), subjectRecordName(s.Purpose(), pseudonym))
	require.NoError(t, err)
	sealed, ok := cutSubjectRecord(records[0].Data)
	require.True(t, ok)
	return k.seal.onPrimary(sealed)
}

// A lookWorld is an idle process beside one that rotates.
type lookWorld struct {
	store *hookedStore
	admin *Admin
	idle  *Vault
	s     *Scope
	l     *Lookup
	old   Sealed
}

func newLookWorld(t *testing.T, opts *Options) *lookWorld {
	w := &lookWorld{store: &hookedStore{Store: Memory()}}
	kek := testKEK(t)
	var err error
	w.admin, err = OpenAdmin(t.Context(), w.store.Store, kek, nil)
	require.NoError(t, err)
	t.Cleanup(func() { w.admin.Close() })
	security := purpose.MustParse("security")
	require.NoError(t, w.admin.Generate(t.Context(), security, purpose.MustParse("advertising")))
	w.idle, err = Open(t.Context(), w.store, kek, opts)
	require.NoError(t, err)
	t.Cleanup(func() { w.idle.Close() })
	w.s, err = w.idle.Scope(t.Context(), security)
	require.NoError(t, err)
	w.l, err = w.idle.Lookup(t.Context(), security)
	require.NoError(t, err)
	w.old, err = Seal(t.Context(), lookKind, "text", w.s)
	require.NoError(t, err)
	return w
}

func (w *lookWorld) rotate(t *testing.T) {
	for _, role := range []Role{RoleSeal, RoleIndex, RoleCollect} {
		rotateNow(t, w.admin, w.s.Purpose(), role)
	}
}

// An idle process that wakes up does not use the keys of before: neither after an idle
// time, nor on a machine that was suspended or whose clock was set back.
func TestIdleProcessLooksBeforeUse(t *testing.T) {
	for how, pass := range passing {
		for name, use := range lookUses {
			t.Run(how+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newLookWorld(t, nil)
					w.rotate(t)
					pass(w.idle.backend, defaultRefresh)
					newest, err := use(t, t.Context(), w.admin, w.s, w.l, w.old)
					require.NoError(t, err)
					require.True(t, newest, "the keys of before were used")
				})
			})
		}
	}
}

// A process in use does not wait for the store: it is read in the background, in time.
func TestBusyProcessDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLookWorld(t, nil)
		w.rotate(t)
		w.store.setGet(func(ctx context.Context, names ...string) ([]Record, error) {
			time.Sleep(time.Second)
			return w.store.Store.Get(ctx, names...)
		})
		newest := newestIndex(t, w.admin)
		for elapsed := time.Duration(0); elapsed < 3*defaultRefresh; elapsed += time.Second {
			began := time.Now()
			x, err := w.l.Index(t.Context(), lookKind, "text")
			require.NoError(t, err)
			require.Zero(t, time.Since(began), "a caller waited")
			if elapsed > defaultRefresh/2+2*time.Second {
				require.Equal(t, newest, x)
			}
			time.Sleep(time.Second)
		}
	})
}

// While the store is down, values are sealed and indexed with the keys at hand. The
// first caller finds out, the others do not wait. No record of a subject is written.
func TestStoreIsDownWhenAnIdleProcessWakesUp(t *testing.T) {
	for how, pass := range passing {
		for name, down := range map[string]func(ctx context.Context) error{
			"fails": func(context.Context) error { return errors.New("down") },
			"hangs": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		} {
			t.Run(how+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newLookWorld(t, nil)
					_, err := Seal(t.Context(), lookKind, "text", w.s.For("known"))
					require.NoError(t, err)
					w.rotate(t)
					pass(w.idle.backend, defaultRefresh)
					var mu sync.Mutex
					looks, up := 0, false
					w.store.setGet(func(ctx context.Context, names ...string) ([]Record, error) {
						mu.Lock()
						ok := up || names[0] != keyRecordName(w.s.Purpose())
						if !ok {
							looks++
						}
						mu.Unlock()
						if ok {
							return w.store.Store.Get(ctx, names...)
						}
						return nil, down(ctx)
					})
					began := time.Now()
					for range 100 {
						x, err := w.s.Index(t.Context(), lookKind, "text")
						require.NoError(t, err)
						require.NotEqual(t, newestIndex(t, w.admin), x)
						_, err = Seal(t.Context(), lookKind, "text", w.s)
						require.NoError(t, err)
					}
					require.LessOrEqual(t, time.Since(began), maxPatience, "more than one caller waited")
					for name, use := range map[string]func() error{
						"seal": func() error { _, err := Seal(t.Context(), lookKind, "text", w.s.For("new")); return err },
						"erase": func() error {
							_, err := w.idle.Erase(t.Context(), "known", w.s.Purpose())
							return err
						},
					} {
						require.ErrorIs(t, use(), ErrUnavailable, name)
					}
					for range 600 { // one try a second, in the background
						time.Sleep(time.Second / 10)
						began := time.Now()
						_, err := w.s.Index(t.Context(), lookKind, "text")
						require.NoError(t, err)
						require.Zero(t, time.Since(began))
					}
					mu.Lock()
					require.LessOrEqual(t, looks, 64)
					require.GreaterOrEqual(t, looks, 3)
					up = true
					mu.Unlock()
					time.Sleep(defaultTimeout + 2*time.Second)
					_, err = w.s.Index(t.Context(), lookKind, "text")
					require.NoError(t, err)
					synctest.Wait()
					x, err := w.s.Index(t.Context(), lookKind, "text")
					require.NoError(t, err)
					require.Equal(t, newestIndex(t, w.admin), x)
					_, err = Seal(t.Context(), lookKind, "text", w.s.For("new"))
					require.NoError(t, err)
					require.True(t, recordByNewest(t, w.admin, w.s, "new"))
				})
			})
		}
	}
}

// A lease ends by the wall clock too, for every handle.
func TestSuspendedMachineAsksTheKeyServiceAgain(t *testing.T) {
	for how, pass := range passing {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newLookWorld(t, nil)
				r, err := w.idle.Reader(t.Context(), w.s.Purpose())
				require.NoError(t, err)
				w.idle.mu.Lock()
				w.idle.kek = kekFunc(func(context.Context, purpose.Purpose) (AEAD, error) { return nil, ErrNoKeys })
				w.idle.mu.Unlock()
				pass(w.idle.backend, defaultKeyLifetime)
				for name, use := range map[string]func() error{
					"reveal": func() error { _, err := w.s.Reveal(t.Context(), lookKind, w.old); return err },
					"reader": func() error { _, err := r.Reveal(t.Context(), lookKind, w.old); return err },
					"lookup": func() error { _, err := w.l.Index(t.Context(), lookKind, "text"); return err },
					"seal":   func() error { _, err := Seal(t.Context(), lookKind, "text", w.s); return err },
					"collector": func() error {
						_, err := w.idle.Collector(t.Context(), w.s.Purpose())
						return err
					},
				} {
					require.ErrorIs(t, use(), ErrNoKeys, name)
				}
			})
		})
	}
}

// The clock passes at least as fast as either clock of the machine, and never goes back.
func TestClockPassesWithBothClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, _ := testVault(t, Memory(), nil)
		c := v.clock
		at := c.exact()
		step := func(sleep, jump, want time.Duration) {
			t.Helper()
			time.Sleep(sleep)
			suspend(v.backend, jump)
			now := c.exact()
			require.Equal(t, want, time.Duration(now-at))
			at = now
		}
		step(time.Minute, 0, time.Minute)
		step(0, time.Hour, time.Hour)
		step(time.Minute, -time.Hour, time.Minute)
		step(0, -time.Hour, 0)
		step(time.Minute, time.Hour, time.Hour+time.Minute)
		require.Equal(t, at, c.now())
		time.Sleep(clockLag)
		synctest.Wait()
		require.Equal(t, at+moment(clockLag), c.now())
	})
}

// The key service is asked ten times a second at most about keys that it refuses, or
// while it is down. The errors in between are its last answer.
func TestRefusalsAreRemembered(t *testing.T) {
	for name, refusal := range map[string]error{"withdrawn": errors.New("withdrawn"), "down": ErrUnavailable} {
		for how, use := range map[string]func(ctx context.Context, w *lookWorld) error{
			"lapsed scope":  func(ctx context.Context, w *lookWorld) error { _, err := w.s.Reveal(ctx, lookKind, w.old); return err },
			"lapsed lookup": func(ctx context.Context, w *lookWorld) error { _, err := w.l.Index(ctx, lookKind, "text"); return err },
			"scope": func(ctx context.Context, w *lookWorld) error {
				_, err := w.idle.Scope(ctx, purpose.MustParse("advertising"))
				return err
			},
			"collector": func(ctx context.Context, w *lookWorld) error {
				_, err := w.idle.Collector(ctx, purpose.MustParse("advertising"))
				return err
			},
			"reader": func(ctx context.Context, w *lookWorld) error {
				_, err := w.idle.Reader(ctx, purpose.MustParse("advertising"))
				return err
			},
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newLookWorld(t, nil)
					kek := w.idle.kek
					var calls, reads atomic.Int64
					var agrees atomic.Bool
					w.idle.mu.Lock()
					w.idle.kek = kekFunc(func(ctx context.Context, p purpose.Purpose) (AEAD, error) {
						calls.Add(1)
						if !agrees.Load() {
							return nil, refusal
						}
						return kek.For(ctx, p)
					})
					w.idle.mu.Unlock()
					time.Sleep(defaultKeyLifetime)
					w.store.setGet(func(ctx context.Context, names ...string) ([]Record, error) {
						reads.Add(1)
						return w.store.Store.Get(ctx, names...)
					})
					var first error
					for range 1000 {
						err := errors.Unwrap(use(t.Context(), w))
						require.Error(t, err)
						if first == nil {
							first = err
						}
						require.Equal(t, first, err)
					}
					require.EqualValues(t, maxAsks, calls.Load())
					require.LessOrEqual(t, reads.Load(), int64(maxAsks+1))
					for range 100 {
						time.Sleep(time.Second / 100)
						require.Error(t, use(t.Context(), w))
					}
					require.LessOrEqual(t, calls.Load(), int64(2*maxAsks))
					agrees.Store(true)
					time.Sleep(askEvery + clockLag)
					require.NoError(t, use(t.Context(), w))
				})
			})
		}
	}
}

// What goes wrong in the background is recorded once when it starts, once when it is
// another fault, and once when it is over.
func TestBackgroundFailuresAreRecordedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []string
		unrecorded := 0
		var mu sync.Mutex
		var w *lookWorld
		w = newLookWorld(t, &Options{Audit: auditorFunc(func(ctx context.Context, e audit.Event) error {
			if e.Action == audit.Refresh || e.Action == audit.Renew {
				_, bounded := ctx.Deadline()
				require.True(t, bounded)
				at := w.s.opened.current.Load()
				require.Equal(t, at.generation, e.Generation)
				require.Equal(t, hexID(at.digest), e.Digest)
				mu.Lock()
				defer mu.Unlock()
				if unrecorded > 0 {
					unrecorded--
					return errors.New("down") // so the event is made again at the next look
				}
				events = append(events, fmt.Sprintf("%s %s %s %v", e.Action, e.Outcome, e.Purpose, e.Err))
			}
			return nil
		})})
		use := func(d time.Duration) []string {
			mu.Lock()
			events = nil
			mu.Unlock()
			for ; d > 0; d -= time.Second {
				_, err := w.l.Index(t.Context(), lookKind, "text")
				require.NoError(t, err)
				time.Sleep(time.Second)
				synctest.Wait()
			}
			mu.Lock()
			defer mu.Unlock()
			return events
		}
		require.Empty(t, use(2*defaultRefresh))
		mu.Lock()
		unrecorded = 2
		mu.Unlock()
		w.store.setGet(func(context.Context, ...string) ([]Record, error) { return nil, errors.New("down") })
		require.Equal(t, []string{"refresh failed security key store: unavailable"}, use(2*defaultRefresh))
		mu.Lock()
		require.Zero(t, unrecorded)
		mu.Unlock()
		w.store.setGet(func(context.Context, ...string) ([]Record, error) { return nil, ErrCorrupt })
		require.Equal(t, []string{"refresh denied security " + ErrCorrupt.Error()}, use(2*defaultRefresh))
		w.store.setGet(nil)
		require.Equal(t, []string{"refresh allowed security <nil>"}, use(2*defaultRefresh))

		kek := w.idle.kek
		w.idle.mu.Lock()
		w.idle.kek = kekFunc(func(context.Context, purpose.Purpose) (AEAD, error) { return nil, errors.New("withdrawn") })
		w.idle.mu.Unlock()
		require.Equal(t, []string{"renew denied security KEK: no usable keys"}, use(14*time.Hour))
		w.idle.mu.Lock()
		w.idle.kek = kek
		w.idle.mu.Unlock()
		require.Equal(t, []string{"renew allowed security <nil>"}, use(defaultRefresh))
		w.idle.Close()
		synctest.Wait()
		mu.Lock()
		require.Len(t, events, 1, "closing is no failure")
		mu.Unlock()
	})
}

// Vaults end their leases at moments of their own, never later than stated.
func TestLeasesEndEarly(t *testing.T) {
	b := &backend{clock: newClock(), opts: Options{KeyLifetime: 24 * time.Hour}}
	for jitter, want := range map[float64]time.Duration{0: 24 * time.Hour, 0.5: 24*time.Hour - 72*time.Minute, 1: 24*time.Hour - 144*time.Minute} {
		b.jitter = jitter
		require.Equal(t, moment(want), b.lapse(0))
	}
	seen := map[float64]bool{}
	for range 20 {
		v, err := Open(t.Context(), Memory(), testKEK(t), nil)
		require.NoError(t, err)
		require.True(t, v.jitter >= 0 && v.jitter < 1)
		seen[v.jitter] = true
	}
	require.Greater(t, len(seen), 1, "all vaults ask at one moment")
}

// A vault that is dropped without Close is collected with its keys.
func TestDroppedVaultIsCollected(t *testing.T) {
	alive := map[string]func() bool{}
	done := make(chan struct{})
	go func() { // whose stack is gone afterwards
		defer close(done)
		v, p := dropped(t)
		ctx := context.Background()
		s, err := v.Scope(ctx, p)
		require.NoError(t, err)
		_, err = v.Lookup(ctx, p)
		require.NoError(t, err)
		_, err = v.Reader(ctx, p)
		require.NoError(t, err)
		_, err = Seal(ctx, lookKind, "text", s.For("alice"))
		require.NoError(t, err)
		s.opened.lookDue.Store(0)
		require.NotNil(t, s.opened.peek())
		for under := true; under; runtime.Gosched() { // a look leads to its keys while it is under way
			s.opened.mu.Lock()
			under = s.opened.look != nil
			s.opened.mu.Unlock()
		}
		alive["vault"], alive["backend"] = aliveness(v.base), aliveness(v.backend)
		for _, pk := range v.opened.all() {
			alive[fmt.Sprint("keys ", pk.id.subset)] = aliveness(pk)
			alive[fmt.Sprint("current ", pk.id.subset)] = aliveness(pk.current.Load())
		}
	}()
	<-done
	require.Len(t, alive, 8)
	collectUntil(func() bool { // and no call is under way
		left := false
		for _, is := range alive {
			left = left || is()
		}
		return !left
	})
	for name, is := range alive {
		require.False(t, is(), name)
	}
}

func dropped(t *testing.T) (*Admin, purpose.Purpose) {
	p := purpose.MustParse("security")
	v, err := OpenAdmin(context.Background(), Memory(), testKEK(t), nil)
	require.NoError(t, err)
	require.NoError(t, v.Generate(context.Background(), p))
	return v, p
}
