//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package privatefile

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockName is the name of the file that is locked. The file stays empty, and is never
// removed: otherwise two processes could hold locks on two files of that name.
const lockName = ".lock"

// A Lock is the exclusive right to change the files of a [Dir], among all goroutines and
// processes on this machine. It ends with the process, no matter how the process ends. A
// Lock belongs to one goroutine, but goroutines may change files of different directories
// at once.
type Lock struct {
	dir   *Dir
	top   *os.Root
	file  *os.File
	known map[string]bool // directories of earlier calls of Put
}

// Lock waits for the lock, or until ctx is done, and makes the directory if it is
// missing. The parent of the directory must exist: a directory made where a disk is not
// mounted would pass for an empty disk. The error names a missing parent.
func (d *Dir) Lock(ctx context.Context) (*Lock, error) {
	// Goroutines queue here, so that processes contend one by one.
	select {
	case d.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, notLocked(ctx.Err())
	}
	l, err := d.poll(ctx)
	if err != nil {
		<-d.turn
		return nil, err
	}
	return l, nil
}

// poll asks for the lock again and again. A context can't interrupt flock, and a
// goroutine that waits in it would outlive the call.
func (d *Dir) poll(ctx context.Context) (*Lock, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 10*time.Millisecond) {
		if err := ctx.Err(); err != nil {
			return nil, notLocked(err)
		}
		l, err := d.tryLock()
		if l != nil || err != nil {
			return l, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

func notLocked(err error) error { return &failure{"waiting for the lock: " + err.Error(), err} }

// tryLock returns nil and no error if another process has the lock.
func (d *Dir) tryLock() (*Lock, error) {
	top, err := d.openOrCreate()
	if err != nil {
		return nil, err
	}
	file, err := d.openLock(top)
	if err != nil {
		top.Close()
		return nil, err
	}
	locked, err := d.flock(file, syscall.LOCK_EX|syscall.LOCK_NB)
	if locked {
		locked, err = d.isCurrent(file)
	}
	if !locked {
		file.Close()
		top.Close()
		return nil, err
	}
	return &Lock{dir: d, top: top, file: file}, nil
}

func (d *Dir) openOrCreate() (*os.Root, error) {
	top, err := d.open()
	if !errors.Is(err, fs.ErrNotExist) {
		return top, err
	}
	above, err := d.sys.OpenRoot(filepath.Dir(d.path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &failure{"its parent directory " + filepath.Dir(d.path) + " does not exist: make it, or mount its disk", fs.ErrNotExist}
	}
	if err != nil {
		return nil, failed("opening", "directory", "above", err)
	}
	defer above.Close()
	if err := d.mkdir(above, "", filepath.Base(d.path)); err != nil {
		return nil, err
	}
	return d.open()
}

func (d *Dir) openLock(top *os.Root) (*os.File, error) {
	file, err := d.openFile(top, lockName, lockName, os.O_RDWR)
	if !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	// No process has made the lock file yet, so the name of the Dir may not be durable.
	if err := d.settleTop(); err != nil {
		return nil, err
	}
	file, err = d.create(top, lockName, lockName, modeFile)
	if errors.Is(err, fs.ErrExist) { // another process was faster
		return d.openFile(top, lockName, lockName, os.O_RDWR)
	}
	if err == nil {
		d.blurTime(top, lockName)
		d.blurTimes(top)
	}
	return file, err
}

// isCurrent reports whether a lock on file is still the lock of this directory. Somebody
// may have moved the directory away in the meantime, or put a backup in its place. The
// next process would then lock another file.
func (d *Dir) isCurrent(file *os.File) (bool, error) {
	ours, err := d.sys.Stat(file)
	if err != nil {
		return false, failed("locking", "file", lockName, err)
	}
	current, err := d.sys.Lstat(filepath.Join(d.path, lockName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil: // to retry for ever would not help
		return false, failed("locking", "file", lockName, err)
	}
	return os.SameFile(ours, current), nil
}

func (d *Dir) flock(file *os.File, how int) (locked bool, err error) {
	for {
		switch err := d.sys.Flock(file, how); err {
		case nil:
			return true, nil
		case syscall.EINTR:
		case syscall.EWOULDBLOCK:
			return false, nil
		default:
			return false, failed("locking", "file", lockName, err)
		}
	}
}

// Unlock releases the lock. The Lock can't be used afterwards.
func (l *Lock) Unlock() {
	// Closing the file alone would not release the lock: a child process that is
	// just being started holds a copy of the descriptor until it runs its program.
	l.dir.flock(l.file, syscall.LOCK_UN)
	l.file.Close()
	l.top.Close()
	<-l.dir.turn
}
