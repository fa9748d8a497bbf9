//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package faulttest

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile/faulty"
)

// A socket is what the disk below a directory hangs on. It knows what would be
// left if somebody pulled the plug now: of a file what was in it when it was
// synced, and of a directory the names that were in it when that was.
type socket struct {
	above string

	mu      sync.Mutex
	change  func() // called before each change
	dead    bool   // the process: nothing it calls is made any more
	next    inode
	inodes  map[uint64]inode // by the system's number, which it uses again
	files   map[inode]bool   // those that are no directories
	content map[inode][]byte
	names   map[inode]map[string]inode // of directories
}

// An inode is a file or directory, however its name changes. 1 is the one above.
type inode int

// plugIn returns the socket of a disk on which all that is there is durable.
func plugIn(t *testing.T, above string) *socket {
	t.Helper()
	s := &socket{
		above: above, change: func() {}, inodes: map[uint64]inode{}, files: map[inode]bool{},
		content: map[inode][]byte{}, names: map[inode]map[string]inode{},
	}
	var dirs []string
	require.NoError(t, filepath.WalkDir(above, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		s.add(info)
		if e.IsDir() {
			dirs = append(dirs, path)
			return nil
		}
		b, err := os.ReadFile(path)
		s.content[s.inodes[number(info)]] = b
		return err
	}))
	for _, path := range dirs {
		f, err := os.Open(path)
		require.NoError(t, err)
		require.NoError(t, s.synced(f))
		f.Close()
	}
	return s
}

func number(info fs.FileInfo) uint64 { return uint64(info.Sys().(*syscall.Stat_t).Ino) }

// add takes note of what was just made.
func (s *socket) add(info fs.FileInfo) {
	s.next++
	s.inodes[number(info)] = s.next
	s.files[s.next] = !info.IsDir()
}

// synced takes note of what is durable now.
func (s *socket) synced(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	at := s.inodes[number(info)]
	if !info.IsDir() {
		b := make([]byte, info.Size())
		_, err := f.ReadAt(b, 0)
		s.content[at] = b
		return err
	}
	entries, err := f.Readdir(-1)
	names := map[string]inode{}
	for _, e := range entries {
		names[e.Name()] = s.inodes[number(e)]
	}
	s.names[at] = names
	return err
}

// tracked are the calls that change the state that is durable, or what the socket has to
// know of the disk. The call and the note of it are one step for other goroutines.
var tracked = []string{"create", "make directory", "sync", "sync directory"}

// system returns the calls by which a process uses the disk.
func (s *socket) system() privatefile.System {
	sys := faulty.System(func(call string, do func() error) error {
		if !slices.Contains(tracked, call) { // see below
			s.mu.Lock()
			defer s.mu.Unlock()
		}
		if slices.Contains(faulty.Changes, call) && !s.dead {
			s.change()
		}
		switch {
		case s.dead:
			return syscall.EIO
		case call == "sync" || call == "sync directory":
			return nil // see below
		}
		return do()
	})
	openFile, mkdir, sync := sys.OpenFile, sys.Mkdir, sys.Sync
	sys.OpenFile = func(in *os.Root, name string, flag int, mode fs.FileMode) (*os.File, error) {
		if flag&os.O_CREATE == 0 {
			return openFile(in, name, flag, mode)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		f, err := openFile(in, name, flag, mode)
		if err != nil {
			return f, err
		}
		info, err := f.Stat()
		if err == nil {
			s.add(info)
		}
		return f, err
	}
	sys.Mkdir = func(in *os.Root, name string, mode fs.FileMode) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := mkdir(in, name, mode); err != nil {
			return err
		}
		info, err := in.Lstat(name)
		if err == nil {
			s.add(info)
		}
		return err
	}
	sys.Sync = func(f *os.File) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := sync(f); err != nil {
			return err
		}
		return s.synced(f)
	}
	return sys
}

// pull writes what is left after the plug was pulled to another directory. What
// a disk does with names that were not synced is its own business: with
// early it keeps the newest, and without it those that were synced.
func (s *socket) pull(t *testing.T, to string, early bool) {
	t.Helper()
	names := s.names
	if early {
		names = maps.Clone(names)
		require.NoError(t, filepath.WalkDir(s.above, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.IsDir() {
				return err
			}
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			now := &socket{inodes: s.inodes, names: names}
			return now.synced(f)
		}))
	}
	s.write(t, to, 1, names)
}

func (s *socket) write(t *testing.T, to string, dir inode, names map[inode]map[string]inode) {
	t.Helper()
	for name, at := range names[dir] {
		path := filepath.Join(to, name)
		if s.files[at] {
			require.NoError(t, os.WriteFile(path, s.content[at], 0o600))
			continue
		}
		require.NoError(t, os.Mkdir(path, 0o700))
		s.write(t, path, at, names)
	}
}

// left returns the site after the plug was pulled.
func (s *socket) left(t *testing.T, w *site, early bool) *site {
	t.Helper()
	c := *w
	c.Dir = t.TempDir()
	s.pull(t, c.Dir, early)
	return &c
}
