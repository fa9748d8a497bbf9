package phonenumber

import "github.com/onlyfor/onlyfor/pii"

// ErrAmbiguous is text without "+" that is two valid numbers: one as the region's plan
// dials it, and another if the person left out "+" or wrote 00 in its place. It is
// [pii.ErrMalformed] too. Ask the person for the number with "+" and the country code.
var ErrAmbiguous error = &malformedError{`the text has two readings: type "+" and the country code`}

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
