package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/onlyfor/onlyfor/vault"
)

// replacer returns the store as a BatchReplacer, or skips the check: Replace is optional.
func (s *suite) replacer() vault.BatchReplacer {
	s.Helper()
	r, ok := s.store.(vault.BatchReplacer)
	if !ok {
		s.Skip("the store is no vault.BatchReplacer")
	}
	return r
}

// replaceMany replaces more records than any statement would have, most of them current.
func replaceMany(s *suite) {
	store := s.replacer()
	revisions, err := store.Replace(s.Context())
	if err != nil || len(revisions) != 0 {
		s.Errorf("Replace of nothing returned %v, error %v", revisions, err)
	}
	const n = 600
	var records []vault.Record
	for i := range n {
		name := fmt.Sprintf("many/%03d", (i*7)%n) // not in order
		revision, err := s.store.Put(s.Context(), vault.Record{Name: name, Data: []byte("old")})
		if err != nil {
			s.Fatalf("Put: %v", err)
		}
		records = append(records, vault.Record{Name: name, Data: append([]byte("new\xff\x00'"), name...), Revision: revision})
	}
	stale := map[int]bool{0: true, 1: true, 255: true, 300: true, n - 1: true}
	for i := range stale { // another process was there
		if _, err := s.store.Put(s.Context(), vault.Record{Name: records[i].Name, Data: []byte("other"), Revision: records[i].Revision}); err != nil {
			s.Fatalf("Put: %v", err)
		}
	}
	records = append(records, vault.Record{Name: "many/absent", Data: []byte("x"), Revision: 1})
	given := slices.Clone(records)
	revisions, err = store.Replace(s.Context(), records...)
	if err != nil || len(revisions) != len(records) {
		s.Fatalf("Replace returned %d revisions for %d records, error %v", len(revisions), len(records), err)
	}
	for i, r := range records {
		if r.Name != given[i].Name || r.Revision != given[i].Revision {
			s.Fatal("Replace changed the caller's records")
		}
		switch {
		case r.Name == "many/absent":
			s.absent(r.Name)
		case stale[i]:
			s.holds(r.Name, "other")
		default:
			s.holds(r.Name, string(r.Data))
			if got := s.revision(r.Name); got != revisions[i] || got == r.Revision || got <= 0 {
				s.Errorf("Replace returned revision %d for %s, which had %d, but Get %d", revisions[i], r.Name, r.Revision, got)
			}
			continue
		}
		if revisions[i] != 0 {
			s.Errorf("Replace returned revision %d for record %d, which it must not write", revisions[i], i)
		}
	}
	// The old revisions do not come back.
	again, err := store.Replace(s.Context(), records...)
	if err != nil || len(again) != len(records) || slices.Max(again) != 0 {
		s.Errorf("a second Replace with the same revisions wrote records, error %v", err)
	}
	// One record, and large ones.
	big := randomBytes(vault.MaxRecord)
	var large []vault.Record
	for i, r := range records[2:5] {
		large = append(large, vault.Record{Name: r.Name, Data: big[i:], Revision: revisions[i+2]})
	}
	revisions, err = store.Replace(s.Context(), large...)
	if err != nil || len(revisions) != 3 || slices.Min(revisions) <= 0 {
		s.Fatalf("Replace of large records returned %v, error %v", revisions, err)
	}
	for _, r := range large {
		s.holds(r.Name, string(r.Data))
	}
	copy(large[0].Data, "XXXX")
	s.holds(large[1].Name, string(randomBytes(vault.MaxRecord)[1:])) // Replace did not keep the slices
}

// replaceRefuses calls Replace with one bad argument beside a good one, which must stay.
func replaceRefuses(s *suite) {
	store := s.replacer()
	good := vault.Record{Name: "security/keys", Data: []byte("new"), Revision: s.put("security/keys", 0, "kept")}
	other := vault.Record{Name: "security/other", Data: []byte("new"), Revision: s.put("security/other", 0, "kept")}
	for what, bad := range map[string]vault.Record{
		"a new record":        {Name: "security/new", Data: []byte("x")},
		"a negative revision": {Name: other.Name, Data: []byte("x"), Revision: -1},
		"no data":             {Name: other.Name, Revision: other.Revision},
		"too much data":       {Name: other.Name, Data: make([]byte, vault.MaxRecord+1), Revision: other.Revision},
		"a malformed name":    {Name: "../a", Data: []byte("x"), Revision: 1},
		"a name of 201 bytes": {Name: strings.Repeat("a", 201), Data: []byte("x"), Revision: 1},
		"one name twice":      good,
	} {
		for _, records := range [][]vault.Record{{good, bad}, {bad, good}} {
			if _, err := store.Replace(s.Context(), records...); !errors.Is(err, vault.ErrInvalid) {
				s.Errorf("Replace of %s: error %v, want vault.ErrInvalid", what, err)
			}
		}
	}
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	_, err := store.Replace(ctx, good, other)
	if err == nil || errors.Is(err, vault.ErrConflict) || errors.Is(err, vault.ErrNoKeys) || errors.Is(err, vault.ErrInvalid) || errors.Is(err, vault.ErrCorrupt) {
		s.Errorf("Replace with a cancelled context: error %v, want one that says so", err)
	}
	s.absent("security/new")
	s.holds(good.Name, "kept")
	s.holds(other.Name, "kept")
}

// replaceRaces replaces overlapping records from several handles, in different orders: each
// revision of a record is replaced once, and no caller waits for ever.
func replaceRaces(s *suite) {
	s.replacer()
	const records, goroutines, rounds = 20, 4, 5
	for i := range records {
		s.put(fmt.Sprintf("race/%02d", i), 0, "0")
	}
	var written atomic.Int64
	handles := []vault.Store{s.open(), s.open()}
	s.together(goroutines, func(i int) error {
		store := handles[i%2].(vault.BatchReplacer)
		names := make([]string, records)
		for j := range names {
			names[j] = fmt.Sprintf("race/%02d", (j*(2*i+1))%records) // 1, 3, 7 and 9 have an inverse
			if i == 2 {
				names[j] = fmt.Sprintf("race/%02d", records-1-j)
			}
		}
		for range rounds {
			now, err := store.Get(s.Context(), names...)
			if err != nil {
				return err
			}
			for j := range now {
				n, err := strconv.Atoi(string(now[j].Data))
				if err != nil {
					return err
				}
				now[j].Data = []byte(strconv.Itoa(n + 1))
			}
			if i%2 == 0 {
				slices.Reverse(now)
			}
			revisions, err := store.Replace(s.Context(), now...)
			if err != nil {
				return err
			}
			for _, r := range revisions {
				if r != 0 {
					written.Add(1)
				}
			}
		}
		return nil
	})
	sum := 0
	for i := range records {
		r, _ := s.get(fmt.Sprintf("race/%02d", i))
		n, err := strconv.Atoi(string(r.Data))
		if err != nil {
			s.Fatal(err)
		}
		sum += n
	}
	// A record that was replaced again before its writer looked may count for nobody.
	if int64(sum) < written.Load() || sum == 0 {
		s.Errorf("records were replaced %d times, and callers were told of %d", sum, written.Load())
	}
}
