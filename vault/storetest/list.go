package storetest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// mixedNames are names that other orders confuse: a walk through a file tree
// yields a/x before a-b/x, and so may a collation that ignores punctuation.
var mixedNames = []string{
	"0", "0-0", "0/0", "00", "9/z",
	"a", "a--/x", "a-/x", "a-b", "a-b-c/x", "a-b/c", "a-b/c-d", "a-b0/x", "a/b-/x", "a/b-c", "a/b-c/d", "a/b/c", "a/b/c-", "a/b0", "a0/x", "aa-b", "aa/b",
	"b/10", "b/2", "b/9",
	"security-2/keys", "security/keys", "security/subjects-/0", "security/subjects/0", "security/subjects/00", "security/subjects0/0",
	"z-z/z", "z/z", "z0/z", "zz",
}

func listOrder(s *suite) {
	shuffled := sortedNames()
	random().Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	for _, name := range shuffled {
		s.put(name, 0, "x")
	}
	s.list("", "", sortedNames()...)
}

func listRange(s *suite) {
	all := sortedNames()
	for _, name := range all {
		s.put(name, 0, "x")
	}
	bounds := slices.Concat(mixedNames, []string{
		"", "-", "/", "1", "a/", "a-b/", "a/b/", "b/", "b/1", "security", "security/", "security/subjects/", "securityz", "~", "zzz", "a/b-b", "a.", "A", "\xff", "\x00", ".", "../", "a//", "a%", "a_",
	})
	for _, prefix := range bounds {
		for _, after := range bounds {
			var want []string
			for _, name := range all {
				if strings.HasPrefix(name, prefix) && name > after {
					want = append(want, name)
				}
			}
			s.list(prefix, after, want...)
		}
	}
}

func listMany(s *suite) {
	var want []string
	for i := range 300 {
		name := fmt.Sprintf("many/%03d", i)
		s.put(name, 0, "x")
		want = append(want, name)
	}
	s.list("", "", want...)
	s.list("many/", "many/149", want[150:]...)

	// Page by page, as a vault goes through them.
	var got []string
	for after := ""; ; {
		n := 0
		for name, err := range s.store.List(s.Context(), "many/", after) {
			if err != nil {
				s.Fatalf("List: %v", err)
			}
			got = append(got, name)
			after = name
			if n++; n == 7 {
				break
			}
		}
		if n == 0 {
			break
		}
	}
	if !slices.Equal(got, want) {
		s.Errorf("List in pages of 7 yielded %d names, want %d", len(got), len(want))
	}
}

func listReentrant(s *suite) {
	for i := range 20 {
		s.put(fmt.Sprintf("many/%02d", i), 0, "x")
	}
	for name, err := range s.store.List(s.Context(), "", "many/09") {
		if err != nil {
			s.Fatalf("List: %v", err)
		}
		if name != "many/10" {
			s.Fatalf("List after many/09 began with %s", name)
		}
		break
	}
	// A sequence may be gone through twice, and its loop may change records.
	seq := s.store.List(s.Context(), "many/", "")
	for round := range 2 {
		n := 0
		for name, err := range seq {
			if err != nil {
				s.Fatalf("List: %v", err)
			}
			s.put(name, s.revision(name), "round "+strconv.Itoa(round))
			n++
		}
		if n != 20 {
			s.Fatalf("List yielded %d names in round %d, want 20", n, round)
		}
	}
}
