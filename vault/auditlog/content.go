package auditlog

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash"
	"maps"
	"slices"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
)

// A body has the fields of an entry that a reader of the log compares.
type body struct {
	Entry   string    `json:"entry"`
	Time    time.Time `json:"time"`
	Action  string    `json:"action"`
	Outcome string    `json:"outcome"`
	Purpose string    `json:"purpose"`

	Generation int64  `json:"generation"`
	Digest     string `json:"digest"`

	Granted  []string        `json:"granted"`
	Buffered json.RawMessage `json:"buffered"`

	Rule    string `json:"rule"`
	First   int64  `json:"first"`
	Count   int64  `json:"count"`
	Removed int64  `json:"removed"`
}

// A contentCheck compares entries with those before them.
type contentCheck struct {
	report    *Report
	apart     []purpose.Set
	tolerance time.Duration

	newest  time.Time
	kind    string // of the entry before
	opened  map[string]bool
	told    map[int]bool // sets of purposes that this process was reported for
	keys    map[string]keyState
	first   int64 // of the current file of bodies
	found   map[int64]*removedSet
	entries map[int64][]removal
}

type keyState struct {
	generation int64
	digest     string
}

// A removedSet is a set of entries of one file whose bodies were removed.
type removedSet struct {
	count int64
	hash  hash.Hash
}

// add adds an entry. Entries are added in order.
func (s *removedSet) add(index int64) {
	s.count++
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(index))
	s.hash.Write(b[:])
}

func (s *removedSet) digest() string { return hex.EncodeToString(s.hash.Sum(nil)) }

// A removal is the entry of one: after it, a file lacks so many bodies.
type removal struct {
	rule           string
	index          int64
	count, removed int64
	digest         string
}

func newContentCheck(report *Report, opts *VerifyOptions) *contentCheck {
	c := &contentCheck{
		report: report, apart: opts.Apart, tolerance: opts.ClockTolerance,
		opened: map[string]bool{}, told: map[int]bool{}, keys: map[string]keyState{},
		found: map[int64]*removedSet{}, entries: map[int64][]removal{},
	}
	if c.tolerance == 0 {
		c.tolerance = 10 * time.Second
	}
	return c
}

// begin says that the next entries are of the file that begins with the entry first.
func (c *contentCheck) begin(first int64) { c.first = first }

var eventPrefix = []byte(`{"entry":"event","time":"`)

// entry checks an entry. text is nil if its body was removed.
func (c *contentCheck) entry(index int64, text []byte) {
	if text == nil {
		s := c.found[c.first]
		if s == nil {
			s = &removedSet{hash: sha256.New()}
			c.found[c.first] = s
		}
		s.add(index)
		c.kind = ""
		return
	}
	// Most entries are events about no keys, of which the time alone matters. Reading them
	// so takes a tenth of the time.
	if at, ok := plainEvent(text); ok {
		c.clock(index, at)
		c.kind = KindEvent
		return
	}
	var b body
	if err := json.Unmarshal(text, &b); err != nil {
		c.report.find(FindingEdited, index, "the body is not an entry")
		return
	}
	c.clock(index, b.Time)
	switch b.Entry {
	case KindStart:
		c.start(index, &b)
	case KindEvent:
		c.event(index, &b)
	case KindRefused:
		c.report.note(NoteRefused, index, "%d events were refused because they could not be written", b.Count)
	case KindCut:
		c.report.note(NoteTorn, index, "an incomplete commit was cut off")
	case KindRemove:
		c.remove(index, &b)
	}
	c.kind = b.Entry
}

// plainEvent returns the time of an event that is neither an opening nor about keys.
func plainEvent(text []byte) (time.Time, bool) {
	rest, ok := bytes.CutPrefix(text, eventPrefix)
	if !ok || bytes.Contains(rest, []byte(`"action":"open"`)) || bytes.Contains(rest, []byte(`"generation":`)) {
		return time.Time{}, false
	}
	at, _, ok := bytes.Cut(rest, []byte{'"'})
	if !ok {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, string(at))
	return t, err == nil
}

func (c *contentCheck) clock(index int64, at time.Time) {
	if c.newest.Sub(at) > c.tolerance {
		c.report.find(FindingClock, index, "the clock ran back by %s", c.newest.Sub(at).Round(time.Second))
		c.newest = at
	}
	if at.After(c.newest) {
		c.newest = at
	}
}

func (c *contentCheck) start(index int64, b *body) {
	if c.report.Starts > 0 && c.kind != KindStop {
		c.report.note(NoteStop, index, "the process before this start did not stop in order")
	}
	c.report.Starts++
	clear(c.opened)
	clear(c.told)
	if b.Buffered != nil {
		c.report.note(NoteBuffered, index, "this process could lose events in a crash: %s", b.Buffered)
	}
	for _, p := range b.Granted {
		c.open(index, p)
	}
}

func (c *contentCheck) event(index int64, b *body) {
	if b.Action == "open" && b.Outcome == "allowed" {
		c.open(index, b.Purpose)
	}
	if b.Generation == 0 {
		return
	}
	now, before := keyState{b.Generation, b.Digest}, c.keys[b.Purpose]
	switch {
	case now.generation < before.generation:
		c.report.find(FindingKeyStore, index, "the keys of %q are of generation %d, and were of %d", b.Purpose, now.generation, before.generation)
	case now.generation == before.generation && now.digest != "" && before.digest != "" && now.digest != before.digest:
		c.report.find(FindingKeyStore, index, "the keys of %q have two states of generation %d", b.Purpose, now.generation)
	}
	c.keys[b.Purpose] = now
}

// remove takes in the entry of a removal. A removal that did not come to its end is
// followed by one that says the same.
func (c *contentCheck) remove(index int64, b *body) {
	list := c.entries[b.First]
	r := removal{b.Rule, index, b.Count, b.Removed, b.Digest}
	if n := len(list); n > 0 && list[n-1].digest == r.digest {
		list[n-1] = r
		return
	}
	c.report.Removed[b.Rule] += b.Count
	c.entries[b.First] = append(list, r)[max(0, len(list)-1):]
}

// open notes that the process has the keys of a purpose.
func (c *contentCheck) open(index int64, name string) {
	if len(c.apart) == 0 || c.opened[name] || len(c.opened) > maxOpened {
		return
	}
	c.opened[name] = true
	for i, set := range c.apart {
		if c.told[i] {
			continue
		}
		var both []string
		for p := range set.All() {
			if c.opened[p.String()] {
				both = append(both, p.String())
			}
		}
		if len(both) > 1 {
			c.told[i] = true
			c.report.find(FindingTogether, index, "one process has %s and %s", both[0], both[1])
		}
	}
}

// maxOpened bounds the memory for names of purposes in a log that somebody forged.
const maxOpened = 10_000

// end compares the bodies that are missing with the entries of their removal.
func (c *contentCheck) end() {
	for first := range c.entries {
		if c.found[first] == nil {
			c.found[first] = &removedSet{hash: sha256.New()}
		}
	}
	for _, first := range slices.Sorted(maps.Keys(c.found)) {
		found, list := c.found[first], c.entries[first]
		same := func(r removal) bool { return r.removed == found.count && r.digest == found.digest() }
		none := removal{digest: (&removedSet{hash: sha256.New()}).digest()}
		last, before := none, none
		if n := len(list); n > 0 {
			last = list[n-1]
			if n > 1 {
				before = list[n-2]
			}
		}
		switch {
		case same(last):
		case same(before):
			c.report.Removed[last.rule] -= last.count
			c.report.note(NoteRemoval, last.index, "bodies that were to be removed are still there: remove them again")
		default:
			c.report.find(FindingHidden, first, "%d bodies are missing from %s, and %d were removed", found.count, segmentName(first), last.removed)
		}
	}
}
