package vault

import (
	"context"
	"fmt"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A Recorder has the auditor of a vault, for changes of data that need no key. It is a
// [*Vault], an [*Admin] or a [*Scope] of any purpose. It can be closed. A type of another
// package is [ErrInvalid], even if it embeds one of them.
type Recorder interface {
	recorder() *backend // nil if there is none
}

func (v *Vault) recorder() *backend {
	if !v.valid() {
		return nil
	}
	return v.backend
}

func (a *Admin) recorder() *backend { return a.Vault().recorder() }

func (s *Scope) recorder() *backend {
	if !s.valid() {
		return nil
	}
	return s.opened.backend
}

// recorderOf returns the backend of by, or nil if its type is of another package.
func recorderOf(by Recorder) *backend {
	switch by.(type) {
	case *Vault, *Admin, *Scope:
		return by.recorder()
	}
	return nil
}

var errNoRecorder = fmt.Errorf("no vault or scope to record it: %w", ErrInvalid)

// Withdraw is [Sealed.Without] with an event, so that a withdrawal can be proven. It needs
// no key. A value that was not collected for p stays as it is, and the event has the reason
// "absent". Set the index column of p to NULL in the same update.
//
// Copies of v, such as rows of a backup, still have the purpose. [Vault.Erase] for p reaches
// them as well, wherever values are sealed for subjects.
//
// The event has the pseudonym of the person if by is a scope of p that [Scope.For]
// narrowed. A by that is nil, zero or of another package and the zero purpose are
// [ErrInvalid]; an auditor that fails and a ctx that is done are [ErrUnavailable]. With any
// error the result is v.
func (v Sealed) Withdraw(ctx context.Context, p purpose.Purpose, by Recorder) (Sealed, error) {
	reason := ""
	if !v.Purposes().Contains(p) {
		reason = "absent"
	}
	if err := v.record(ctx, audit.Withdraw, p, reason, by); err != nil {
		return v, err
	}
	return v.Without(p), nil
}

// Sweep is [Sealed.WithoutExpired] with an event for each purpose that it removes. It needs
// no key. A value without an expired purpose stays as it is, and makes no event. Errors are
// the errors of [Sealed.Withdraw].
func (v Sealed) Sweep(ctx context.Context, by Recorder) (Sealed, error) {
	if recorderOf(by) == nil {
		return v, &opError{audit.Sweep, Kind{name: v.Kind()}, errNoRecorder}
	}
	kept := v.WithoutExpired()
	for p := range v.Purposes().All() {
		if !kept.Purposes().Contains(p) {
			if err := v.record(ctx, audit.Sweep, p, "", by); err != nil {
				return v, err
			}
		}
	}
	return kept, nil
}

// RecordClear records that the index of v under p is removed from its column, as after
// [Vault.Erase]. The zero Sealed stands for an index without a value. Errors are the errors
// of [Sealed.Withdraw].
func (v Sealed) RecordClear(ctx context.Context, p purpose.Purpose, by Recorder) error {
	return v.record(ctx, audit.Clear, p, "", by)
}

// record records a change of v for p that needs no key.
func (v Sealed) record(ctx context.Context, a audit.Action, p purpose.Purpose, reason string, by Recorder) error {
	b, kind := recorderOf(by), Kind{name: v.Kind()}
	if b == nil {
		return &opError{a, kind, errNoRecorder}
	}
	var err error
	switch {
	case p.IsZero():
		err = errNoPurpose
	case ctx.Err() != nil:
		err = ctxError(ctx)
	}
	e := newValueEvent(a, kind, v, p)
	if s, ok := by.(*Scope); ok && s.Purpose() == p {
		e = s.complete(e)
	}
	e.Purpose, e.Reason = p, reason
	if err = b.audit(ctx, e, err); err != nil {
		return &opError{a, kind, err}
	}
	return nil
}
