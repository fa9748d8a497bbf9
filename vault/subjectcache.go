package vault

import (
	"hash/maphash"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A subjectCache keeps the opened keys of a purpose's subjects, for a bounded time
// and in a bounded number. Reading takes no lock: behind a lock, even one of readers, two
// cores that work for one subject would do the work of one. Each shard has a lock for
// writing.
type subjectCache struct {
	seed           maphash.Seed
	clock          *clock
	lifetime       time.Duration
	grace          time.Duration // how much longer an answer may be relied on while the store is down
	erasedLifetime time.Duration // how long an erasure by this process is remembered
	perShard       int
	erasures       atomic.Bool // set by the first erasure; until then no shard has one
	shards         [64]subjectShard
}

type subjectShard struct {
	// entries are the answers of the store: of the subject to its *subjectEntry, which
	// never changes.
	entries sync.Map
	// graves is the number of subjects in erased, so that reading needs no lock while
	// there are none.
	graves atomic.Int64

	mu sync.RWMutex // held while something of the following is read
	// names are the subjects in entries.
	names []string
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
	// The entry is read before the graves: an erasure that is complete is seen, whatever
	// entry is stored meanwhile.
	e := s.find(subject)
	until, erased := s.erasedUntil(subject)
	if e == nil && !erased {
		return nil, false
	}
	now := c.clock.now()
	if erased && now < until {
		return nil, true
	}
	if e == nil {
		return nil, false
	}
	return e.key, now < e.expires+moment(grace)
}

// find returns the entry of subject, nil if there is none.
func (s *subjectShard) find(subject string) *subjectEntry {
	e, _ := s.entries.Load(subject)
	entry, _ := e.(*subjectEntry)
	return entry
}

// erasedUntil reports whether this process erased subject, and until when to remember it.
func (s *subjectShard) erasedUntil(subject string) (until moment, erased bool) {
	if s.graves.Load() == 0 {
		return 0, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	until, erased = s.erased[subject]
	return until, erased
}

// put keeps the answer of the store for subject, nil meaning erased. The answer's
// lifetime begins when the store was asked, since the answer may have been on its
// way for long.
func (c *subjectCache) put(subject string, key *subjectKey, asked moment) {
	s := c.shard(subject)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.find(subject) == nil {
		if len(s.names) < c.perShard {
			s.names = append(s.names, subject)
		} else { // makes room by any one
			i := rand.IntN(len(s.names))
			s.entries.Delete(s.names[i])
			s.names[i] = subject
		}
	}
	s.entries.Store(subject, &subjectEntry{key, asked + moment(c.lifetime)})
}

// erase makes every later get say that the subject is erased, and recentlyErased
// say it to operations that have the key already.
func (c *subjectCache) erase(subject string) {
	s := c.shard(subject)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.find(subject) != nil {
		s.entries.Store(subject, &subjectEntry{nil, math.MinInt64 / 2}) // expired; it keeps its place in names
	}
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
	s.graves.Store(int64(len(s.erased)))
	c.erasures.Store(true)
}

// recentlyErased reports whether this process has erased subject lately.
func (c *subjectCache) recentlyErased(subject string) bool {
	if !c.erasures.Load() { // the usual case needs no hash of the subject
		return false
	}
	until, erased := c.shard(subject).erasedUntil(subject)
	return erased && c.clock.now() < until
}

func (c *subjectCache) shard(subject string) *subjectShard {
	return &c.shards[maphash.String(c.seed, subject)%uint64(len(c.shards))]
}
