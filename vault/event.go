package vault

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// These actions are steps of others, and are not audited.
const (
	actionRefresh audit.Action = "read"
	actionRenew   audit.Action = "ask" // the key service, about opened keys
	actionFindKey audit.Action = "learn"
	actionSubject audit.Action = "subject"

	actionSeals    audit.Action = "seals"
	actionPurposes audit.Action = "purposes"
)

// reasons has the word and the outcome of each sentinel. An error that is several of them
// has the word of the first. [audit.Event] documents the words, which never change.
var reasons = [...]struct {
	err     error
	word    string
	outcome audit.Outcome
}{
	{purpose.ErrMismatch, "purpose", audit.Denied},
	{purpose.ErrNoConsent, "consent", audit.Denied},
	{ErrSuspended, "suspended", audit.Denied},
	{ErrRetired, "retired", audit.Denied}, // which is ErrCorrupt too
	{ErrCorrupt, "corrupt", audit.Denied},
	{ErrGranted, "granted", audit.Denied},
	{ErrAccessDenied, "access", audit.Denied}, // which is ErrNoKeys too
	{ErrNoKeys, "keys", audit.Denied},
	{ErrExpired, "expired", audit.Denied},
	{ErrErased, "erased", audit.Denied},
	{ErrSubject, "subject", audit.Denied},
	{ErrBudget, "budget", audit.Failed}, // which is ErrUnavailable too
	{ErrUnavailable, "unavailable", audit.Failed},
	{ErrConflict, "conflict", audit.Failed},
	{purpose.ErrBasis, "basis", audit.Failed}, // which is ErrInvalid too
	{ErrInvalid, "invalid", audit.Failed},
}

// resultNumber returns 0 for nil, and otherwise the number of the first sentinel that err
// is, from 1, or the number after the last one.
func resultNumber(err error) int {
	if err == nil {
		return 0
	}
	for i := range reasons {
		if errors.Is(err, reasons[i].err) {
			return i + 1
		}
	}
	return len(reasons) + 1
}

// resultOutcome returns the outcome of a result by its number.
func resultOutcome(n int) audit.Outcome {
	switch {
	case n == 0:
		return audit.Allowed
	case n > len(reasons):
		return audit.Failed
	}
	return reasons[n-1].outcome
}

// resultWord returns the word of a result by its number. The word of 0 is "".
func resultWord(n int) string {
	switch {
	case n == 0:
		return ""
	case n > len(reasons):
		return "other"
	}
	return reasons[n-1].word
}

// resultOf returns the outcome for an error, and the word of its sentinel. The word for nil
// is "".
func resultOf(err error) (audit.Outcome, string) {
	n := resultNumber(err)
	return resultOutcome(n), resultWord(n)
}

func outcomeOf(err error) audit.Outcome {
	outcome, _ := resultOf(err)
	return outcome
}

// reasonOf returns the word for err, "" for nil.
func reasonOf(err error) string {
	_, word := resultOf(err)
	return word
}

// audit completes e from ctx and err, adds the unwraps of the purpose that no event has
// yet, and passes it to the auditor. It returns err. If the event could not be recorded, it
// returns errUnaudited and keeps err beside it, so that a refusal stays a refusal.
func (b *backend) audit(ctx context.Context, e audit.Event, err error) error {
	b.stats.operation(e.Purpose, e.Action, e.Kind, err)
	return b.record(ctx, e, err)
}

// record is audit of an operation that is counted already.
func (b *backend) record(ctx context.Context, e audit.Event, err error) error {
	if b.unwrapped.Load() != 0 { // hardly ever
		e.Unwraps = b.takeUnwraps(e.Purpose)
	}
	recorded, err := recordEvent(ctx, b.opts.Audit, e, err)
	if !recorded {
		b.stats.auditFailures.add(1)
		if e.Unwraps > 0 {
			b.noteUnwraps(e.Purpose, e.Unwraps) // for the next event
		}
	}
	return err
}

// recordEvent is audit for an auditor that may be nil, which needs no event. It reports in
// recorded whether the auditor has the event.
//
// A ctx of the caller's own can panic, or end the goroutine, when it is asked for a value.
// The event is recorded nevertheless, without that ctx: otherwise a refused caller could
// keep its refusal out of the log, and an operation on keys, which is done by then, would
// leave no event.
func recordEvent(ctx context.Context, to audit.Auditor, e audit.Event, err error) (recorded bool, _ error) {
	if to == nil {
		return true, err
	}
	e.Time, e.Err = time.Now(), err
	if outcome, word := resultOf(err); err == nil {
		e.Outcome = outcome
	} else {
		e.Outcome, e.Reason = outcome, word
	}
	returned := false
	defer func() {
		if !returned {
			own, cancel := context.WithTimeout(context.Background(), defaultTimeout)
			defer cancel()
			_ = callAuditor(own, to, e)
		}
	}()
	e.Caller, e.Operation = audit.Caller(ctx), audit.Operation(ctx)
	failure := callAuditor(ctx, to, e)
	returned = true
	switch {
	case failure == nil:
		return true, err
	case err == nil:
		return false, errUnaudited
	}
	return false, fmt.Errorf("%w; %w", err, errUnaudited)
}

// errUnaudited reports that an event was not recorded. It does not repeat the text of
// the auditor's error, which could hold anything.
var errUnaudited = fmt.Errorf("audit failed: %w", ErrUnavailable)

func callAuditor(ctx context.Context, a audit.Auditor, e audit.Event) (err error) {
	defer func() {
		if recover() != nil {
			err = ErrUnavailable
		}
	}()
	return audit.Record(ctx, a, e)
}

// anAuditor is an auditor that can be compared, so that [audit.Batch] can join its events.
type anAuditor struct{ audit.Auditor }

// comparableAuditor returns a, in a comparable type if its own is not.
func comparableAuditor(a audit.Auditor) audit.Auditor {
	if a == nil || reflect.ValueOf(a).Comparable() {
		return a
	}
	return &anAuditor{a}
}

// newValueEvent returns the event of an action on v under p, with the facts in v's header.
func newValueEvent(a audit.Action, k Kind, v Sealed, p purpose.Purpose) audit.Event {
	e := audit.Event{Action: a, Kind: k.name, Count: 1}
	if v.IsZero() {
		return e
	}
	_, names, body := format.Cut(v.text)
	e.Collected = format.Purposes(names)
	buf := getBuffers()
	defer buf.release()
	raw, err := format.DecodeBody(&buf.Buffer, body)
	if err != nil || len(raw) < format.IDSize {
		return e
	}
	e.Value = hexID([format.IDSize]byte(raw))
	if n, found := format.SlotNumber(names, p.String()); found {
		if slot, ok := format.NthSlot(raw, n); ok {
			e.Provenance = slot.Provenance()
			e.KeyID, _ = slot.KeyID()
		}
	}
	return e
}

// A describedValue is a value that several events are about. It was decoded once.
type describedValue struct {
	purposes purpose.Set
	id       string
	slots    []format.Named
}

// describe returns the description of v, which value is the decoded form of. It is zero
// if value is nil.
func describe(v Sealed, value *format.Value) describedValue {
	if value == nil {
		return describedValue{}
	}
	return describedValue{v.Purposes(), hexID([format.IDSize]byte(value.ID)), slices.Clone(value.Slots)}
}

// event is newValueEvent without decoding the value.
func (d *describedValue) event(a audit.Action, k Kind, p purpose.Purpose) audit.Event {
	e := audit.Event{Action: a, Kind: k.name, Count: 1, Collected: d.purposes, Value: d.id}
	if raw, found := (&format.Value{Slots: d.slots}).Find(p.String()); found {
		if slot, _, ok := format.CutSlot(raw); ok {
			e.Provenance = slot.Provenance()
			e.KeyID, _ = slot.KeyID()
		}
	}
	return e
}

// hexID returns the id of a value as events have it.
func hexID(id [format.IDSize]byte) string {
	var text [2 * format.IDSize]byte
	hex.Encode(text[:], id[:])
	return string(text[:])
}

// askedFor returns the provenance that a basis asks for, for the event of a value that was
// not sealed. It is zero for a basis that is not valid: its text could be anything.
func askedFor(b purpose.Basis, err error) purpose.Provenance {
	if err != nil {
		return purpose.Provenance{}
	}
	return purpose.Provenance{Legal: b.Legal, Notice: b.Notice, Consent: b.Consent}
}

// A pendingEvent is the event of an operation on keys, which adds facts to it. The call of
// the operation can outlive its caller, who takes the event as it is at that time.
type pendingEvent struct {
	mu    sync.Mutex
	event audit.Event
}

// add adds facts.
func (p *pendingEvent) add(f func(e *audit.Event)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.event)
}

// taken returns the event with the facts so far.
func (p *pendingEvent) taken() audit.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.event
}

// at adds the generation of the keys, and the digest of the record that has them.
func (p *pendingEvent) at(generation uint64, digest recordDigest) {
	p.add(func(e *audit.Event) { atKeys(e, generation, digest) })
}

// atKeys is at for an event that nobody else has.
func atKeys(e *audit.Event, generation uint64, digest recordDigest) {
	e.Generation, e.Digest = generation, ""
	if generation != 0 {
		e.Digest = hexID(digest)
	}
}

// of adds the role and the id of the key.
func (p *pendingEvent) of(role Role, id uint32) {
	p.add(func(e *audit.Event) { e.Role, e.KeyID = string(role), id })
}
