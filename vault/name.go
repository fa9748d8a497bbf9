package vault

import (
	"fmt"
)

const maxName = 200

// validName reports whether name is what [Record] says of names. A valid name
// is also a safe path: no segment of it is empty, begins with "." or "-", or
// holds anything that a file system, a shell or an SQL pattern treats specially.
func validName(name string) bool {
	if len(name) > maxName {
		return false
	}
	first := true // of a segment
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			first = false
		case c == '-' && !first:
		case c == '/' && !first:
			first = true
		default:
			return false
		}
	}
	return !first
}

// The checks of arguments that Dir and Memory share. None repeats a name that
// it refuses.

func checkGet(names []string) error {
	for _, name := range names {
		if !validName(name) {
			return errName
		}
	}
	return nil
}

func checkPut(r Record) error {
	switch {
	case !validName(r.Name):
		return errName
	case len(r.Data) == 0:
		return fmt.Errorf("key store: record without data: %w", ErrInvalid)
	case len(r.Data) > MaxRecord:
		return fmt.Errorf("key store: record too large: %w", ErrInvalid)
	case r.Revision < 0:
		return errRevision
	}
	return nil
}

var (
	errName     = fmt.Errorf("key store: malformed record name: %w", ErrInvalid)
	errRevision = fmt.Errorf("key store: not a revision: %w", ErrInvalid)
)
