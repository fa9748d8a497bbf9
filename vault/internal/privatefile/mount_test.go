//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package privatefile_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
)

func TestMount(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	sys := privatefile.OperatingSystem()
	sys.Lstat = func(string) (fs.FileInfo, error) { return nil, syscall.EIO }
	unmount := privatefile.Mount(sys, path)
	require.Panics(t, func() { privatefile.Mount(sys, path+"/") })
	d, other := privatefile.New(path), privatefile.New(path+"2")
	unmount()
	for err, d := range map[error]*privatefile.Dir{syscall.EIO: d, fs.ErrNotExist: privatefile.New(path)} {
		_, got := d.Read("file", 1)
		require.ErrorIs(t, got, err)
	}
	_, err := other.Read("file", 1)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// What anybody could put in the disk's place must not be in a program.
func TestTestsAloneMount(t *testing.T) {
	require.NoError(t, filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		code, err := os.ReadFile(path)
		require.NotContains(t, string(code), "privatefile.Mount", path)
		return err
	}))
}
