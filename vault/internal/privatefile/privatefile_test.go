//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package privatefile

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The umask belongs to the process, so no test here runs in parallel.

func newDir(t *testing.T) (*Dir, string) {
	path := filepath.Join(t.TempDir(), "private")
	return New(path), path
}

func write(t *testing.T, d *Dir, name, data string) {
	t.Helper()
	l, err := d.Lock(t.Context())
	require.NoError(t, err)
	defer l.Unlock()
	require.NoError(t, l.Write(name, []byte(data)))
}

func read(d *Dir, name string) (string, error) {
	b, err := d.Read(name, 100)
	return string(b), err
}

func requireFile(t *testing.T, d *Dir, name, want string) {
	t.Helper()
	got, err := read(d, name)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestModesWhateverTheUmask(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077, 0o777} {
		t.Run(fs.FileMode(umask).String(), func(t *testing.T) {
			old := syscall.Umask(umask)
			t.Cleanup(func() { syscall.Umask(old) })
			path := func() string {
				defer syscall.Umask(syscall.Umask(0o022)) // for the test's own directory
				return filepath.Join(t.TempDir(), "private")
			}()
			d := New(path)
			write(t, d, "a/b/file", "one")
			write(t, d, "a/b/file", "two")
			requireFile(t, d, "a/b/file", "two")
			for name, want := range map[string]fs.FileMode{
				"": fs.ModeDir | 0o700, "a": fs.ModeDir | 0o700, "a/b": fs.ModeDir | 0o700, "a/b/file": 0o600, lockName: 0o600,
			} {
				info, err := os.Lstat(filepath.Join(path, name))
				require.NoError(t, err)
				require.Equal(t, want, info.Mode(), name)
			}
		})
	}
}

// TestRefused plants one thing at a time and expects that neither reading nor
// locking nor, where it is a directory, listing gets past it.
func TestRefused(t *testing.T) {
	chmod := func(mode fs.FileMode) func(*testing.T, string) {
		return func(t *testing.T, path string) { require.NoError(t, os.Chmod(path, mode)) }
	}
	symlink := func(t *testing.T, path string) {
		require.NoError(t, os.Rename(path, path+"-moved"))
		require.NoError(t, os.Symlink(filepath.Base(path)+"-moved", path))
	}
	dangling := func(t *testing.T, path string) {
		require.NoError(t, os.RemoveAll(path))
		require.NoError(t, os.Symlink("/nowhere", path))
	}
	fifo := func(t *testing.T, path string) {
		require.NoError(t, os.RemoveAll(path))
		require.NoError(t, syscall.Mkfifo(path, 0o600))
	}
	foreign := func(t *testing.T, path string) {
		if os.Geteuid() != 0 {
			t.Skip("only root can give files away")
		}
		require.NoError(t, os.Lchown(path, 12345, -1))
	}
	directory := func(t *testing.T, path string) {
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.Mkdir(path, 0o700))
	}
	file := func(t *testing.T, path string) {
		require.NoError(t, os.RemoveAll(path))
		require.NoError(t, os.WriteFile(path, nil, 0o600))
	}
	for _, test := range []struct {
		name  string
		at    string
		plant func(t *testing.T, path string)
		want  string
	}{
		{"directory that others read", "", chmod(0o755), "directory is open to others"},
		{"directory that others enter", "", chmod(0o701), "directory is open to others"},
		{"directory of the group", "", chmod(0o770), "directory is open to others"},
		{"directory is a symlink", "", symlink, "directory is a symbolic link"},
		{"directory is a dangling symlink", "", dangling, "directory is a symbolic link"},
		{"directory is a file", "", file, "directory is not a directory"},
		{"directory is a FIFO", "", fifo, "directory is not a directory"},
		{"directory of another user", "", foreign, "directory belongs to another user"},

		{"subdirectory that others read", "a/b", chmod(0o750), "directory a/b is open to others"},
		{"subdirectory is a symlink", "a", symlink, "directory a is a symbolic link"},
		{"subdirectory is a dangling symlink", "a/b", dangling, "directory a/b is a symbolic link"},
		{"subdirectory is a file", "a/b", file, "directory a/b is not a directory"},
		{"subdirectory is a FIFO", "a/b", fifo, "directory a/b is not a directory"},
		{"subdirectory of another user", "a", foreign, "directory a belongs to another user"},

		{"file that others read", "a/b/file", chmod(0o644), "file a/b/file is open to others"},
		{"file that others write", "a/b/file", chmod(0o602), "file a/b/file is open to others"},
		{"file of the group", "a/b/file", chmod(0o640), "file a/b/file is open to others"},
		{"file is a symlink", "a/b/file", symlink, "file a/b/file is a symbolic link"},
		{"file is a dangling symlink", "a/b/file", dangling, "file a/b/file is a symbolic link"},
		{"file is a directory", "a/b/file", directory, "file a/b/file is a directory"},
		{"file is a FIFO", "a/b/file", fifo, "file a/b/file is not a regular file"},
		{"file of another user", "a/b/file", foreign, "file a/b/file belongs to another user"},

		{"lock that others open", lockName, chmod(0o666), "file .lock is open to others"},
		{"lock is a symlink", lockName, symlink, "file .lock is a symbolic link"},
		{"lock is a dangling symlink", lockName, dangling, "file .lock is a symbolic link"},
		{"lock is a directory", lockName, directory, "file .lock is a directory"},
		{"lock is a FIFO", lockName, fifo, "file .lock is not a regular file"},
		{"lock of another user", lockName, foreign, "file .lock belongs to another user"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, path := newDir(t)
			write(t, d, "a/b/file", "data")
			test.plant(t, filepath.Join(path, test.at))
			check := func(err error) {
				t.Helper()
				require.ErrorIs(t, err, ErrRefused)
				require.EqualError(t, err, test.want)
			}
			l, lockErr := d.Lock(t.Context())
			if l != nil {
				defer l.Unlock()
			}
			if test.at == lockName {
				check(lockErr)
				requireFile(t, d, "a/b/file", "data") // readers do not need the lock
				return
			}
			_, err := read(d, "a/b/file")
			check(err)
			if test.at == "" {
				check(lockErr)
			} else {
				require.NoError(t, lockErr)
				_, err = l.Read("a/b/file", 100)
				check(err)
			}
			if test.at != "a/b/file" {
				check(d.Scan("a/b", func(string) bool { return true }))
				if l != nil {
					check(l.Write("a/b/file", []byte("new")))
				}
			}
		})
	}
}

func TestTrailingSlashDoesNotFollowASymlink(t *testing.T) {
	d, path := newDir(t)
	write(t, d, "file", "data")
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(path, link))
	for _, p := range []string{link, link + "/", link + "//", link + "/."} {
		_, err := read(New(p), "file")
		require.ErrorIs(t, err, ErrRefused, p)
	}
	requireFile(t, New(path+"/"), "file", "data")
}

// The directories above may be links, as /tmp is on macOS.
func TestSymlinkAboveIsFollowed(t *testing.T) {
	above := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(above, link))
	write(t, New(filepath.Join(link, "private")), "file", "data")
	requireFile(t, New(filepath.Join(above, "private")), "file", "data")
}

func TestNewFileDoesNotFollowASymlink(t *testing.T) {
	victim := filepath.Join(t.TempDir(), "victim")
	for _, name := range []string{tempName, "file"} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(victim, []byte("untouched"), 0o644))
			d, path := newDir(t)
			write(t, d, "other", "data")
			require.NoError(t, os.Symlink(victim, filepath.Join(path, name)))
			write(t, d, "file", "data")
			requireFile(t, d, "file", "data")
			b, err := os.ReadFile(victim)
			require.NoError(t, err)
			require.Equal(t, "untouched", string(b))
			info, err := os.Stat(victim)
			require.NoError(t, err)
			require.Equal(t, fs.FileMode(0o644), info.Mode())
		})
	}
}

func TestCreateTakesNoExistingFile(t *testing.T) {
	d, path := newDir(t)
	write(t, d, "file", "data")
	require.NoError(t, os.Symlink(filepath.Join(t.TempDir(), "victim"), filepath.Join(path, "dangling")))
	top, err := d.open()
	require.NoError(t, err)
	defer top.Close()
	for _, name := range []string{"file", "dangling"} {
		_, err = d.create(top, name, name, modeFile)
		require.ErrorIs(t, err, fs.ErrExist, name)
	}
	requireFile(t, d, "file", "data")
}

func TestMissing(t *testing.T) {
	d, path := newDir(t)
	for _, name := range []string{"file", "a/b/file"} {
		_, err := read(d, name)
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
	require.ErrorIs(t, d.Scan("", nil), fs.ErrNotExist)
	_, err := os.Lstat(path)
	require.ErrorIs(t, err, fs.ErrNotExist, "reading made the directory")

	l, err := d.Lock(t.Context())
	require.NoError(t, err)
	defer l.Unlock()

	missing := filepath.Join(path, "none")
	_, err = New(filepath.Join(missing, "private")).Lock(t.Context())
	require.EqualError(t, err, "its parent directory "+missing+" does not exist: make it, or mount its disk")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoDirExists(t, missing)
}

func TestReadIsBounded(t *testing.T) {
	d, path := newDir(t)
	write(t, d, "file", "12345")
	_, err := d.Read("file", 4)
	require.ErrorIs(t, err, ErrTooLarge)
	require.EqualError(t, err, "file file is too large")
	b, err := d.Read("file", 5)
	require.NoError(t, err)
	require.Equal(t, "12345", string(b))

	require.NoError(t, os.Truncate(filepath.Join(path, "file"), 1<<40)) // sparse
	_, err = d.Read("file", 1<<20)
	require.ErrorIs(t, err, ErrTooLarge)
}

func TestUnfinishedFiles(t *testing.T) {
	d, path := newDir(t)
	write(t, d, "a/file", "data")
	temp := filepath.Join(path, "a", tempName)
	require.NoError(t, os.WriteFile(temp, []byte("half a fi"), 0o600))

	requireFile(t, d, "a/file", "data")
	require.Equal(t, []string{"file"}, scan(t, d, "a"))

	l, err := d.Lock(t.Context())
	require.NoError(t, err)
	defer l.Unlock()
	require.NoError(t, l.Write("a/file", []byte("new")))
	_, err = os.Lstat(temp)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func scan(t *testing.T, d *Dir, name string) (names []string) {
	t.Helper()
	require.NoError(t, d.Scan(name, func(base string) bool {
		names = append(names, base)
		return true
	}))
	return names
}

func TestScan(t *testing.T) {
	d, _ := newDir(t)
	for _, name := range []string{"file", "a/x", "a/y", "b/c/z"} {
		write(t, d, name, "data")
	}
	require.ElementsMatch(t, []string{"file", "a", "b"}, scan(t, d, ""))
	require.ElementsMatch(t, []string{"x", "y"}, scan(t, d, "a"))
	require.ElementsMatch(t, []string{"z"}, scan(t, d, "b/c"))
	n := 0
	require.NoError(t, d.Scan("", func(string) bool { n++; return false }))
	require.Equal(t, 1, n)
}

func TestLockExcludes(t *testing.T) {
	d, path := newDir(t)
	for name, other := range map[string]*Dir{"same Dir": d, "another Dir": New(path)} {
		t.Run(name, func(t *testing.T) {
			held, err := d.Lock(t.Context())
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			_, err = other.Lock(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.EqualError(t, err, "waiting for the lock: context deadline exceeded")
			held.Unlock()

			l, err := other.Lock(t.Context())
			require.NoError(t, err)
			l.Unlock()
		})
	}
}

func TestLockOfACancelledContext(t *testing.T) {
	d, path := newDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // a select between two ready cases is random
		_, err := d.Lock(ctx)
		require.ErrorIs(t, err, context.Canceled)
	}
	_, err := os.Lstat(path)
	require.ErrorIs(t, err, fs.ErrNotExist)
	l, err := d.Lock(t.Context())
	require.NoError(t, err)
	l.Unlock()
}

// Each goroutine reads, then writes one more. Without the lock they overwrite
// each other's.
func TestLockedUpdatesAreNotLost(t *testing.T) {
	d, path := newDir(t)
	write(t, d, "count", "")
	const goroutines, each = 8, 10
	var wg sync.WaitGroup
	for i := range goroutines {
		mine := d
		if i%2 == 1 {
			mine = New(path)
		}
		wg.Go(func() {
			for range each {
				l, err := mine.Lock(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				b, err := l.Read("count", 100)
				if err == nil {
					err = l.Write("count", append(b, 'x'))
				}
				l.Unlock()
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b, err := d.Read("count", 1000)
	require.NoError(t, err)
	require.Len(t, b, goroutines*each)
}

// A waiter must not come to hold the lock of a directory that was moved away.
func TestLockOfAReplacedDirectory(t *testing.T) {
	d, path := newDir(t)
	held, err := d.Lock(t.Context())
	require.NoError(t, err)

	other := New(path)
	top, err := other.open()
	require.NoError(t, err)
	waiting, err := other.openLock(top)
	require.NoError(t, err)
	isCurrent := func() bool {
		is, err := other.isCurrent(waiting)
		require.NoError(t, err)
		return is
	}
	require.True(t, isCurrent())

	require.NoError(t, os.Rename(path, path+"-moved"))
	require.False(t, isCurrent())
	held.Unlock()
	write(t, other, "file", "new")
	require.False(t, isCurrent())
	requireFile(t, other, "file", "new")
	require.NoError(t, waiting.Close())
	require.NoError(t, top.Close())
}

func TestNothingIsLeftOpen(t *testing.T) {
	open := func() int {
		entries, err := os.ReadDir("/dev/fd")
		if err != nil {
			t.Skip("this system does not list open files")
		}
		return len(entries)
	}
	good, _ := newDir(t)
	write(t, good, "a/file", "data")
	bad, path := newDir(t)
	write(t, bad, "a/file", "data")
	badLock, badLockPath := newDir(t)
	write(t, badLock, "file", "data")
	require.NoError(t, os.Chmod(filepath.Join(badLockPath, lockName), 0o644))
	before := open()
	for _, mode := range []fs.FileMode{0o700, 0o701} {
		require.NoError(t, os.Chmod(path, mode))
		require.NoError(t, os.Chmod(filepath.Join(path, "a"), 0o701))
		for range 100 {
			write(t, good, "a/file", "data")
			requireFile(t, good, "a/file", "data")
			_, err := read(good, "none/file")
			require.ErrorIs(t, err, fs.ErrNotExist)
			_, err = good.Read("a/file", 1)
			require.ErrorIs(t, err, ErrTooLarge)
			require.NoError(t, good.Scan("a", func(string) bool { return false }))

			_, err = read(bad, "a/file")
			require.ErrorIs(t, err, ErrRefused)
			if l, err := bad.Lock(t.Context()); err == nil {
				require.ErrorIs(t, l.Write("a/file", nil), ErrRefused)
				l.Unlock()
			}
			_, err = badLock.Lock(t.Context())
			require.ErrorIs(t, err, ErrRefused)
		}
	}
	require.Less(t, open(), before+10) // some that the runtime opens for itself
}
