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

// A Dir is a directory of private files. Names are paths below it, with "/" between
// segments. A segment is neither empty nor begins with ".", because such names are for
// the package's own files. The methods of a Dir may be called from many goroutines at
// once.
type Dir struct {
	path string
	turn chan struct{} // holds a token while a goroutine has the lock or waits for it
	sys  System
}

// New returns the Dir at path. It touches no file; each method looks the path up anew.
func New(path string) *Dir { return NewOn(systemFor(path), path) }

// NewOn is New on the given system, for tests.
func NewOn(sys System, path string) *Dir {
	// Clean, as the system follows a symbolic link before a trailing slash.
	return &Dir{path: filepath.Clean(path), turn: make(chan struct{}, 1), sys: sys}
}

// Read returns the content of the named file, or an error that is [fs.ErrNotExist],
// [ErrRefused], [ErrTooLarge] or an error of the system. It never reads more than limit
// bytes.
func (d *Dir) Read(name string, limit int) ([]byte, error) {
	top, err := d.open()
	if err != nil {
		return nil, err
	}
	return d.read(top, name, limit)
}

// Scan calls visit with the name of each entry of the named directory, in no particular
// order, until visit returns false. The name "" is the Dir itself. Scan leaves out
// entries that begin with ".", and does not look at the files and directories themselves.
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
	f, err := d.sys.OpenFile(in, ".", os.O_RDONLY, 0)
	if err != nil {
		return failed("opening", "directory", name, err)
	}
	defer f.Close()
	for {
		bases, err := d.sys.List(f, 1024)
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
	return d.enter("", func() (fs.FileInfo, error) { return d.sys.Lstat(d.path) },
		func() (*os.Root, error) { return d.sys.OpenRoot(d.path) })
}

// descend returns the named directory below at, and closes at. With create it makes
// directories that are missing.
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
	lstat := func() (fs.FileInfo, error) { return d.sys.LstatIn(at, base) }
	open := func() (*os.Root, error) { return d.sys.OpenDir(at, base) }
	next, err := d.enter(path, lstat, open)
	if !create {
		return next, err
	}
	if errors.Is(err, fs.ErrNotExist) {
		if err := d.mkdir(at, path, base); err != nil {
			return nil, err
		}
		next, err = d.enter(path, lstat, open)
	}
	if err != nil {
		return nil, err
	}
	above, _ := split(path)
	if err := d.settle(next, path, at, above); err != nil {
		next.Close()
		return nil, err
	}
	return next, nil
}

// enter opens a directory and makes sure that it is private. An os.Root follows symbolic
// links and blocks on a FIFO, so enter checks the type first. Another directory may take
// the name a moment later, so the opened directory must be the checked one.
func (d *Dir) enter(name string, lstat func() (fs.FileInfo, error), open func() (*os.Root, error)) (*os.Root, error) {
	seen, err := lstat()
	if err != nil {
		return nil, failed("opening", "directory", name, err)
	}
	if err := checkType("directory", name, seen, fs.ModeDir); err != nil {
		return nil, err
	}
	root, err := open()
	if err != nil {
		return nil, notOpened("directory", name, seen, err)
	}
	opened, err := d.sys.LstatIn(root, ".")
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

// read returns the content of the named file below top, and closes top.
func (d *Dir) read(top *os.Root, name string, limit int) ([]byte, error) {
	dir, base := split(name)
	in, err := d.descend(top, dir, false)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	for {
		data, current, err := d.readOnce(in, dir, name, base, limit)
		if current || err != nil {
			return data, err
		}
	}
}

// readOnce reads the named file. It reports in current whether the file was still the one
// of that name afterwards. The writer that replaced it may have overwritten it, so its
// content is not to be used then.
func (d *Dir) readOnce(in *os.Root, dir, name, base string, limit int) (data []byte, current bool, err error) {
	f, err := d.openFile(in, name, base, os.O_RDONLY)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	info, err := d.sys.Stat(f)
	if err != nil {
		return nil, false, failed("reading", "file", name, err)
	}
	// The size is checked before the buffer is made, because a writer chose it.
	if info.Size() > int64(limit) {
		return nil, false, tooLarge(name)
	}
	if info.Mode().Perm() == modeUnsettled {
		if err := d.syncDir(in, dir); err != nil {
			return nil, false, err
		}
		d.sys.Chmod(f, modeFile) // if not now, then by the next reader
	}
	data = make([]byte, info.Size())
	if _, err := io.ReadFull(reader(func(b []byte) (int, error) { return d.sys.Read(f, b) }), data); err != nil {
		return nil, false, failed("reading", "file", name, err)
	}
	now, err := d.sys.LstatIn(in, base)
	if err != nil {
		return nil, false, failed("reading", "file", name, err)
	}
	return data, os.SameFile(info, now), nil
}

type reader func([]byte) (int, error)

func (r reader) Read(b []byte) (int, error) { return r(b) }

// openFile opens an existing file and makes sure that it is private.
//
// Unlike in enter, another file may have taken the place of the checked one, because
// writers replace files. Nobody but this user can put a file into a directory that enter
// accepted.
func (d *Dir) openFile(in *os.Root, name, base string, flag int) (*os.File, error) {
	seen, err := d.sys.LstatIn(in, base)
	if err != nil {
		return nil, failed("opening", "file", name, err)
	}
	if err := checkType("file", name, seen, 0); err != nil {
		return nil, err
	}
	f, err := d.sys.OpenFile(in, base, flag|syscall.O_NONBLOCK, 0) // a FIFO must not block
	if errors.Is(err, syscall.EOVERFLOW) {                         // a size above 32 bits
		return nil, tooLarge(name)
	}
	if err != nil {
		return nil, notOpened("file", name, seen, err)
	}
	info, err := d.sys.Stat(f)
	if err != nil {
		err = failed("opening", "file", name, err)
	} else if err = checkType("file", name, info, 0); err == nil {
		if err = checkPrivate("file", name, info); err == nil {
			err = checkLinks(name, info)
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// notOpened returns the error for a file or directory that was seen and did not open. It
// is [ErrDenied] if it belongs to another user: its owner could give this process the
// rights, and this process can't.
func notOpened(kind, name string, seen fs.FileInfo, err error) error {
	err = failed("opening", kind, name, err)
	if stat, ok := seen.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() && errors.Is(err, fs.ErrPermission) {
		return &failure{err.Error(), ErrDenied}
	}
	return err
}

func tooLarge(name string) error { return &failure{label("file", name) + " is too large", ErrTooLarge} }

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

// checkLinks refuses a file that has another name: a backup made of hard links would keep
// a key under that name after its record was replaced.
func checkLinks(name string, info fs.FileInfo) error {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink > 1 {
		return refused("file", name, "has a second hard link")
	}
	return nil
}
