// Package storetest checks that a [vault.Store] keeps its contract.
//
// Call [Run] from a test of your own store:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) (open func() vault.Store) {
//			db := newEmptyDatabase(t) // cleaned up by t.Cleanup
//			return func() vault.Store { return mystore.New(db) }
//		})
//	}
//
// A test on one machine can't show that a record outlives a power cut once Put has
// returned, or that only the vault's processes may write to the store. Both remain
// with the author.
package storetest

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/onlyfor/onlyfor/vault"
)

// Run checks everything that the documentation of [vault.Store] promises, in
// subtests, and for a store that is a [vault.BatchReplacer] everything that Replace does. Each calls empty once for storage that nothing else uses and that
// holds no records, and then open for one or more handles on that storage, as
// separate processes would have. Where a store can't be opened twice, open may
// return the same one again.
//
// Run it with the race detector. It takes a few thousand operations.
func Run(t *testing.T, empty func(t *testing.T) (open func() vault.Store)) {
	for _, test := range []struct {
		name  string
		check func(*suite)
	}{
		{"an empty store has no records", emptyStore},
		{"get returns what was put", putGet},
		{"get returns the records that exist, in one call", getMany},
		{"put replaces the current revision only", replace},
		{"put creates only what is not there", create},
		{"a revision is never used again", revisions},
		{"other records stay as they are", neighbours},
		{"a record holds 1 to MaxRecord bytes", sizes},
		{"data is any bytes", binary},
		{"slices are not shared", aliases},
		{"names beyond the grammar are refused", invalidNames},
		{"names are as long as the grammar allows", longNames},
		{"list is in byte order of whole names", listOrder},
		{"list obeys prefix and after", listRange},
		{"list yields all of many records", listMany},
		{"list can be left, and the store used meanwhile", listReentrant},
		{"a cancelled context stops every method", cancelled},
		{"goroutines lose no update", concurrentUpdates},
		{"one of many creators wins", concurrentCreate},
		{"readers see whole records", wholeRecords},
		{"handles see each other's changes", handles},
		{"replace writes many records that are current, and no others", replaceMany},
		{"replace refuses bad arguments, and writes nothing then", replaceRefuses},
		{"replacing at the same time loses no record", replaceRaces},
	} {
		t.Run(test.name, func(t *testing.T) {
			open := empty(t)
			test.check(&suite{T: t, store: open(), open: open})
		})
	}
}

// A suite is one check at work. Its methods stop the check when the store does
// not do as asked.
type suite struct {
	*testing.T
	store vault.Store
	open  func() vault.Store
}

// sortedNames returns the mixed names that no other name lies below, since no vault
// uses the others.
func sortedNames() []string {
	names := slices.DeleteFunc(slices.Clone(mixedNames), func(name string) bool {
		return slices.ContainsFunc(mixedNames, func(n string) bool { return strings.HasPrefix(n, name+"/") })
	})
	slices.Sort(names)
	return names
}

func (s *suite) put(name string, revision int64, data string) int64 {
	s.Helper()
	written, err := s.store.Put(s.Context(), vault.Record{Name: name, Data: []byte(data), Revision: revision})
	if err != nil {
		s.Fatalf("Put of %.60s: %v", name, err)
	}
	if written <= 0 {
		s.Fatalf("Put of %.60s returned revision %d, want a positive one", name, written)
	}
	if got := s.revision(name); got != written {
		s.Fatalf("Put of %.60s returned revision %d, but Get %d", name, written, got)
	}
	return written
}

func (s *suite) get(name string) (vault.Record, bool) {
	s.Helper()
	records, err := s.store.Get(s.Context(), name)
	if err != nil {
		s.Fatalf("Get of %.60s: %v", name, err)
	}
	if len(records) == 0 {
		return vault.Record{}, false
	}
	if len(records) > 1 || records[0].Name != name || records[0].Revision <= 0 {
		s.Fatalf("Get of %.60s returned %d records, the first with revision %d", name, len(records), records[0].Revision)
	}
	return records[0], true
}

func (s *suite) revision(name string) int64 {
	s.Helper()
	r, ok := s.get(name)
	if !ok {
		s.Fatalf("record %.60s is gone", name)
	}
	return r.Revision
}

func (s *suite) holds(name, data string) {
	s.Helper()
	r, ok := s.get(name)
	switch {
	case !ok:
		s.Errorf("record %.60s is gone", name)
	case string(r.Data) != data:
		s.Errorf("record %.60s holds %d other bytes than the %d it should", name, len(r.Data), len(data))
	}
}

func (s *suite) absent(name string) {
	s.Helper()
	if _, ok := s.get(name); ok {
		s.Errorf("record %.60s exists", name)
	}
}

func (s *suite) conflict(err error, call string) {
	s.Helper()
	if !errors.Is(err, vault.ErrConflict) {
		s.Errorf("%s: error %v, want vault.ErrConflict", call, err)
	}
}

func (s *suite) list(prefix, after string, want ...string) {
	s.Helper()
	var got []string
	for name, err := range s.store.List(s.Context(), prefix, after) {
		if err != nil {
			s.Fatalf("List(%q, %q): %v", prefix, after, err)
		}
		got = append(got, name)
	}
	if !slices.Equal(got, want) {
		s.Errorf("List(%.60q, %.60q)\nyielded %.60q\nwant    %.60q", prefix, after, got, want)
	}
}

// together runs n goroutines and waits for all.
func (s *suite) together(n int, do func(i int) error) {
	s.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = do(i) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		s.Fatal(err)
	}
}

// random returns the same numbers in every run, so that a failed check can be
// repeated.
func random() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func randomBytes(n int) []byte {
	b, r := make([]byte, n), random()
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}
