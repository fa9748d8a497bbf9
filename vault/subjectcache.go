package vault

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A subjectCache keeps the opened keys of a purpose's subjects, for a bounded time
// and in a bounded number. Each of its shards has a lock: behind a single lock, two
// cores would do the work of one.
type subjectCache struct {
	seed           maphash.Seed
	clock          *clock
	lifetime       time.Duration
	grace          time.Duration // how much longer an answer may be relied on while the store is down
	erasedLifetime time.Duration // how long an erasure by this process is remembered
	perShard       int
	shards         [64]subjectShard
}

type subjectShard struct {
	mu sync.RWMutex
	// entries are the answers of the store.
	entries map[string]subjectEntry
	// erased holds, for each subject that this process erased, until when to
	// remember the erasure. By then every answer that the store gave before the
	// erasure has expired, so no such answer outlives the memory of the erasure.
	erased  map[string]moment
	sweepAt int // size of erased that makes erase remove entries that are over

	_ [64]byte // shards do not share cache lines
}

// A subjectEntry is an answer of the store: the key of a subject, or nil if the
// subject is erased. It is valid until it expires.
type subjectEntry struct {
	key     *subjectKey
	expires moment
}

// newSubjectCache returns a cache for about the given number of entries. A call to
// the store ends within timeout.
func newSubjectCache(clock *clock, entries int, lifetime, grace, timeout time.Duration) *subjectCache {
	// An erasure is remembered for longer than an answer may be on its way, and an
	// operation may wait for its other slots.
	c := &subjectCache{
		seed: maphash.MakeSeed(), clock: clock, lifetime: lifetime, grace: grace,
		erasedLifetime: lifetime + grace + format.MaxSlots*timeout,
	}
	c.perShard = max(1, entries/len(c.shards))
	return c
}

// get returns the key of subject, or nil if the subject is erased. It reports in
// known whether the cache has a valid answer.
func (c *subjectCache) get(subject string) (key *subjectKey, known bool) {
	return c.getWithin(subject, 0)
}

// getOld is get while the store is down: an answer stays valid for the grace.
func (c *subjectCache) getOld(subject string) (key *subjectKey, known bool) {
	return c.getWithin(subject, c.grace)
}

func (c *subjectCache) getWithin(subject string, grace time.Duration) (key *subjectKey, known bool) {
	s := c.shard(subject)
	s.mu.RLock()
	e, found := s.entries[subject]
	until, erased := s.erased[subject]
	s.mu.RUnlock()
	if !found && !erased {
		return nil, false
	}
	now := c.clock.now()
	if erased && now < until {
		return nil, true
	}
	return e.key, found && now < e.expires+moment(grace)
}

// put keeps the answer of the store for subject, nil meaning erased. The answer's
// lifetime begins when the store was asked, since the answer may have been on its
// way for long.
func (c *subjectCache) put(subject string, key *subjectKey, asked moment) {
	s := c.shard(subject)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries == nil {
		s.entries = make(map[string]subjectEntry)
	}
	if _, found := s.entries[subject]; !found && len(s.entries) >= c.perShard {
		for victim := range s.entries { // any one
			delete(s.entries, victim)
			break
		}
	}
	s.entries[subject] = subjectEntry{key, asked + moment(c.lifetime)}
}

// erase makes every later get say that the subject is erased, and recentlyErased
// say it to operations that have the key already.
func (c *subjectCache) erase(subject string) {
	s := c.shard(subject)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.entries, subject)
	now := c.clock.exact()
	if len(s.erased) >= s.sweepAt {
		for subject, until := range s.erased {
			if now >= until {
				delete(s.erased, subject)
			}
		}
		s.sweepAt = max(64, 2*len(s.erased))
	}
	if s.erased == nil {
		s.erased = make(map[string]moment)
	}
	s.erased[subject] = now + moment(c.erasedLifetime)
}

// recentlyErased reports whether this process has erased subject lately.
func (c *subjectCache) recentlyErased(subject string) bool {
	s := c.shard(subject)
	s.mu.RLock()
	defer s.mu.RUnlock()
	until, erased := s.erased[subject]
	return erased && c.clock.now() < until
}

func (c *subjectCache) shard(subject string) *subjectShard {
	return &c.shards[maphash.String(c.seed, subject)%uint64(len(c.shards))]
}
