package vault

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// Checks of opened keys, of handles with a share of them, and of moving subjects.

// A hookedStore does something else than the store that it is made of.
type hookedStore struct {
	Store
	get  func(ctx context.Context, names ...string) ([]Record, error)
	list func(yield func(string, error) bool)
}

func (s *hookedStore) Get(ctx context.Context, names ...string) ([]Record, error) {
	if s.get != nil {
		return s.get(ctx, names...)
	}
	return s.Store.Get(ctx, names...)
}

func (s *hookedStore) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	if s.list != nil {
		return s.list
	}
	return s.Store.List(ctx, prefix, after)
}

// testVault returns a vault with keys for the purpose security.
func testVault(t *testing.T, store Store, opts *Options) (*Admin, purpose.Purpose) {
	t.Helper()
	p := purpose.MustParse("security")
	v, err := OpenAdmin(t.Context(), store, testKEK(t), opts)
	require.NoError(t, err)
	t.Cleanup(func() { v.Close() })
	require.NoError(t, v.Generate(t.Context(), p))
	return v, p
}

// What changes the keys of a purpose gives none of them to handles that had none.
func TestNarrowHandlesStayNarrow(t *testing.T) {
	ctx := t.Context()
	v, p := testVault(t, Memory(), nil)
	l, err := v.Lookup(ctx, p)
	require.NoError(t, err)
	r, err := v.Reader(ctx, p)
	require.NoError(t, err)
	_, err = v.Reader(ctx, purpose.MustParse("billing"))
	require.EqualError(t, err, "vault: opening keys of billing: key store has none: no usable keys")
	for range 2 {
		looks, reads := l.scope.opened.current.Load(), r.scope.opened.current.Load()
		require.NotNil(t, looks.index)
		require.Nil(t, looks.seal)
		require.Nil(t, looks.pseudonym)
		require.Nil(t, looks.collect)
		require.NotNil(t, reads.seal)
		require.Nil(t, reads.index)
		require.NoError(t, v.Rotate(ctx, p, RoleSeal))
		require.Equal(t, looks.generation+1, l.scope.opened.current.Load().generation)
		require.Equal(t, reads.generation+1, r.scope.opened.current.Load().generation)
	}
}

// A record that is of the same generation as the one at hand, and not the same, is
// another history of the store's. Handles with a share of the keys notice it too.
func TestAnotherRecordOfTheSameGeneration(t *testing.T) {
	ctx := t.Context()
	v, p := testVault(t, Memory(), nil)
	s, err := v.Scope(ctx, p)
	require.NoError(t, err)
	l, err := v.Lookup(ctx, p)
	require.NoError(t, err)
	r, err := v.Reader(ctx, p)
	require.NoError(t, err)
	record, old, err := v.readKeyRecord(ctx, p)
	require.NoError(t, err)
	w, err := newKEKClient(ctx, v.kek, p)
	require.NoError(t, err)
	data, err := wrap(w, p, record)
	require.NoError(t, err)
	_, err = v.store.Put(ctx, Record{Name: old.Name, Data: data, Revision: old.Revision})
	require.NoError(t, err)
	for _, s := range []*Scope{s, l.scope, r.scope} {
		require.Equal(t, errRollback, s.opened.refreshNow(ctx))
	}
}

// A pin is taken from Generation: from a store that went back there is none.
func TestGenerationOfAnOlderStore(t *testing.T) {
	ctx := t.Context()
	store := &hookedStore{Store: Memory()}
	v, p := testVault(t, store, nil)
	keysThen, err := store.Store.Get(ctx, keyRecordName(p))
	require.NoError(t, err)
	require.NoError(t, v.Rotate(ctx, p, RoleSeal))
	early, err := OpenAdmin(ctx, store, v.kek, nil) // learns of the erasure by and by
	require.NoError(t, err)
	defer early.Close()
	opened, err := early.Scope(ctx, p)
	require.NoError(t, err)
	_, err = v.Erase(ctx, "alice", p)
	require.NoError(t, err)
	require.NoError(t, opened.opened.refreshNow(ctx))
	late, err := OpenAdmin(ctx, store, v.kek, nil)
	require.NoError(t, err)
	defer late.Close()
	for name, stale := range map[string]func([]Record) []Record{
		"keys":     func(now []Record) []Record { return append(slices.Clone(now[:1]), keysThen[0]) },
		"erasures": func(now []Record) []Record { return now[1:] },
	} {
		store.get = nil
		for _, v := range []*Admin{v, early, late} {
			_, err = v.Scope(ctx, p)
			require.NoError(t, err)
			n, err := v.Generation(ctx, p)
			require.NoError(t, err)
			require.EqualValues(t, 3, n)
		}
		store.get = func(ctx context.Context, names ...string) ([]Record, error) {
			now, err := store.Store.Get(ctx, names...)
			if len(now) != 2 {
				return now, err
			}
			require.Equal(t, erasuresName(p), now[0].Name)
			return stale(now), err
		}
		for _, v := range []*Admin{v, early, late} {
			n, err := v.Generation(ctx, p)
			require.ErrorIs(t, err, errRollback, name)
			require.Zero(t, n)
			require.ErrorIs(t, v.find(keysID{purpose: p}).refreshNow(ctx), errRollback, name)
		}
	}
}

// The findings of a refresh in the background are recorded, unless keys and rights are
// as they were.
func TestPurposeKeysRecordRefreshes(t *testing.T) {
	ctx := t.Context()
	var events []audit.Event
	record := auditorFunc(func(ctx context.Context, e audit.Event) error {
		_, bounded := ctx.Deadline()
		require.True(t, bounded)
		require.NoError(t, ctx.Err())
		events = append(events, e)
		return nil
	})
	for name, c := range map[string]struct {
		get    error // of the store
		kek    error
		closed bool
		want   audit.Outcome
	}{
		"nothing":         {},
		"store is down":   {get: errors.New("down")},
		"key service too": {kek: ErrUnavailable},
		"store is broken": {get: ErrCorrupt, want: audit.Denied},
		"withdrawn":       {kek: errors.New("withdrawn"), want: audit.Denied},
		"closed":          {closed: true},
	} {
		store := &hookedStore{Store: Memory()}
		v, p := testVault(t, store, nil)
		v.opts.Audit = nil
		kek := v.kek
		v.kek = kekFunc(func(ctx context.Context, p purpose.Purpose) (AEAD, error) {
			if c.kek != nil && v.opts.Audit != nil {
				return nil, c.kek
			}
			return kek.For(ctx, p)
		})
		s, err := v.Scope(ctx, p)
		require.NoError(t, err)
		v.opts.Audit, events = record, nil
		if c.get != nil {
			store.get = func(context.Context, ...string) ([]Record, error) { return nil, c.get }
		}
		if c.closed {
			v.Close()
		}
		s.opened.renewalDue.Store(true)
		s.opened.refreshInBackground()
		if c.want == "" {
			require.Empty(t, events, name)
			continue
		}
		require.Len(t, events, 1, name)
		require.Equal(t, []any{audit.Open, p, c.want}, []any{events[0].Action, events[0].Purpose, events[0].Outcome}, name)
	}
}

// Closed keys hold no keys of subjects, and take none.
func TestClosedPurposeKeysForget(t *testing.T) {
	ctx := t.Context()
	v, p := testVault(t, Memory(), nil)
	s, err := v.Scope(ctx, p)
	require.NoError(t, err)
	_, err = Seal(ctx, MustKind("note", "vault.Note"), "text", s.For("alice"))
	require.NoError(t, err)
	key, _ := s.opened.subjects.Load().get("alice")
	require.NotNil(t, key)
	require.Equal(t, defaultSubjectLifetime+format.MaxSlots*defaultTimeout, s.opened.subjects.Load().erasedLifetime)
	at := s.opened.current.Load()
	require.NoError(t, v.Close())
	for _, timer := range []*time.Timer{s.opened.refreshTimer, s.opened.leaseTimers[0], s.opened.leaseTimers[1]} {
		require.False(t, timer.Stop(), "it would keep the keys in memory for a day")
	}
	s.opened.stale.Store(true)
	require.Nil(t, s.opened.peek())
	require.False(t, s.opened.refreshTimer.Stop(), "set again after closing")
	s.opened.renewLease(time.Now())
	for _, timer := range []*time.Timer{s.opened.refreshTimer, s.opened.leaseTimers[0], s.opened.leaseTimers[1]} {
		require.False(t, timer.Stop(), "set again after closing")
	}
	key, known := s.opened.subjects.Load().get("alice")
	require.Nil(t, key)
	require.False(t, known)
	newer := *at
	newer.generation++
	require.ErrorIs(t, s.opened.install(&newer), errClosed)
	require.Equal(t, errClosed, s.opened.refreshNow(ctx))
	require.Nil(t, s.opened.current.Load())
	_, err = s.opened.rewrapSubject(ctx, subjectPrefix(p)+strings.Repeat("0", 2*IndexSize))
	require.ErrorIs(t, err, errClosed)
	require.False(t, Sealed{}.OnPrimaryKey(&Scope{}))

	store := &hookedStore{Store: Memory()} // for keys that are closed during a refresh
	v, p = testVault(t, store, nil)
	s, err = v.Scope(ctx, p)
	require.NoError(t, err)
	store.get = func(ctx context.Context, names ...string) ([]Record, error) {
		v.Close()
		return store.Store.Get(ctx, names...)
	}
	require.Equal(t, errClosed, s.opened.refreshNow(ctx))
}

// Older keys never take the place of newer ones, nor others of their generation.
func TestPurposeKeysTakeNewerKeysOnly(t *testing.T) {
	v, p := testVault(t, Memory(), nil)
	s, err := v.Scope(t.Context(), p)
	require.NoError(t, err)
	at := s.opened.current.Load()
	for change, taken := range map[int]bool{-1: false, 0: false, 1: true} {
		k := *at
		k.generation += uint64(change)
		s.opened.current.Store(at)
		s.opened.unknown[[format.KeyIDSize]byte{1}] = struct{}{}
		require.NoError(t, s.opened.install(&k))
		require.Equal(t, taken, s.opened.current.Load() == &k, change)
		require.Equal(t, !taken, len(s.opened.unknown) == 1, "what was unknown to older keys may be known to newer ones")
	}
}
