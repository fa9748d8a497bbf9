//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package vault_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/childtest"
	"github.com/onlyfor/onlyfor/vault/internal/seed"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
	"github.com/onlyfor/onlyfor/vault/storetest"
)

func TestDir(t *testing.T) {
	storetest.Run(t, func(t *testing.T) func() vault.Store {
		path := filepath.Join(t.TempDir(), "keys")
		return func() vault.Store { return vault.Dir(path) }
	})
}

// A parent directory that is missing may be a disk that is not mounted. Nothing is made
// there, and the error says what to do.
func TestParentDirectoriesAreNotMade(t *testing.T) {
	top := t.TempDir()
	missing := filepath.Join(top, "var", "lib")
	for name, test := range map[string]struct {
		store, kek, want string
		is               error
	}{
		"store": {filepath.Join(missing, "keys"), filepath.Join(top, "kek"), "key store " + missing + "/keys", vault.ErrUnavailable},
		"KEK":   {filepath.Join(top, "keys"), filepath.Join(missing, "kek"), "local KEK " + missing + "/kek", vault.ErrNoKeys},
	} {
		v, err := vault.OpenAdmin(t.Context(), vault.Dir(test.store), vault.LocalKEK(test.kek), nil)
		require.NoError(t, err, name)
		err = v.Generate(t.Context(), vaulttest.Security)
		require.ErrorIs(t, err, test.is, name)
		require.ErrorContains(t, err, test.want+": its parent directory "+missing+" does not exist: make it, or mount its disk: ", name)
		require.NoDirExists(t, filepath.Join(top, "var"), name)

		require.NoError(t, os.MkdirAll(missing, 0o755))
		require.NoError(t, v.Generate(t.Context(), vaulttest.Security), name)
		require.NoError(t, os.RemoveAll(filepath.Join(top, "var")))
		require.NoError(t, v.Close())
	}
}

func listNames(t testing.TB, store vault.Store) (names []string) {
	t.Helper()
	for name, err := range store.List(t.Context(), "", "") {
		require.NoError(t, err)
		names = append(names, name)
	}
	return names
}

func TestDirIsMadeByTheFirstPut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	store := vault.Dir(path)
	records, err := store.Get(t.Context(), "security/keys")
	require.NoError(t, err)
	require.Empty(t, records)
	require.Empty(t, listNames(t, store))
	_, err = store.Put(t.Context(), vault.Record{Name: "security/keys", Data: []byte("x"), Revision: 7})
	require.ErrorIs(t, err, vault.ErrConflict)
	_, err = os.Lstat(path)
	require.ErrorIs(t, err, fs.ErrNotExist)

	vaulttest.PutRecord(t, store, "security/keys", 0, "x")
	info, err := os.Lstat(filepath.Join(path, "security", "keys.key"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode())
}

func TestDirNeedsThePathAbove(t *testing.T) {
	store := vault.Dir(filepath.Join(t.TempDir(), "not-mounted", "keys"))
	_, err := store.Put(t.Context(), vault.Record{Name: "security/keys", Data: []byte("x")})
	require.ErrorIs(t, err, vault.ErrUnavailable)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestDirOfAnEmptyPath(t *testing.T) {
	t.Chdir(t.TempDir())
	store := vault.Dir("")
	_, err := store.Get(t.Context(), "security/keys")
	require.ErrorIs(t, err, vault.ErrInvalid)
	_, err = store.Put(t.Context(), vault.Record{Name: "security/keys", Data: []byte("x")})
	require.ErrorIs(t, err, vault.ErrInvalid)
	for _, err := range store.List(t.Context(), "", "") {
		require.ErrorIs(t, err, vault.ErrInvalid)
	}
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	require.Empty(t, entries)
}

// TestDirErrors breaks one thing at a time. No error names more than the path
// that the store was opened with, what is below it, and the fact.
func TestDirErrors(t *testing.T) {
	const file = "keys/security/keys.key"
	content := func(data string) func(*testing.T) {
		return func(t *testing.T) { require.NoError(t, os.WriteFile(file, []byte(data), 0o600)) }
	}
	chmod := func(path string, mode fs.FileMode) func(*testing.T) {
		return func(t *testing.T) { require.NoError(t, os.Chmod(path, mode)) }
	}
	for _, test := range []struct {
		name    string
		destroy func(t *testing.T)
		is      error
		want    string
	}{
		{"directory open to others", chmod("keys", 0o755), vault.ErrNoKeys, "key store keys: directory is open to others: no usable keys"},
		{"subdirectory open to others", chmod("keys/security", 0o711), vault.ErrNoKeys, "key store keys: directory security is open to others: no usable keys"},
		{"file open to others", chmod(file, 0o644), vault.ErrNoKeys, "key store keys: file security/keys.key is open to others: no usable keys"},
		{"symlinked directory", func(t *testing.T) {
			require.NoError(t, os.Rename("keys", "elsewhere"))
			require.NoError(t, os.Symlink("elsewhere", "keys"))
		}, vault.ErrNoKeys, "key store keys: directory is a symbolic link: no usable keys"},
		{"symlinked subdirectory", func(t *testing.T) {
			require.NoError(t, os.Rename("keys/security", "elsewhere"))
			require.NoError(t, os.Symlink("../elsewhere", "keys/security"))
		}, vault.ErrNoKeys, "key store keys: directory security is a symbolic link: no usable keys"},
		{"symlinked file", func(t *testing.T) {
			require.NoError(t, os.Rename(file, "elsewhere"))
			require.NoError(t, os.Symlink("../../elsewhere", file))
		}, vault.ErrNoKeys, "key store keys: file security/keys.key is a symbolic link: no usable keys"},
		{"FIFO", func(t *testing.T) {
			require.NoError(t, os.Remove(file))
			require.NoError(t, syscall.Mkfifo(file, 0o600))
		}, vault.ErrNoKeys, "key store keys: file security/keys.key is not a regular file: no usable keys"},
		{"file of another user", func(t *testing.T) {
			if os.Geteuid() != 0 {
				t.Skip("only root can give files away")
			}
			require.NoError(t, os.Chown(file, 12345, -1))
		}, vault.ErrNoKeys, "key store keys: file security/keys.key belongs to another user: no usable keys"},
		{"no permission", func(t *testing.T) {
			if os.Geteuid() == 0 {
				t.Skip("root may read everything")
			}
			require.NoError(t, os.Chmod(file, 0))
		}, vault.ErrNoKeys, "key store keys: opening file security/keys.key: permission denied: no usable keys"},

		{"empty file", content(""), vault.ErrCorrupt, malformed},
		{"header without data", content("onlyfor-record-1 0123456789abcdef 00000000\n"), vault.ErrCorrupt, malformed},
		{"truncated file", func(t *testing.T) {
			require.NoError(t, os.Truncate(file, 44))
		}, vault.ErrCorrupt, malformed},
		{"bytes appended", func(t *testing.T) {
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(file, append(b, '\n'), 0o600))
		}, vault.ErrCorrupt, malformed},
		{"zeros, as after a power cut", content(strings.Repeat("\x00", 60)), vault.ErrCorrupt, malformed},
		{"a secret of somebody else's", content("hunter2 hunter2 hunter2 hunter2 hunter2 hunter2 hunter2"), vault.ErrCorrupt, malformed},
		{"too large", func(t *testing.T) { require.NoError(t, os.Truncate(file, 1<<40)) },
			vault.ErrCorrupt, "key store keys: file security/keys.key is too large: not sealed here, or altered since"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			store := vault.Dir("keys")
			revision := vaulttest.PutRecord(t, store, "security/keys", 0, "data")
			test.destroy(t)

			_, getErr := store.Get(t.Context(), "security/keys")
			_, putErr := store.Put(t.Context(), vault.Record{Name: "security/keys", Data: []byte("new"), Revision: revision})
			_, createErr := store.Put(t.Context(), vault.Record{Name: "security/keys", Data: []byte("new")})
			for _, err := range []error{getErr, putErr, createErr} {
				require.ErrorIs(t, err, test.is)
				require.EqualError(t, err, test.want)
			}
			for name, err := range store.List(t.Context(), "", "") {
				if err != nil {
					require.EqualError(t, err, test.want)
				} else {
					require.Equal(t, "security/keys", name)
				}
			}
		})
	}
}

const malformed = "key store keys: file security/keys.key is malformed: not sealed here, or altered since"

func TestDirRefusesASymlinkedLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	store := vault.Dir(path)
	revision := vaulttest.PutRecord(t, store, "security/keys", 0, "data")
	victim := filepath.Join(t.TempDir(), "victim")
	require.NoError(t, os.WriteFile(victim, nil, 0o600))
	require.NoError(t, os.Remove(filepath.Join(path, ".lock")))
	require.NoError(t, os.Symlink(victim, filepath.Join(path, ".lock")))
	_, err := store.Put(t.Context(), vault.Record{Name: "security/keys", Data: []byte("x"), Revision: revision})
	require.ErrorIs(t, err, vault.ErrNoKeys)
	require.Equal(t, "data", string(vaulttest.GetRecord(t, store, "security/keys").Data))
}

func TestDirIgnoresOtherFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	store := vault.Dir(path)
	vaulttest.PutRecord(t, store, "a", 0, "x")
	vaulttest.PutRecord(t, store, "a/b", 0, "x") // no vault does, but nothing is in the way
	for _, name := range []string{"README", "notes.txt", "a/c.key~", "a/C.key", "a/.key", "a/.tmp", ".c.key", "a/-.key", "lost+found/x.key"} {
		require.NoError(t, os.MkdirAll(filepath.Join(path, filepath.Dir(name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(path, name), []byte("x"), 0o600))
	}
	require.Equal(t, []string{"a", "a/b"}, listNames(t, store))
	records, err := store.Get(t.Context(), "a/c")
	require.NoError(t, err)
	require.Empty(t, records)
}

// A List that left these out would hide records from whoever erases them all.
func TestDirListHidesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	store := vault.Dir(path)
	vaulttest.PutRecord(t, store, "a/x", 0, "x")
	vaulttest.PutRecord(t, store, "b/x", 0, "x")
	require.NoError(t, os.Rename(filepath.Join(path, "a/x.key"), filepath.Join(path, "x.moved")))
	require.NoError(t, os.Symlink("../x.moved", filepath.Join(path, "a/x.key")))
	require.Equal(t, []string{"a/x", "b/x"}, listNames(t, store))

	require.NoError(t, os.Rename(filepath.Join(path, "b"), filepath.Join(path, "b.moved")))
	for _, plant := range []func(string) error{
		func(path string) error { return os.Symlink("b.moved", path) },
		func(path string) error { return os.WriteFile(path, nil, 0o600) },
		func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		require.NoError(t, plant(filepath.Join(path, "b")))
		var got []string
		var last error
		for name, err := range store.List(t.Context(), "", "") {
			if last = err; err == nil {
				got = append(got, name)
			}
		}
		require.Equal(t, []string{"a/x"}, got)
		require.ErrorIs(t, last, vault.ErrNoKeys)
		for _, err := range store.List(t.Context(), "a/", "") {
			require.NoError(t, err)
		}
		require.NoError(t, os.Remove(filepath.Join(path, "b")))
	}
}

func subjectName(i int) string { return fmt.Sprintf("security/subjects/%06d", i) }

// fillDir makes records without waiting for the disk, by copying one that Put made.
func fillDir(t testing.TB, path string, n int) {
	t.Helper()
	vaulttest.PutRecord(t, vault.Dir(path), subjectName(0), 0, strings.Repeat("x", 60))
	file := func(i int) string { return filepath.Join(path, subjectName(i)+".key") }
	b, err := os.ReadFile(file(0))
	require.NoError(t, err)
	for i := 1; i < n; i++ {
		if err := os.WriteFile(file(i), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDirLockWaitObeysTheContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	store := vault.Dir(path)
	revision := vaulttest.PutRecord(t, store, "security/keys", 0, "data")

	lock, err := os.OpenFile(filepath.Join(path, ".lock"), os.O_RDWR, 0)
	require.NoError(t, err)
	defer lock.Close()
	require.NoError(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = store.Put(ctx, vault.Record{Name: "security/keys", Data: []byte("new"), Revision: revision})
	require.ErrorIs(t, err, vault.ErrUnavailable)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	// Readers wait for nobody, and who is late for nothing.
	require.Equal(t, "data", string(vaulttest.GetRecord(t, store, "security/keys").Data))
	require.Equal(t, []string{"security/keys"}, listNames(t, store))
	_, err = store.Put(t.Context(), vault.Record{Name: "security/keys", Data: []byte("new"), Revision: revision ^ 1})
	require.ErrorIs(t, err, vault.ErrConflict)

	require.NoError(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_UN))
	vaulttest.PutRecord(t, store, "security/keys", revision, "new")
}

func init() {
	childtest.Children["increment"] = func(args []string) error {
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		store := vault.Dir(args[0])
		for range n {
			if err := increment(context.Background(), store, "counter"); err != nil {
				return err
			}
		}
		return nil
	}
	childtest.Children["write"] = func(args []string) error {
		store := vault.Dir(args[0])
		fmt.Println("writing")
		for n := 0; ; n++ {
			records, err := store.Get(context.Background(), "security/keys")
			if err != nil || len(records) != 1 {
				return fmt.Errorf("Get: %d records, error %w", len(records), err)
			}
			r := records[0]
			r.Data = wholeContent(n)
			if _, err := store.Put(context.Background(), r); err != nil {
				return err
			}
		}
	}
}

func increment(ctx context.Context, store vault.Store, name string) error {
	for {
		records, err := store.Get(ctx, name)
		if err != nil {
			return err
		}
		r := vault.Record{Name: name}
		n := 0
		if len(records) == 1 {
			r = records[0]
			if n, err = strconv.Atoi(string(r.Data)); err != nil {
				return errors.New("not a number")
			}
		}
		r.Data = []byte(strconv.Itoa(n + 1))
		if _, err := store.Put(ctx, r); !errors.Is(err, vault.ErrConflict) {
			return err
		}
	}
}

// Two processes, begun on a directory that does not exist, lose no update.
func TestDirInTwoProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	const each = 200
	a, b := childtest.Command(t, "increment", path, strconv.Itoa(each)), childtest.Command(t, "increment", path, strconv.Itoa(each))
	require.NoError(t, a.Start())
	require.NoError(t, b.Start())
	require.NoError(t, a.Wait(), a.Stderr)
	require.NoError(t, b.Wait(), b.Stderr)
	require.Equal(t, strconv.Itoa(2*each), string(vaulttest.GetRecord(t, vault.Dir(path), "counter").Data))
}

// wholeContent is the nth letter many times, so that a mixture or a part shows.
func wholeContent(n int) []byte {
	b := bytes.Repeat([]byte{'a' + byte(n%26)}, 100_000)
	return append(b, '.')
}

// A process that is killed while it writes leaves the old or the new record, and
// a lock and a temporary file that are in nobody's way.
func TestDirSurvivesKilledWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	store := vault.Dir(path)
	vaulttest.PutRecord(t, store, "security/keys", 0, string(wholeContent(0)))
	random, unfinished := seed.Rand(t), 0
	for range 50 {
		cmd := childtest.Command(t, "write", path)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		_, err = bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)
		time.Sleep(time.Duration(random.IntN(int(8 * time.Millisecond))))
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
		require.Empty(t, fmt.Sprint(cmd.Stderr))

		if _, err := os.Lstat(filepath.Join(path, "security", ".tmp")); err == nil {
			unfinished++
		}
		data := vaulttest.GetRecord(t, store, "security/keys").Data
		require.Equal(t, len(wholeContent(0)), len(data))
		require.Equal(t, len(data)-1, bytes.Count(data, data[:1]))
		require.Equal(t, []string{"security/keys"}, listNames(t, store))
	}
	t.Logf("%d of 50 killed writers left an unfinished file", unfinished)
	vaulttest.PutRecord(t, store, "security/keys", vaulttest.GetRecord(t, store, "security/keys").Revision, "new")
	_, err := os.Lstat(filepath.Join(path, "security", ".tmp"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func BenchmarkDirGet(b *testing.B) {
	store := vault.Dir(filepath.Join(b.TempDir(), "keys"))
	vaulttest.PutRecord(b, store, "security/keys", 0, strings.Repeat("x", 1000))
	b.ReportAllocs()
	for b.Loop() {
		if records, err := store.Get(b.Context(), "security/keys"); err != nil || len(records) != 1 {
			b.Fatal(err)
		}
	}
}

// BenchmarkDirPut is beside what it can't do without: two syncs.
func BenchmarkDirPut(b *testing.B) {
	b.Run("Put", func(b *testing.B) {
		store := vault.Dir(filepath.Join(b.TempDir(), "keys"))
		revision := vaulttest.PutRecord(b, store, "security/keys", 0, "x")
		data := bytes.Repeat([]byte("x"), 1000)
		var err error
		for b.Loop() {
			revision, err = store.Put(b.Context(), vault.Record{Name: "security/keys", Data: data, Revision: revision})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("WriteSyncRenameSync", func(b *testing.B) {
		path := b.TempDir()
		dir, err := os.Open(path)
		require.NoError(b, err)
		defer dir.Close()
		data := bytes.Repeat([]byte("x"), 1000)
		for b.Loop() {
			f, err := os.Create(filepath.Join(path, "temp"))
			if err != nil {
				b.Fatal(err)
			}
			_, err = f.Write(data)
			if err = errors.Join(err, f.Sync(), f.Close(), os.Rename(f.Name(), filepath.Join(path, "file")), dir.Sync()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkDirList goes through 100,000 records, whole and in pages of 1000.
func BenchmarkDirList(b *testing.B) {
	path := filepath.Join(b.TempDir(), "keys")
	const n = 100_000
	fillDir(b, path, n)
	store := vault.Dir(path)
	list := func(after string, limit int) (last string, count int) {
		for name, err := range store.List(b.Context(), "security/subjects/", after) {
			if err != nil {
				b.Fatal(err)
			}
			last = name
			if count++; count == limit {
				break
			}
		}
		return last, count
	}
	b.Run("whole", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, count := list("", -1); count != n {
				b.Fatal(count)
			}
		}
	})
	b.Run("first 1000", func(b *testing.B) {
		for b.Loop() {
			if _, count := list("", 1000); count != 1000 {
				b.Fatal(count)
			}
		}
	})
	b.Run("Get one", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if records, err := store.Get(b.Context(), subjectName(i*7919%n)); err != nil || len(records) != 1 {
				b.Fatal(err)
			}
		}
	})
}
