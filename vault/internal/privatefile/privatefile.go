// Package privatefile keeps small files that nobody but their owner can read or change.
//
// A [Dir] is one directory. It refuses files and directories that others may have read,
// planted or redirected, and does not repair them: a key that was open to others for a
// moment has to be replaced, and somebody has to hear of it. So the directory, the
// directories below it and the files must belong to this process's user, must not grant
// anything to the group or to others, and must not be symbolic links. A file must not have
// a second hard link: under its other name an old content would outlive a replacement.
//
// Files change by replacement, under a lock that all processes on this machine respect.
// [Lock.Create] and [Lock.Put] are the exceptions: they make files that grow in place.
// Readers take no lock. A reader sees either the whole old file or the whole new one, and
// so does the next process after a crash or a power cut. A content that was read, and not
// replaced since, survives a power cut, even if its writer died before making it durable.
//
// A replaced file is overwritten with zeros once its successor is durable. On a file system
// that writes in place, its content is then no longer on the disk. File systems that write
// elsewhere, such as Btrfs and ZFS, and flash memory keep it until they use the space again.
//
// The time at which a file was changed is told to the day: the time of day is random, and
// directories have the beginning of the day. Otherwise the files of two directories could
// be matched by their order in time. A program that trusts sizes and times still sees that
// a file has changed. Other facts of the file system tell more: see [os.FileInfo.Sys].
//
// The package does not protect from root, from other processes of that user, or from
// users who may rename the directories above. It needs a file system with POSIX modes and
// flock, such as a local one. On systems without them every method fails with
// [errors.ErrUnsupported].
package privatefile

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// ErrRefused reports a file or directory that is not private, or is of another type than
// a file or directory.
var ErrRefused = errors.New("not private")

// ErrDenied reports a file or directory that exists, belongs to another user and does not
// open for this process. It is also [fs.ErrPermission].
var ErrDenied = fmt.Errorf("belongs to another user: %w", fs.ErrPermission)

// ErrLocked reports that another goroutine or process has the lock of a Dir.
var ErrLocked = errors.New("locked by another process")

// ErrTooLarge reports a file with more bytes than the reader accepts.
var ErrTooLarge = errors.New("file too large")

// A failure has a text of its own, and unwraps to an error number of the system or to a
// sentinel. The errors of package os do not get through, because they repeat absolute
// paths.
type failure struct {
	text string
	err  error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.err }

// refused returns an ErrRefused that states why name can't be trusted. kind is "file" or
// "directory".
func refused(kind, name, fact string) error {
	return &failure{label(kind, name) + " " + fact, ErrRefused}
}

// failed returns an error of an operation on name. It keeps only the innermost error of
// err, whose text is constant, such as "no space left on device".
func failed(doing, kind, name string, err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return &failure{doing + " " + label(kind, name) + ": " + err.Error(), err}
}

// label returns kind and name. It leaves out the name of the Dir itself, which is "",
// because callers add its path.
func label(kind, name string) string {
	if name == "" {
		return kind
	}
	return kind + " " + name
}

// split returns the directory of the file, "" for the Dir itself, and the base name of
// the file.
func split(name string) (dir, base string) {
	i := strings.LastIndexByte(name, '/')
	return name[:max(i, 0)], name[i+1:]
}
