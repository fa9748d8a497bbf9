package vault

import (
	"sync"
	"sync/atomic"
	"time"
)

// A moment is a reading of a [clock], in nanoseconds. Moments of one clock are
// compared with each other and with nothing else.
type moment = int64

// A clock measures how long keys have been in use. Its readings never go back, and pass
// at least as fast as both clocks of the machine: the monotonic clock stands still while
// the machine is suspended, and the wall clock can be set back.
//
// Every operation reads the clock. Reading those of the machine costs up to a fifth of
// an index, so a reading is used again for clockLag of the machine's waking time. An
// operation can be suspended after any reading, so this adds nothing new.
type clock struct {
	// The last reading, nil once it is older than clockLag. A timer writes to it at any
	// time, so it is behind a pointer that reflection can't follow: a test that prints
	// a difference of two scopes must not read it.
	recent atomic.Pointer[atomic.Pointer[reading]]

	mu   sync.Mutex
	read func() (wall, monotonic time.Duration) // the clocks of the machine
	wall time.Duration                          // at the last reading
	mono time.Duration
	at   moment // the last reading
}

// A reading has the time of a clock, and the date, in Unix seconds.
type reading struct {
	at   moment
	date int64
}

const clockLag = 10 * time.Millisecond

func newClock() *clock {
	start := time.Now()
	c := &clock{at: 1, read: func() (wall, monotonic time.Duration) {
		now := time.Now()
		return now.Round(0).Sub(start.Round(0)), now.Sub(start)
	}}
	c.wall, c.mono = c.read()
	c.recent.Store(new(atomic.Pointer[reading]))
	return c
}

// now returns the time, at most clockLag late.
func (c *clock) now() moment {
	if r := c.recent.Load().Load(); r != nil {
		return r.at
	}
	return c.exact()
}

// date returns the time of day in whole seconds, at most clockLag late. To read the clock of
// the machine for each value would take an eighth of a seal.
func (c *clock) date() time.Time {
	r := c.recent.Load().Load()
	if r == nil {
		c.exact()
		return time.Now()
	}
	return time.Unix(r.date, 0)
}

// exact returns the time.
func (c *clock) exact() moment {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, mono := c.read()
	c.at += moment(max(wall-c.wall, mono-c.mono, 0))
	c.wall, c.mono = wall, mono
	recent := c.recent.Load()
	if recent.Swap(&reading{c.at, time.Now().Unix()}) == nil {
		// The timer holds the reading alone. It is short, so that an idle
		// process looks at the clocks of the machine.
		time.AfterFunc(clockLag, func() { recent.Store(nil) })
	}
	return c.at
}
