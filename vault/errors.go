package vault

import (
	"errors"
	"fmt"
)

// One sentinel for each decision that a caller makes; use [errors.Is]. None of
// the errors of this package holds a value, a part of one, its length, a key
// or an index. The refusal of an honest wrong purpose is
// [purpose.ErrMismatch].
var (
	// ErrCorrupt reports what is malformed, forged, relabelled or swapped. Of a
	// value it never says at which step that was found. Refuse, and investigate.
	ErrCorrupt = errors.New("not sealed here, or altered since")

	// ErrNoKeys reports a purpose that the store has no keys for, or whose keys
	// the key service, the file permissions or the configuration refuse.
	ErrNoKeys = errors.New("no keys for this purpose")

	// ErrAccessDenied reports keys that this process was not granted: the key
	// service knows who asks, and refuses. It is also [ErrNoKeys]. A [KEK] returns
	// it, and [Vault.MustNotOpen] accepts nothing else as a proof.
	ErrAccessDenied = fmt.Errorf("not granted: %w", ErrNoKeys)

	// ErrUnavailable reports a store, key service or auditor that is down, too
	// slow, or was not waited for. Retry.
	ErrUnavailable = errors.New("unavailable")

	// ErrExpired reports a value whose time of retention is over. Treat it as
	// absent.
	ErrExpired = errors.New("retention is over")

	// ErrErased reports a subject whose keys were destroyed. Treat what was sealed
	// for it as absent.
	ErrErased = errors.New("subject is erased")

	// ErrSubject reports a value of one subject used through a scope that is not
	// narrowed to a subject, or the reverse. Use the right [Scope.For].
	ErrSubject = errors.New("not sealed for this subject")

	// ErrConflict reports that somebody else changed the store first. Retry.
	ErrConflict = errors.New("changed by another process")

	// ErrInvalid reports an argument that no retry will mend: a nil scope, no
	// scope at all, two scopes for one purpose, a value too long to seal.
	ErrInvalid = errors.New("invalid argument")
)

// An opError says what was being done to which kind of value, as in
// "pii: revealing phone: collected for security, not advertising".
type opError struct {
	action Action
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
