// Package privatefile keeps small files that nobody but their owner can read
// or change.
//
// A [Dir] is one directory. It refuses to use what others may have read,
// planted or redirected, instead of repairing it: a key that was open to
// others for a moment is to be replaced, and somebody has to hear of it. So
// the directory, the directories below it and the files must belong to this
// process's user, must not grant anything to the group or to others, and must
// not be symbolic links.
//
// Files change by replacement, under a lock that all processes on this machine
// respect: readers take no lock and see all of an old or all of a new file,
// and so does the next process after a crash or a power cut. What has been read,
// and not replaced since, is there after a power cut, too, even if its writer
// died before making sure of that.
//
// It does not protect from root, from the same user's other processes, or from
// whoever may rename the directories above. It needs a file system with POSIX
// modes and flock, as local ones have; on systems without these every method
// fails with [errors.ErrUnsupported].
package privatefile

import (
	"errors"
	"strings"
)

// ErrRefused reports a file or directory that is not private, or not a file or
// directory at all.
var ErrRefused = errors.New("not private")

// ErrTooLarge reports a file with more bytes than the reader accepts.
var ErrTooLarge = errors.New("file too large")

// A failure says what is wrong in words of its own, and unwraps to the system's
// error number or to a sentinel. The errors of package os do not get through:
// they repeat absolute paths.
type failure struct {
	text string
	err  error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.err }

// refused says why name, a kind of thing such as "file", can't be trusted.
func refused(kind, name, fact string) error {
	return &failure{label(kind, name) + " " + fact, ErrRefused}
}

// failed says what did not work on name. Of err only the innermost error is
// kept, which is constant text such as "no space left on device".
func failed(doing, kind, name string, err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return &failure{doing + " " + label(kind, name) + ": " + err.Error(), err}
}

// label leaves out the name of the Dir itself, which is "": callers say it.
func label(kind, name string) string {
	if name == "" {
		return kind
	}
	return kind + " " + name
}

// split returns the directory that the file is in, "" for the Dir itself, and
// the file's own name.
func split(name string) (dir, base string) {
	i := strings.LastIndexByte(name, '/')
	return name[:max(i, 0)], name[i+1:]
}
