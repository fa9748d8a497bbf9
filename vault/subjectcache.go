package vault

import (
	"hash/maphash"
	"sync"
	"time"
)

// A subjectCache keeps the opened keys of a purpose's subjects for a bounded
// time and in a bounded number. It has many locks, for with one lock two cores
// would do the work of one.
type subjectCache struct {
	seed           maphash.Seed
	lifetime       time.Duration
	erasedLifetime time.Duration // how long an erasure by this process is remembered
	perShard       int
	shards         [64]subjectShard
}

type subjectShard struct {
	mu sync.RWMutex
	// entries are what the store said.
	entries map[string]subjectEntry
	// erased are until when to remember that this process erased a subject. What
	// was asked before that time is no longer believed after it, so nothing that
	// the store said before an erasure outlives it.
	erased  map[string]time.Time
	sweepAt int // size of erased at which to look for what is over

	_ [64]byte // shards do not share cache lines
}

// A subjectEntry is what the store said: a key, or nil if the subject is
// erased. It is believed until it expires.
type subjectEntry struct {
	key     *subjectKey
	expires time.Time
}

func newSubjectCache(entries int, lifetime, timeout time.Duration) *subjectCache {
	// Longer than any answer may be on its way, and any operation wait for others.
	c := &subjectCache{seed: maphash.MakeSeed(), lifetime: lifetime, erasedLifetime: lifetime + MaxSlots*timeout}
	c.perShard = max(1, entries/len(c.shards))
	return c
}

func (c *subjectCache) shard(subject string) *subjectShard {
	return &c.shards[maphash.String(c.seed, subject)%uint64(len(c.shards))]
}

// get returns what is known of subject: its key, or nil if it is erased.
func (c *subjectCache) get(subject string) (key *subjectKey, known bool) {
	s := c.shard(subject)
	s.mu.RLock()
	e, found := s.entries[subject]
	until, erased := s.erased[subject]
	s.mu.RUnlock()
	if !found && !erased {
		return nil, false
	}
	now := time.Now()
	if erased && now.Before(until) {
		return nil, true
	}
	return e.key, found && now.Before(e.expires)
}

// wasErased reports whether this process has erased subject lately.
func (c *subjectCache) recentlyErased(subject string) bool {
	s := c.shard(subject)
	s.mu.RLock()
	defer s.mu.RUnlock()
	until, erased := s.erased[subject]
	return erased && time.Now().Before(until)
}

// put remembers what the store, asked at the given time, said of subject. The
// time it is believed for begins with the question: the answer may have been
// long on its way.
func (c *subjectCache) put(subject string, key *subjectKey, asked time.Time) {
	s := c.shard(subject)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries == nil {
		s.entries = make(map[string]subjectEntry)
	}
	if _, found := s.entries[subject]; !found && len(s.entries) >= c.perShard {
		for victim := range s.entries { // whichever comes first
			delete(s.entries, victim)
			break
		}
	}
	s.entries[subject] = subjectEntry{key, asked.Add(c.lifetime)}
}

// erase makes every later get, and wasErased for those that have the key already,
// say that the subject is erased.
func (c *subjectCache) erase(subject string) {
	s := c.shard(subject)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.entries, subject)
	now := time.Now()
	if len(s.erased) >= s.sweepAt {
		for subject, until := range s.erased {
			if !now.Before(until) {
				delete(s.erased, subject)
			}
		}
		s.sweepAt = max(64, 2*len(s.erased))
	}
	if s.erased == nil {
		s.erased = make(map[string]time.Time)
	}
	s.erased[subject] = now.Add(c.erasedLifetime)
}
