//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package privatefile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// A Dir is a directory of private files. Names are paths below it, with "/"
// between segments; a segment is neither empty nor begins with ".", which is
// for the package's own files. Its methods may be called from many goroutines
// at once.
type Dir struct {
	path string
	turn chan struct{} // holds one token while a goroutine has or awaits the lock
	sys  system
}

// New returns the Dir at path, which is looked up anew by each method. It
// touches nothing.
func New(path string) *Dir {
	// Clean, as the system follows a symbolic link before a trailing slash.
	return &Dir{path: filepath.Clean(path), turn: make(chan struct{}, 1), sys: operatingSystem}
}

// Read returns what is in the named file, or an error that is
// [fs.ErrNotExist], [ErrRefused], [ErrTooLarge] or the system's own. It never
// reads more than limit bytes.
func (d *Dir) Read(name string, limit int) ([]byte, error) {
	top, err := d.open()
	if err != nil {
		return nil, err
	}
	return d.read(top, name, limit)
}

// Scan calls visit with the name of each entry of the named directory, "" for
// the Dir itself, in no particular order, until it returns false. Names that
// begin with "." are left out. What is behind a name is not looked at.
func (d *Dir) Scan(name string, visit func(base string) bool) error {
	top, err := d.open()
	if err != nil {
		return err
	}
	in, err := d.descend(top, name, false)
	if err != nil {
		return err
	}
	defer in.Close()
	f, err := in.Open(".")
	if err != nil {
		return failed("opening", "directory", name, err)
	}
	defer f.Close()
	for {
		bases, err := f.Readdirnames(1024)
		for _, base := range bases {
			if !strings.HasPrefix(base, ".") && !visit(base) {
				return nil
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return failed("reading", "directory", name, err)
		}
	}
}

// open returns the directory itself. The caller closes it.
func (d *Dir) open() (*os.Root, error) {
	return enter("", func() (fs.FileInfo, error) { return os.Lstat(d.path) },
		func() (*os.Root, error) { return os.OpenRoot(d.path) })
}

// descend returns the named directory below at, which it closes. With create
// it makes those that are missing.
func (d *Dir) descend(at *os.Root, name string, create bool) (*os.Root, error) {
	for start := 0; start < len(name); {
		end := len(name)
		if i := strings.IndexByte(name[start:], '/'); i >= 0 {
			end = start + i
		}
		next, err := d.child(at, name[:end], name[start:end], create)
		at.Close()
		if err != nil {
			return nil, err
		}
		at, start = next, end+1
	}
	return at, nil
}

func (d *Dir) child(at *os.Root, path, base string, create bool) (*os.Root, error) {
	lstat := func() (fs.FileInfo, error) { return at.Lstat(base) }
	open := func() (*os.Root, error) { return at.OpenRoot(base) }
	next, err := enter(path, lstat, open)
	if create && errors.Is(err, fs.ErrNotExist) {
		above, _ := split(path)
		if err := d.mkdir(at, above, path, base); err != nil {
			return nil, err
		}
		return enter(path, lstat, open)
	}
	return next, err
}

// enter opens a directory and makes sure that it is private. An os.Root follows
// symbolic links and waits at a FIFO, so the type is looked at first; and
// as the name may stand for something else a moment later, what was opened must
// be what was looked at.
func enter(name string, lstat func() (fs.FileInfo, error), open func() (*os.Root, error)) (*os.Root, error) {
	seen, err := lstat()
	if err != nil {
		return nil, failed("opening", "directory", name, err)
	}
	if err := checkType("directory", name, seen, fs.ModeDir); err != nil {
		return nil, err
	}
	root, err := open()
	if err != nil {
		return nil, failed("opening", "directory", name, err)
	}
	opened, err := root.Stat(".")
	switch {
	case err != nil:
		err = failed("opening", "directory", name, err)
	case !os.SameFile(seen, opened):
		err = refused("directory", name, "was exchanged meanwhile")
	default:
		err = checkPrivate("directory", name, opened)
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}

// read returns what is in the named file below top, which it closes.
func (d *Dir) read(top *os.Root, name string, limit int) ([]byte, error) {
	dir, base := split(name)
	in, err := d.descend(top, dir, false)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	f, err := openFile(in, name, base, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, failed("reading", "file", name, err)
	}
	// Before the buffer is made: the size is whatever somebody wrote there.
	if info.Size() > int64(limit) {
		return nil, &failure{label("file", name) + " is too large", ErrTooLarge}
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, failed("reading", "file", name, err)
	}
	return data, nil
}

// openFile opens an existing file and makes sure that it is private.
//
// Unlike in enter, another file may have taken the place of the one that was
// looked at: writers replace files. Nobody but this user can put one into a
// directory that enter let pass.
func openFile(in *os.Root, name, base string, flag int) (*os.File, error) {
	seen, err := in.Lstat(base)
	if err != nil {
		return nil, failed("opening", "file", name, err)
	}
	if err := checkType("file", name, seen, 0); err != nil {
		return nil, err
	}
	f, err := in.OpenFile(base, flag|syscall.O_NONBLOCK, 0) // or a FIFO would make us wait
	if err != nil {
		return nil, failed("opening", "file", name, err)
	}
	info, err := f.Stat()
	if err != nil {
		err = failed("opening", "file", name, err)
	} else if err = checkType("file", name, info, 0); err == nil {
		err = checkPrivate("file", name, info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func checkType(kind, name string, info fs.FileInfo, want fs.FileMode) error {
	switch info.Mode().Type() {
	case want:
		return nil
	case fs.ModeSymlink:
		return refused(kind, name, "is a symbolic link")
	case fs.ModeDir:
		return refused(kind, name, "is a directory")
	}
	if want == fs.ModeDir {
		return refused(kind, name, "is not a directory")
	}
	return refused(kind, name, "is not a regular file")
}

func checkPrivate(kind, name string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) != os.Geteuid() {
		return refused(kind, name, "belongs to another user")
	}
	if info.Mode().Perm()&0o077 != 0 {
		return refused(kind, name, "is open to others")
	}
	return nil
}
