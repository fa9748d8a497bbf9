package storetest

import (
	"slices"
	"strconv"

	"github.com/onlyfor/onlyfor/vault"
)

func emptyStore(s *suite) {
	s.absent("security/keys")
	s.list("", "")
	s.conflict(s.store.Delete(s.Context(), "security/keys", 1), "Delete of a record that never was")
	_, err := s.store.Put(s.Context(), vault.Record{Name: "security/keys", Data: []byte("x"), Revision: 1})
	s.conflict(err, "Put over a record that never was")
	s.absent("security/keys")
	if records, err := s.store.Get(s.Context()); err != nil || len(records) != 0 {
		s.Fatalf("Get without names: %d records, error %v; want none of either", len(records), err)
	}
}

func putGet(s *suite) {
	for _, name := range []string{"a", "0", "security/keys", "security/subjects/4f/0a-1", "a-/b--c"} {
		s.put(name, 0, "data of "+name)
	}
	for _, name := range []string{"a", "0", "security/keys", "security/subjects/4f/0a-1", "a-/b--c"} {
		s.holds(name, "data of "+name)
	}
}

func getMany(s *suite) {
	for _, name := range []string{"ads/keys", "billing/keys", "security/keys"} {
		s.put(name, 0, name)
	}
	records, err := s.store.Get(s.Context(), "security/keys", "none/keys", "ads/keys", "security/none")
	if err != nil {
		s.Fatalf("Get: %v", err)
	}
	var names []string
	for _, r := range records {
		names = append(names, r.Name)
		if string(r.Data) != r.Name || r.Revision <= 0 {
			s.Errorf("Get of several: record %s has data %q and revision %d", r.Name, r.Data, r.Revision)
		}
	}
	slices.Sort(names)
	if want := []string{"ads/keys", "security/keys"}; !slices.Equal(names, want) {
		s.Errorf("Get of several returned %q, want %q", names, want)
	}
}

func replace(s *suite) {
	first := s.put("security/keys", 0, "one")
	second := s.put("security/keys", first, "two")
	if first == second {
		s.Errorf("two contents have revision %d", first)
	}
	for _, stale := range []int64{first, second + 1, second ^ 1<<62, 1<<63 - 1} {
		if stale <= 0 || stale == second {
			continue
		}
		_, err := s.store.Put(s.Context(), vault.Record{Name: "security/keys", Data: []byte("stale"), Revision: stale})
		s.conflict(err, "Put over a revision that is not current")
		s.holds("security/keys", "two")
	}
	// The same bytes again are a new content nevertheless: someone who holds
	// the old revision has to hear that the record was written.
	if third := s.put("security/keys", second, "two"); third == second {
		s.Errorf("Put of the same data kept revision %d", second)
	}
}

func create(s *suite) {
	s.put("security/keys", 0, "one")
	_, err := s.store.Put(s.Context(), vault.Record{Name: "security/keys", Data: []byte("two")})
	s.conflict(err, "Put of revision 0 over a record")
	s.holds("security/keys", "one")
}

func remove(s *suite) {
	first := s.put("security/keys", 0, "one")
	second := s.put("security/keys", first, "two")
	s.conflict(s.store.Delete(s.Context(), "security/keys", first), "Delete of a stale revision")
	s.holds("security/keys", "two")
	if err := s.store.Delete(s.Context(), "security/keys", second); err != nil {
		s.Fatalf("Delete: %v", err)
	}
	s.absent("security/keys")
	s.list("", "")
	s.conflict(s.store.Delete(s.Context(), "security/keys", second), "Delete of a deleted record")
	_, err := s.store.Put(s.Context(), vault.Record{Name: "security/keys", Data: []byte("three"), Revision: second})
	s.conflict(err, "Put over a deleted record")
	s.absent("security/keys")

	for _, revision := range []int64{0, -1} {
		s.put("never/"+strconv.Itoa(int(1+revision)), 0, "x")
		if err := s.store.Delete(s.Context(), "never/"+strconv.Itoa(int(1+revision)), revision); err == nil {
			s.Errorf("Delete of revision %d succeeded", revision)
		}
		s.holds("never/"+strconv.Itoa(int(1+revision)), "x")
	}
}

// revisions is the check that a revision counted from 1 for each new record
// fails: whoever read the record before it was deleted and made again could
// replace the new one unseen.
func revisions(s *suite) {
	seen := map[int64]bool{}
	note := func(revision int64) int64 {
		if seen[revision] {
			s.Fatalf("revision %d was used twice", revision)
		}
		seen[revision] = true
		return revision
	}
	first := note(s.put("security/keys", 0, "x"))
	for range 8 {
		last := note(s.put("security/keys", s.revision("security/keys"), "x"))
		if err := s.store.Delete(s.Context(), "security/keys", last); err != nil {
			s.Fatalf("Delete: %v", err)
		}
		note(s.put("security/keys", 0, "x"))
	}
	_, err := s.store.Put(s.Context(), vault.Record{Name: "security/keys", Data: []byte("y"), Revision: first})
	s.conflict(err, "Put over a revision from before a Delete")
	s.conflict(s.store.Delete(s.Context(), "security/keys", first), "Delete of a revision from before a Delete")
	s.holds("security/keys", "x")
}

func neighbours(s *suite) {
	names := []string{"security/keys", "security/keys-old", "security-2/keys", "securit/keys", "security/keys0", "security/key"}
	revisions := map[string]int64{}
	for _, name := range names {
		revisions[name] = s.put(name, 0, name)
	}
	s.put("security/keys", revisions["security/keys"], "changed")
	for _, name := range names[1:] {
		s.holds(name, name)
	}
	if err := s.store.Delete(s.Context(), "security/key", revisions["security/key"]); err != nil {
		s.Fatalf("Delete: %v", err)
	}
	s.holds("security/keys", "changed")
	for _, name := range names[1:5] {
		s.holds(name, name)
	}
}
