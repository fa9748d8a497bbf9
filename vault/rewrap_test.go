package vault

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// Checks of moving the keys of subjects, of resealing, and of learning new keys.

// subjectNames are those of the records of subjects, in the order of RewrapSubjects.
func subjectNames(store Store) (names []string) {
	return slices.Sorted(maps.Keys(maps.Collect(store.List(context.Background(), "security/subjects/", ""))))
}

// A run that says it is done has moved every key: retiring the old one loses the rest.
func TestMovingTheKeysOfSubjects(t *testing.T) {
	ctx := t.Context()
	for name, c := range map[string]struct {
		meddle        func(s *hookedStore, first *Record)
		conflicts     int
		err           error // of Put
		want          error
		seen, changed int
		corrupt       int
	}{
		"all":             {seen: 3, changed: 3},
		"others write":    {conflicts: 2, err: ErrConflict, seen: 3, changed: 3},
		"store is full":   {conflicts: 1, err: errors.New("full"), want: ErrUnavailable},
		"altered":         {meddle: func(_ *hookedStore, r *Record) { r.Data[len(r.Data)-1] ^= 1 }, want: errSubjectRecord, seen: 3, changed: 2, corrupt: 1},
		"of another kind": {meddle: func(_ *hookedStore, r *Record) { r.Data[0] ^= 1 }, want: errSubjectRecord, seen: 3, changed: 2, corrupt: 1},
		"says no": {meddle: func(s *hookedStore, r *Record) {
			s.setGet(func(ctx context.Context, names ...string) ([]Record, error) {
				if slices.Contains(names, r.Name) {
					return nil, ErrNoKeys
				}
				return s.Store.Get(ctx, names...)
			})
		}, want: ErrNoKeys},
		"gone": {meddle: func(s *hookedStore, r *Record) {
			s.setGet(func(ctx context.Context, names ...string) ([]Record, error) {
				return s.Store.Get(ctx, slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == r.Name })...)
			})
		}, seen: 3, changed: 2},
	} {
		var last audit.Event
		conflicting := &conflictingStore{Store: Memory(), inside: "/subjects/"}
		store := &hookedStore{Store: conflicting}
		v, p := testVault(t, store, &Options{Audit: auditorFunc(func(_ context.Context, e audit.Event) error {
			last = e
			return nil
		})})
		s, err := v.Scope(ctx, p)
		require.NoError(t, err)
		for _, subject := range []string{"alice", "bob", "carol"} {
			_, err := Seal(ctx, MustKind("note", "vault.Note"), "text", s.For(subject))
			require.NoError(t, err)
		}
		rotateNow(t, v, p, RoleSeal)
		if c.meddle != nil {
			records, err := store.Get(ctx, subjectNames(store)[0])
			require.NoError(t, err)
			c.meddle(store, &records[0])
			_, err = store.Put(ctx, records[0])
			require.NoError(t, err)
		}
		conflicting.left, conflicting.err = c.conflicts, c.err
		var at Progress
		err = v.RewrapSubjects(ctx, p, "", func(now Progress) error {
			at = now
			return nil
		})
		require.Equal(t, audit.RewrapSubjects, last.Action)
		require.Equal(t, p, last.Purpose)
		if c.want != nil {
			require.ErrorIs(t, err, c.want, name)
			require.ErrorContains(t, err, "keys of security: ", name)
			require.Equal(t, []int{c.seen, c.changed, c.corrupt}, []int{at.Seen, at.Changed, at.Corrupt}, name)
			if c.corrupt > 0 {
				require.EqualError(t, err, "vault: re-wrapping keys of security: record "+subjectNames(store)[0]+": malformed subject record: "+ErrCorrupt.Error())
			}
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, []int{c.seen, c.changed}, []int{at.Seen, at.Changed}, name)
		store.setGet(nil)
		names := subjectNames(store)
		require.Equal(t, names[2], at.After)
		require.NoError(t, v.RewrapSubjects(ctx, p, names[1], func(now Progress) error {
			require.Equal(t, Progress{Seen: 1, After: names[2]}, now, "the rest, which is done")
			return nil
		}))

		for _, end := range []string{"00", strings.Repeat("g", 2*IndexSize), strings.Repeat("0", 2*IndexSize+1), strings.Repeat("0", 2*IndexSize+2)} {
			changed, err := s.opened.rewrapSubject(ctx, subjectPrefix(p)+end, Record{})
			require.Equal(t, errSubjectRecord, err, end)
			require.False(t, changed)
		}
		done, cancel := context.WithCancel(ctx)
		cancel()
		store.setGet(func(_ context.Context, names ...string) ([]Record, error) { return store.Store.Get(ctx, names...) })
		_, err = s.opened.rewrapSubject(done, names[0], Record{})
		require.ErrorIs(t, err, ErrUnavailable)
	}
}

// Subjects whose keys are wrapped with a retired key hold up nobody else, and are done
// once the key is reinstated.
func TestMovingSubjectsPastARetiredKey(t *testing.T) {
	ctx := t.Context()
	store := Memory()
	v, p := testVault(t, store, nil)
	s, err := v.Scope(ctx, p)
	require.NoError(t, err)
	seal := func(subjects ...string) {
		for _, subject := range subjects {
			_, err := Seal(ctx, MustKind("note", "vault.Note"), "text", s.For(subject))
			require.NoError(t, err)
		}
	}
	seal("alice", "bob", "carol")
	keys, err := v.Keys(ctx, p)
	require.NoError(t, err)
	i := slices.IndexFunc(keys, func(k Key) bool { return k.Role == RoleSeal })
	first := keys[i].ID
	rotateNow(t, v, p, RoleSeal)
	seal("dave", "erin")
	rotateNow(t, v, p, RoleSeal)
	require.NoError(t, v.Retire(ctx, p, first))
	var at Progress
	move := func() error {
		return v.RewrapSubjects(ctx, p, "", func(now Progress) error { at = now; return nil })
	}
	err = move()
	require.ErrorIs(t, err, ErrRetired)
	require.ErrorContains(t, err, "record "+p.String()+"/subjects/")
	require.Equal(t, []int{5, 2, 3}, []int{at.Seen, at.Changed, at.Corrupt})
	require.NoError(t, v.Reinstate(ctx, p, first))
	require.NoError(t, move())
	require.Equal(t, []int{5, 3, 0}, []int{at.Seen, at.Changed, at.Corrupt})
}

// Whoever re-wraps what another process has re-wrapped before goes on with the KEK
// of today.
func TestRewrappingWhatIsDone(t *testing.T) {
	ctx := t.Context()
	v, p := testVault(t, Memory(), nil)
	other, err := OpenAdmin(ctx, v.store, v.kek, nil)
	require.NoError(t, err)
	defer other.Close()
	next := testKEK(t)
	require.NoError(t, v.Rewrap(ctx, next, p))
	require.ErrorIs(t, other.Rewrap(ctx, testKEK(t), p), ErrNoKeys, "of a third one")
	require.ErrorIs(t, other.Rotate(ctx, p, RoleSeal), ErrNoKeys)
	require.NoError(t, other.Rewrap(ctx, next, p))
	rotateNow(t, other, p, RoleSeal)
}

func TestResealing(t *testing.T) {
	ctx := t.Context()
	var events []audit.Event
	v, p := testVault(t, Memory(), &Options{Audit: auditorFunc(func(_ context.Context, e audit.Event) error {
		events = append(events, e)
		return nil
	})})
	kind := MustKind("page", "diary.Page")
	s, err := v.Scope(ctx, p)
	require.NoError(t, err)
	c, err := v.Collector(ctx, p)
	require.NoError(t, err)
	value, err := Seal(ctx, kind, "text", c)
	require.NoError(t, err)
	events = nil
	resealed, err := Reseal(ctx, kind, value, nil, s.For("alice"))
	require.NoError(t, err)
	require.False(t, resealed.IsZero())
	require.Len(t, events, 1)
	require.Equal(t, audit.Reseal, events[0].Action)
	require.Equal(t, "page", events[0].Kind)
	require.Equal(t, "security", events[0].Collected.String())

	for name, scopes := range map[string][]*Scope{
		"nil":      {nil},
		"zero":     {{}},
		"too long": {s.For(strings.Repeat("s", format.MaxSubject+1))},
		"no name":  {s.For("")},
		"two":      {s.For("alice").For("bob")},
	} {
		got, err := Reseal(ctx, kind, value, nil, scopes...)
		require.ErrorIs(t, err, ErrInvalid, name)
		require.ErrorContains(t, err, "diary: re-sealing page: ", name)
		require.True(t, got.IsZero(), name)
	}

	// Erased by another process, which this one has not heard of.
	other, err := OpenAdmin(ctx, v.store, v.kek, nil)
	require.NoError(t, err)
	defer other.Close()
	_, err = other.Erase(ctx, "bob", p)
	require.NoError(t, err)
	got, err := Reseal(ctx, kind, value, nil, s.For("bob"))
	require.ErrorIs(t, err, ErrErased)
	require.True(t, got.IsZero())

	own, err := Seal(ctx, kind, "text", s)
	require.NoError(t, err)
	require.True(t, own.OnPrimaryKey(s))
	require.False(t, value.OnPrimaryKey(s))
	require.NoError(t, v.Close())
	require.False(t, own.OnPrimaryKey(s))
}

// A forged value that is being looked into holds up and spoils no other, and a store
// that is down proves nothing.
func TestLearningNewKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		store := &hookedStore{Store: Memory()}
		v, security := testVault(t, store, nil)
		defer v.Close()
		ads := purpose.MustParse("advertising")
		require.NoError(t, v.Generate(ctx, ads))
		other, err := OpenAdmin(ctx, store, v.kek, nil)
		require.NoError(t, err)
		defer other.Close()
		var opened []*purposeKeys
		var ids [][]byte // that others made
		for _, p := range []purpose.Purpose{security, ads} {
			s, err := v.Scope(ctx, p)
			require.NoError(t, err)
			opened = append(opened, s.opened)
			rotateNow(t, other, p, RoleSeal)
			all, err := other.Keys(ctx, p)
			require.NoError(t, err)
			i := slices.IndexFunc(all, func(k Key) bool { return k.Role == RoleSeal && k.Status == Primary })
			ids = append(ids, binary.BigEndian.AppendUint32([]byte{1}, all[i].ID))
		}
		store.setGet(func(context.Context, ...string) ([]Record, error) { return nil, errors.New("down") })
		_, err = opened[0].findKey(ctx, ids[0])
		require.ErrorIs(t, err, ErrUnavailable)
		_, err = opened[0].findKey(ctx, ids[0][:format.KeyIDSize-1])
		require.ErrorIs(t, err, ErrCorrupt)

		over := make(chan struct{})
		store.setGet(func(ctx context.Context, names ...string) ([]Record, error) {
			<-over
			return store.Store.Get(ctx, names...)
		})
		var errs [3]error
		for i, c := range []struct {
			keys *purposeKeys
			id   []byte
		}{{opened[0], ids[1]}, {opened[0], ids[0]}, {opened[1], ids[1]}} {
			go func() { _, errs[i] = c.keys.findKey(ctx, c.id) }()
			synctest.Wait()
		}
		close(over)
		synctest.Wait()
		require.ErrorIs(t, errs[0], ErrCorrupt, "another purpose's")
		require.NoError(t, errs[1])
		require.NoError(t, errs[2])

		// What is unknown is remembered, and of that not more than so much.
		pk := opened[0]
		pk.asks = maxAsks
		clear(pk.unknown)
		for i := range maxUnknown - 1 {
			pk.unknown[[format.KeyIDSize]byte(binary.BigEndian.AppendUint32([]byte{2}, uint32(i)))] = struct{}{}
		}
		for i, want := range []int{maxUnknown, 1} {
			_, err = pk.findKey(ctx, []byte{3, 0, 0, 0, byte(i)})
			require.ErrorIs(t, err, ErrCorrupt)
			require.Len(t, pk.unknown, want)
		}

		// Those who come more often than the store may be asked do not put it off.
		pk.asks, pk.since = 0, time.Now()
		clear(pk.unknown)
		n := 0
		for range 100 {
			time.Sleep(askEvery / 4)
			if pk.mayAsk([format.KeyIDSize]byte{9}) {
				n++
			}
		}
		require.Equal(t, 25, n)
		require.NoError(t, v.Close())
		_, err = pk.findKey(ctx, ids[0])
		require.ErrorIs(t, err, errClosed)
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
				store.setGet(func(ctx context.Context, names ...string) ([]Record, error) {
					if strings.HasPrefix(names[0], subjectPrefix(security)) {
						<-over
					}
					return store.Store.Get(ctx, names...)
				})
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
