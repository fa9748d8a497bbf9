//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package privatefile_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile/faulty"
)

// A recorder notes which directories are synced: ".." above it, "" for itself, or one below it.
type recorder struct {
	path   string
	synced []string
	err    error // what a sync fails with
}

func (r *recorder) dir() *privatefile.Dir {
	sys := privatefile.OperatingSystem()
	sys.Sync = func(f *os.File) error {
		at, err := f.Stat()
		if err != nil || !at.IsDir() {
			return err
		}
		for _, name := range []string{"..", "", "a", "a/b"} {
			if info, err := os.Stat(filepath.Join(r.path, name)); err == nil && os.SameFile(at, info) {
				r.synced = append(r.synced, name)
			}
		}
		return r.err
	}
	return privatefile.NewOn(sys, r.path)
}

// diesBefore has a process die in a change.
func diesBefore(t *testing.T, call, path string, do func(*privatefile.Lock) error) {
	t.Helper()
	dead := false
	d := privatefile.NewOn(faulty.System(func(c string, do func() error) error {
		if dead = dead || c == call; dead {
			return syscall.EIO
		}
		return do()
	}), path)
	require.ErrorIs(t, change(t, d, do), syscall.EIO)
}

// Whoever reads what a dead process has written makes sure that it stays, once,
// and does not believe it otherwise.
func TestWhatIsReadIsDurable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "private")
	require.NoError(t, change(t, privatefile.New(path), put("a/file", "old")))
	diesBefore(t, "sync directory", path, put("a/file", "new"))

	r := &recorder{path: path, err: syscall.EIO}
	_, err := r.dir().Read("a/file", limit)
	require.ErrorIs(t, err, syscall.EIO, "it was not durable")
	r.err = nil
	require.Equal(t, "new", read(t, r.dir(), "a/file"))
	require.Equal(t, []string{"a", "a"}, r.synced)
	require.Equal(t, "new", read(t, r.dir(), "a/file"))
	require.Len(t, r.synced, 2, "it was known to be durable")
	info, err := os.Stat(filepath.Join(path, "a/file"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode())

	// So does whoever is about to change it.
	diesBefore(t, "sync directory", path, put("a/file", "newer"))
	require.NoError(t, change(t, r.dir(), func(l *privatefile.Lock) error {
		b, err := l.Read("a/file", limit)
		require.Equal(t, "newer", string(b))
		return err
	}))
	require.Len(t, r.synced, 3)
}

// A directory that a dead process has made, or one whose sync failed, is made
// durable by whoever first puts something in.
func TestWhatIsWrittenInIsDurable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "private")
	r := &recorder{path: path}
	diesBefore(t, "sync directory", path, put("a/b/file", "new"))
	require.NoFileExists(t, filepath.Join(path, ".lock"))
	require.NoError(t, change(t, r.dir(), func(*privatefile.Lock) error { return nil }))
	require.Equal(t, []string{".."}, r.synced)

	for range 2 { // a, and then b, are there and empty
		r.synced, r.err = nil, syscall.EIO
		require.ErrorIs(t, change(t, r.dir(), put("a/b/file", "new")), syscall.EIO)
		require.Equal(t, []string{""}, r.synced)
	}
	r.synced, r.err = nil, nil
	require.NoError(t, change(t, r.dir(), put("a/b/file", "new")))
	require.Equal(t, []string{"", "a", "a/b"}, r.synced)
	r.synced = nil
	require.NoError(t, change(t, r.dir(), put("a/b/file", "newer")))
	require.Equal(t, []string{"a/b"}, r.synced, "no more than it takes")
}
