//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package privatefile

import (
	"context"
	"errors"
	"runtime"
)

// A Dir is a directory of private files. This system does not support any.
type Dir struct{}

// A Lock is never held on this system.
type Lock struct{}

var errUnsupported = &failure{"no private files on " + runtime.GOOS, errors.ErrUnsupported}

// New returns a Dir whose methods all fail.
func New(path string) *Dir { return &Dir{} }

// Read fails with [errors.ErrUnsupported].
func (d *Dir) Read(name string, limit int) ([]byte, error) { return nil, errUnsupported }

// Scan fails with [errors.ErrUnsupported].
func (d *Dir) Scan(name string, visit func(base string) bool) error { return errUnsupported }

// Lock fails with [errors.ErrUnsupported].
func (d *Dir) Lock(ctx context.Context) (*Lock, error) { return nil, errUnsupported }

// TryLock fails with [errors.ErrUnsupported].
func (d *Dir) TryLock() (*Lock, error) { return nil, errUnsupported }

// A File does not exist on this system.
type File struct{}

// WriteAt fails with [errors.ErrUnsupported].
func (f *File) WriteAt(data []byte, at int64) error { return errUnsupported }

// Sync fails with [errors.ErrUnsupported].
func (f *File) Sync() error { return errUnsupported }

// Close does nothing.
func (f *File) Close() error { return nil }

// Create fails with [errors.ErrUnsupported].
func (l *Lock) Create(name string) (*File, error) { return nil, errUnsupported }

// Put fails with [errors.ErrUnsupported].
func (l *Lock) Put(name string, data []byte) error { return errUnsupported }

// Sync fails with [errors.ErrUnsupported].
func (l *Lock) Sync(names ...string) error { return errUnsupported }

// Remove fails with [errors.ErrUnsupported].
func (l *Lock) Remove(name string) error { return errUnsupported }

// Read fails with [errors.ErrUnsupported].
func (l *Lock) Read(name string, limit int) ([]byte, error) { return nil, errUnsupported }

// Write fails with [errors.ErrUnsupported].
func (l *Lock) Write(name string, data []byte) error { return errUnsupported }

// Unlock does nothing.
func (l *Lock) Unlock() {}

// ReadMounted fails with [errors.ErrUnsupported].
func ReadMounted(dir, name string, limit int) ([]byte, error) { return nil, errUnsupported }
