package vault

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

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
	store := Dir(filepath.Join(t.TempDir(), "keys"))
	_, err := store.Get(t.Context(), "a/b")
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("no private files on this system")
	}
	require.NoError(t, err)
	_, err = store.Put(t.Context(), Record{Name: "a/b", Data: []byte("data")})
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

// A file that lies too deep to be a record is not listed: Get refuses its name.
func TestDirListLeavesOutWhatLiesTooDeep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	store := Dir(path)
	_, err := store.Put(t.Context(), Record{Name: "a/b", Data: []byte("data")})
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("no private files on this system")
	}
	require.NoError(t, err)
	segment := strings.Repeat("a", maxName/2)
	deep := filepath.Join(path, segment)
	require.NoError(t, os.Mkdir(deep, 0o700))
	for _, name := range []string{strings.Repeat("b", maxName-len(segment)-1), strings.Repeat("c", maxName-len(segment))} {
		require.NoError(t, os.WriteFile(filepath.Join(deep, name+recordSuffix), encodeRecord(1, []byte("data")), 0o600))
	}
	var names []string
	for name, err := range store.List(t.Context(), "", "") {
		require.NoError(t, err)
		names = append(names, name)
	}
	require.Equal(t, []string{"a/b", segment + "/" + strings.Repeat("b", maxName-len(segment)-1)}, names)
}
