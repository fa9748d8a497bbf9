package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A Suspension stops actions on the values of a purpose, or on its values under one
// notice, in every process. See [Admin.Suspend].
type Suspension struct {
	// Notice is the notice whose values are stopped. "" stands for the whole purpose.
	Notice string
	// Actions are the actions that are stopped: any of [audit.Seal], [audit.Reveal],
	// [audit.Hint], [audit.Index] and [audit.Extend]. Empty means all of them for the
	// whole purpose, and all but Seal for a notice.
	Actions []audit.Action
	// Reason says why, for the next person on call: one line of at most 200 bytes, or "".
	// It must not describe a person.
	Reason string
	// Until is when the suspension ends by itself, in whole seconds. The zero time means
	// that it ends with [Admin.Resume] alone.
	Until time.Time
	// Since is when Suspend was called. Suspend sets it.
	Since time.Time
}

const (
	// maxSuspensions is the number of suspensions that a purpose can have.
	maxSuspensions = 64
	// maxSuspendReason is the size of the longest reason of a suspension, in bytes.
	maxSuspendReason = 200
	// suspendedRefresh is how often a process reads the store, at least, while a suspension
	// is in force: the next change of a brake is an urgent one.
	suspendedRefresh = 30 * time.Second
)

// suspendable are the actions that can be suspended, in the order of a key record.
var suspendable = []audit.Action{audit.Seal, audit.Reveal, audit.Hint, audit.Index, audit.Extend}

// A SuspendedError is the refusal of an action that is suspended. It is [ErrSuspended].
type SuspendedError struct {
	// Purpose is the purpose whose values are stopped.
	Purpose purpose.Purpose
	// Notice is the notice whose values are stopped, "" for the whole purpose.
	Notice string
	// Action is the action that is stopped. It is [audit.Seal] or [audit.Reveal] for a
	// value of a [Collector] that [Reseal] may not take in now.
	Action audit.Action
	// Until is when the suspension ends by itself, or the zero time.
	Until time.Time
}

// Error returns a text such as "suspended for security under notice 2fa-prompt-v2".
func (e *SuspendedError) Error() string {
	text := "suspended for " + e.Purpose.String()
	if e.Notice != "" {
		text += " under notice " + e.Notice
	}
	if !e.Until.IsZero() {
		text += " until " + e.Until.Format(time.RFC3339)
	}
	return text
}

// Is reports whether target is [ErrSuspended].
func (e *SuspendedError) Is(target error) bool { return target == ErrSuspended }

// Suspend stops actions of purpose p in every process, until [Admin.Resume] or until
// [Suspension.Until]. It needs no deployment.
//
// An index column knows no notices. A suspension of a notice therefore stops no match by
// column: people whose indexes are in a column are still found there, until the index
// column of these rows is cleared. The step ClearNotice of package migrate does that, and
// its step Reindex brings the indexes back after Resume. To stop all matching at once,
// suspend [audit.Index] of the whole purpose meanwhile.
//
// For the whole purpose, an action in s.Actions is refused whatever the value. Suspended
// sealing also keeps [Reseal] from taking in the values of collectors, which seal without
// keys, and [Extend] from extending a value to p; suspended extending stops extensions from
// p and to p. For a notice, the actions on its values are refused: [Scope.Reveal],
// [Scope.Hint], [Scope.IndexSealed] and Extend from p. Suspended sealing refuses scopes that
// [Scope.Under] gave the notice. While the values of a collector must not be revealed, they
// are not taken in either. Hint hands a plaintext to its mask and Extend to its judge, so a
// suspension that stops revealing alone is a rule for honest code.
//
// Refusals are [ErrSuspended], and a [*SuspendedError]. Erase, withdraw and sweep work, as
// do rotations and the Reseal of own values, for which it then calls no function with the
// plaintext.
//
// Suspend replaces the suspension of the same notice. Other processes follow within
// [Options.Refresh], and within 30 seconds while a suspension of p is in force there. A
// process whose store does not answer stops after [Options.SuspendLifetime]. A process of
// a version without suspensions refuses the keys, at the latest when their
// [Options.KeyLifetime] ends. Each process tells the end by its own clock: clocks that
// differ end a suspension at different times, and a clock that is set back brings it back.
//
// The suspension is in the key record. A store that is put back to an older state is
// refused by processes that have seen the suspension, and by others with a pin: take a new
// [Admin.Pin].
//
// An action that can't be suspended, a notice that is malformed, a reason that is too long
// or not one line, an end that is not in the future, and more than 64 suspensions of p are
// [ErrInvalid]. Other errors are the errors of [Admin.Rotate]; [ErrConflict] is rare, as
// Suspend tries three times.
func (a *Admin) Suspend(ctx context.Context, p purpose.Purpose, s Suspension) error {
	now := unixNow()
	x, invalid := newSuspensionRecord(s, now)
	e := audit.Event{Action: audit.Suspend, Purpose: p}
	if invalid == nil { // an event never repeats a caller's unknown text
		e.Provenance = purpose.Provenance{Notice: x.Notice, Expires: x.until()}
		e.Note = x.note()
	}
	return a.changeSuspensions(ctx, e, invalid, func(r *keyRecord, _ *pendingEvent) error {
		kept := r.suspensionsBut(x.Notice, now)
		if len(kept) >= maxSuspensions {
			return fmt.Errorf("more than %d suspensions: %w", maxSuspensions, ErrInvalid)
		}
		at, _ := slices.BinarySearchFunc(kept, x.Notice, suspensionRecord.compare)
		r.Suspended = slices.Insert(kept, at, x)
		return nil
	})
}

// Resume ends the suspension of a notice of p, or of the whole purpose for "". Suspensions
// of other notices stay. Other processes follow within 30 seconds. If there is no such
// suspension, Resume changes nothing, and the reason of its event is "absent". A malformed
// notice is [ErrInvalid]. Other errors are the errors of [Admin.Suspend].
func (a *Admin) Resume(ctx context.Context, p purpose.Purpose, notice string) error {
	e := audit.Event{Action: audit.Resume, Purpose: p}
	var invalid error
	if validSuspendedNotice(notice) {
		e.Provenance.Notice = notice
	} else {
		invalid = errSuspendedNotice
	}
	return a.changeSuspensions(ctx, e, invalid, func(r *keyRecord, e *pendingEvent) error {
		now := unixNow()
		i, found := slices.BinarySearchFunc(r.Suspended, notice, suspensionRecord.compare)
		if !found || r.Suspended[i].ended(now) {
			e.add(func(e *audit.Event) { e.Reason = "absent" })
			return errUnchanged
		}
		r.Suspended = r.suspensionsBut(notice, now)
		return nil
	})
}

// changeSuspensions edits the suspensions of the purpose of e, unless there is a refusal
// already. It tries again if another process changed the keys at the same time: nobody
// should have to do so in a hurry.
func (a *Admin) changeSuspensions(ctx context.Context, e audit.Event, refusal error, edit func(*keyRecord, *pendingEvent) error) error {
	return a.operate(ctx, e, func(ctx context.Context, pending *pendingEvent) error {
		err := refusal
		for tries := 0; err == nil && tries < maxRotations; tries++ {
			err = a.change(ctx, e.Purpose, pending, func(r *keyRecord) error { return edit(r, pending) })
			if !errors.Is(err, ErrConflict) || ctx.Err() != nil || tries == maxRotations-1 {
				break
			}
			err = nil
		}
		if err == errUnchanged {
			return nil
		}
		return err
	})
}

// Suspensions returns the suspensions of p that are in force, sorted by notice, with the
// suspension of the whole purpose first. It reads the store each time, and opens the keys
// of p. Its errors are the errors of [Vault.Scope].
func (v *Vault) Suspensions(ctx context.Context, p purpose.Purpose) ([]Suspension, error) {
	found := make(chan []Suspension, 1) // a call that was left early may still send
	err := v.operate(ctx, audit.Event{Action: audit.List, Purpose: p}, func(ctx context.Context, e *pendingEvent) error {
		pk, err := v.openKeys(ctx, p, allKeys)
		if err != nil {
			return err
		}
		if err := pk.refreshNow(ctx); err != nil {
			return err
		}
		k := pk.current.Load()
		if k == nil {
			return errClosed
		}
		e.at(k.generation, k.digest)
		found <- k.suspended.inForce(time.Now())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return <-found, nil
}

// A suspensionRecord is a suspension as a key record has it.
type suspensionRecord struct {
	Notice  string         `json:"notice"`
	Actions []audit.Action `json:"actions"` // in the order of suspendable
	Reason  string         `json:"reason"`
	Since   int64          `json:"since"`           // Unix seconds
	Until   int64          `json:"until,omitempty"` // Unix seconds; 0 until Resume
}

var errSuspendedNotice = fmt.Errorf("malformed notice: %w", ErrInvalid)

// newSuspensionRecord returns the record of s, which begins now.
func newSuspensionRecord(s Suspension, now int64) (suspensionRecord, error) {
	r := suspensionRecord{Notice: s.Notice, Reason: s.Reason, Since: now}
	if !s.Until.IsZero() {
		r.Until = s.Until.Add(time.Second - 1).Unix()
	}
	asked := s.Actions
	if len(asked) == 0 {
		asked = suspendable
		if s.Notice != "" {
			asked = suspendable[1:] // collecting under the notice goes on unless it is named
		}
	}
	for _, a := range suspendable {
		if slices.Contains(asked, a) {
			r.Actions = append(r.Actions, a)
		}
	}
	switch {
	case !validSuspendedNotice(s.Notice):
		return r, errSuspendedNotice
	case slices.ContainsFunc(asked, func(a audit.Action) bool { return !slices.Contains(suspendable, a) }):
		return r, fmt.Errorf("action can't be suspended: %w", ErrInvalid)
	case !validSuspendReason(s.Reason):
		return r, fmt.Errorf("reason is longer than %d bytes, or not one line: %w", maxSuspendReason, ErrInvalid)
	case !s.Until.IsZero() && (r.Until <= now || r.Until > maxKeyTime):
		return r, fmt.Errorf("end is not in the future: %w", ErrInvalid)
	}
	return r, nil
}

// compare orders suspensions by notice.
func (r suspensionRecord) compare(notice string) int { return cmp.Compare(r.Notice, notice) }

// ended reports whether the suspension is over at the given time.
func (r *suspensionRecord) ended(now int64) bool { return r.Until != 0 && r.Until <= now }

// until returns the end of the suspension, the zero time if there is none.
func (r *suspensionRecord) until() time.Time {
	if r.Until == 0 {
		return time.Time{}
	}
	return time.Unix(r.Until, 0).UTC()
}

// note returns the actions and the reason, for an event.
func (r *suspensionRecord) note() string {
	var names []string
	for _, a := range r.Actions {
		names = append(names, string(a))
	}
	note := strings.Join(names, ",")
	if r.Reason != "" {
		note += ": " + r.Reason
	}
	return note
}

func (r *suspensionRecord) describe() Suspension {
	return Suspension{
		Notice: r.Notice, Actions: slices.Clone(r.Actions), Reason: r.Reason, Until: r.until(), Since: time.Unix(r.Since, 0).UTC(),
	}
}

// valid reports whether a writer of this version could have made the record.
func (r *suspensionRecord) valid() bool {
	at := -1
	for _, a := range r.Actions {
		next := slices.Index(suspendable, a)
		if next <= at {
			return false // unknown, out of order or there twice
		}
		at = next
	}
	return at >= 0 && validSuspendedNotice(r.Notice) && validSuspendReason(r.Reason) &&
		r.Since >= 0 && r.Since <= maxKeyTime && (r.Until == 0 || r.Until > r.Since && r.Until <= maxKeyTime)
}

func validSuspendedNotice(notice string) bool { return notice == "" || purpose.ValidReference(notice) }

// validSuspendReason reports whether a reason is short, and one line of text. Readers of all
// Go versions have to agree on it, or one of them would take the keys of the purpose for
// damaged, so it asks no Unicode table.
func validSuspendReason(reason string) bool {
	return len(reason) <= maxSuspendReason && utf8.ValidString(reason) && !strings.ContainsFunc(reason, movesText)
}

// movesText reports whether r is a control character, ends a line, or sets the direction of
// text.
func movesText(r rune) bool {
	switch {
	case r < ' ', 0x7f <= r && r < 0xa0, r == 0x061c,
		0x200e <= r && r <= 0x200f, 0x2028 <= r && r <= 0x202e, 0x2066 <= r && r <= 0x2069:
		return true
	}
	return false
}

// checkSuspended refuses suspensions that no writer of this version makes: a reader that
// guesses at a brake is none.
func (r *keyRecord) checkSuspended() error {
	if len(r.Suspended) > maxSuspensions || r.Suspended != nil && len(r.Suspended) == 0 {
		return errKeyRecord
	}
	for i := range r.Suspended {
		if !r.Suspended[i].valid() || i > 0 && r.Suspended[i-1].Notice >= r.Suspended[i].Notice {
			return errKeyRecord
		}
	}
	return nil
}

// suspensionsBut returns the suspensions that are in force and not of the notice, nil if
// there are none.
func (r *keyRecord) suspensionsBut(notice string, now int64) (kept []suspensionRecord) {
	for _, x := range r.Suspended {
		if x.Notice != notice && !x.ended(now) {
			kept = append(kept, x)
		}
	}
	return kept
}

// suspensions are the suspensions of opened keys. Nil are none, so the way of a value
// costs a comparison where nothing is suspended. They are immutable.
type suspensions struct {
	purpose purpose.Purpose
	all     []suspensionRecord // by notice
}

// newSuspensions returns the suspensions of a record.
func newSuspensions(r *keyRecord) (*suspensions, error) {
	if len(r.Suspended) == 0 {
		return nil, nil
	}
	p, err := purpose.Parse(r.Purpose)
	if err != nil {
		return nil, errKeyRecord
	}
	return &suspensions{p, r.Suspended}, nil
}

// refusal returns the refusal of an action on a value under the notice, or on no value for
// "". It is nil if the action goes on.
func (s *suspensions) refusal(a audit.Action, notice string) error {
	if s == nil {
		return nil
	}
	return s.refusalNow(a, notice)
}

// refusalNow is refusal for suspensions that are not nil. It looks at the clock.
func (s *suspensions) refusalNow(a audit.Action, notice string) error {
	now := time.Now().Unix()
	for i := range s.all {
		x := &s.all[i]
		if x.Notice != "" && x.Notice != notice || !slices.Contains(x.Actions, a) || x.ended(now) {
			continue
		}
		return &SuspendedError{s.purpose, x.Notice, a, x.until()}
	}
	return nil
}

// inForce returns the suspensions that are in force at the given time.
func (s *suspensions) inForce(now time.Time) (all []Suspension) {
	if s == nil {
		return nil
	}
	for i := range s.all {
		if !s.all[i].ended(now.Unix()) {
			all = append(all, s.all[i].describe())
		}
	}
	return all
}
