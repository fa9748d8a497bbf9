//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

// Package faulty makes the disk fail, for tests.
package faulty

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
)

// A Hook gets the name of each call, such as "rename", and makes the call with do. Its
// error is the error of the call. A Hook can therefore fail a call before or after it is
// made, and can leave it out.
type Hook func(call string, do func() error) error

// Calls are the names that a [Hook] gets.
var Calls = slices.Concat(Looks, Changes)

// Looks are the calls that change nothing on the disk.
var Looks = []string{"look up", "open directory", "open", "stat", "read", "list"}

// Changes are the calls that a crash can separate. "unlock" does not change the disk,
// but lets other processes change it.
var Changes = []string{
	"make directory", "chmod directory", "create", "chmod", "write", "sync", "close", "rename",
	"sync directory", "remove", "set times", "lock", "unlock",
}

// ErrShort makes a write fail half way, as on a full disk.
var ErrShort = shortWrite{}

type shortWrite struct{}

func (shortWrite) Error() string { return syscall.ENOSPC.Error() }
func (shortWrite) Unwrap() error { return syscall.ENOSPC }

// System returns the calls of the operating system, each made by hook.
func System(hook Hook) privatefile.System {
	real := privatefile.OperatingSystem()
	return privatefile.System{
		Lstat: func(path string) (fs.FileInfo, error) {
			return call(hook, "look up", func() (fs.FileInfo, error) { return real.Lstat(path) }, nil)
		},
		OpenRoot: func(path string) (*os.Root, error) {
			return call(hook, "open directory", func() (*os.Root, error) { return real.OpenRoot(path) }, closeRoot)
		},
		LstatIn: func(in *os.Root, name string) (fs.FileInfo, error) {
			return call(hook, "look up", func() (fs.FileInfo, error) { return real.LstatIn(in, name) }, nil)
		},
		OpenDir: func(in *os.Root, name string) (*os.Root, error) {
			return call(hook, "open directory", func() (*os.Root, error) { return real.OpenDir(in, name) }, closeRoot)
		},
		OpenFile: func(in *os.Root, name string, flag int, mode fs.FileMode) (*os.File, error) {
			what := "open"
			if flag&os.O_CREATE != 0 {
				what = "create"
			}
			return call(hook, what, func() (*os.File, error) { return real.OpenFile(in, name, flag, mode) }, closeFile)
		},
		Mkdir: func(in *os.Root, name string, mode fs.FileMode) error {
			return hook("make directory", func() error { return real.Mkdir(in, name, mode) })
		},
		ChmodDir: func(in *os.Root, name string, mode fs.FileMode) error {
			return hook("chmod directory", func() error { return real.ChmodDir(in, name, mode) })
		},
		Rename: func(in *os.Root, from, to string) error {
			return hook("rename", func() error { return real.Rename(in, from, to) })
		},
		Remove: func(in *os.Root, name string) error {
			return hook("remove", func() error { return real.Remove(in, name) })
		},
		Chtimes: func(in *os.Root, name string, accessed, modified time.Time) error {
			return hook("set times", func() error { return real.Chtimes(in, name, accessed, modified) })
		},
		Stat: func(f *os.File) (fs.FileInfo, error) {
			return call(hook, "stat", func() (fs.FileInfo, error) { return real.Stat(f) }, nil)
		},
		Chmod: func(f *os.File, mode fs.FileMode) error {
			return hook("chmod", func() error { return real.Chmod(f, mode) })
		},
		Read: func(f *os.File, data []byte) (int, error) {
			return call(hook, "read", func() (int, error) { return real.Read(f, data) }, nil)
		},
		List: func(f *os.File, n int) ([]string, error) {
			return call(hook, "list", func() ([]string, error) { return real.List(f, n) }, nil)
		},
		Write: func(f *os.File, data []byte) (n int, err error) {
			err = hook("write", func() (err error) {
				n, err = real.Write(f, data)
				return err
			})
			if errors.Is(err, ErrShort) && n == 0 {
				n, _ = real.Write(f, data[:len(data)/2])
			}
			return n, err
		},
		WriteAt: func(f *os.File, data []byte, at int64) (n int, err error) {
			err = hook("write", func() (err error) {
				n, err = real.WriteAt(f, data, at)
				return err
			})
			if errors.Is(err, ErrShort) && n == 0 {
				n, _ = real.WriteAt(f, data[:len(data)/2], at)
			}
			return n, err
		},
		Sync: func(f *os.File) error {
			what := "sync"
			if info, err := f.Stat(); err == nil && info.IsDir() {
				what = "sync directory"
			}
			return hook(what, func() error { return real.Sync(f) })
		},
		Flock: func(f *os.File, how int) error {
			what := "lock"
			if how&syscall.LOCK_UN != 0 {
				what = "unlock"
			}
			return hook(what, func() error { return real.Flock(f, how) })
		},
		Close: func(f *os.File) error {
			made := false
			err := hook("close", func() error {
				made = true
				return real.Close(f)
			})
			if !made { // a close that fails releases the file nevertheless
				real.Close(f)
			}
			return err
		},
	}
}

// call makes a call that returns a value. If the hook fails the call, undo releases the
// value.
func call[T any](hook Hook, name string, do func() (T, error), undo func(T)) (T, error) {
	var got, none T
	made := false
	err := hook(name, func() (err error) {
		got, err = do()
		made = err == nil
		return err
	})
	if err == nil {
		return got, nil
	}
	if made && undo != nil {
		undo(got)
	}
	return none, err
}

func closeRoot(r *os.Root) { r.Close() }
func closeFile(f *os.File) { f.Close() }
