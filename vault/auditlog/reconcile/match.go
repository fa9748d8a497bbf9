package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// A matcher matches the items of both sides, which come in the order of time.
type matcher struct {
	opts   Options
	logs   []Log
	names  map[string]string // of keys, and their purposes
	report *Report
	open   map[string]*queues // by purpose

	service span // of the key service's log
	audit   span // of the audit logs
	seen    recent
}

// A span is the time that a log covers so far.
type span struct{ from, until time.Time }

func (s *span) take(at time.Time) {
	if s.from.IsZero() {
		s.from = at
	}
	if at.After(s.until) {
		s.until = at
	}
}

// queues hold what waits for its pair, in the order of time.
type queues struct {
	calls   []*Call
	events  []pendingUnwrap
	matched []*matchedCall // of the last time, for retries
}

// A pendingUnwrap is an unwrap of an event.
type pendingUnwrap struct {
	at     time.Time
	log    int
	entry  int64
	action string
}

type matchedCall struct {
	call    *Call
	retries int
}

// maxPending bounds what waits for its pair. Beyond it, the oldest has none.
const maxPending = 1 << 14

func (m *matcher) take(x item) {
	switch {
	case x.damage != nil:
		m.report.find(Finding{Kind: FindingDamaged, Text: x.damage.text()})
		return
	case x.late:
		f := Finding{Kind: FindingLate, Time: x.at, Purpose: x.purpose, Action: x.action}
		if x.call != nil {
			f = found(FindingLate, x.purpose, x.call)
		} else {
			f.Log, f.Entry = m.logs[x.log].Name, x.entry
		}
		m.report.find(f)
		return
	case x.service:
		m.service.take(x.at)
	default:
		m.audit.take(x.at)
	}
	for p, q := range m.open {
		m.expire(p, q)
	}
	switch {
	case x.tick:
	case x.call != nil:
		m.takeCall(x.purpose, x.call)
	default:
		for range min(x.unwraps, maxPending) {
			m.takeEvent(x.purpose, pendingUnwrap{x.at, x.log, x.entry, x.action})
		}
	}
}

func (m *matcher) queues(purpose string) *queues {
	q := m.open[purpose]
	if q == nil {
		q = new(queues)
		m.open[purpose] = q
	}
	return q
}

func (m *matcher) takeCall(purpose string, c *Call) {
	counts := m.report.of(purpose)
	switch {
	case m.seen.twice(c, m.opts.Horizon):
		m.report.Duplicates++
		return
	case c.Refused != "":
		counts.Refused++
		return
	case c.Use == Other:
		m.report.find(found(FindingOther, purpose, c))
		return
	}
	counts.Seen++
	q := m.queues(purpose)
	if len(q.events) > 0 {
		q.events = q.events[1:]
		m.match(counts, q, c)
		return
	}
	if q.calls = append(q.calls, c); len(q.calls) > maxPending {
		m.unlogged(purpose, q)
	}
}

func (m *matcher) takeEvent(purpose string, e pendingUnwrap) {
	counts := m.report.of(purpose)
	counts.Logged++
	q := m.queues(purpose)
	if len(q.calls) > 0 {
		c := q.calls[0]
		q.calls = q.calls[1:]
		m.match(counts, q, c)
		return
	}
	if q.events = append(q.events, e); len(q.events) > maxPending {
		m.unseen(purpose, q)
	}
}

func (m *matcher) match(counts *Counts, q *queues, c *Call) {
	counts.Matched++
	if m.opts.Retries <= 0 {
		return
	}
	// Calls that may turn out to be retries of it are at most as old as the first one that
	// waits.
	oldest := c.Time
	if len(q.calls) > 0 && q.calls[0].Time.Before(oldest) {
		oldest = q.calls[0].Time
	}
	for len(q.matched) > 0 && (len(q.matched) > maxPending || oldest.Sub(q.matched[0].call.Time) > 2*m.window(c)) {
		q.matched = q.matched[1:]
	}
	q.matched = append(q.matched, &matchedCall{call: c})
}

// window is the longest time between a call and its event, by two clocks that differ.
func (m *matcher) window(c *Call) time.Duration { return c.Within + m.opts.Delay + m.opts.Skew }

// expire takes those out of the queues that can have no pair any more: the other side is
// beyond the time of it.
func (m *matcher) expire(purpose string, q *queues) {
	for len(q.calls) > 0 && m.audit.until.Sub(q.calls[0].Time) > m.window(q.calls[0]) {
		m.unlogged(purpose, q)
	}
	for len(q.events) > 0 && m.service.until.Sub(q.events[0].at) > m.opts.Skew {
		m.unseen(purpose, q)
	}
}

// unlogged takes the first call, which has no event.
func (m *matcher) unlogged(purpose string, q *queues) {
	c, counts := q.calls[0], m.report.of(purpose)
	q.calls = q.calls[1:]
	if m.audit.from.IsZero() || c.Time.Before(m.audit.from) || m.audit.until.Sub(c.Time) <= m.window(c) && len(q.calls) < maxPending {
		counts.NotCompared++
		return
	}
	for _, other := range q.matched {
		apart := c.Time.Sub(other.call.Time).Abs()
		if other.retries < m.opts.Retries && other.call.Principal == c.Principal && other.call.Address == c.Address && apart <= m.window(c) {
			other.retries++
			counts.Retried++
			m.report.note(found(NoteRetried, purpose, c))
			return
		}
	}
	counts.Unlogged++
	m.report.find(found(FindingUnlogged, purpose, c))
}

// unseen takes the first unwrap of an event, which the key service has not seen.
func (m *matcher) unseen(purpose string, q *queues) {
	e, counts := q.events[0], m.report.of(purpose)
	q.events = q.events[1:]
	first := e.at.Add(-m.opts.Delay - m.opts.Skew - time.Second)
	if m.service.from.IsZero() || first.Before(m.service.from) || m.service.until.Sub(e.at) <= m.opts.Skew && len(q.events) < maxPending {
		counts.NotCompared++
		return
	}
	counts.Unseen++
	m.report.find(Finding{Kind: FindingUnseen, Time: e.at, Purpose: purpose, Action: e.action, Log: m.logs[e.log].Name, Entry: e.entry})
}

// found returns a finding about a call.
func found(kind FindingKind, purpose string, c *Call) Finding {
	f := Finding{Kind: kind, Time: c.Time, Purpose: purpose, Action: c.Action, Principal: c.Principal, Address: c.Address}
	if len(c.Keys) > 0 {
		f.Key = name(c.Keys[0])
	}
	return f
}

// end ends the comparison: nothing that waits has a pair.
func (m *matcher) end() {
	r := m.report
	for _, p := range sorted(m.open) {
		for q := m.open[p]; len(q.calls) > 0; {
			m.unlogged(p, q)
		}
		for q := m.open[p]; len(q.events) > 0; {
			m.unseen(p, q)
		}
	}
	from, until := m.service.from, m.service.until
	if m.audit.from.After(from) {
		from = m.audit.from
	}
	if m.audit.until.Before(until) {
		until = m.audit.until
	}
	if !m.service.from.IsZero() && !m.audit.from.IsZero() && !until.Before(from) {
		r.From, r.Until = from, until
	}
	for i, log := range r.Logs {
		if log != nil && !log.OK() {
			r.find(Finding{Kind: FindingLog, Log: m.logs[i].Name, Entry: log.Findings[0].Entry, Text: fmt.Sprintf("%d findings, the first is %q", len(log.Findings), log.Findings[0].Kind)})
		}
	}
	notCompared, retried := int64(0), int64(0)
	for _, c := range r.Purposes {
		notCompared, retried = notCompared+c.NotCompared, retried+c.Retried
	}
	r.NotExcluded = append(r.NotExcluded, fmt.Sprintf("unwraps before or after the time that both logs cover: %d have no pair there", notCompared))
	if retried > 0 {
		r.NotExcluded = append(r.NotExcluded, fmt.Sprintf("that the %d unwraps which look like retries are of a process without a log, with the credentials and the address of one that has a log", retried))
	}
	r.NotExcluded = append(r.NotExcluded,
		"that a process whose keys a log has unwrapped lets another process use them",
		"that whoever runs the key service removed records from its log",
	)
}

// recent knows the calls of the last time by their identity.
type recent struct {
	ids   map[[16]byte]bool
	order []recentID
}

type recentID struct {
	id [16]byte
	at time.Time
}

// twice reports whether a record of the call was there already.
func (r *recent) twice(c *Call, horizon time.Duration) bool {
	for len(r.order) > 0 && (len(r.order) > maxHeld || c.Time.Sub(r.order[0].at) > horizon) {
		delete(r.ids, r.order[0].id)
		r.order = r.order[1:]
	}
	if c.ID == "" {
		return false
	}
	id := identity(c)
	if r.ids[id] {
		return true
	}
	if r.ids == nil {
		r.ids = map[[16]byte]bool{}
	}
	r.ids[id] = true
	r.order = append(r.order, recentID{id, c.Time})
	return false
}

func sorted(all map[string]*queues) []string { return slices.Sorted(maps.Keys(all)) }
