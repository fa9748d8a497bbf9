package pii

import (
	"errors"

	"github.com/onlyfor/onlyfor/vault"
)

// ErrMalformed reports text that is not of the kind it was to be sealed or indexed
// as, such as an e-mail address. Tell the user. The message never repeats the
// text.
var ErrMalformed = errors.New("pii: not valid text of this kind")

// An malformedError says what a text is not, and what it was wanted for.
type malformedError struct {
	action vault.Action
	kind   vault.Kind
}

func (e *malformedError) Error() string {
	return e.kind.Package() + ": " + e.action.Gerund() + " " + e.kind.String() + ": not a valid " + e.kind.String()
}

// Is reports whether target is [ErrMalformed].
func (e *malformedError) Is(target error) bool { return target == ErrMalformed }
