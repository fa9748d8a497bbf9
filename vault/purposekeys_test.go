package vault

import (
	"context"
	"iter"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// Checks of opened keys, of handles with a share of them, and of moving subjects.

// A hookedStore does something else than the store that it is made of.
type hookedStore struct {
	Store
	get  atomic.Pointer[getFunc] // vaults read in the background too
	list func(yield func(string, error) bool)
}

type getFunc = func(ctx context.Context, names ...string) ([]Record, error)

// setGet has the store call f in place of its Get, or its Get if f is nil.
func (s *hookedStore) setGet(f getFunc) {
	if f == nil {
		s.get.Store(nil)
		return
	}
	s.get.Store(&f)
}

func (s *hookedStore) Get(ctx context.Context, names ...string) ([]Record, error) {
	if get := s.get.Load(); get != nil {
		return (*get)(ctx, names...)
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

// A pin is taken from no store that went back.
func TestPinOfAnOlderStore(t *testing.T) {
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
	certificate, err := v.Erase(ctx, "alice", p)
	require.NoError(t, err)
	require.NoError(t, opened.opened.refreshNow(ctx))
	late, err := OpenAdmin(ctx, store, v.kek, nil)
	require.NoError(t, err)
	defer late.Close()
	for name, stale := range map[string]func(Record) []Record{
		"keys":      func(now Record) []Record { return keysThen },
		"erasures":  func(now Record) []Record { return nil },
		"tombstone": func(now Record) []Record { return nil },
	} {
		store.setGet(nil)
		for _, v := range []*Admin{v, early, late} {
			_, err = v.Scope(ctx, p)
			require.NoError(t, err)
			pin, err := v.Pin(ctx, p)
			require.NoError(t, err)
			require.Equal(t, certificate[0].Pin, pin)
		}
		store.setGet(func(ctx context.Context, names ...string) ([]Record, error) {
			all, err := store.Store.Get(ctx, names...)
			var out []Record
			for _, r := range all {
				if strings.Contains(r.Name, map[string]string{"keys": "/keys", "erasures": "/erasures", "tombstone": "/subjects/"}[name]) {
					out = append(out, stale(r)...)
				} else {
					out = append(out, r)
				}
			}
			return out, err
		})
		for _, v := range []*Admin{v, early, late} {
			pin, err := v.Pin(ctx, p)
			require.ErrorIs(t, err, errRollback, name)
			require.Zero(t, pin)
			require.ErrorIs(t, v.opened.find(keysID{purpose: p}).refreshNow(ctx), errRollback, name)
		}
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
	s.opened.lookDue.Store(0)
	require.Nil(t, s.opened.peek())
	key, known := s.opened.subjects.Load().get("alice")
	require.Nil(t, key)
	require.False(t, known)
	newer := *at
	newer.generation++
	require.ErrorIs(t, s.opened.install(&newer), errClosed)
	require.Equal(t, errClosed, s.opened.refreshNow(ctx))
	require.Nil(t, s.opened.current.Load())
	_, err = s.opened.rewrapSubject(ctx, subjectRecordName(p, [IndexSize]byte{}), Record{})
	require.ErrorIs(t, err, errClosed)
	require.False(t, Sealed{}.OnPrimaryKey(&Scope{}))

	store := &hookedStore{Store: Memory()} // for keys that are closed during a refresh
	v, p = testVault(t, store, nil)
	s, err = v.Scope(ctx, p)
	require.NoError(t, err)
	store.setGet(func(ctx context.Context, names ...string) ([]Record, error) {
		v.Close()
		return store.Store.Get(ctx, names...)
	})
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
