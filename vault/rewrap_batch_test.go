package vault

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A batchStore counts the calls about subjects of a store, and does something else in
// Replace than the store if replace is set.
type batchStore struct {
	Store
	gets, puts, replaces int
	replace              func(ctx context.Context, records []Record) ([]int64, error)
}

func (s *batchStore) Get(ctx context.Context, names ...string) ([]Record, error) {
	if len(names) > 0 && strings.Contains(names[0], "/subjects/") {
		s.gets++
	}
	return s.Store.Get(ctx, names...)
}

func (s *batchStore) Put(ctx context.Context, r Record) (int64, error) {
	if strings.Contains(r.Name, "/subjects/") {
		s.puts++
	}
	return s.Store.Put(ctx, r)
}

func (s *batchStore) Replace(ctx context.Context, records ...Record) ([]int64, error) {
	s.replaces++
	if s.replace != nil {
		return s.replace(ctx, records)
	}
	return s.Store.(BatchReplacer).Replace(ctx, records...)
}

// aBatch returns a vault over store whose subjects' keys are to be moved to a newer key.
func aBatch(t *testing.T, store *batchStore, subjects int, opts *Options) (*Admin, purpose.Purpose) {
	v, p := testVault(t, store, opts)
	s, err := v.Scope(t.Context(), p)
	require.NoError(t, err)
	for i := range subjects {
		_, err := Seal(t.Context(), MustKind("note", "vault.Note"), "text", s.For(fmt.Sprint("user-", i)))
		require.NoError(t, err)
	}
	rotateNow(t, v, p, RoleSeal)
	store.gets, store.puts, store.replaces = 0, 0, 0
	return v, p
}

// Six hundred subjects cost three reads and three writes, and once they are done the reads
// alone. A store without Replace has the same reads.
func TestRewrapSubjectsInBatches(t *testing.T) {
	ctx := t.Context()
	store := &batchStore{Store: Memory()}
	var last audit.Event
	v, p := aBatch(t, store, 600, &Options{Audit: auditorFunc(func(_ context.Context, e audit.Event) error { last = e; return nil })})
	var at Progress
	calls := 0
	move := func(v *Admin) error {
		return v.RewrapSubjects(ctx, p, "", func(now Progress) error { at = now; calls++; return nil })
	}
	require.NoError(t, move(v))
	require.Equal(t, []int{3, 0, 3}, []int{store.gets, store.puts, store.replaces})
	require.Equal(t, []int{600, 600, 0, 600, 600}, []int{at.Seen, at.Changed, at.Corrupt, calls, last.Count})
	require.NoError(t, move(v))
	require.Equal(t, []int{6, 0, 3}, []int{store.gets, store.puts, store.replaces})
	require.Equal(t, []int{600, 0, 0, 0}, []int{at.Seen, at.Changed, at.Corrupt, last.Count})

	rotateNow(t, v, p, RoleSeal)
	plain := &batchStore{Store: store.Store}
	other, err := OpenAdmin(ctx, struct{ Store }{plain}, v.kek, nil)
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, move(other))
	require.Equal(t, []int{3, 600, 0}, []int{plain.gets, plain.puts, plain.replaces})
	require.Equal(t, []int{600, 600, 0}, []int{at.Seen, at.Changed, at.Corrupt})
}

// Whatever Replace does with a record, or says of it, the record is moved or the run fails,
// and the event counts the records that were moved.
func TestRewrapSubjectsPastReplace(t *testing.T) {
	const subjects = 20
	write := func(ctx context.Context, s *batchStore, records []Record) []int64 {
		revisions, err := s.Store.(BatchReplacer).Replace(ctx, records...)
		require.NoError(t, err)
		return revisions
	}
	for name, c := range map[string]struct {
		replace func(ctx context.Context, s *batchStore, records []Record) ([]int64, error)
		want    error
		changed int
	}{
		"writes every other": {func(ctx context.Context, s *batchStore, records []Record) ([]int64, error) {
			revisions := make([]int64, len(records))
			for i := range records {
				if i%2 == 0 {
					revisions[i] = write(ctx, s, records[i:i+1])[0]
				}
			}
			return revisions, nil
		}, nil, subjects},
		"writes all, and says none": {func(ctx context.Context, s *batchStore, records []Record) ([]int64, error) {
			write(ctx, s, records)
			return make([]int64, len(records)), nil
		}, nil, 0},
		"is denied": {func(context.Context, *batchStore, []Record) ([]int64, error) { return nil, ErrNoKeys }, nil, subjects},
		"writes all, and is denied": {func(ctx context.Context, s *batchStore, records []Record) ([]int64, error) {
			write(ctx, s, records)
			return nil, ErrNoKeys
		}, nil, 0},
		"calls it a conflict": {func(context.Context, *batchStore, []Record) ([]int64, error) { return nil, ErrConflict }, nil, subjects},
		"answers for fewer": {func(_ context.Context, _ *batchStore, r []Record) ([]int64, error) {
			return make([]int64, len(r)-1), nil
		}, nil, subjects},
		"answers nothing": {func(context.Context, *batchStore, []Record) ([]int64, error) { return nil, nil }, nil, subjects},
		"negative revision": {func(_ context.Context, _ *batchStore, r []Record) ([]int64, error) {
			return slices.Repeat([]int64{-1}, len(r)), nil
		}, nil, subjects},
		"is down":            {func(context.Context, *batchStore, []Record) ([]int64, error) { return nil, errors.New("secret text") }, ErrUnavailable, 0},
		"panics":             {func(context.Context, *batchStore, []Record) ([]int64, error) { panic("secret text") }, ErrUnavailable, 0},
		"ends its goroutine": {func(context.Context, *batchStore, []Record) ([]int64, error) { runtime.Goexit(); return nil, nil }, ErrUnavailable, 0},
		"hangs": {func(ctx context.Context, _ *batchStore, _ []Record) ([]int64, error) {
			time.Sleep(time.Hour)
			return nil, ctx.Err()
		}, ErrUnavailable, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := &batchStore{Store: Memory()}
			var last audit.Event
			v, p := aBatch(t, store, subjects, &Options{Audit: auditorFunc(func(_ context.Context, e audit.Event) error {
				last = e
				return nil
			})})
			defer v.Close()
			store.replace = func(ctx context.Context, records []Record) ([]int64, error) { return c.replace(ctx, store, records) }
			var at Progress
			err := v.RewrapSubjects(t.Context(), p, "", func(now Progress) error { at = now; return nil })
			require.Equal(t, audit.RewrapSubjects, last.Action, name)
			require.Equal(t, c.changed, last.Count, name)
			if c.want != nil {
				require.ErrorIs(t, err, c.want, name)
				require.NotContains(t, err.Error(), "secret", name)
				require.Zero(t, at, name)
				time.Sleep(2 * time.Hour) // the call that was left has ended
				synctest.Wait()
				store.replace = nil
			} else {
				require.NoError(t, err, name)
				require.Equal(t, []int{subjects, c.changed, 0}, []int{at.Seen, at.Changed, at.Corrupt}, name)
			}
			require.NoError(t, v.RewrapSubjects(t.Context(), p, "", func(now Progress) error { at = now; return nil }), name)
			require.Equal(t, subjects, at.Seen, name)
			require.Zero(t, at.Corrupt, name)
			s, err := v.Scope(t.Context(), p)
			require.NoError(t, err)
			keys := s.opened.current.Load()
			records, err := store.Get(t.Context(), subjectNames(store)...)
			require.NoError(t, err)
			require.Len(t, records, subjects)
			for _, r := range records {
				sealed, ok := cutSubjectRecord(r.Data)
				require.True(t, ok && keys.seal.onNewest(sealed), name)
			}
		})
	}
}

// One bad record in a batch costs one subject, wherever it stands, and one that progress
// ends at does not hide the changes that were made.
func TestRewrapSubjectsPastBadRecordsOfABatch(t *testing.T) {
	ctx := t.Context()
	store := &batchStore{Store: Memory()}
	var last audit.Event
	v, p := aBatch(t, store, 300, &Options{Audit: auditorFunc(func(_ context.Context, e audit.Event) error { last = e; return nil })})
	names := subjectNames(store)
	for _, i := range []int{0, 100, 255, 256, 299} {
		records, err := store.Get(ctx, names[i])
		require.NoError(t, err)
		records[0].Data[len(records[0].Data)-1] ^= 1
		_, err = store.Put(ctx, records[0])
		require.NoError(t, err)
	}
	stop := errors.New("enough")
	var at Progress
	err := v.RewrapSubjects(ctx, p, "", func(now Progress) error {
		if at = now; at.Seen == 10 {
			return stop
		}
		return nil
	})
	require.ErrorIs(t, err, stop)
	require.Equal(t, []int{10, 9, 1}, []int{at.Seen, at.Changed, at.Corrupt})
	require.Equal(t, 253, last.Count, "the whole batch was moved")
	require.Equal(t, names[9], at.After)

	err = v.RewrapSubjects(ctx, p, "", func(now Progress) error { at = now; return nil })
	require.ErrorIs(t, err, ErrCorrupt)
	require.ErrorContains(t, err, "record "+names[0]+": ")
	require.Equal(t, []int{300, 42, 5}, []int{at.Seen, at.Changed, at.Corrupt})
	require.Equal(t, 42, last.Count)
}

// Two processes that move the same subjects at the same time move each of them once.
func TestRewrapSubjectsTwiceAtOnce(t *testing.T) {
	ctx := t.Context()
	shared := Memory()
	v, p := aBatch(t, &batchStore{Store: shared}, 600, nil)
	other, err := OpenAdmin(ctx, shared, v.kek, nil)
	require.NoError(t, err)
	defer other.Close()
	changed := make(chan int, 2)
	for _, v := range []*Admin{v, other} {
		go func() {
			n := 0
			if err := v.RewrapSubjects(ctx, p, "", func(now Progress) error { n = now.Changed; return nil }); err != nil {
				n = -1000
			}
			changed <- n
		}()
	}
	require.Equal(t, 600, <-changed+<-changed)
}
