package audit

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
)

// ErrRules reports [Rules] that [NewWatch] refuses, and a Watch that NewWatch did not
// make.
var ErrRules = errors.New("not valid rules of a watch")

// Rules declare which purposes are apart, and which moves between them are meant.
type Rules struct {
	// Apart lists sets of purposes. Two purposes of one set are apart: no process should
	// hold both, and no caller should move data from one to the other. A set has at
	// least two purposes, and there is at least one set.
	Apart []purpose.Set
	// Together lists sets of purposes that this process may hold, although they are
	// apart. Moves between them are found nevertheless.
	Together []purpose.Set
	// Moves lists the moves that are meant, as in a job that asks people for consent. A
	// process may hold both purposes of a move.
	Moves []Move
	// Within is the longest time between a reveal and the use of the plaintext for
	// another purpose. Zero means a minute.
	Within time.Duration
	// MaxReveals bounds the memory: a Watch remembers the last reveal of each caller
	// under each purpose, for this many pairs of caller and purpose. Zero means 65,536,
	// which take 15 MB.
	MaxReveals int
}

// A Move is the way of data from one purpose to another through a plaintext.
type Move struct {
	From, To purpose.Purpose
	// Caller is the caller that may move data, or "" for every caller.
	Caller string
}

// A Finding is a suspicion of a [Watch]. It holds no value, index or key.
type Finding struct {
	Rule Rule
	// Time is the time of the event that led to the finding.
	Time time.Time
	// From and To are the purposes of the move. For [Held] they are the purpose that was
	// opened first and the one that was opened now. Both are zero for [Forgotten].
	From, To purpose.Purpose
	// Revealed is the action that handed out the plaintext, such as [Reveal], and Used
	// the action that took one: [Seal] or [Index]. Both are "" for the other rules.
	Revealed, Used Action
	// After is the time from Revealed to Used, 0 if the clock went back.
	After time.Duration
	// Kind is the name of the kind of the value that was sealed or indexed, or "".
	Kind string
	// Caller is the caller of the event that led to the finding, or "".
	Caller string
}

// A Rule is the reason of a [Finding].
type Rule string

// The rules.
const (
	Held      Rule = "held"      // this process opened two purposes that are apart
	Moved     Rule = "moved"     // a caller revealed for one purpose, and sealed or indexed for another one
	Forgotten Rule = "forgotten" // more callers reveal than MaxReveals; a move of one of them would not be found
)

// A Watch is an [Auditor] that finds laundering: data that one process reveals under one
// purpose and seals or indexes under another one. It passes each event on to the next
// auditor, and calls a function with each [Finding].
//
// A Watch detects, and prevents nothing. It compares purposes, callers and times, and
// never sees a value. So it does not find a launderer who waits for longer than
// [Rules].Within, who uses two processes or the names of two callers, who goes through a
// third purpose that is apart from neither of the two, or who keeps the plaintext
// elsewhere. It also finds a caller who handles two persons in a row, one under each
// purpose. Only separate processes with key grants of their own are a boundary. With a
// Watch in each of them, Held says that the processes are not separate.
//
// The caller of an event is [Event.Caller], a name that the process itself states.
// Events without a name count as those of one caller, the process.
//
// Give one Watch to all vaults and collectors of a process, as it remembers the purposes
// that were opened. It may be used from many goroutines at once.
type Watch struct {
	next     Auditor
	report   func(context.Context, Finding) error
	within   time.Duration
	max      int
	apart    map[purpose.Purpose][]purpose.Purpose // for each purpose the others of its sets
	together map[Move]bool                         // pairs that the process may hold, in both directions
	moves    map[Move]bool
	seed     maphash.Seed

	mu        sync.Mutex
	held      map[purpose.Purpose]bool
	reveals   map[revealID]*list.Element
	order     *list.List // of *reveal, the one without events for the longest time first
	forgotten time.Time  // the last finding of the rule Forgotten that was reported
}

// A revealID names a caller and a purpose. It has a hash of the caller: the name may be
// long, and should not stay in memory.
type revealID struct {
	caller uint64
	from   purpose.Purpose
}

// A reveal is the last one of its caller under its purpose.
type reveal struct {
	id       revealID
	action   Action
	at       time.Time
	reported map[purpose.Purpose]time.Time // the last finding about each purpose that took the plaintext
}

// NewWatch returns a Watch over the given rules. Events go to next, which may be nil,
// before they are examined. An event that next does not record has no result, so it is
// not examined.
//
// The function report is called at once, from the goroutine of the action, and no lock is
// held meanwhile. Further findings of one caller and two purposes within
// [Rules].Within are dropped, and so are later findings about two purposes that are held.
// If report returns an error or panics, the action fails with vault.ErrUnavailable and its
// result is dropped; the finding is made again at the next occasion. A plaintext that was
// revealed before is out by then. Actions that report takes are examined too.
//
// Rules without a set, a set of fewer than two purposes, sets and moves whose purposes are
// not apart, negative bounds, and a nil report are [ErrRules].
func NewWatch(next Auditor, rules Rules, report func(context.Context, Finding) error) (*Watch, error) {
	w := &Watch{
		next: next, report: report, within: rules.Within, max: rules.MaxReveals,
		apart: map[purpose.Purpose][]purpose.Purpose{}, together: map[Move]bool{}, moves: map[Move]bool{}, seed: maphash.MakeSeed(),
		held: map[purpose.Purpose]bool{}, reveals: map[revealID]*list.Element{}, order: list.New(),
	}
	if w.within == 0 {
		w.within = time.Minute
	}
	if w.max == 0 {
		w.max = 1 << 16
	}
	if fault := w.declare(rules); fault != "" {
		return nil, fmt.Errorf("audit: making watch: %s: %w", fault, ErrRules)
	}
	return w, nil
}

// declare fills the tables of w, or returns the fault of the rules.
func (w *Watch) declare(rules Rules) (fault string) {
	switch {
	case w.report == nil:
		return "nil report"
	case rules.Within < 0:
		return "negative Within"
	case rules.MaxReveals < 0:
		return "negative MaxReveals"
	case len(rules.Apart) == 0:
		return "no purposes are apart"
	}
	for _, set := range rules.Apart {
		if set.Len() < 2 {
			return "a set of Apart has fewer than two purposes"
		}
		for p, q := range pairs(set) {
			if !slices.Contains(w.apart[p], q) {
				w.apart[p] = append(w.apart[p], q)
			}
		}
	}
	for _, set := range rules.Together {
		if set.Len() < 2 {
			return "a set of Together has fewer than two purposes"
		}
		for p, q := range pairs(set) {
			if !slices.Contains(w.apart[p], q) {
				return "two purposes of Together are not apart"
			}
			w.together[Move{From: p, To: q}] = true
		}
	}
	for _, m := range rules.Moves {
		if !slices.Contains(w.apart[m.From], m.To) {
			return "the purposes of a move are not apart"
		}
		w.moves[m] = true
		w.together[Move{From: m.From, To: m.To}], w.together[Move{From: m.To, To: m.From}] = true, true
	}
	return ""
}

// pairs yields each two purposes of set, in both orders.
func pairs(set purpose.Set) func(yield func(p, q purpose.Purpose) bool) {
	return func(yield func(p, q purpose.Purpose) bool) {
		for p := range set.All() {
			for q := range set.All() {
				if p != q && !yield(p, q) {
					return
				}
			}
		}
	}
}

// Audit passes e on to the next auditor, and reports the findings about e. A nil or zero
// Watch is [ErrRules].
func (w *Watch) Audit(ctx context.Context, e Event) error {
	if w == nil || w.report == nil {
		return fmt.Errorf("audit: watch: %w", ErrRules)
	}
	if w.next != nil {
		if err := w.next.Audit(ctx, e); err != nil {
			return err
		}
	}
	if e.Outcome != Allowed || w.apart[e.Purpose] == nil {
		return nil
	}
	switch {
	case e.Action == Open:
		return w.opened(ctx, e)
	case w.handsOut(e):
		return w.revealed(ctx, e)
	case e.Action == Seal, e.Action == Index:
		return w.used(ctx, e)
	}
	return nil
}

// handsOut reports whether code of the caller may have a plaintext after e: as the
// result, or as the argument of a function that the caller passed.
func (w *Watch) handsOut(e Event) bool {
	switch e.Action {
	case Reveal, Send, Hint, Reseal:
		return true
	case Index:
		return !e.Collected.IsZero() // of a sealed value, and not of a text
	case Extend:
		// An extension between purposes that are apart is the way with a consent, and an
		// event of its own. The scope of To opens nothing.
		return !e.To.IsZero() && !slices.Contains(w.apart[e.Purpose], e.To)
	}
	return false
}

// opened reports the purposes that are held beside the one of e, and then counts it as
// held too.
func (w *Watch) opened(ctx context.Context, e Event) error {
	findings := w.hold(e)
	if len(findings) == 0 {
		return nil
	}
	for _, f := range findings {
		if err := w.report(ctx, f); err != nil {
			return err // the caller gets no scope
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held[e.Purpose] = true
	return nil
}

// hold counts the purpose of e as held, unless there are findings about it. It does so in
// one step, because the other purpose may be opened at this moment.
func (w *Watch) hold(e Event) (findings []Finding) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held[e.Purpose] {
		return nil
	}
	for _, p := range w.apart[e.Purpose] {
		if w.held[p] && !w.together[Move{From: p, To: e.Purpose}] {
			findings = append(findings, Finding{Rule: Held, Time: e.Time, From: p, To: e.Purpose, Caller: e.Caller})
		}
	}
	if len(findings) == 0 {
		w.held[e.Purpose] = true
	}
	return findings
}

// revealed remembers e. It reports that an earlier reveal had to be forgotten for it.
func (w *Watch) revealed(ctx context.Context, e Event) error {
	if !w.remember(e) {
		return nil
	}
	if err := w.report(ctx, Finding{Rule: Forgotten, Time: e.Time, Caller: e.Caller}); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forgotten = e.Time
	return nil
}

// remember remembers e, and reports whether a finding about the reveals that it had to
// forget is due.
func (w *Watch) remember(e Event) (due bool) {
	id := w.id(e.Caller, e.Purpose)
	w.mu.Lock()
	defer w.mu.Unlock()
	if at := w.reveals[id]; at != nil {
		r := at.Value.(*reveal)
		r.action, r.at = e.Action, e.Time
		w.order.MoveToBack(at)
		return false
	}
	for first := w.order.Front(); first != nil && w.over(first.Value.(*reveal), e.Time); first = w.order.Front() {
		w.forget(first)
	}
	if w.order.Len() == w.max {
		w.forget(w.order.Front())
		due = w.forgotten.IsZero() || !w.recent(w.forgotten, e.Time)
	}
	w.reveals[id] = w.order.PushBack(&reveal{id: id, action: e.Action, at: e.Time})
	return due
}

// forget removes a reveal.
func (w *Watch) forget(at *list.Element) {
	w.order.Remove(at)
	delete(w.reveals, at.Value.(*reveal).id)
}

// over reports whether r leads to no finding from now on, and keeps none from being
// reported again.
func (w *Watch) over(r *reveal, now time.Time) bool {
	if now.Sub(r.at) <= w.within {
		return false
	}
	for _, last := range r.reported {
		if w.recent(last, now) {
			return false
		}
	}
	return true
}

// recent reports whether a finding that was reported at the given time stands for another
// one now. After the clock went back it does not: nobody knows how long ago it was.
func (w *Watch) recent(at, now time.Time) bool {
	ago := now.Sub(at)
	return ago >= 0 && ago <= w.within
}

// used reports the reveals whose plaintext e may have taken.
func (w *Watch) used(ctx context.Context, e Event) error {
	for _, f := range w.moved(e) {
		if err := w.report(ctx, f); err != nil {
			return err
		}
		w.markReported(f)
	}
	return nil
}

func (w *Watch) moved(e Event) (findings []Finding) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, from := range w.apart[e.Purpose] {
		if w.moves[Move{From: from, To: e.Purpose}] || w.moves[Move{From: from, To: e.Purpose, Caller: e.Caller}] {
			continue
		}
		at := w.reveals[w.id(e.Caller, from)]
		if at == nil {
			continue
		}
		r := at.Value.(*reveal)
		// The reveal was recorded before e. If its time is later, the clock went back
		// between the two, and the time that has passed is unknown.
		after := max(0, e.Time.Sub(r.at))
		last, ok := r.reported[e.Purpose]
		if after > w.within || ok && w.recent(last, e.Time) {
			continue
		}
		findings = append(findings, Finding{
			Rule: Moved, Time: e.Time, From: from, To: e.Purpose, Revealed: r.action, Used: e.Action, After: after, Kind: e.Kind, Caller: e.Caller,
		})
	}
	return findings
}

// markReported keeps the next findings like f from being reported.
func (w *Watch) markReported(f Finding) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.reveals[w.id(f.Caller, f.From)]
	if at == nil {
		return // forgotten meanwhile
	}
	r := at.Value.(*reveal)
	if r.reported == nil {
		r.reported = map[purpose.Purpose]time.Time{}
	}
	r.reported[f.To] = f.Time
	w.order.MoveToBack(at)
}

func (w *Watch) id(caller string, from purpose.Purpose) revealID {
	return revealID{maphash.String(w.seed, caller), from}
}

// String returns a sentence about the finding, for a log.
func (f Finding) String() string {
	switch f.Rule {
	case Held:
		return fmt.Sprintf("this process holds %v and %v, which are apart", f.From, f.To)
	case Moved:
		return fmt.Sprintf("caller %q: %s for %v and, %v later, %s for %v", f.Caller, f.Revealed.Gerund(), f.From, f.After, f.Used.Gerund(), f.To)
	case Forgotten:
		return "more callers reveal than the watch remembers"
	}
	return string(f.Rule)
}

// SlogReport returns a function for [NewWatch] that writes each finding to l as one record
// of level Warn. A nil l means [slog.Default]. An error of the logger's handler makes the
// action fail. A handler that is not enabled for the level drops the finding.
func SlogReport(l *slog.Logger) func(context.Context, Finding) error {
	return func(ctx context.Context, f Finding) error {
		l := l
		if l == nil {
			l = slog.Default()
		}
		if !l.Enabled(ctx, slog.LevelWarn) {
			return nil
		}
		r := slog.NewRecord(f.Time, slog.LevelWarn, "onlyfor", 0)
		r.AddAttrs(slog.String("finding", string(f.Rule)))
		if f.Rule != Forgotten {
			r.AddAttrs(slog.String("from", f.From.String()), slog.String("to", f.To.String()))
		}
		if f.Rule == Moved {
			r.AddAttrs(
				slog.String("revealed", string(f.Revealed)), slog.String("used", string(f.Used)),
				slog.Duration("after", f.After), slog.String("kind", f.Kind),
			)
		}
		if f.Caller != "" {
			r.AddAttrs(slog.String("caller", f.Caller))
		}
		return l.Handler().Handle(ctx, r)
	}
}
