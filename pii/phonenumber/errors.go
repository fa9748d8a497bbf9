package phonenumber

import "github.com/onlyfor/onlyfor/pii"

// ErrInvalid reports text that is not one valid phone number, or a region that
// is none. Tell the user. It is also [pii.ErrMalformed], for [errors.Is].
var ErrInvalid error = &invalidError{"not a valid phone number"}

var errRegion error = &invalidError{"not a region with a numbering plan"}

// An invalidError is ErrInvalid with one of the texts above. It has no room for
// input.
type invalidError struct{ fact string }

func (e *invalidError) Error() string { return "phonenumber: " + e.fact }

// Is reports whether target is [ErrInvalid] or [pii.ErrMalformed].
func (e *invalidError) Is(target error) bool {
	return target == ErrInvalid || target == pii.ErrMalformed
}
