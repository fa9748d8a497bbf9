package faulttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// lapsing returns a vault of its own process over a store that has keys, the
// KEK that it asks, and the vault that made the keys.
func lapsing(t *testing.T, opts *vault.Options) (v *vault.Admin, kek *vaulttest.Spy, admin *vault.Admin) {
	t.Helper()
	store, a := vault.Memory(), vaulttest.NewAEAD(t)
	admin = vaulttest.Open(t, store, vault.SharedKEK(a), nil)
	require.NoError(t, admin.Generate(t.Context(), vaulttest.Security))
	kek = &vaulttest.Spy{AEAD: a}
	return vaulttest.Open(t, store, kek, opts), kek, admin
}

// handles are one of every kind.
type handles struct {
	s     *vault.Scope
	r     *vault.Reader
	l     *vault.Lookup
	value vault.Sealed
}

func handlesOf(t *testing.T, v *vault.Admin) handles {
	s := vaulttest.Scope(t, v, vaulttest.Security)
	return handles{s, vaulttest.Reader(t, v, vaulttest.Security), vaulttest.Lookup(t, v, vaulttest.Security), vaulttest.Seal(t, s)}
}

// use has each of them do something, and returns the errors.
func (h handles) use(ctx context.Context) map[string]error {
	errs := map[string]error{}
	_, errs["scope"] = h.s.Reveal(ctx, vaulttest.Note, h.value)
	_, errs["reader"] = h.r.Reveal(ctx, vaulttest.Note, h.value)
	_, errs["lookup"] = h.l.Index(ctx, vaulttest.Note, "text")
	return errs
}

// A grant that was withdrawn ends every kind of handle, however busy it is: looking
// at the store, which all of them do every few minutes, is not asking the key
// service.
func TestBusyHandlesLapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, kek, admin := lapsing(t, nil)
		h := handlesOf(t, v)
		kek.Meddle(func(context.Context) error { return vault.ErrNoKeys })
		for elapsed := time.Duration(0); elapsed < (24 * time.Hour); elapsed += time.Minute {
			time.Sleep(time.Minute)
			if elapsed+time.Minute < (24*time.Hour)*9/10 { // vaults end their leases at moments of their own
				for who, err := range h.use(t.Context()) {
					require.NoError(t, err, who)
				}
			}
			synctest.Wait()
		}
		for who, err := range h.use(t.Context()) {
			require.ErrorIs(t, err, vault.ErrNoKeys, who)
		}
		v.Close()
		admin.Close()
	})
}

// While the grant stands, a busy handle asks once in half a lifetime.
func TestBusyHandlesAskOnceInHalfALifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, kek, admin := lapsing(t, nil)
		h := handlesOf(t, v)
		before := kek.Calls.Load()
		for range 3 * 24 * 60 { // three days
			time.Sleep(time.Minute)
			for who, err := range h.use(t.Context()) {
				require.NoError(t, err, who)
			}
			synctest.Wait()
		}
		asked := kek.Calls.Load() - before
		require.LessOrEqual(t, asked, int32(3*6), "of three handles, each six times")
		require.GreaterOrEqual(t, asked, int32(3*5))
		v.Close()
		admin.Close()
	})
}

// However short the lifetime is: a yes counts from when it was given, and the next
// one is asked for.
func TestShortLifetimes(t *testing.T) {
	const lag = 10 * time.Millisecond // of a vault's clock
	for _, lifetime := range []time.Duration{1, 2, time.Microsecond, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			v, kek, admin := lapsing(t, &vault.Options{KeyLifetime: lifetime})
			s, err := v.Scope(t.Context(), vaulttest.Security)
			require.NoError(t, err)
			value := vaulttest.Seal(t, vaulttest.Scope(t, admin, vaulttest.Security))
			for range 5 {
				time.Sleep(2*lifetime + lag)
				synctest.Wait()
				before := kek.Calls.Load()
				vaulttest.Opens(t, s, value)
				require.Greater(t, kek.Calls.Load(), before, "asks again")
			}
			kek.Meddle(func(context.Context) error { return vault.ErrNoKeys })
			time.Sleep(2*lifetime + lag)
			synctest.Wait()
			vaulttest.Refuses(t, s, value, vault.ErrNoKeys)
			v.Close()
			admin.Close()
		})
	}
}

// All who come when the keys have lapsed wait for one answer.
func TestLapsedKeysAskOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, kek, admin := lapsing(t, nil)
		h := handlesOf(t, v)
		time.Sleep((24 * time.Hour) + time.Hour)
		synctest.Wait()
		for _, test := range []struct {
			answer, want error
		}{{errors.New("no route"), vault.ErrNoKeys}, {vault.ErrUnavailable, vault.ErrUnavailable}, {nil, nil}} {
			before := kek.Calls.Load()
			kek.Meddle(func(context.Context) error {
				time.Sleep(time.Second)
				return test.answer
			})
			var wg sync.WaitGroup
			var failed atomic.Int32
			for range 100 {
				wg.Go(func() {
					if _, err := h.s.Reveal(t.Context(), vaulttest.Note, h.value); !errors.Is(err, test.want) {
						failed.Add(1)
					}
				})
			}
			wg.Wait()
			require.Zero(t, failed.Load())
			require.EqualValues(t, 1, kek.Calls.Load()-before)
		}
		v.Close()
		admin.Close()
	})
}

// A key service that hangs holds those who come after the lapse up for no longer
// than their own time, and for one goroutine in all.
func TestLapsedKeysDoNotHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, kek, admin := lapsing(t, &vault.Options{Timeout: time.Minute})
		h := handlesOf(t, v)
		time.Sleep((24 * time.Hour) + time.Hour)
		synctest.Wait()
		release := make(chan struct{})
		kek.Meddle(func(context.Context) error { <-release; return nil })
		before := kek.Calls.Load()
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			start := time.Now()
			_, err := h.s.Reveal(ctx, vaulttest.Note, h.value)
			require.ErrorIs(t, err, vault.ErrUnavailable)
			require.LessOrEqual(t, time.Since(start), time.Second)
			cancel()
		}
		start := time.Now()
		vaulttest.Refuses(t, h.s, h.value, vault.ErrUnavailable)
		require.LessOrEqual(t, time.Since(start), time.Minute)
		require.EqualValues(t, 1, kek.Calls.Load()-before)
		close(release)
		synctest.Wait()
		vaulttest.Opens(t, h.s, h.value)
		v.Close()
		admin.Close()
	})
}

// Keys that are within their lifetime do not need the key service, whatever is done
// with them.
func TestKeysInTheirLifetimeNeedNoKeyService(t *testing.T) {
	for name, age := range map[string]time.Duration{"young": time.Hour, "old": 21 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v, kek, admin := lapsing(t, nil)
				h := handlesOf(t, v)
				value := vaulttest.Seal(t, h.s.For("alice"))
				kek.Meddle(func(context.Context) error { return vault.ErrUnavailable })
				time.Sleep(age)
				synctest.Wait()
				for who, err := range h.use(t.Context()) {
					require.NoError(t, err, who)
				}
				vaulttest.Opens(t, h.s.For("alice"), value)
				_, err := v.Erase(t.Context(), "alice", vaulttest.Security)
				require.NoError(t, err)
				require.NoError(t, v.RewrapSubjects(t.Context(), vaulttest.Security, "", nil))
				v.Close()
				admin.Close()
			})
		})
	}
}

// A vault that was closed while the key service was answering does not come back.
func TestCloseWhileKeysAreAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, kek, admin := lapsing(t, nil)
		h := handlesOf(t, v)
		time.Sleep((24 * time.Hour) + time.Hour)
		synctest.Wait()
		kek.Meddle(func(context.Context) error { time.Sleep(time.Second); return nil })
		result := make(chan map[string]error)
		go func() { result <- h.use(t.Context()) }()
		time.Sleep(500 * time.Millisecond)
		require.NoError(t, v.Close())
		for who, err := range <-result {
			require.ErrorIs(t, err, vault.ErrNoKeys, who)
		}
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		calls := kek.Calls.Load()
		for who, err := range h.use(t.Context()) {
			require.ErrorIs(t, err, vault.ErrNoKeys, who)
		}
		require.Equal(t, calls, kek.Calls.Load())
		admin.Close()
	})
}

// What Rewrap moved, narrow handles ask their new KEK for.
func TestNarrowHandlesFollowRewrap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, old, admin := lapsing(t, nil)
		h := handlesOf(t, v)
		fresh := &vaulttest.Spy{AEAD: vaulttest.NewAEAD(t)}
		require.NoError(t, v.Rewrap(t.Context(), fresh, vaulttest.Security))
		old.Meddle(func(context.Context) error { return errors.New("destroyed") })
		before := fresh.Calls.Load()
		time.Sleep((24 * time.Hour) + time.Hour)
		synctest.Wait()
		for who, err := range h.use(t.Context()) {
			require.NoError(t, err, who)
		}
		require.EqualValues(t, 3, fresh.Calls.Load()-before)
		v.Close()
		admin.Close()
	})
}

// Whoever puts an older store in place while keys are in use is found out by every
// kind of handle, and not obeyed: also when the key service has to be asked anew.
func TestLapsedKeysRefuseAnOlderStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, kek := vaulttest.Swappable(vault.Memory()), vault.SharedKEK(vaulttest.NewAEAD(t))
		v := vaulttest.Open(t, store, kek, nil)
		require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
		older := vaulttest.CopyOf(t, store.Now(), "security/keys")
		vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleSeal)
		h := handlesOf(t, v)
		pin, err := v.Pin(t.Context(), vaulttest.Security)
		require.NoError(t, err)
		store.Swap(older)
		for range 3 {
			time.Sleep((5 * time.Minute))
			for who, err := range h.use(t.Context()) {
				require.NoError(t, err, who)
			}
			synctest.Wait()
		}
		time.Sleep((24 * time.Hour))
		synctest.Wait()
		for who, err := range h.use(t.Context()) {
			require.ErrorIs(t, err, vault.ErrCorrupt, who)
		}
		v.Close()

		pinned := vaulttest.Open(t, store, kek, &vault.Options{Pin: vault.FixedPins(pin)})
		_, err = pinned.Lookup(t.Context(), vaulttest.Security)
		require.ErrorIs(t, err, vault.ErrCorrupt)
		_, err = pinned.Reader(t.Context(), vaulttest.Security)
		require.ErrorIs(t, err, vault.ErrCorrupt)
		_, err = pinned.Collector(t.Context(), vaulttest.Security)
		require.ErrorIs(t, err, vault.ErrCorrupt)
		pinned.Close()
	})
}

// A long run over subjects does not go on with keys that have lapsed: neither after one
// record of a store that replaces one at a time, nor after the records of one call.
func TestRewrappingStopsWhenKeysLapse(t *testing.T) {
	const perCall = 256
	for name, test := range map[string]struct {
		store    func() vault.Store
		subjects int
		changed  int
	}{
		"one by one": {func() vault.Store { return struct{ vault.Store }{vault.Memory()} }, 3, 1},
		"batches":    {vault.Memory, perCall + 3, perCall},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, a := test.store(), vaulttest.NewAEAD(t)
				kek := &vaulttest.Spy{AEAD: a}
				v := vaulttest.Open(t, store, kek, nil)
				require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
				s := vaulttest.Scope(t, v, vaulttest.Security)
				for i := range test.subjects {
					vaulttest.Seal(t, s.For(fmt.Sprint("subject ", i)))
				}
				vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleSeal)
				kek.Meddle(func(context.Context) error { return vault.ErrUnavailable })
				changed := 0
				err := v.RewrapSubjects(t.Context(), vaulttest.Security, "", func(p vault.Progress) error {
					if changed = p.Changed; changed == 1 {
						time.Sleep((24 * time.Hour) + time.Minute)
					}
					return nil
				})
				require.ErrorIs(t, err, vault.ErrUnavailable)
				require.Equal(t, test.changed, changed)
				v.Close()
			})
		})
	}
}
