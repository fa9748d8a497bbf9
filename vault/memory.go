package vault

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
)

// Memory returns an empty store that ends with the process, for tests and
// experiments. It behaves like [Dir], except that a call of Get with several names
// sees all records at one moment.
func Memory() Store { return &memory{records: make(map[string]Record)} }

type memory struct {
	mu      sync.Mutex
	records map[string]Record
	last    int64 // the last revision, counted across all names and never set back
}

func (m *memory) Get(ctx context.Context, names ...string) ([]Record, error) {
	if err := checkGet(names); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, memoryDone(err)
	}
	var records []Record
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		if r, ok := m.records[name]; ok {
			r.Data = slices.Clone(r.Data)
			records = append(records, r)
		}
	}
	return records, nil
}

func (m *memory) Put(ctx context.Context, r Record) (int64, error) {
	if err := checkPut(r); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.compare(ctx, r.Name, r.Revision); err != nil {
		return 0, err
	}
	m.last++
	m.records[r.Name] = Record{r.Name, slices.Clone(r.Data), m.last}
	return m.last, nil
}

// compare returns ErrConflict unless the record has the given revision. It is called
// with the mutex held, and checks ctx there: the caller may have run out of time
// while it waited for the mutex.
func (m *memory) compare(ctx context.Context, name string, revision int64) error {
	if err := ctx.Err(); err != nil {
		return memoryDone(err)
	}
	if m.records[name].Revision != revision {
		return fmt.Errorf("key store in memory: record %s: %w", name, ErrConflict)
	}
	return nil
}

func (m *memory) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, name := range m.names(prefix, after) {
			if ctx.Err() != nil {
				break
			}
			if !yield(name, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield("", memoryDone(err))
		}
	}
}

// names returns a copy of the matching names, so that the store can be used while a
// List goes on.
func (m *memory) names(prefix, after string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.records {
		if strings.HasPrefix(name, prefix) && name > after {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func memoryDone(err error) error {
	return fmt.Errorf("key store in memory: %w: %w", err, ErrUnavailable)
}
