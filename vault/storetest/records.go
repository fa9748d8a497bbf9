package storetest

import (
	"slices"

	"github.com/onlyfor/onlyfor/vault"
)

func emptyStore(s *suite) {
	s.absent("security/keys")
	s.list("", "")
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

// revisions finds a store that counts the lengths of contents, or begins to count
// again: a process that read the record earlier could replace a newer one.
func revisions(s *suite) {
	seen := map[int64]bool{}
	current := int64(0)
	for range 16 {
		current = s.put("security/keys", current, "x")
		if seen[current] {
			s.Fatalf("revision %d was used twice", current)
		}
		seen[current] = true
	}
	for revision := range seen {
		if revision != current {
			_, err := s.store.Put(s.Context(), vault.Record{Name: "security/keys", Data: []byte("y"), Revision: revision})
			s.conflict(err, "Put over a revision that was replaced")
		}
	}
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
	s.holds("security/keys", "changed")
}
