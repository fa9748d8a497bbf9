package faulttest

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// A hangingStore is a store whose calls can hang. Its calls end when their context is
// done, or else when it works again.
type hangingStore struct {
	vault.Store
	heedful bool
	mu      sync.Mutex
	gate    chan struct{} // nil if it works
	calls   atomic.Int64
}

func (s *hangingStore) hang() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = make(chan struct{})
}

func (s *hangingStore) work() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gate != nil {
		close(s.gate)
		s.gate = nil
	}
}

// A store that works again does not answer the calls that hang in it.
func (s *hangingStore) wait(ctx context.Context) error {
	s.calls.Add(1)
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if gate == nil {
		return nil
	}
	if s.heedful {
		<-ctx.Done()
		return ctx.Err()
	}
	<-gate
	return nil
}

func (s *hangingStore) Get(ctx context.Context, names ...string) ([]vault.Record, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	return s.Store.Get(ctx, names...)
}

func (s *hangingStore) Put(ctx context.Context, r vault.Record) (int64, error) {
	if err := s.wait(ctx); err != nil {
		return 0, err
	}
	return s.Store.Put(ctx, r)
}

// A hangingWorld is a vault over a store that hangs, with values.
type hangingWorld struct {
	store *hangingStore
	v     *vault.Admin
	s     *vault.Scope
	r     *vault.Reader
	value vault.Sealed // of alice
	plain vault.Sealed
}

func newHangingWorld(t *testing.T, heedful bool) *hangingWorld {
	w := &hangingWorld{store: &hangingStore{Store: vault.Memory(), heedful: heedful}}
	kek := vault.SharedKEK(vaulttest.NewAEAD(t))
	other := vaulttest.Open(t, w.store.Store, kek, nil)
	require.NoError(t, other.Generate(t.Context(), vaulttest.Security, vaulttest.Advertising))
	s := vaulttest.Scope(t, other, vaulttest.Security)
	w.value, w.plain = vaulttest.Seal(t, s.For("alice")), vaulttest.Seal(t, s)
	require.NoError(t, other.Close())
	w.v = vaulttest.Open(t, w.store, kek, nil)
	w.s, w.r = vaulttest.Scope(t, w.v, vaulttest.Security), vaulttest.Reader(t, w.v, vaulttest.Security)
	return w
}

// foreign returns a value that names the i-th of many keys that nobody has.
func (w *hangingWorld) foreign(t *testing.T, i int) vault.Sealed {
	body, err := w.plain.MarshalBinary()
	require.NoError(t, err)
	at := len(body) - 5 - 12 - 32 - 16 // key id, nonce, plaintext, tag
	binary.BigEndian.PutUint32(body[at+1:], uint32(i))
	var v vault.Sealed
	require.NoError(t, v.UnmarshalBinary(body))
	return v
}

// hangingUses are the ways to the store. Each of them has many ids: persons, purposes,
// or keys.
var hangingUses = map[string]func(ctx context.Context, t *testing.T, w *hangingWorld, i int) error{
	"seal": func(ctx context.Context, _ *testing.T, w *hangingWorld, i int) error {
		_, err := vault.Seal(ctx, vaulttest.Note, "text", w.s.For(fmt.Sprint("new-", i)))
		return err
	},
	"reveal": func(ctx context.Context, _ *testing.T, w *hangingWorld, i int) error {
		_, err := w.s.For(fmt.Sprint("user-", i)).Reveal(ctx, vaulttest.Note, w.value)
		return err
	},
	"reader": func(ctx context.Context, _ *testing.T, w *hangingWorld, i int) error {
		_, err := w.r.For(fmt.Sprint("user-", i)).Reveal(ctx, vaulttest.Note, w.value)
		return err
	},
	"prefetch": func(ctx context.Context, _ *testing.T, w *hangingWorld, i int) error {
		return w.s.Prefetch(ctx, fmt.Sprint("user-", i))
	},
	"unknown key": func(ctx context.Context, t *testing.T, w *hangingWorld, i int) error {
		_, err := w.s.Reveal(ctx, vaulttest.Note, w.foreign(t, i))
		return err
	},
	"erase": func(ctx context.Context, _ *testing.T, w *hangingWorld, i int) error {
		_, err := w.v.Erase(ctx, fmt.Sprint("user-", i), vaulttest.Security)
		return err
	},
	"scope": func(ctx context.Context, _ *testing.T, w *hangingWorld, i int) error {
		_, err := w.v.Scope(ctx, purpose.MustParse(fmt.Sprint("p", i)))
		return err
	},
	"collector": func(ctx context.Context, _ *testing.T, w *hangingWorld, i int) error {
		_, err := w.v.Collector(ctx, purpose.MustParse(fmt.Sprint("p", i)))
		return err
	},
	"lookup": func(ctx context.Context, _ *testing.T, w *hangingWorld, i int) error {
		_, err := w.v.Lookup(ctx, purpose.MustParse(fmt.Sprint("p", i)))
		return err
	},
	"reader's keys": func(ctx context.Context, _ *testing.T, w *hangingWorld, i int) error {
		_, err := w.v.Reader(ctx, purpose.MustParse(fmt.Sprint("p", i)))
		return err
	},
	"check": func(ctx context.Context, _ *testing.T, w *hangingWorld, i int) error {
		return w.v.CheckDenied(ctx, purpose.MustParse(fmt.Sprint("p", i)))
	},
	"generate": func(ctx context.Context, _ *testing.T, w *hangingWorld, i int) error {
		return w.v.Generate(ctx, purpose.MustParse(fmt.Sprint("p", i)))
	},
	"keys": func(ctx context.Context, _ *testing.T, w *hangingWorld, i int) error {
		_, err := w.v.Keys(ctx, purpose.MustParse(fmt.Sprint("p", i)))
		return err
	},
}

// A store whose calls never return leaves a fixed number of goroutines behind, for all
// the persons, keys and purposes that callers name.
func TestHangingStoreLeavesFewGoroutines(t *testing.T) {
	const most = 64 // a kind of call has so many places
	for name, use := range hangingUses {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newHangingWorld(t, false)
				before := vaulttest.Goroutines(t)
				w.store.hang()
				for i := range 500 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
					err := use(ctx, t, w, i)
					require.Error(t, err)
					if name != "unknown key" { // most of these are refused without a read
						require.ErrorIs(t, err, vault.ErrUnavailable)
					}
					cancel()
				}
				require.LessOrEqual(t, vaulttest.Goroutines(t), before+most)
				require.Positive(t, vaulttest.Goroutines(t)-before, "nothing hangs")
				w.store.work()
				synctest.Wait()
				require.LessOrEqual(t, vaulttest.Goroutines(t), before)
			})
		})
	}
}

// A caller whose context has no deadline does not pay for a caller that left: the call
// that the first one left behind ends in vain, and the store is asked again.
func TestCallersOutliveTheCallsOfOthers(t *testing.T) {
	for name, use := range hangingUses {
		if name == "prefetch" { // shares no calls
			continue
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newHangingWorld(t, true)
				w.store.hang()
				first, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				require.ErrorIs(t, use(first, t, w, 0), vault.ErrUnavailable)
				cancel()
				time.Sleep(29900 * time.Millisecond)
				w.store.work()
				calls := w.store.calls.Load()
				began := time.Now()
				err := use(t.Context(), t, w, 0)
				if err != nil { // there may be no such keys
					require.NotErrorIs(t, err, vault.ErrUnavailable)
				}
				require.Less(t, time.Since(began), time.Second)
				require.Greater(t, w.store.calls.Load(), calls, "the store was not asked")
			})
		})
	}
}

// However many callers wait in line, each of them is done within Options.Timeout.
func TestWaitingInLineEndsInTime(t *testing.T) {
	for name, use := range hangingUses {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newHangingWorld(t, true)
				w.store.hang()
				began := time.Now()
				var wg sync.WaitGroup
				for i := range 150 {
					wg.Go(func() { _ = use(t.Context(), t, w, i%5) })
				}
				wg.Wait()
				require.LessOrEqual(t, time.Since(began), 30*time.Second)
				time.Sleep(time.Minute) // until the calls that are left behind have ended
			})
		})
	}
}
