package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/onlyfor/onlyfor/vault"
)

func sizes(s *suite) {
	for _, size := range []int{1, 2, 4095, 4096, 4097, 65535, 65536, vault.MaxRecord - 1, vault.MaxRecord} {
		data := randomBytes(size)
		name := fmt.Sprintf("size/%d", size)
		s.put(name, 0, string(data))
		s.holds(name, string(data))
	}
	revision := s.put("size/fixed", 0, "kept")
	for _, size := range []int{0, vault.MaxRecord + 1} {
		for _, r := range []vault.Record{
			{Name: "size/none", Data: make([]byte, size)},
			{Name: "size/fixed", Data: make([]byte, size), Revision: revision},
		} {
			if _, err := s.store.Put(s.Context(), r); err == nil {
				s.Errorf("Put of %d bytes succeeded", size)
			}
		}
	}
	s.absent("size/none")
	s.holds("size/fixed", "kept")
	if got := s.revision("size/fixed"); got != revision {
		s.Errorf("a refused Put changed the revision")
	}
}

func binary(s *suite) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for i, data := range []string{string(all), "\x00", "\r\n", "\xff\xfe", " ", strings.Repeat("\x00", 100)} {
		name := "binary/" + strconv.Itoa(i)
		s.put(name, 0, data)
		s.holds(name, data)
	}
}

func aliases(s *suite) {
	data := []byte("data")
	revision, err := s.store.Put(s.Context(), vault.Record{Name: "security/keys", Data: data})
	if err != nil {
		s.Fatalf("Put: %v", err)
	}
	if string(data) != "data" {
		s.Error("Put changed the caller's slice")
	}
	copy(data, "XXXX")
	s.holds("security/keys", "data") // Put did not keep the slice

	records, err := s.store.Get(s.Context(), "security/keys")
	if err != nil || len(records) != 1 {
		s.Fatalf("Get: %d records, error %v", len(records), err)
	}
	copy(records[0].Data, "YYYY")
	s.holds("security/keys", "data") // Get did not return the store's own
	_ = append(records[0].Data[:1], "ZZZ"...)
	s.holds("security/keys", "data")

	// A larger slice behind the given one stays the caller's.
	backing := []byte("onlyTHIS")
	s.put("security/keys", revision, string(backing))
	if _, err := s.store.Put(s.Context(), vault.Record{Name: "security/other", Data: backing[:4]}); err != nil {
		s.Fatalf("Put: %v", err)
	}
	if string(backing) != "onlyTHIS" {
		s.Error("Put wrote behind the caller's slice")
	}
	names := []string{"security/other", "security/keys"}
	if _, err := s.store.Get(s.Context(), names...); err != nil {
		s.Fatalf("Get: %v", err)
	}
	if names[0] != "security/other" || names[1] != "security/keys" {
		s.Error("Get changed the caller's names")
	}
}

func invalidNames(s *suite) {
	s.put("security/keys", 0, "kept")
	for _, name := range []string{
		"", "/", ".", "..", "-", "/a", "a/", "a//b", "a/./b", "../a", "a/../b", "a/..", "-a", "a/-b",
		"A", "a/B", "a b", "a_b", "a.b", "a.key", ".lock", ".tmp", "a\\b", "a:b", "a\x00", "a\n", "a%b", "a*", "a'b", "é", "\u212a", "\xff",
		strings.Repeat("a", 201), strings.Repeat("a", 100) + "/" + strings.Repeat("b", 100), strings.Repeat("a/", 5000) + "a",
	} {
		if _, err := s.store.Put(s.Context(), vault.Record{Name: name, Data: []byte("x")}); err == nil {
			s.Errorf("Put accepted the name %.60q", name)
		}
		if records, err := s.store.Get(s.Context(), name); err == nil && len(records) != 0 {
			s.Errorf("Get found a record named %.60q", name)
		}
		if records, err := s.store.Get(s.Context(), "security/keys", name); err == nil && len(records) > 1 {
			s.Errorf("Get found a record named %.60q", name)
		}
	}
	s.list("", "", "security/keys")
	s.holds("security/keys", "kept")
}

func longNames(s *suite) {
	names := []string{
		strings.Repeat("a", 200),
		strings.Repeat("b", 100) + "/" + strings.Repeat("c", 99),
		strings.Repeat("d/", 99) + "dd",
	}
	for i, name := range names {
		s.put(name, 0, strconv.Itoa(i))
	}
	for i, name := range names {
		s.holds(name, strconv.Itoa(i))
	}
	s.list("", "", names...)
}

func cancelled(s *suite) {
	revision := s.put("security/keys", 0, "kept")
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	_, getErr := s.store.Get(ctx, "security/keys")
	_, putErr := s.store.Put(ctx, vault.Record{Name: "security/keys", Data: []byte("x"), Revision: revision})
	_, createErr := s.store.Put(ctx, vault.Record{Name: "security/new", Data: []byte("x")})
	var listErr error
	for _, err := range s.store.List(ctx, "", "") {
		listErr = err
	}
	for call, err := range map[string]error{
		"Get": getErr, "Put": putErr, "Put of a new record": createErr, "List": listErr,
	} {
		// Anything but a decision counts as unavailable.
		if err == nil || errors.Is(err, vault.ErrConflict) || errors.Is(err, vault.ErrNoKeys) || errors.Is(err, vault.ErrInvalid) || errors.Is(err, vault.ErrCorrupt) {
			s.Errorf("%s with a cancelled context: error %v, want one that says so", call, err)
		}
	}
	s.holds("security/keys", "kept")
	s.absent("security/new")

	// Cancelled on the way: the error comes at most once and comes last.
	for i := range 5 {
		s.put("many/"+strconv.Itoa(i), 0, "x")
	}
	ctx, cancel = context.WithCancel(s.Context())
	defer cancel()
	names, errs := 0, 0
	for _, err := range s.store.List(ctx, "many/", "") {
		if errs > 0 {
			s.Fatal("List went on after an error")
		}
		if err != nil {
			errs++
		} else {
			names++
		}
		cancel()
	}
	if errs == 0 && names != 5 {
		s.Errorf("List was cut short after %d names without an error", names)
	}
}
