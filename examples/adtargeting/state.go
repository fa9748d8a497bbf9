package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/onlyfor/onlyfor/purpose"
)

// A state is the directory with everything that a run leaves on disk.
type state struct {
	dir  string // absolute, because another process uses it too
	temp bool   // removed at the end
}

// newState makes the directory keep, or a temporary one if keep is "".
func newState(keep string) (*state, error) {
	if keep == "" {
		dir, err := os.MkdirTemp("", "adtargeting-")
		if err != nil {
			return nil, fmt.Errorf("making a temporary directory: %w", err)
		}
		return openState(dir, true)
	}
	if err := os.Mkdir(keep, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("-keep: %w", err)
	}
	entries, err := os.ReadDir(keep)
	if err != nil {
		return nil, fmt.Errorf("-keep: %w", err)
	}
	if len(entries) > 0 {
		return nil, errors.New("-keep: directory is not empty")
	}
	return openState(keep, false)
}

func openState(dir string, temp bool) (*state, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	s := &state{abs, temp}
	if err := os.Mkdir(filepath.Join(s.dir, "kek"), 0o700); err != nil {
		s.close()
		return nil, fmt.Errorf("state directory: %w", err)
	}
	return s, nil
}

// close removes a temporary directory.
func (s *state) close() error {
	if !s.temp {
		return nil
	}
	return os.RemoveAll(s.dir)
}

// database returns the file of the users' database.
func (s *state) database() string { return filepath.Join(s.dir, "users.db") }

// keys returns the directory of the key store. Everybody may read it, because its
// keys open only with a KEK.
func (s *state) keys() string { return filepath.Join(s.dir, "keys") }

// kek returns the directory of one purpose's KEK. In a company, only one operating
// system user can read it, or a key service with access rules is in its place.
func (s *state) kek(p purpose.Purpose) string { return filepath.Join(s.dir, "kek", p.String()) }

// auditLog returns the file for the audit events of a process.
func (s *state) auditLog(process string) string {
	return filepath.Join(s.dir, "audit-"+process+".jsonl")
}
