package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
	"github.com/onlyfor/onlyfor/vault/internal/seed"
)

// testDir returns the Dir at path. It skips the test on systems without private files.
func testDir(t *testing.T, path string) Store {
	store := Dir(path)
	_, err := store.Get(t.Context(), "a/b")
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("no private files on this system")
	}
	require.NoError(t, err)
	return store
}

func TestRecordFile(t *testing.T) {
	good := encodeFile(0x0123456789abcdef, []byte("data"))
	require.Equal(t, "onlyfor-record-1 0123456789abcdef 00000004\ndata", string(good))
	require.Len(t, encodeFile(math.MaxInt64, make([]byte, MaxRecord)), fileHeaderSize+MaxRecord)
	require.Len(t, encodeFile(1, []byte("x")), fileHeaderSize+1)

	for cut := range good {
		_, _, ok := decodeFile(good[:cut])
		require.False(t, ok, "cut to %d bytes", cut)
	}
	for i := range fileHeaderSize {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			revision, _, ok := decodeFile(bad)
			// Another digit of the revision is another revision; all the rest is fixed.
			isDigit := i > len(fileMagic) && i <= len(fileMagic)+16
			require.True(t, !ok || isDigit && revision != 0x0123456789abcdef, "byte %d, bit %d", i, bit)
		}
	}
	for _, bad := range []string{
		"onlyfor-record-1 0123456789ABCDEF 00000004\ndata",
		"onlyfor-record-1 0000000000000000 00000004\ndata",
		"onlyfor-record-1 ffffffffffffffff 00000004\ndata",
		"onlyfor-record-1 +123456789abcdef 00000004\ndata",
		"onlyfor-record-1 0123456789abcdef 00000004\r\ndata",
		"onlyfor-record-1 0123456789abcdef 00000005\ndata",
		"onlyfor-record-1 0123456789abcdef 00000000\n",
		"onlyfor-record-2 0123456789abcdef 00000004\ndata",
		" onlyfor-record-1 0123456789abcdef 00000004\ndata",
	} {
		_, _, ok := decodeFile([]byte(bad))
		require.False(t, ok, bad)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(encodeFile(1, []byte("data")))
	f.Add(encodeFile(math.MaxInt64, []byte{0}))
	f.Add([]byte("onlyfor-record-1 0123456789abcdef 00000000\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		revision, data, ok := decodeFile(b)
		if !ok {
			return
		}
		require.Positive(t, revision)
		require.NotEmpty(t, data)
		require.Equal(t, b, encodeFile(revision, data))
	})
}

func TestFileErrors(t *testing.T) {
	for err, want := range map[error]error{
		privatefile.ErrTooLarge:  ErrCorrupt,
		privatefile.ErrRefused:   ErrNoKeys,
		fs.ErrPermission:         ErrNoKeys,
		syscall.EACCES:           ErrNoKeys,
		errors.ErrUnsupported:    ErrNoKeys,
		fs.ErrNotExist:           ErrUnavailable,
		syscall.EIO:              ErrUnavailable,
		context.DeadlineExceeded: ErrUnavailable,
	} {
		require.Equal(t, want, fileErrorKind(fmt.Errorf("reading: %w", err)), "%v", err)
	}
}

// countdown is a context that is done once it was asked for as often.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// A context that is done is seen at every step, and what is no name is none for a
// file either.
func TestDirHeedsContextsAndNames(t *testing.T) {
	store := testDir(t, filepath.Join(t.TempDir(), "keys"))
	_, err := store.Put(t.Context(), Record{Name: "a/b", Data: []byte("data")})
	require.NoError(t, err)
	for left := range 3 { // before the first record, before the second one, after both
		_, err := store.Get(&countdown{t.Context(), left}, "a/b", "a/c")
		require.ErrorIs(t, err, ErrUnavailable)
	}
	records, err := store.Get(&countdown{t.Context(), 0}, "a/b")
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, records)

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = store.Put(cancelled, Record{Name: "a/b", Data: []byte("data"), Revision: 1})
	require.ErrorIs(t, err, ErrUnavailable)
	require.NotErrorIs(t, err, ErrConflict, "it was not looked")

	for left := range 100 {
		var names []string
		err = nil
		for name, failure := range store.List(&countdown{t.Context(), left}, "", "") {
			require.NoError(t, err, "an error is the last")
			if err = failure; err == nil {
				names = append(names, name)
			}
		}
		if err == nil {
			require.Equal(t, []string{"a/b"}, names, "a list that says nothing is all there is")
			require.Positive(t, left)
			break
		}
		require.ErrorIs(t, err, ErrUnavailable)
	}
	require.NoError(t, err)

	for _, name := range []string{"", "..", "../b", "a/../b", "/a", "a/", "a//b", "a.b", "A", "a\x00b"} {
		_, err := store.Get(t.Context(), "a/b", name)
		require.ErrorIs(t, err, ErrInvalid, name)
		_, err = store.Put(t.Context(), Record{Name: name, Data: []byte("data")})
		require.ErrorIs(t, err, ErrInvalid, name)
	}
	_, err = Dir("").Get(t.Context(), "a/b")
	require.EqualError(t, err, "key store: empty path: invalid argument")
}

func TestListStopsWhenCancelled(t *testing.T) {
	store := testDir(t, filepath.Join(t.TempDir(), "keys"))
	for _, name := range []string{"a/1", "a/2", "b/1"} {
		_, err := store.Put(t.Context(), Record{Name: name, Data: []byte("x")})
		require.NoError(t, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var errs []error
	for _, err := range store.List(ctx, "", "") {
		errs = append(errs, err)
		cancel()
	}
	require.Len(t, errs, 2)
	require.NoError(t, errs[0])
	require.ErrorIs(t, errs[1], ErrUnavailable)
	require.ErrorIs(t, errs[1], context.Canceled)
}

// TestListPages goes through directories with more entries than a page holds,
// and compares with a plain sort.
func TestListPages(t *testing.T) {
	store := testDir(t, filepath.Join(t.TempDir(), "keys")).(*dir)
	random := seed.Rand(t)
	var all []string
	for range 120 {
		segments := []string{"a", "a-", "a-b", "a0", "b", "b-", "z"}
		name := segments[random.IntN(len(segments))]
		for range random.IntN(3) {
			name += "/" + segments[random.IntN(len(segments))]
		}
		name += fmt.Sprint("/", random.IntN(40))
		if !slices.Contains(all, name) {
			_, err := store.Put(t.Context(), Record{Name: name, Data: []byte("x")})
			require.NoError(t, err)
			all = append(all, name)
		}
	}
	slices.Sort(all)
	for limit := 1; limit < 50; limit += 1 + limit/4 {
		for _, prefix := range []string{"", "a", "a/", "a-", "b/z", "none"} {
			after := all[random.IntN(len(all))]
			for _, after := range []string{"", after, after + "/", after[:len(after)/2]} {
				var want, got []string
				for _, name := range all {
					if strings.HasPrefix(name, prefix) && name > after {
						want = append(want, name)
					}
				}
				l := lister{t.Context(), store, prefix, after, limit, func(name string, err error) bool {
					require.NoError(t, err)
					got = append(got, name)
					return true
				}}
				more, err := l.walk("")
				require.NoError(t, err)
				require.True(t, more)
				require.Equal(t, want, got, "limit %d, prefix %q, after %q", limit, prefix, after)
			}
		}
	}
}

// A name that is too long for a record is the file of somebody else, wherever it lies.
func TestDirListLeavesOutNamesThatAreTooLong(t *testing.T) {
	at := strings.Repeat("a", maxName-3) + "/"
	require.Equal(t, "ab", entryOf(at, "ab"+recordSuffix))
	require.Empty(t, entryOf(at, "abc"+recordSuffix))
}

// A file that lies too deep to be a record is not listed: Get refuses its name.
func TestDirListLeavesOutWhatLiesTooDeep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	store := testDir(t, path)
	_, err := store.Put(t.Context(), Record{Name: "a/b", Data: []byte("data")})
	require.NoError(t, err)
	segment := strings.Repeat("a", maxName/2)
	deep := filepath.Join(path, segment)
	require.NoError(t, os.Mkdir(deep, 0o700))
	for _, name := range []string{strings.Repeat("b", maxName-len(segment)-1), strings.Repeat("c", maxName-len(segment))} {
		require.NoError(t, os.WriteFile(filepath.Join(deep, name+recordSuffix), encodeFile(1, []byte("data")), 0o600))
	}
	var names []string
	for name, err := range store.List(t.Context(), "", "") {
		require.NoError(t, err)
		names = append(names, name)
	}
	require.Equal(t, []string{"a/b", segment + "/" + strings.Repeat("b", maxName-len(segment)-1)}, names)
}
