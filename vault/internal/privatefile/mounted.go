//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package privatefile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// ReadMounted returns the content of a file that a platform put into a directory for this
// process, as Kubernetes, systemd and Docker do with secrets. Unlike a [Dir], it accepts
// files of root, the right of the group to read, and symbolic links that stay within the
// directory. It never reads more than limit bytes, and returns the errors of [Dir.Read].
//
// Somebody else must neither have read the file nor planted it. So file and directory
// belong to root or to this process's user, the file grants others nothing and the group
// no right to write, and a directory into which others may write is sticky, so that they
// can't replace its entries.
func ReadMounted(dir, name string, limit int) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		info, statErr := os.Stat(dir)
		return nil, notMounted("directory", "", info, statErr, err)
	}
	defer root.Close()
	info, err := root.Stat(".")
	if err != nil {
		return nil, failed("opening", "directory", "", err)
	}
	if err := checkOwner("directory", "", info); err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0 {
		return nil, refused("directory", "", "is open to writers other than its owner")
	}
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO must not block
	if err != nil {
		info, statErr := root.Stat(name)
		return nil, notMounted("file", name, info, statErr, err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, failed("reading", "file", name, err)
	}
	if err := checkType("file", name, info, 0); err != nil {
		return nil, err
	}
	if err := checkOwner("file", name, info); err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o037 != 0 {
		return nil, refused("file", name, "is open to others: its mode may be 0400 or 0440, as with defaultMode: 0440")
	}
	if info.Size() > int64(limit) {
		return nil, tooLarge(name)
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, failed("reading", "file", name, err)
	}
	return data, nil
}

// notMounted returns the error of a file or directory that did not open. It is
// [ErrDenied] if it exists and belongs to another user.
func notMounted(kind, name string, info fs.FileInfo, statErr, err error) error {
	if errors.Is(err, fs.ErrPermission) && statErr == nil {
		return notOpened(kind, name, info, err)
	}
	return failed("opening", kind, name, err)
}

func checkOwner(kind, name string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
		return refused(kind, name, "belongs to another user")
	}
	return nil
}
