//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package privatefile_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile/faulty"
)

const limit = 100

func read(t *testing.T, d *privatefile.Dir, name string) string {
	t.Helper()
	b, err := d.Read(name, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return "none"
	}
	require.NoError(t, err)
	return string(b)
}

func change(t *testing.T, d *privatefile.Dir, do func(*privatefile.Lock) error) error {
	t.Helper()
	l, err := d.Lock(t.Context())
	if err != nil {
		return err
	}
	defer l.Unlock()
	return do(l)
}

func put(name, data string) func(*privatefile.Lock) error {
	return func(l *privatefile.Lock) error { return l.Write(name, []byte(data)) }
}

// unfinished returns the files that a writer left.
func unfinished(t *testing.T, path string) (left []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(path, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Name() == ".tmp" {
			left = append(left, path)
		}
		return err
	}))
	return left
}

func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Skip("this system does not list open files")
	}
	return len(entries)
}

// failures are the ways in which a disk fails: the call is not made, or is made
// and its answer lost, or nothing works any more.
var failures = []struct {
	name  string
	fault faulty.Fault
}{
	{"once", faulty.Fault{}},
	{"late", faulty.Fault{Late: true}},
	{"for good", faulty.Fault{Stays: true}},
}

var errnos = []error{syscall.EIO, syscall.ENOSPC, syscall.EROFS, syscall.EACCES, syscall.EMFILE, faulty.ErrShort}

// Whichever call fails, in whichever way: the error says what, files are old or
// new, nothing stays open, and once the disk works again so does the Dir, and
// sweeps up.
func TestEachCallFails(t *testing.T) {
	seen := map[string]bool{}
	for _, op := range []struct {
		name     string
		do       func(*testing.T, *privatefile.Dir) error
		file     string
		old, new string
	}{
		{"read", func(_ *testing.T, d *privatefile.Dir) error {
			b, err := d.Read("a/file", limit)
			if err == nil && string(b) != "old" {
				err = fmt.Errorf("read %q", b)
			}
			return err
		}, "a/file", "old", "old"},
		{"list", func(_ *testing.T, d *privatefile.Dir) error {
			n := 0
			err := d.Scan("a", func(string) bool { n++; return true })
			if err == nil && n != 1 {
				err = fmt.Errorf("%d files", n)
			}
			return err
		}, "a/file", "old", "old"},
		{"replace", func(t *testing.T, d *privatefile.Dir) error { return change(t, d, put("a/file", "new")) }, "a/file", "old", "new"},
		{"add", func(t *testing.T, d *privatefile.Dir) error { return change(t, d, put("b/c/file", "new")) }, "b/c/file", "none", "new"},
	} {
		for i, failure := range failures {
			t.Run(op.name+"/"+failure.name, func(t *testing.T) {
				for nth := 1; ; nth++ {
					errno := errnos[(nth+i)%len(errnos)]
					path := filepath.Join(t.TempDir(), "private")
					disk := &faulty.Disk{}
					d := privatefile.NewOn(disk.System(), path)
					require.NoError(t, change(t, d, put("a/file", "old")))
					fault := failure.fault
					fault.Nth, fault.Err = nth, &fs.PathError{Op: "op", Path: "/secret/path", Err: errno}
					open := openFiles(t)
					disk.Break(fault)
					err := op.do(t, d)
					hit, _ := disk.Mend()
					require.LessOrEqual(t, openFiles(t), open, "%s: something was left open", hit)
					if hit == "" {
						require.NoError(t, err)
						require.True(t, nth > 5 || fault.Late && op.old == op.new, "too few calls were tried")
						break
					}
					seen[hit] = true
					at := fmt.Sprintf("call %d, %s: %v", nth, hit, errno)
					if err != nil {
						var number syscall.Errno
						require.ErrorAs(t, errno, &number)
						require.ErrorIs(t, err, number, at)
						require.NotContains(t, err.Error(), "secret")
					} else {
						// Ridding a directory of what is not there, giving back
						// a lock that closing gives back, and saying that a name
						// is durable that is. A time that is not blurred hurts no file.
						require.Contains(t, []string{"unlock", "remove", "open", "chmod", "set times"}, hit, at)
					}
					got := read(t, privatefile.New(path), op.file)
					require.Contains(t, []string{op.old, op.new}, got, at)
					if err == nil {
						require.Equal(t, op.new, got, at)
					}
					require.NoError(t, change(t, d, put(op.file, "newer")), at)
					require.Equal(t, "newer", read(t, d, op.file), at)
					require.Empty(t, unfinished(t, path), at)
				}
			})
		}
	}
	for _, call := range faulty.Calls {
		if call != "chmod directory" { // see TestUmaskAndAFailingChmod
			require.True(t, seen[call], "%s was never tried", call)
		}
	}
}

// With such a umask even the owner may do nothing with what was just made. If it
// stayed so, the store would be out of use from then on.
func TestUmaskAndAFailingChmod(t *testing.T) {
	for nth := 1; nth <= 4; nth++ { // directory, lock, subdirectory, file
		path := filepath.Join(t.TempDir(), "private")
		old := syscall.Umask(0o777)
		calls := 0
		d := privatefile.NewOn(faulty.System(func(call string, do func() error) error {
			if strings.HasPrefix(call, "chmod") {
				if calls++; calls == nth {
					return syscall.EIO
				}
			}
			return do()
		}), path)
		err := change(t, d, put("a/file", "old"))
		again := change(t, d, put("a/file", "new"))
		syscall.Umask(old)
		require.ErrorIs(t, err, syscall.EIO)
		require.NoError(t, again)
		for name, want := range map[string]fs.FileMode{"": 0o700, ".lock": 0o600, "a": 0o700, "a/file": 0o600} {
			info, err := os.Lstat(filepath.Join(path, name))
			require.NoError(t, err)
			require.Equal(t, want, info.Mode().Perm(), "%q after fault %d", name, nth)
		}
	}
}

// A failed step before the rename leaves the file as it was, and rids the
// directory of the new one.
func TestFailedWriteKeepsTheFile(t *testing.T) {
	for _, call := range []string{"create", "chmod", "write", "sync", "close", "rename"} {
		path := filepath.Join(t.TempDir(), "private")
		failing := false
		d := privatefile.NewOn(faulty.System(func(c string, do func() error) error {
			if failing && c == call {
				return faulty.ErrShort
			}
			return do()
		}), path)
		require.NoError(t, change(t, d, put("file", "old")))
		failing = true
		require.ErrorIs(t, change(t, d, put("file", "new")), syscall.ENOSPC, call)
		require.Equal(t, "old", read(t, d, "file"))
		require.Empty(t, unfinished(t, path), call)
	}
}

// The order is the promise: content, then name, then the directory's sync.
func TestOrderOfAWrite(t *testing.T) {
	var calls []string
	d := privatefile.NewOn(faulty.System(func(call string, do func() error) error {
		if slices.Contains(faulty.Changes, call) {
			calls = append(calls, call)
		}
		return do()
	}), filepath.Join(t.TempDir(), "private"))
	require.NoError(t, change(t, d, put("file", "old")))
	calls = nil
	require.NoError(t, change(t, d, put("sub/file", "new")))
	require.Equal(t, []string{
		"lock", "make directory", "set times", "sync directory", "remove", // the new directory's name; an unfinished file
		"create", "chmod", "write", "set times", "sync", "close", "rename", "sync directory", "chmod", "set times", "unlock",
	}, calls)
	calls = nil
	require.NoError(t, change(t, d, put("sub/file", "newer")))
	require.Equal(t, []string{
		"lock", "remove", "create", "chmod", "write", "set times", "sync", "close", "rename", "sync directory", "chmod", "set times",
		"write", "sync", "unlock", // zeros over the old content, once the new one is durable
	}, calls)
}

// A replaced content is overwritten, and so is the content that a killed writer left.
func TestReplacedContentIsOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "private")
	d := privatefile.New(path)
	for _, name := range []string{"file", ".tmp"} {
		require.NoError(t, change(t, d, put("a/file", "the old content")))
		if name == ".tmp" {
			require.NoError(t, os.WriteFile(filepath.Join(path, "a", name), []byte("the old content"), 0o600))
		}
		old, err := os.Open(filepath.Join(path, "a", name)) // its bytes, when its name is gone
		require.NoError(t, err)
		defer old.Close()
		require.NoError(t, change(t, d, put("a/file", "the new content")))
		b, err := io.ReadAll(old)
		require.NoError(t, err)
		require.Equal(t, make([]byte, len("the old content")), b, name)
	}
}

// A reader that has a file open while it is replaced and overwritten reads the new one.
func TestReaderOfAReplacedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "private")
	writer := privatefile.New(path)
	require.NoError(t, change(t, writer, put("a/file", "old")))
	for _, at := range []string{"stat", "read"} {
		replaced := 0
		reader := privatefile.NewOn(faulty.System(func(call string, do func() error) error {
			if call == at && replaced < 3 {
				replaced++
				require.NoError(t, change(t, writer, put("a/file", fmt.Sprint(at, replaced))))
			}
			return do()
		}), path)
		require.Equal(t, at+"3", read(t, reader, "a/file"))
		require.Equal(t, 3, replaced)
	}
}

// The times of files tell the day, and their order tells nothing.
func TestTimesTellTheDay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "private")
	d := privatefile.New(path)
	before := time.Now().UTC().Truncate(24 * time.Hour)
	for i := range 40 {
		require.NoError(t, change(t, d, put(fmt.Sprintf("sub/%02d", i), "content")))
	}
	files := timesOfFiles(t, path, before)
	require.Len(t, files, 41, "with the lock")
	require.False(t, slices.IsSortedFunc(files[1:], time.Time.Compare), "the files were made in the order of their names")
	require.NoError(t, change(t, d, put("sub/00", "again")))
	require.Len(t, timesOfFiles(t, path, before), 41)
}

// timesOfFiles returns the times of the files below path, by their names. All of them, and
// the times of directories, must be of today, which began at the given time or is the day
// after.
func timesOfFiles(t *testing.T, path string, before time.Time) (files []time.Time) {
	t.Helper()
	after := time.Now().UTC().Truncate(24 * time.Hour)
	require.NoError(t, filepath.WalkDir(path, func(name string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := e.Info()
		require.NoError(t, err)
		at := info.ModTime().UTC()
		require.False(t, at.Before(before) || !at.Before(after.Add(24*time.Hour)), name)
		if e.IsDir() {
			require.Equal(t, at.Truncate(24*time.Hour), at, name)
		} else {
			files = append(files, at)
		}
		return nil
	}))
	return files
}

// A signal is no failure of a lock.
func TestLockInterrupted(t *testing.T) {
	n := 0
	d := privatefile.NewOn(faulty.System(func(call string, do func() error) error {
		if n++; call == "lock" && n < 50 {
			return syscall.EINTR
		}
		return do()
	}), filepath.Join(t.TempDir(), "private"))
	require.NoError(t, change(t, d, put("file", "data")))
	require.Greater(t, n, 50)
}

// A disk that has died must not be asked again and again by whoever would wait
// for the lock for ever.
func TestLockOnADeadDiskFails(t *testing.T) {
	locked, done := false, make(chan error, 1)
	d := privatefile.NewOn(faulty.System(func(call string, do func() error) error {
		if locked && call == "look up" { // at the lock that was just taken
			return syscall.EIO
		}
		locked = locked || call == "lock"
		return do()
	}), filepath.Join(t.TempDir(), "private"))
	go func() { done <- change(t, d, put("file", "data")) }()
	select {
	case err := <-done:
		require.ErrorIs(t, err, syscall.EIO)
	case <-time.After(time.Minute):
		t.Fatal("still waiting")
	}
}
