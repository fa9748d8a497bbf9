package pii

import (
	"errors"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// ErrMalformed reports text that is not of the kind that a function seals or
// indexes, such as an e-mail address. Tell the user. The message never repeats
// the text.
var ErrMalformed = errors.New("pii: not valid text of this kind")

// A malformedError names the kind that a text is not of, and the action that was
// to seal or index it.
type malformedError struct {
	action audit.Action
	kind   vault.Kind
}

func (e *malformedError) Error() string {
	return e.kind.Package() + ": " + e.action.Gerund() + " " + e.kind.String() + ": not a valid " + e.kind.String()
}

// Is reports whether target is [ErrMalformed].
func (e *malformedError) Is(target error) bool { return target == ErrMalformed }

// A corruptError reports a value of the kind whose plaintext the kind would not have
// sealed. It is [vault.ErrCorrupt].
type corruptError struct {
	action audit.Action
	kind   vault.Kind
}

func (e *corruptError) Error() string {
	return e.kind.Package() + ": " + e.action.Gerund() + " " + e.kind.String() + ": " + vault.ErrCorrupt.Error()
}

func (e *corruptError) Unwrap() error { return vault.ErrCorrupt }
