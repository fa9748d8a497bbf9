package vault

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
)

// Checks of what goes on at the same time, and of options.

// Keys that have lapsed wait for the key service's own answer, not for a refresh that is
// under way and does not call the key service.
func TestLapsedKeysDoNotJoinARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		store, kek := &hookedStore{Store: Memory()}, testKEK(t)
		var refused error
		v, err := OpenAdmin(ctx, store, kekFunc(func(ctx context.Context, p purpose.Purpose) (AEAD, error) {
			if refused != nil {
				return nil, refused
			}
			return kek.For(ctx, p)
		}), nil)
		require.NoError(t, err)
		defer v.Close()
		security, ads := purpose.MustParse("security"), purpose.MustParse("advertising")
		require.NoError(t, v.Generate(ctx, security, ads))
		s, err := v.Scope(ctx, security)
		require.NoError(t, err)
		other, err := v.Scope(ctx, ads)
		require.NoError(t, err)

		over := make(chan struct{})
		store.setGet(func(ctx context.Context, names ...string) ([]Record, error) {
			store.setGet(nil)
			<-over
			return store.Store.Get(ctx, names...)
		})
		ended := make(chan error, 1)
		go func() { ended <- s.opened.refreshNow(ctx) }()
		synctest.Wait()
		soon, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		require.NoError(t, other.opened.refreshNow(soon), "of another purpose")
		refused = errors.New("withdrawn")
		s.opened.lapse.Store(0)
		_, err = s.opened.fresh(soon)
		require.ErrorIs(t, err, ErrNoKeys)
		close(over)
		require.NoError(t, <-ended)
		_, err = s.opened.fresh(ctx)
		require.ErrorIs(t, err, ErrNoKeys)
	})
}

// A refresh that is under way may have read the store before a caller joined it. The
// caller therefore waits for it and then refreshes again.
func TestCallersWhoJoinARefreshAskAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &hookedStore{Store: Memory()}
		v, p := testVault(t, store, nil)
		defer v.Close()
		s, err := v.Scope(t.Context(), p)
		require.NoError(t, err)
		over := make(chan struct{})
		store.setGet(func(ctx context.Context, names ...string) ([]Record, error) {
			<-over
			store.setGet(func(context.Context, ...string) ([]Record, error) { return nil, errors.New("down") })
			return store.Store.Get(ctx, names...)
		})
		var errs [2]error
		for i := range errs {
			go func() { errs[i] = s.opened.refreshNow(t.Context()) }()
			synctest.Wait()
		}
		close(over)
		synctest.Wait()
		require.NoError(t, errs[0])
		require.ErrorIs(t, errs[1], ErrUnavailable)
	})
}

// However often the keys are used, they are refreshed once in each interval.
func TestRefreshesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &hookedStore{Store: Memory()}
		v, p := testVault(t, store, &Options{Refresh: time.Minute})
		defer v.Close()
		s, err := v.Scope(t.Context(), p)
		require.NoError(t, err)
		n := 0
		store.setGet(func(ctx context.Context, names ...string) ([]Record, error) {
			n++
			return store.Store.Get(ctx, names...)
		})
		for range 600 {
			time.Sleep(time.Second)
			synctest.Wait()
			require.NotNil(t, s.opened.peek())
			synctest.Wait()
		}
		require.InDelta(t, 20, n, 3) // each after half of the time, or up to a tenth less
	})
}
