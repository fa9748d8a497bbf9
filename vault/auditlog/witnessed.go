package auditlog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A witnessCheck finds entries that a witness cosigned late or never, and cosignatures
// that say something else than the log does.
type witnessCheck struct {
	origin string
	report *Report
	// bound is the time within which an entry must be cosigned.
	bound     time.Duration
	witnesses []*witnessing
	// rootOf returns the hash of the first size entries, as the tiles have it.
	rootOf func(size int64) (tlog.Hash, bool)
	times  entryTimes
}

// A witnessing is the history of one witness.
type witnessing struct {
	verifier note.Verifier
	// ahead are cosigned heads that are known before their entries are read, by size.
	ahead []cosignedHead
	// heads are cosigned heads in no order, that are not evaluated yet.
	heads []cosignedHead
	// covered is the number of entries that the evaluated heads have, and since the time
	// of the entry behind them.
	covered int64
	since   time.Time
}

// A cosignedHead is a head that a witness cosigned at a time.
type cosignedHead struct {
	size int64
	at   time.Time
	// next is the time of the entry behind the head, zero if there is none.
	next time.Time
}

// newWitnessCheck returns nil without witnesses.
func newWitnessCheck(report *Report, opts *VerifyOptions, rootOf func(int64) (tlog.Hash, bool)) (*witnessCheck, error) {
	if len(opts.Witnesses) == 0 {
		return nil, nil
	}
	c := &witnessCheck{origin: report.Origin, report: report, bound: opts.Unwitnessed, rootOf: rootOf}
	if c.bound == 0 {
		c.bound = time.Minute
	}
	tolerance := opts.ClockTolerance
	if tolerance == 0 {
		tolerance = defaultTolerance
	}
	c.bound += tolerance
	for i, v := range opts.Witnesses {
		if v == nil || v.Name() == report.Origin {
			return nil, fmt.Errorf("auditlog: witness %d: no verifier, or one of the log: %w", i+1, ErrArgument)
		}
		c.witnesses = append(c.witnesses, &witnessing{verifier: v})
	}
	return c, nil
}

// note takes in the cosignatures on a head that is kept or published, before the entries
// are read.
func (c *witnessCheck) note(h Head) {
	if c == nil || h.Size == 0 {
		return
	}
	for _, w := range c.witnesses {
		if at, ok := c.open(w, -1, h.Size, h.signed); ok {
			w.ahead = append(w.ahead, cosignedHead{size: h.Size, at: at})
			slices.SortStableFunc(w.ahead, func(a, b cosignedHead) int { return cmp.Compare(a.size, b.size) })
		}
	}
}

// open returns the time at which a witness cosigned a text. ok is false if it did not.
func (c *witnessCheck) open(w *witnessing, entry, size int64, signed string) (at time.Time, ok bool) {
	n, err := note.Open([]byte(signed), note.VerifierList(w.verifier))
	var unverified *note.UnverifiedNoteError
	switch {
	case err == nil:
		if at, ok = cosignatureTime(n.Sigs[0]); ok {
			return at, true
		}
	case errors.As(err, &unverified):
		return at, false
	}
	c.report.find(FindingCosignature, entry, "the cosignature of %s on a head of %d entries does not verify", w.verifier.Name(), size)
	return at, false
}

// entry takes in the time of an entry. b is its body if it is about a witnessed head.
func (c *witnessCheck) entry(index int64, at time.Time, b *body) {
	if c == nil {
		return
	}
	at = c.times.add(index, at)
	for _, w := range c.witnesses {
		if w.since.IsZero() && w.covered == 0 {
			w.since = at
		}
		for len(w.ahead) > 0 && w.ahead[0].size <= index {
			h := w.ahead[0]
			h.next = at
			w.ahead = w.ahead[1:]
			c.add(w, h)
		}
	}
	if b != nil && b.Entry == KindWitnessed {
		c.witnessed(index, b)
	}
}

// witnessed checks the entry about a head that was cosigned.
func (c *witnessCheck) witnessed(index int64, b *body) {
	h := Head{Origin: c.origin, Size: b.Size}
	var err error
	if h.Hash, err = tlog.ParseHash(b.Hash); err != nil || b.Size < 1 || b.Size > index {
		c.report.find(FindingCosignature, index, "the entry is not about an earlier head")
		return
	}
	signed := h.text() + "\n" + strings.Join(b.Cosignatures, "\n") + "\n"
	next := c.times.after(b.Size)
	for _, w := range c.witnesses {
		at, ok := c.open(w, index, b.Size, signed)
		if !ok {
			continue
		}
		switch root, known := c.rootOf(b.Size); {
		case !known:
			c.report.find(FindingCosignature, index, "the head of %d entries that %s cosigned can't be compared: it is not within the published tree, or tiles are damaged", b.Size, w.verifier.Name())
		case root != h.Hash:
			c.report.find(FindingFork, b.Size-1, "%s has cosigned another history of %d entries", w.verifier.Name(), b.Size)
		default:
			c.add(w, cosignedHead{b.Size, at, next})
		}
	}
	c.times.drop(b.Size)
}

// maxCosigned bounds the memory for heads: they come nearly in the order of their times.
const maxCosigned = 2048

func (c *witnessCheck) add(w *witnessing, h cosignedHead) {
	w.heads = append(w.heads, h)
	if len(w.heads) >= maxCosigned {
		c.evaluate(w, len(w.heads)/2)
	}
}

// evaluate takes the first n heads by their times: an entry is witnessed at the time of
// the first head that has it.
func (c *witnessCheck) evaluate(w *witnessing, n int) {
	slices.SortStableFunc(w.heads, func(a, b cosignedHead) int { return a.at.Compare(b.at) })
	for _, h := range w.heads[:n] {
		if h.size <= w.covered {
			continue
		}
		if wait := h.at.Sub(w.since); wait > c.bound {
			c.report.find(FindingUnwitnessed, w.covered, "%s cosigned no head with entries %d to %d for %s",
				w.verifier.Name(), w.covered, h.size-1, wait.Round(time.Second))
		}
		w.covered, w.since = h.size, h.next
	}
	w.heads = slices.Delete(w.heads, 0, n)
}

// end finds the entries at the end that no head covers, and returns the number of entries
// that some witness has cosigned.
func (c *witnessCheck) end(size int64) (covered int64) {
	if c == nil {
		return 0
	}
	for _, w := range c.witnesses {
		for _, h := range w.ahead {
			if h.size <= size { // the last entry is its last one
				w.heads = append(w.heads, h)
			}
		}
		c.evaluate(w, len(w.heads))
		covered = max(covered, w.covered)
		if w.covered >= size {
			continue
		}
		if wait := c.times.newest.Sub(w.since); wait > c.bound {
			c.report.find(FindingUnwitnessed, w.covered, "%s cosigned no head with the entries from %d on, and the last of them is %s younger",
				w.verifier.Name(), w.covered, wait.Round(time.Second))
		}
	}
	return covered
}

// entryTimes has the times of recent entries, to the second. If they are of a long time,
// they are coarser: there is one for each 500th of it.
type entryTimes struct {
	samples []entryTime
	step    time.Duration
	newest  time.Time
}

type entryTime struct {
	index int64
	at    time.Time
}

// add adds the time of an entry, and returns the time that it has here: an entry is not
// older than one before it.
func (t *entryTimes) add(index int64, at time.Time) time.Time {
	const most = 1000
	if at.After(t.newest) {
		t.newest = at
	}
	at = t.newest
	n := len(t.samples)
	if n == 0 {
		t.step = time.Second
	}
	if n > 0 && at.Sub(t.samples[n-1].at) < t.step {
		return at
	}
	t.samples = append(t.samples, entryTime{index, at})
	if len(t.samples) > most {
		kept := t.samples[:0]
		for i := 0; i < len(t.samples); i += 2 {
			kept = append(kept, t.samples[i])
		}
		t.samples, t.step = kept, 2*t.step
	}
	return at
}

// after returns the time of the entry with the given number, or of one soon after it.
func (t *entryTimes) after(index int64) time.Time {
	i, _ := slices.BinarySearchFunc(t.samples, index, func(s entryTime, index int64) int { return cmp.Compare(s.index, index) })
	if i == len(t.samples) {
		return t.newest
	}
	return t.samples[i].at
}

// drop forgets the entries before the given number.
func (t *entryTimes) drop(index int64) {
	i, _ := slices.BinarySearchFunc(t.samples, index, func(s entryTime, index int64) int { return cmp.Compare(s.index, index) })
	if i > 0 {
		t.samples = slices.Delete(t.samples, 0, i)
	}
}
