package auditlog

import "errors"

// Errors unwrap to one of these sentinels, or to an error of the system or of a context.
var (
	// ErrArgument reports an argument or an option that can't be used.
	ErrArgument = errors.New("not a valid argument")
	// ErrInUse reports a directory whose log another [Log] writes, in this process or in
	// another one.
	ErrInUse = errors.New("in use by another log")
	// ErrAltered reports a directory that is not as a log left it. [Verify] tells more.
	ErrAltered = errors.New("log altered")
	// ErrStopped reports a use of a log after its [Log.Close].
	ErrStopped = errors.New("log stopped")
	// ErrHead reports a text that is not a head signed by the expected key.
	ErrHead = errors.New("not a head of this log")
)
