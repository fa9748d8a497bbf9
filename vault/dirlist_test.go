//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package vault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault/internal/seed"
)

func TestListStopsWhenCancelled(t *testing.T) {
	store := Dir(filepath.Join(t.TempDir(), "keys"))
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
	store := Dir(filepath.Join(t.TempDir(), "keys")).(*dir)
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
		require.NoError(t, os.WriteFile(filepath.Join(deep, name+recordSuffix), encodeFile(1, []byte("data")), 0o600))
	}
	var names []string
	for name, err := range store.List(t.Context(), "", "") {
		require.NoError(t, err)
		names = append(names, name)
	}
	require.Equal(t, []string{"a/b", segment + "/" + strings.Repeat("b", maxName-len(segment)-1)}, names)
}
