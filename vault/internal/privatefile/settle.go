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

// A visible name need not be durable: its writer may have died, or be about to learn that
// the disk failed, before the directory of the name was synced. A process that builds on
// such a name could lose, in a power cut, a result that it has reported: an erasure that
// it found already done, or all values that were sealed with keys that it found there.
//
// Therefore a file is executable until its name is durable, and no other file here is
// executable. A reader of an executable file makes its name durable first. A directory
// stays empty until its name is durable, so the first process that puts an entry into a
// directory makes the name of the directory durable first.
const (
	modeFile      fs.FileMode = 0o600
	modeUnsettled fs.FileMode = 0o700
)

// settled marks the name of a file as durable. If that fails, the next reader makes the
// name durable once more. settled changes the mode through an open file, because not
// every system can change it by name without following symbolic links.
func (d *Dir) settled(in *os.Root, base string) {
	f, err := d.sys.OpenFile(in, base, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	d.sys.Chmod(f, modeFile)
}

// settle makes the name of a directory durable in its parent directory, unless the
// directory has an entry, which proves that its name is durable.
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
		return nil // this process can't have made the Dir
	}
	if err != nil {
		return failed("opening", "directory", "above", err)
	}
	defer above.Close()
	return d.syncDir(above, "above")
}
