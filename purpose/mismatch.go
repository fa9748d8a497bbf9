package purpose

import "errors"

// ErrMismatch is what every [MismatchError] is, for [errors.Is].
var ErrMismatch = errors.New("collected for another purpose")

// A MismatchError refuses the use of a value for a purpose that it was not
// collected for. It holds names of purposes and nothing of the value.
type MismatchError struct {
	// Collected is what the value was collected for.
	Collected Set
	// Asked is what it was to be used for.
	Asked Purpose
}

// Error says both, such as "collected for security, not advertising".
func (e *MismatchError) Error() string {
	return "collected for " + e.Collected.String() + ", not " + e.Asked.String()
}

// Is reports whether target is [ErrMismatch].
func (e *MismatchError) Is(target error) bool { return target == ErrMismatch }
