//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package privatefile

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

// TryLock is [Dir.Lock] for a caller that does not wait. It fails with [ErrLocked] if
// another goroutine or process has the lock.
func (d *Dir) TryLock() (*Lock, error) {
	select {
	case d.turn <- struct{}{}:
	default:
		return nil, ErrLocked
	}
	l, err := d.tryLock()
	if l != nil {
		return l, nil
	}
	<-d.turn
	if err == nil {
		err = ErrLocked
	}
	return nil, err
}

// A File is a file that its writer extends in place. Readers may see a part of the last
// write.
type File struct {
	dir  *Dir
	name string
	file *os.File
}

// Create makes the named file, which must not exist, for writing in place. Its name is
// durable when Create returns.
func (l *Lock) Create(name string) (*File, error) {
	dir, base := split(name)
	in, err := l.enter(dir)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	f, err := l.dir.create(in, name, base, modeFile)
	if err != nil {
		return nil, err
	}
	if err := l.dir.syncDir(in, dir); err != nil {
		f.Close()
		l.dir.sys.Remove(in, base) // otherwise it would be in the way for ever
		return nil, err
	}
	return &File{l.dir, name, f}, nil
}

// WriteAt writes data at the given offset. It is durable after [File.Sync].
func (f *File) WriteAt(data []byte, at int64) error {
	if _, err := f.dir.sys.WriteAt(f.file, data, at); err != nil {
		return failed("writing", "file", f.name, err)
	}
	return nil
}

// Sync makes all that was written durable.
func (f *File) Sync() error {
	if err := f.dir.sys.Sync(f.file); err != nil {
		return failed("syncing", "file", f.name, err)
	}
	return nil
}

// Close closes the file.
func (f *File) Close() error {
	if err := f.dir.sys.Close(f.file); err != nil {
		return failed("closing", "file", f.name, err)
	}
	return nil
}

// Put makes data the content of the named file, and makes its directories if they are
// missing. Unlike [Lock.Write] it writes in place, and the content is durable only after
// [Lock.Sync]: it is for files that can be computed again after a crash. One goroutine at a
// time may call it.
func (l *Lock) Put(name string, data []byte) error {
	dir, base := split(name)
	in, err := l.enterKnown(dir)
	if err != nil {
		return err
	}
	defer in.Close()
	f, err := l.dir.create(in, name, base, modeFile)
	if errors.Is(err, fs.ErrExist) { // it was written before a crash
		if f, err = l.dir.openFile(in, name, base, os.O_RDWR); err != nil {
			return err
		}
		var info fs.FileInfo
		if info, err = l.dir.sys.Stat(f); err == nil && info.Size() > int64(len(data)) {
			f.Close()
			if err := l.dir.sys.Remove(in, base); err != nil {
				return failed("replacing", "file", name, err)
			}
			f, err = l.dir.create(in, name, base, modeFile)
		}
	}
	if err != nil {
		return err
	}
	_, err = l.dir.sys.WriteAt(f, data, 0)
	if closeErr := l.dir.sys.Close(f); err == nil {
		err = closeErr
	}
	if err != nil {
		return failed("writing", "file", name, err)
	}
	return nil
}

// enterKnown is enter, and does without some calls for a directory that it has entered
// before, whose name is durable.
func (l *Lock) enterKnown(dir string) (*os.Root, error) {
	const most = 100
	if l.known[dir] {
		if in, err := l.find(dir); err == nil {
			return in, nil
		}
	}
	in, err := l.enter(dir)
	if err == nil {
		if l.known == nil || len(l.known) == most {
			l.known = map[string]bool{}
		}
		l.known[dir] = true
	}
	return in, err
}

// find opens a directory that exists.
func (l *Lock) find(dir string) (*os.Root, error) {
	top, err := l.reopen()
	if err != nil {
		return nil, err
	}
	return l.dir.descend(top, dir, false)
}

// maxSyncs is the number of files that are synced at once. File systems with a journal
// make one entry of all of them, which takes an eighth of the time on ext4.
const maxSyncs = 8

// Sync makes files that Put wrote durable, with their names.
func (l *Lock) Sync(names ...string) error {
	synced := map[string]bool{}
	errs := make([]error, len(names))
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(maxSyncs, len(names)) {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(names)); i = next.Add(1) - 1 {
				errs[i] = l.syncFile(names[i])
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	for _, name := range names {
		dir, _ := split(name)
		if synced[dir] {
			continue
		}
		synced[dir] = true
		in, err := l.find(dir)
		if err != nil {
			return err
		}
		err = l.dir.syncDir(in, dir)
		in.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *Lock) syncFile(name string) error {
	dir, base := split(name)
	in, err := l.find(dir)
	if err != nil {
		return err
	}
	defer in.Close()
	f, err := l.dir.openFile(in, name, base, os.O_RDWR)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := l.dir.sys.Sync(f); err != nil {
		return failed("syncing", "file", name, err)
	}
	return nil
}

// Remove removes the named file or empty directory. It is no error if there is none. A
// power cut may bring a file back.
func (l *Lock) Remove(name string) error {
	dir, base := split(name)
	in, err := l.find(dir)
	if err == nil {
		defer in.Close()
		err = l.dir.sys.Remove(in, base)
	}
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, syscall.ENOTEMPTY):
		return failed("removing", "directory", name, err)
	}
	return failed("removing", "file", name, err)
}
