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
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A body has the fields of an entry that a reader of the log compares.
type body struct {
	Entry   string    `json:"entry"`
	Time    time.Time `json:"time"`
	Action  string    `json:"action"`
	Outcome string    `json:"outcome"`
	Purpose string    `json:"purpose"`

	Reason string `json:"reason"`

	Generation int64 `json:"generation"`

	Granted  []string        `json:"granted"`
	Buffered json.RawMessage `json:"buffered"`

	Rule    string `json:"rule"`
	First   int64  `json:"first"`
	Count   int64  `json:"count"`
	Removed int64  `json:"removed"`
	Digest  string `json:"digest"`

	Revision string `json:"revision"`
	Version  string `json:"version"`
	Modified bool   `json:"modified"`

	Size         int64    `json:"size"`
	Hash         string   `json:"hash"`
	Cosignatures []string `json:"cosignatures"`
}

// A contentCheck compares entries with those before them.
type contentCheck struct {
	report    *Report
	witnesses *witnessCheck
	builds    []string
	apart     []purpose.Set
	tolerance time.Duration

	newest  time.Time
	kind    string // of the entry before
	opened  map[string]bool
	told    map[int]bool // sets of purposes that this process was reported for
	keys    map[string]keyState
	digests int   // the number of digests in keys
	first   int64 // of the current file of bodies
	found   map[int64]*removedSet
	entries map[int64][]removal
}

// A keyState is the generation of the keys of a purpose.
type keyState struct {
	changed   int64            // the generation that the last change made
	changedAt time.Time        // and its time
	seen      int64            // the highest one
	before    int64            // the highest one that earlier processes have seen
	process   int              // the number of the process
	digests   map[int64]string // of the generations that were seen
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

func newContentCheck(report *Report, opts *VerifyOptions, witnesses *witnessCheck) *contentCheck {
	c := &contentCheck{
		report: report, witnesses: witnesses, builds: opts.Builds, apart: opts.Apart, tolerance: opts.ClockTolerance,
		opened: map[string]bool{}, told: map[int]bool{}, keys: map[string]keyState{},
		found: map[int64]*removedSet{}, entries: map[int64][]removal{},
	}
	if c.tolerance == 0 {
		c.tolerance = defaultTolerance
	}
	return c
}

// defaultTolerance is the default of VerifyOptions.ClockTolerance.
const defaultTolerance = 10 * time.Second

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
	// Most entries are uses of values, of which the time alone matters. Reading them so
	// takes a tenth of the time.
	if at, ok := plainEvent(text); ok {
		c.clock(index, at, nil)
		c.kind = KindEvent
		return
	}
	var b body
	if err := json.Unmarshal(text, &b); err != nil {
		c.report.find(FindingEdited, index, "the body is not an entry")
		return
	}
	c.clock(index, b.Time, &b)
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

// plainEvent returns the time of an event that is not about keys.
func plainEvent(text []byte) (time.Time, bool) {
	rest, ok := bytes.CutPrefix(text, eventPrefix)
	if !ok {
		return time.Time{}, false
	}
	at, rest, _ := bytes.Cut(rest, []byte(`","action":"`))
	action, _, ok := bytes.Cut(rest, []byte{'"'})
	if !ok || isChange(string(action)) || isRead(string(action)) {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, string(at))
	return t, err == nil
}

// isChange reports whether an action makes a new generation of keys whenever it is allowed.
// Generate does so if it made keys.
func isChange(action string) bool {
	switch audit.Action(action) {
	case audit.Generate, audit.Rotate, audit.Retire, audit.Reinstate, audit.Destroy, audit.Suspend:
		return true
	}
	return false
}

// isRead reports whether an action tells the generation of keys that it read from the
// store, without a new one each time. Resume makes none if nothing was suspended.
func isRead(action string) bool {
	switch audit.Action(action) {
	case audit.Open, audit.List, audit.Erase, audit.CheckKEK, audit.Promote, audit.Resume, audit.Rewrap, audit.RewrapSubjects,
		audit.Refresh, audit.Renew, audit.Count:
		return true
	}
	return false
}

// clock compares the time of an entry with those before it. b is nil for an event that is
// not about keys.
func (c *contentCheck) clock(index int64, at time.Time, b *body) {
	c.witnesses.entry(index, at, b)
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
	c.build(index, b)
}

// build compares the build that a program states with those that were reviewed.
func (c *contentCheck) build(index int64, b *body) {
	known := func(name string) bool { return name != "" && slices.Contains(c.builds, name) }
	switch {
	case c.builds == nil:
	case b.Modified:
		c.report.find(FindingBuild, index, "a program was built with changes to revision %q", b.Revision)
	case !known(b.Revision) && !known(b.Version):
		c.report.find(FindingBuild, index, "a program of revision %q, version %q was not reviewed", b.Revision, b.Version)
	}
}

func (c *contentCheck) event(index int64, b *body) {
	if b.Outcome != string(audit.Allowed) {
		return
	}
	if b.Action == string(audit.Open) {
		c.open(index, b.Purpose)
	}
	if b.Generation != 0 && len(c.keys) <= maxNames {
		c.generation(index, b)
	}
}

// generation compares the generation of keys with those of earlier entries. A process may
// read keys that are older than those that it has just changed, and its changes at one
// moment may stand in the log in another order.
func (c *contentCheck) generation(index int64, b *body) {
	now, s := b.Generation, c.keys[b.Purpose]
	if s.process != c.report.Starts {
		s.process, s.before = c.report.Starts, s.seen
	}
	change := isChange(b.Action)
	switch {
	case c.forked(&s, b):
		c.report.find(FindingKeyStore, index, "the keys of %q of generation %d are others than before: the key store has two histories", b.Purpose, now)
	case now < s.before, change && now < s.changed && b.Time.Sub(s.changedAt) > c.tolerance:
		c.report.find(FindingKeyStore, index, "the keys of %q are of generation %d, and were of %d", b.Purpose, now, max(s.before, s.changed))
		s.seen, s.before = now, now
	case change && now == s.changed:
		c.report.find(FindingKeyStore, index, "two changes of the keys of %q made generation %d", b.Purpose, now)
	}
	s.seen = max(s.seen, now)
	if change {
		s.changed, s.changedAt = now, b.Time
	}
	c.keys[b.Purpose] = s
}

// maxDigests bounds the memory for digests in a log that somebody forged.
const maxDigests = 1_000_000

// forked reports whether the generation had another digest before. It is reported once.
func (c *contentCheck) forked(s *keyState, b *body) bool {
	if b.Digest == "" {
		return false
	}
	before, known := s.digests[b.Generation]
	if known && before == b.Digest || !known && c.digests >= maxDigests {
		return false
	}
	c.digests++
	if s.digests == nil {
		s.digests = map[int64]string{}
	}
	s.digests[b.Generation] = b.Digest
	return known
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
	if len(c.apart) == 0 || c.opened[name] || len(c.opened) > maxNames {
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

// maxNames bounds the memory for names of purposes in a log that somebody forged.
const maxNames = 10_000

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
