package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/onlyfor/onlyfor/vault"
)

// concurrentUpdates counts in one record from many goroutines on two handles.
// A store that compares and writes in two steps loses some.
func concurrentUpdates(s *suite) {
	s.put("counter", 0, "0")
	const goroutines, each = 16, 10
	handles := []vault.Store{s.open(), s.open()}
	s.together(goroutines, func(i int) error {
		for range each {
			if err := increment(s.Context(), handles[i%2], "counter"); err != nil {
				return err
			}
		}
		return nil
	})
	s.holds("counter", strconv.Itoa(goroutines*each))
}

func increment(ctx context.Context, store vault.Store, name string) error {
	for {
		records, err := store.Get(ctx, name)
		if err != nil {
			return err
		}
		if len(records) != 1 {
			return fmt.Errorf("the record was gone for a moment: Get returned %d", len(records))
		}
		r := records[0]
		n, err := strconv.Atoi(string(r.Data))
		if err != nil {
			return errors.New("the record held something else for a moment")
		}
		r.Data = []byte(strconv.Itoa(n + 1))
		if _, err = store.Put(ctx, r); !errors.Is(err, vault.ErrConflict) {
			return err
		}
	}
}

func concurrentCreate(s *suite) {
	for round := range 10 {
		name := "race/" + strconv.Itoa(round)
		var mu sync.Mutex
		var winners []string
		handles := []vault.Store{s.open(), s.open()}
		s.together(8, func(i int) error {
			data := "from " + strconv.Itoa(i)
			_, err := handles[i%2].Put(s.Context(), vault.Record{Name: name, Data: []byte(data)})
			if errors.Is(err, vault.ErrConflict) {
				return nil
			}
			mu.Lock()
			winners = append(winners, data)
			mu.Unlock()
			return err
		})
		if len(winners) != 1 {
			s.Fatalf("%d of 8 goroutines created the same record", len(winners))
		}
		s.holds(name, winners[0])
	}
}

// wholeRecords reads while others write contents of different lengths, each of
// one repeated byte.
func wholeRecords(s *suite) {
	content := func(i int) []byte { return bytes.Repeat([]byte{'a' + byte(i%26)}, 1+i%26*3000) }
	_, err := s.store.Put(s.Context(), vault.Record{Name: "whole/record", Data: content(0)})
	if err != nil {
		s.Fatalf("Put: %v", err)
	}
	ctx, cancel := context.WithTimeout(s.Context(), 5*time.Minute) // against a store that hangs
	defer cancel()
	written := make(chan struct{})
	s.together(5, func(i int) error {
		store := s.open()
		if i == 0 {
			defer close(written)
			for n := range 60 {
				records, err := store.Get(ctx, "whole/record")
				if err != nil || len(records) != 1 {
					return fmt.Errorf("got %d records, error %v", len(records), err)
				}
				records[0].Data = content(n)
				if _, err := store.Put(ctx, records[0]); err != nil {
					return fmt.Errorf("putting: %w", err)
				}
			}
			return nil
		}
		for {
			select {
			case <-written:
				return nil
			default:
			}
			records, err := store.Get(ctx, "whole/record")
			if err != nil || len(records) != 1 {
				return fmt.Errorf("during Put, Get returned %d records, error %v", len(records), err)
			}
			data := records[0].Data
			if len(data) == 0 || !bytes.Equal(data, content(int(data[0]-'a'))) {
				return errors.New("during Put, Get returned parts of two contents")
			}
		}
	})
}

func handles(s *suite) {
	a, b := &suite{T: s.T, store: s.open()}, &suite{T: s.T, store: s.open()}
	b.absent("security/keys")
	first := a.put("security/keys", 0, "from a")
	b.holds("security/keys", "from a")
	second := b.put("security/keys", first, "from b")
	a.holds("security/keys", "from b")
	_, err := a.store.Put(s.Context(), vault.Record{Name: "security/keys", Data: []byte("stale"), Revision: first})
	s.conflict(err, "Put over another handle's change")
	a.list("", "", "security/keys")
	a.put("security/keys", second, "from a again")
	b.holds("security/keys", "from a again")
}
