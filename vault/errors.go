package vault

import (
	"errors"
	"fmt"

	"github.com/onlyfor/onlyfor/vault/audit"
)

// The errors of this package are one sentinel for each decision that a caller makes;
// use [errors.Is]. No error of this package holds a value, a part of a value, its
// length, a key or an index. An unaltered value that is used for the wrong purpose is
// [purpose.ErrMismatch].
var (
	// ErrCorrupt reports data that is malformed, forged, relabelled or swapped. For a
	// value it never says which step found the fault. Refuse the data, and investigate.
	ErrCorrupt = errors.New("not sealed here, or altered since")

	// ErrRetired reports data under a key of the purpose that was retired or destroyed.
	// It is also [ErrCorrupt]. The id of the key stands readable in the data and is not
	// authenticated, so forged data can be ErrRetired too. [Admin.Reinstate] brings a
	// retired key back; a destroyed key is lost, with everything that it sealed.
	ErrRetired error = retiredError{}

	// ErrNoKeys reports a purpose without keys in the store, or with keys that the key
	// service, the file permissions or the configuration refuse.
	ErrNoKeys = errors.New("no usable keys")

	// ErrAccessDenied reports keys that were not granted to this process: the key
	// service knows the caller, and refuses. It is also [ErrNoKeys]. A [KEK] returns
	// it, and [Vault.CheckDenied] accepts no other sentinel as a proof.
	ErrAccessDenied = fmt.Errorf("not granted: %w", ErrNoKeys)

	// ErrUnavailable reports a store, a key service or an auditor that is down or too
	// slow, or a caller that stopped waiting for it. Retry.
	ErrUnavailable = errors.New("unavailable")

	// ErrExpired reports a value whose retention period is over. Treat the value as
	// absent.
	ErrExpired = errors.New("retention is over")

	// ErrErased reports a subject whose keys were destroyed. Treat values that were
	// sealed for the subject as absent.
	ErrErased = errors.New("subject is erased")

	// ErrSubject reports a value of one subject that was used through a scope without
	// a subject, or the reverse. Use the right [Scope.For].
	ErrSubject = errors.New("not sealed for this subject")

	// ErrConflict reports that another process changed the store first. Retry.
	ErrConflict = errors.New("changed by another process")

	// ErrSuspended reports an action that is suspended for its purpose, or for the notice
	// that the value was collected under: see [Admin.Suspend]. A [*SuspendedError] has the
	// facts. Stop, and say so to the person.
	ErrSuspended = errors.New("suspended")

	// ErrBudget reports that [Options.Budget] is used up. It is also [ErrUnavailable]. Wait
	// before you retry, and find out who asks for so many values.
	ErrBudget = fmt.Errorf("budget of the purpose is used up: %w", ErrUnavailable)

	// ErrInvalid reports an argument that no retry will mend: a nil scope, no scope at
	// all, two scopes of one purpose, a value that is too long to seal.
	ErrInvalid = errors.New("invalid argument")
)

// A retiredError is [ErrRetired].
type retiredError struct{}

func (retiredError) Error() string { return "key is retired or destroyed" }

// Is reports that the error is also [ErrCorrupt].
func (retiredError) Is(target error) bool { return target == ErrCorrupt }

// An opError names the action and the kind of value that failed, as in
// "pii: revealing phone: collected for security, not advertising".
type opError struct {
	action audit.Action
	kind   Kind
	err    error
}

func (e *opError) Error() string {
	doing := e.kind.Package() + ": " + e.action.Gerund()
	if e.kind != (Kind{}) {
		doing += " " + e.kind.name
	}
	return doing + ": " + e.err.Error()
}

func (e *opError) Unwrap() error { return e.err }
