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

// Read fails with [errors.ErrUnsupported].
func (l *Lock) Read(name string, limit int) ([]byte, error) { return nil, errUnsupported }

// Write fails with [errors.ErrUnsupported].
func (l *Lock) Write(name string, data []byte) error { return errUnsupported }

// Unlock does nothing.
func (l *Lock) Unlock() {}

// ReadMounted fails with [errors.ErrUnsupported].
func ReadMounted(dir, name string, limit int) ([]byte, error) { return nil, errUnsupported }
