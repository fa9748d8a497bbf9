package purpose

import "errors"

// ErrMismatch reports the use of a value for a purpose that it was not collected
// for. Every [MismatchError] is ErrMismatch.
var ErrMismatch = errors.New("collected for another purpose")

// A MismatchError refuses the use of a value for a purpose that it was not
// collected for. It holds names of purposes and nothing of the value.
type MismatchError struct {
	// Collected is the set of purposes that the value was collected for.
	Collected Set
	// Asked is the purpose that the caller asked for.
	Asked Purpose
}

// Error names both, such as "collected for security, not advertising".
func (e *MismatchError) Error() string {
	return "collected for " + e.Collected.String() + ", not " + e.Asked.String()
}

// Is reports whether target is [ErrMismatch].
func (e *MismatchError) Is(target error) bool { return target == ErrMismatch }
