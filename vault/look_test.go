package vault

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
)

// Checks of what goes on at the same time, and of options.

// Keys that have lapsed wait for the key service's own answer, not for a look at the
// store that is under way and asks nobody.
func TestLapsedKeysDoNotJoinALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		store, kek := &hookedStore{Store: Memory()}, testKEK(t)
		var refused error
		v, err := Open(ctx, store, kekFunc(func(ctx context.Context, p purpose.Purpose) (AEAD, error) {
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
		store.get = func(ctx context.Context, names ...string) ([]Record, error) {
			store.get = nil
			<-over
			return store.Store.Get(ctx, names...)
		}
		ended := make(chan error, 1)
		go func() { ended <- s.ring.refresh(ctx) }()
		synctest.Wait()
		soon, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		require.NoError(t, other.ring.refresh(soon), "of another purpose")
		refused = errors.New("withdrawn")
		s.ring.lapsed.Store(true)
		_, err = s.ring.usable(soon)
		require.ErrorIs(t, err, ErrNoKeys)
		close(over)
		require.NoError(t, <-ended)
		_, err = s.ring.usable(ctx)
		require.ErrorIs(t, err, ErrNoKeys)
	})
}

// What was read before one asked is not what the store has now: who joins a look that
// is under way looks again, and does not take that for granted.
func TestWhoJoinsALookLooksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &hookedStore{Store: Memory()}
		v, p := testVault(t, store, nil)
		defer v.Close()
		s, err := v.Scope(t.Context(), p)
		require.NoError(t, err)
		over := make(chan struct{})
		store.get = func(ctx context.Context, names ...string) ([]Record, error) {
			<-over
			store.get = func(context.Context, ...string) ([]Record, error) { return nil, errors.New("down") }
			return store.Store.Get(ctx, names...)
		}
		var errs [2]error
		for i := range errs {
			go func() { errs[i] = s.ring.refresh(t.Context()) }()
			synctest.Wait()
		}
		close(over)
		synctest.Wait()
		require.NoError(t, errs[0])
		require.ErrorIs(t, errs[1], ErrUnavailable)
	})
}

// However often the keys are used, the store is looked at once in each interval.
func TestLooksAtTheStoreAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &hookedStore{Store: Memory()}
		v, p := testVault(t, store, &Options{Refresh: time.Minute})
		defer v.Close()
		s, err := v.Scope(t.Context(), p)
		require.NoError(t, err)
		n := 0
		store.get = func(ctx context.Context, names ...string) ([]Record, error) {
			n++
			return store.Store.Get(ctx, names...)
		}
		for range 600 {
			time.Sleep(time.Second)
			synctest.Wait()
			require.NotNil(t, s.ring.current())
			synctest.Wait()
		}
		require.InDelta(t, 10, n, 1)
	})
}

// A store that hangs while one purpose's subjects are moved holds up no other's.
func TestMovingSubjectsDoesNotWaitForOthers(t *testing.T) {
	for _, at := range []string{"list", "get"} {
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			store := &hookedStore{Store: Memory()}
			v, security := testVault(t, store, &Options{Timeout: time.Hour})
			defer v.Close()
			ads := purpose.MustParse("advertising")
			require.NoError(t, v.Generate(ctx, ads))
			for _, p := range []purpose.Purpose{security, ads} {
				s, err := v.Scope(ctx, p)
				require.NoError(t, err)
				_, err = Seal(ctx, MustKind("note", "vault.Note"), "text", s.For("alice"))
				require.NoError(t, err)
			}
			over := make(chan struct{})
			if at == "list" {
				store.list = func(func(string, error) bool) { <-over }
			} else {
				store.get = func(ctx context.Context, names ...string) ([]Record, error) {
					if strings.HasPrefix(names[0], subjectPrefix(security)) {
						<-over
					}
					return store.Store.Get(ctx, names...)
				}
			}
			ended := make(chan error, 1)
			go func() { ended <- v.RewrapSubjects(ctx, security, "", nil) }()
			synctest.Wait()
			store.list = nil
			soon, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			require.NoError(t, v.RewrapSubjects(soon, ads, "", nil), at)
			close(over)
			require.NoError(t, <-ended)
		})
	}
}

// The caller's map may change; what was pinned at Open does not.
func TestOptionsAreTakenAsTheyWere(t *testing.T) {
	p := purpose.MustParse("security")
	pins := map[purpose.Purpose]uint64{p: 1}
	given := Options{Timeout: 1, Refresh: 2, KeyLifetime: maxDuration, SubjectLifetime: 4, SubjectCache: 5, Pins: pins}
	got, err := given.withDefaults()
	require.NoError(t, err)
	require.Equal(t, given, got)
	before := maps.Clone(pins)
	pins[p] = 99
	require.Equal(t, before, got.Pins)
	for _, d := range []time.Duration{-1, maxDuration + 1} {
		for _, o := range []Options{{Timeout: d}, {Refresh: d}, {KeyLifetime: d}, {SubjectLifetime: d}, {SubjectCache: -1}} {
			_, err := o.withDefaults()
			require.ErrorIs(t, err, ErrInvalid)
		}
	}
}

// Memory checks what it is given as Dir does, before it looks for anything.
func TestArgumentsOfStores(t *testing.T) {
	ctx := t.Context()
	store := Memory()
	_, err := store.Put(ctx, Record{Name: "security/keys", Data: []byte{1}})
	require.NoError(t, err)
	for _, name := range []string{"", "a/", "../a", strings.Repeat("a", maxName+1)} {
		_, err := store.Get(ctx, "security/keys", name)
		require.Equal(t, errName, err, name)
		_, err = store.Put(ctx, Record{Name: name, Data: []byte{1}})
		require.Equal(t, errName, err, name)
	}
	_, err = store.Put(ctx, Record{Name: "a", Data: []byte{1}, Revision: -1})
	require.Equal(t, errRevision, err)
	done, cancel := context.WithCancel(ctx)
	cancel()
	for name, err := range store.List(done, "", "") {
		require.Empty(t, name)
		require.ErrorIs(t, err, ErrUnavailable)
	}
}
