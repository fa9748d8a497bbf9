//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package privatefile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// A name that can be seen need not be durable: whoever wrote it may have died,
// or be about to learn that the disk failed, before the directory that holds it
// was synced. To build on it would be to lose, in a power cut, what was reported
// since: an erasure that somebody found done already, or all that was sealed
// with keys that somebody found there.
//
// So a file is executable, which no file here is otherwise, until its name is
// durable, and whoever reads one that is makes sure of it first. And a directory
// stays empty until its name is, so whoever is the first to put something in
// makes sure of that one.
const (
	modeFile      fs.FileMode = 0o600
	modeUnsettled fs.FileMode = 0o700
)

// settled says of a file that its name is durable. If that fails, readers make
// sure of it once more. It is not done by name, which not every system can do
// without following symbolic links.
func (d *Dir) settled(in *os.Root, base string) {
	f, err := d.sys.OpenFile(in, base, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	d.sys.Chmod(f, modeFile)
}

// settle makes the name of a directory in the one above durable, unless that has
// been seen to.
func (d *Dir) settle(dir *os.Root, name string, above *os.Root, nameAbove string) error {
	f, err := d.sys.OpenFile(dir, ".", os.O_RDONLY, 0)
	if err != nil {
		return failed("opening", "directory", name, err)
	}
	defer f.Close()
	switch _, err := d.sys.List(f, 1); err {
	case nil:
		return nil
	case io.EOF:
		return d.syncDir(above, nameAbove)
	default:
		return failed("reading", "directory", name, err)
	}
}

// settleTop makes the name of the Dir itself durable.
func (d *Dir) settleTop() error {
	above, err := d.sys.OpenRoot(filepath.Dir(d.path))
	if errors.Is(err, fs.ErrPermission) {
		return nil // then this process has not made it
	}
	if err != nil {
		return failed("opening", "directory", "above", err)
	}
	defer above.Close()
	return d.syncDir(above, "above")
}
