//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package privatefile

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"syscall"
	"time"
)

// tempName is the name of a file while it is written. One name is enough, because only
// the holder of the lock writes. So processes that were killed leave at most one such
// file in a directory.
const tempName = ".tmp"

// Read is [Dir.Read] under the lock: the file stays as it is until Unlock.
func (l *Lock) Read(name string, limit int) ([]byte, error) {
	top, err := l.reopen()
	if err != nil {
		return nil, err
	}
	return l.dir.read(top, name, limit)
}

// Write makes data the content of the named file, and makes its directories if they are
// missing. It replaces any file of that name without checking it, so Read the file first.
// When Write returns nil, the content is durable, and the content that it replaced is
// overwritten. When it fails, the file is unchanged, unless one of the last steps failed,
// which are to make sure that the new content is durable and to overwrite the old one.
func (l *Lock) Write(name string, data []byte) error {
	dir, base := split(name)
	in, err := l.enter(dir)
	if err != nil {
		return err
	}
	defer in.Close()
	// The handle keeps the old content within reach when its name is gone.
	old, err := l.dir.openFile(in, name, base, os.O_RDWR)
	switch {
	case err == nil:
		defer old.Close()
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrRefused):
		return err // nothing is lost yet, and the old content would stay on the disk
	}
	if err := l.dir.writeTemp(in, name, data); err != nil {
		l.dir.sys.Remove(in, tempName) // if not now, then by the next writer
		return err
	}
	if err := l.dir.sys.Rename(in, tempName, base); err != nil {
		l.dir.sys.Remove(in, tempName)
		return failed("replacing", "file", name, err)
	}
	if err := l.dir.syncDir(in, dir); err != nil {
		return err
	}
	l.dir.settled(in, base)
	l.dir.blurTimes(in)
	if old == nil {
		return nil
	}
	return l.dir.overwrite(old, name)
}

// overwrite writes zeros over a content that was replaced. The new content is durable by
// now, so a power cut can't lose both.
func (d *Dir) overwrite(old *os.File, name string) error {
	info, err := d.sys.Stat(old)
	if err == nil {
		_, err = d.sys.Write(old, make([]byte, info.Size()))
	}
	if err == nil {
		err = d.sys.Sync(old)
	}
	if err != nil {
		return failed("overwriting", "former file", name, err)
	}
	return nil
}

// discard removes the temporary file that a killed writer left. Its content may be that of
// a record that is about to be erased, so discard overwrites it first, if it can.
func (d *Dir) discard(in *os.Root) error {
	f, err := d.openFile(in, tempName, tempName, os.O_RDWR)
	switch {
	case err == nil:
		d.overwrite(f, tempName) // if the disk fails here, the file must not be in the way for ever
		f.Close()
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrRefused):
		return err
	}
	return d.sys.Remove(in, tempName)
}

const day = 24 * time.Hour

// blurTime sets the time at which the file base was changed to a random time of this day.
// An access time after all other times of the file keeps most systems from noting when the
// file is next read. A file system that can't set times leaves them as they are.
func (d *Dir) blurTime(in *os.Root, base string) {
	today := time.Now().UTC().Truncate(day)
	d.sys.Chtimes(in, base, today.Add(2*day), today.Add(rand.N(day)))
}

// blurTimes sets the time at which a directory was changed to the beginning of this day.
func (d *Dir) blurTimes(dir *os.Root) {
	today := time.Now().UTC().Truncate(day)
	d.sys.Chtimes(dir, ".", today.Add(2*day), today)
}

// enter opens a directory to write in, and removes the temporary file that a killed
// writer may have left there: an older content of a file that is about to be erased must
// not survive under another name.
func (l *Lock) enter(dir string) (*os.Root, error) {
	top, err := l.reopen()
	if err != nil {
		return nil, err
	}
	in, err := l.dir.descend(top, dir, true)
	if err != nil {
		return nil, err
	}
	if err := l.dir.discard(in); err != nil && !errors.Is(err, fs.ErrNotExist) {
		in.Close()
		return nil, failed("removing", "unfinished file in directory", dir, err)
	}
	return in, nil
}

// reopen returns a second handle on the locked directory itself. The path may lead to
// another directory by now.
func (l *Lock) reopen() (*os.Root, error) {
	top, err := l.dir.sys.OpenDir(l.top, ".")
	if err != nil {
		return nil, failed("opening", "directory", "", err)
	}
	return top, nil
}

func (d *Dir) writeTemp(in *os.Root, name string, data []byte) error {
	f, err := d.create(in, name, tempName, modeUnsettled)
	if err != nil {
		return err
	}
	_, err = d.sys.Write(f, data)
	d.blurTime(in, tempName)
	if err == nil {
		err = d.sys.Sync(f) // otherwise a power cut could keep the name and lose the content
	}
	if closeErr := d.sys.Close(f); err == nil {
		err = closeErr
	}
	if err != nil {
		return failed("writing", "file", name, err)
	}
	return nil
}

// create makes a file that must not exist, and so follows no symbolic link.
func (d *Dir) create(in *os.Root, name, base string, mode fs.FileMode) (*os.File, error) {
	f, err := d.sys.OpenFile(in, base, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if err == nil {
		// The umask may have taken away even the owner's right to read.
		if err = d.sys.Chmod(f, mode); err == nil {
			return f, nil
		}
		f.Close()
		d.sys.Remove(in, base) // otherwise it would be in the way for ever
	}
	return nil, failed("creating", "file", name, err)
}

// mkdir makes the directory base, unless it exists by now. The name of the directory is
// not durable yet.
func (d *Dir) mkdir(in *os.Root, name, base string) error {
	err := d.sys.Mkdir(in, base, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		if err = d.restoreMode(in, base); err != nil {
			d.sys.Remove(in, base) // otherwise it would be in the way for ever
		}
	}
	if err != nil {
		return failed("creating", "directory", name, err)
	}
	d.blurTimes(in)
	return nil
}

// restoreMode gives the owner of a new directory the rights that the umask removed. The
// directory can't be opened without them.
func (d *Dir) restoreMode(in *os.Root, base string) error {
	info, err := d.sys.LstatIn(in, base)
	if err != nil || info.Mode().Perm() == 0o700 {
		return err
	}
	return d.sys.ChmodDir(in, base, 0o700)
}

// syncDir makes the names in a directory durable.
func (d *Dir) syncDir(in *os.Root, name string) error {
	f, err := d.sys.OpenFile(in, ".", os.O_RDONLY, 0)
	if err == nil {
		err = d.sys.Sync(f)
		f.Close()
	}
	// Some file systems can't sync a directory. They return one of these errors.
	if err == nil || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	return failed("syncing", "directory", name, err)
}
