package vault_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// lapsing returns a vault of its own process over a store that has keys, the
// KEK that it asks, and the vault that made the keys.
func lapsing(t *testing.T, opts *vault.Options) (v *vault.Vault, kek *spy, admin *vault.Vault) {
	t.Helper()
	store, a := vault.Memory(), newAEAD(t)
	admin = open(t, store, vault.SharedKEK(a), nil)
	require.NoError(t, admin.Generate(t.Context(), security))
	kek = &spy{AEAD: a}
	return open(t, store, kek, opts), kek, admin
}

// handles are one of every kind.
type handles struct {
	s     *vault.Scope
	r     *vault.Reader
	l     *vault.Lookup
	value vault.Sealed
}

func handlesOf(t *testing.T, v *vault.Vault) handles {
	s := scope(t, v, security)
	return handles{s, reader(t, v, security), lookup(t, v, security), seal(t, s)}
}

// use has each of them do something, and returns the errors.
func (h handles) use(ctx context.Context) map[string]error {
	errs := map[string]error{}
	_, errs["scope"] = h.s.Reveal(ctx, note, h.value)
	_, errs["reader"] = h.r.Reveal(ctx, note, h.value)
	_, errs["lookup"] = h.l.Index(ctx, note, "text")
	return errs
}

// A grant that was withdrawn ends every kind of handle, however busy it is: looking
// at the store, which all of them do every few minutes, is not asking the key
// service.
func TestBusyHandlesLapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, kek, admin := lapsing(t, nil)
		h := handlesOf(t, v)
		kek.meddle = func(context.Context) error { return vault.ErrNoKeys }
		for elapsed := time.Duration(0); elapsed < vault.DefaultKeyLifetime; elapsed += time.Minute {
			time.Sleep(time.Minute)
			if elapsed+time.Minute < vault.DefaultKeyLifetime {
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
		before := kek.calls.Load()
		for range 3 * 24 * 60 { // three days
			time.Sleep(time.Minute)
			for who, err := range h.use(t.Context()) {
				require.NoError(t, err, who)
			}
			synctest.Wait()
		}
		asked := kek.calls.Load() - before
		require.LessOrEqual(t, asked, int32(3*6), "of three handles, each six times")
		require.GreaterOrEqual(t, asked, int32(3*5))
		v.Close()
		admin.Close()
	})
}

// However short the lifetime is: a yes counts from when it was given, and the next
// one is asked for.
func TestShortLifetimes(t *testing.T) {
	for _, lifetime := range []time.Duration{1, 2, time.Microsecond, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			v, kek, admin := lapsing(t, &vault.Options{KeyLifetime: lifetime})
			s, err := v.Scope(t.Context(), security)
			require.NoError(t, err)
			value := seal(t, scope(t, admin, security))
			for range 5 {
				time.Sleep(2 * lifetime)
				synctest.Wait()
				before := kek.calls.Load()
				opens(t, s, value)
				require.Greater(t, kek.calls.Load(), before, "asks again")
			}
			kek.meddle = func(context.Context) error { return vault.ErrNoKeys }
			time.Sleep(2 * lifetime)
			synctest.Wait()
			refuses(t, s, value, vault.ErrNoKeys)
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
		time.Sleep(vault.DefaultKeyLifetime + time.Hour)
		synctest.Wait()
		for _, test := range []struct {
			answer, want error
		}{{errors.New("no route"), vault.ErrNoKeys}, {vault.ErrUnavailable, vault.ErrUnavailable}, {nil, nil}} {
			before := kek.calls.Load()
			kek.meddle = func(context.Context) error {
				time.Sleep(time.Second)
				return test.answer
			}
			var wg sync.WaitGroup
			var failed atomic.Int32
			for range 100 {
				wg.Go(func() {
					if _, err := h.s.Reveal(t.Context(), note, h.value); !errors.Is(err, test.want) {
						failed.Add(1)
					}
				})
			}
			wg.Wait()
			require.Zero(t, failed.Load())
			require.EqualValues(t, 1, kek.calls.Load()-before)
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
		time.Sleep(vault.DefaultKeyLifetime + time.Hour)
		synctest.Wait()
		release := make(chan struct{})
		kek.meddle = func(context.Context) error { <-release; return nil }
		before := kek.calls.Load()
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			start := time.Now()
			_, err := h.s.Reveal(ctx, note, h.value)
			require.ErrorIs(t, err, vault.ErrUnavailable)
			require.LessOrEqual(t, time.Since(start), time.Second)
			cancel()
		}
		start := time.Now()
		refuses(t, h.s, h.value, vault.ErrUnavailable)
		require.LessOrEqual(t, time.Since(start), time.Minute)
		require.EqualValues(t, 1, kek.calls.Load()-before)
		close(release)
		synctest.Wait()
		opens(t, h.s, h.value)
		v.Close()
		admin.Close()
	})
}

// Keys that are within their lifetime do not need the key service, whatever is done
// with them.
func TestKeysInTheirLifetimeNeedNoKeyService(t *testing.T) {
	for name, age := range map[string]time.Duration{"young": time.Hour, "old": vault.DefaultKeyLifetime - time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v, kek, admin := lapsing(t, nil)
				h := handlesOf(t, v)
				value := seal(t, h.s.For("alice"))
				kek.meddle = func(context.Context) error { return vault.ErrUnavailable }
				time.Sleep(age)
				synctest.Wait()
				for who, err := range h.use(t.Context()) {
					require.NoError(t, err, who)
				}
				opens(t, h.s.For("alice"), value)
				_, err := v.Erase(t.Context(), "alice", security)
				require.NoError(t, err)
				require.NoError(t, v.RewrapSubjects(t.Context(), security, "", nil))
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
		time.Sleep(vault.DefaultKeyLifetime + time.Hour)
		synctest.Wait()
		kek.meddle = func(context.Context) error { time.Sleep(time.Second); return nil }
		result := make(chan map[string]error)
		go func() { result <- h.use(t.Context()) }()
		time.Sleep(500 * time.Millisecond)
		require.NoError(t, v.Close())
		for who, err := range <-result {
			require.ErrorIs(t, err, vault.ErrNoKeys, who)
		}
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		calls := kek.calls.Load()
		for who, err := range h.use(t.Context()) {
			require.ErrorIs(t, err, vault.ErrNoKeys, who)
		}
		require.Equal(t, calls, kek.calls.Load())
		admin.Close()
	})
}

// What Rewrap moved, narrow handles ask their new KEK for.
func TestNarrowHandlesFollowRewrap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, old, admin := lapsing(t, nil)
		h := handlesOf(t, v)
		fresh := &spy{AEAD: newAEAD(t)}
		require.NoError(t, v.Rewrap(t.Context(), fresh, security))
		old.meddle = func(context.Context) error { return errors.New("destroyed") }
		before := fresh.calls.Load()
		time.Sleep(vault.DefaultKeyLifetime + time.Hour)
		synctest.Wait()
		for who, err := range h.use(t.Context()) {
			require.NoError(t, err, who)
		}
		require.EqualValues(t, 3, fresh.calls.Load()-before)
		v.Close()
		admin.Close()
	})
}

// Whoever puts an older store in place while keys are in use is found out by every
// kind of handle, and not obeyed: also when the key service has to be asked anew.
func TestLapsedKeysRefuseAnOlderStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, kek := &swapped{vault.Memory()}, vault.SharedKEK(newAEAD(t))
		v := open(t, store, kek, nil)
		require.NoError(t, v.Generate(t.Context(), security))
		older := copyOf(t, store.Store, "security/keys")
		require.NoError(t, v.Rotate(t.Context(), security))
		h := handlesOf(t, v)
		store.Store = older
		for range 3 {
			time.Sleep(vault.DefaultRefresh)
			for who, err := range h.use(t.Context()) {
				require.NoError(t, err, who)
			}
			synctest.Wait()
		}
		time.Sleep(vault.DefaultKeyLifetime)
		synctest.Wait()
		for who, err := range h.use(t.Context()) {
			require.ErrorIs(t, err, vault.ErrCorrupt, who)
		}
		v.Close()

		pinned := open(t, store, kek, &vault.Options{Pins: map[purpose.Purpose]uint64{security: 2}})
		_, err := pinned.Lookup(t.Context(), security)
		require.ErrorIs(t, err, vault.ErrCorrupt)
		_, err = pinned.Reader(t.Context(), security)
		require.ErrorIs(t, err, vault.ErrCorrupt)
		_, err = pinned.Collector(t.Context(), security)
		require.ErrorIs(t, err, vault.ErrCorrupt)
		pinned.Close()
	})
}

// A long run over subjects does not go on with keys that have lapsed.
func TestRewrappingStopsWhenKeysLapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, a := vault.Memory(), newAEAD(t)
		kek := &spy{AEAD: a}
		v := open(t, store, kek, nil)
		require.NoError(t, v.Generate(t.Context(), security))
		s := scope(t, v, security)
		for _, subject := range []string{"alice", "bob", "carol"} {
			seal(t, s.For(subject))
		}
		require.NoError(t, v.Rotate(t.Context(), security))
		kek.meddle = func(context.Context) error { return vault.ErrUnavailable }
		changed := 0
		err := v.RewrapSubjects(t.Context(), security, "", func(p vault.Progress) error {
			changed = p.Changed
			time.Sleep(vault.DefaultKeyLifetime + time.Minute)
			return nil
		})
		require.ErrorIs(t, err, vault.ErrUnavailable)
		require.Equal(t, 1, changed)
		v.Close()
	})
}
