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
	names   sortedNames // of the records
	last    int64       // the last revision, counted across all names and never set back
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
	if r.Revision == 0 {
		m.names.add(r.Name)
	}
	m.records[r.Name] = Record{r.Name, slices.Clone(r.Data), m.last}
	return m.last, nil
}

// Replace implements [BatchReplacer].
func (m *memory) Replace(ctx context.Context, records ...Record) ([]int64, error) {
	if err := checkReplace(records); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, memoryDone(err)
	}
	revisions := make([]int64, len(records))
	for i, r := range records {
		if m.records[r.Name].Revision == r.Revision {
			m.last++
			m.records[r.Name] = Record{r.Name, slices.Clone(r.Data), m.last}
			revisions[i] = m.last
		}
	}
	return revisions, nil
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
		last := after // the loop may come a second time
		for size := 1; ctx.Err() == nil; size = min(4*size, memoryPage) {
			page := m.page(prefix, last, size)
			for _, name := range page {
				if ctx.Err() != nil {
					break
				}
				if !yield(name, nil) {
					return
				}
				last = name
			}
			if len(page) < size {
				break
			}
		}
		if err := ctx.Err(); err != nil {
			yield("", memoryDone(err))
		}
	}
}

// memoryPage is the largest number of names that List copies at a time. Its first pages
// are smaller, for callers that take one name.
const memoryPage = 1024

// page returns a copy of the first names with the given prefix that sort after the name
// after, at most size, so that the store can be used while a List goes on.
func (m *memory) page(prefix, after string, size int) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	page := make([]string, 0, size)
	for name := range m.names.from(max(prefix, after)) {
		if name <= after {
			continue
		}
		if !strings.HasPrefix(name, prefix) || len(page) == size {
			break
		}
		page = append(page, name)
	}
	return page
}

// sortedNames is a list of distinct names in order. It is kept in chunks, so that adding a
// name and finding one cost no walk over all names.
type sortedNames struct {
	chunks [][]string // none is empty
}

// maxChunk is the number of names that splits a chunk.
const maxChunk = 512

// chunk returns the number of the chunk that has the name, or would have it.
func (l *sortedNames) chunk(name string) int {
	i, found := slices.BinarySearchFunc(l.chunks, name, func(c []string, name string) int { return strings.Compare(c[0], name) })
	if found || i == 0 {
		return i
	}
	return i - 1
}

// add adds a name that is not in the list.
func (l *sortedNames) add(name string) {
	if len(l.chunks) == 0 {
		l.chunks = [][]string{{name}}
		return
	}
	i := l.chunk(name)
	at, _ := slices.BinarySearch(l.chunks[i], name)
	l.chunks[i] = slices.Insert(l.chunks[i], at, name)
	if n := len(l.chunks[i]); n >= maxChunk {
		upper := slices.Clone(l.chunks[i][n/2:])
		clear(l.chunks[i][n/2:])
		l.chunks[i] = l.chunks[i][:n/2]
		l.chunks = slices.Insert(l.chunks, i+1, upper)
	}
}

// from yields the names that do not sort before name.
func (l *sortedNames) from(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := l.chunk(name); i < len(l.chunks); i++ {
			at, _ := slices.BinarySearch(l.chunks[i], name)
			for _, next := range l.chunks[i][at:] {
				if !yield(next) {
					return
				}
			}
		}
	}
}

func memoryDone(err error) error {
	return fmt.Errorf("key store in memory: %w: %w", err, ErrUnavailable)
}
