package phonenumber

import "github.com/onlyfor/onlyfor/pii"

var (
	errNumber = &malformedError{"not a valid phone number"}
	errRegion = &malformedError{"not a region with a numbering plan"}
)

// A malformedError is [pii.ErrMalformed] with one of the facts above. It has no room
// for input.
type malformedError struct{ fact string }

func (e *malformedError) Error() string { return "phonenumber: " + e.fact }

// Is reports whether target is [pii.ErrMalformed].
func (e *malformedError) Is(target error) bool { return target == pii.ErrMalformed }
