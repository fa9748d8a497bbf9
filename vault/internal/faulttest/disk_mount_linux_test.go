package faulttest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

const mountVariable = "ONLYFOR_TEST_MOUNT"

// mayMount reports whether this process has mounts of its own. If not it runs
// the test once more in one that has, and skips it where that is not permitted.
func mayMount(t *testing.T) bool {
	t.Helper()
	if os.Getenv(mountVariable) != "" {
		err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
		require.NoError(t, err)
		return true
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, "-test.v", "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), mountVariable+"=yes")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	var start *os.PathError
	switch {
	case errors.As(err, &start), strings.Contains(string(out), "--- SKIP"):
		t.Skipf("no file system can be mounted here: %v\n%s", err, out)
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	}
	require.Contains(t, string(out), "--- PASS: "+t.Name())
	return false
}

// mount returns a directory that is a file system of its own.
func mount(t *testing.T, options string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "disk")
	require.NoError(t, os.Mkdir(dir, 0o700))
	if err := syscall.Mount("onlyfor-test", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("mounting: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill writes to the disk until it is full, but for some bytes.
func fill(t *testing.T, dir string, left int64) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filler"))
	require.NoError(t, err)
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	info, err := f.Stat()
	require.NoError(t, err)
	require.NoError(t, f.Truncate(info.Size()-left))
}

// fillInodes makes files until no more can be made, but for some.
func fillInodes(t *testing.T, dir string, left int64) {
	t.Helper()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "filler"), 0o700))
	name := func(i int64) string { return filepath.Join(dir, "filler", fmt.Sprint(i)) }
	for i := int64(0); ; i++ {
		f, err := os.Create(name(i))
		if err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
			for ; left > 0; left-- {
				require.NoError(t, os.Remove(name(i-left)))
			}
			return
		}
		f.Close()
	}
}

// On a disk that is really full, or has room for a little more only, changes fail
// as what may be tried again, whole; what was sealed opens all the time, and once
// there is room all goes on.
func TestFullDisk(t *testing.T) {
	if !mayMount(t) {
		return
	}
	failed, all := 0, sitesFor(t)
	for _, test := range []struct {
		name, options string
		fill          func(*testing.T, string, int64)
		unit          int64
	}{
		{"space", "size=2m", fill, int64(os.Getpagesize())},
		{"inodes", "nr_inodes=600", fillInodes, 1},
	} {
		for left := range int64(3) {
			t.Run(fmt.Sprintf("%s for %d more", test.name, left), func(t *testing.T) {
				disk := mount(t, test.options)
				sites := on(t, disk, all)
				test.fill(t, disk, left*test.unit)
				for _, s := range sites {
					err := s.do(t)
					state := s.w.freshState(t)
					if err == nil {
						require.Equal(t, s.new, state, s.op.name)
						continue // there was room for it
					}
					failed++
					requireKind(t, err, vault.ErrUnavailable, s.op.name)
					require.ErrorIs(t, err, syscall.ENOSPC, s.op.name)
					require.Contains(t, []string{s.old, s.new}, state, s.op.name)
					require.Empty(t, unfinished(t, s.w.Dir), s.op.name)
				}
				require.NoError(t, os.RemoveAll(filepath.Join(disk, "filler")))
				for _, s := range sites {
					s.finish(t)
				}
			})
		}
	}
	require.Greater(t, failed, 2*len(changes))
	t.Logf("%d operations failed", failed)
}

// What is mounted read-only can still be read from, and sealed with: only
// changes fail.
func TestReadOnlyDisk(t *testing.T) {
	if !mayMount(t) {
		return
	}
	disk := mount(t, "")
	sites := on(t, disk, sitesFor(t))
	remount := func(flags uintptr) {
		require.NoError(t, syscall.Mount("", disk, "", syscall.MS_REMOUNT|flags, ""))
	}
	remount(syscall.MS_RDONLY)
	for _, s := range sites {
		err := s.do(t)
		requireKind(t, err, vault.ErrUnavailable, s.op.name)
		require.ErrorIs(t, err, syscall.EROFS, s.op.name)
		require.Equal(t, s.old, s.w.freshState(t), s.op.name)
		if s.op.nothing {
			continue
		}
		by := vaulttest.Scope(t, s.v, vaulttest.Security)
		vaulttest.Opens(t, by, vaulttest.Seal(t, by))
		vaulttest.Opens(t, by.For(alice), vaulttest.Seal(t, by.For(alice)))
		require.NoError(t, s.w.check(t.Context(), s.v), s.op.name)
		for _, look := range looks {
			require.NoError(t, look.do(t.Context(), s.w, privatefile.OperatingSystem(), s.v), look.name)
		}
		_, err = vault.Seal(t.Context(), vaulttest.Note, "text", by.For(dave))
		requireKind(t, err, vault.ErrUnavailable, "sealing for a new subject")
	}
	remount(0)
	for _, s := range sites {
		s.finish(t)
	}
}

// A siteOn is a site on a disk, for one operation, with a vault that uses it.
type siteOn struct {
	op       operation
	from, w  *site
	v        *vault.Admin
	old, new string
}

// sitesFor returns one for each operation, on no disk yet.
func sitesFor(t *testing.T) (sites []siteOn) {
	t.Helper()
	template, none := newSite(t), &site{Dir: t.TempDir()}
	for _, op := range changes {
		s := siteOn{op: op, from: template}
		if op.nothing {
			s.from = none
		}
		s.old, s.new = statesOf(t, s.from, op)
		sites = append(sites, s)
	}
	return sites
}

// on puts them on a disk.
func on(t *testing.T, disk string, sites []siteOn) (placed []*siteOn) {
	t.Helper()
	for _, s := range sites {
		s.w = s.from.copyTo(t, disk)
		var err error
		s.v, err = s.w.begin(t.Context(), privatefile.OperatingSystem())
		require.NoError(t, err)
		t.Cleanup(func() { s.v.Close() })
		if s.op.warm {
			vaulttest.Scope(t, s.v, vaulttest.Security)
		}
		placed = append(placed, &s)
	}
	return placed
}

func (s *siteOn) do(t *testing.T) error {
	return s.op.do(context.WithoutCancel(t.Context()), s.w, privatefile.OperatingSystem(), s.v)
}

// finish does the operation where it could not be done before, with the same
// vault.
func (s *siteOn) finish(t *testing.T) {
	t.Helper()
	done := s.w.freshState(t) == s.new && s.old != s.new
	err := s.do(t)
	if done && errors.Is(err, vault.ErrInvalid) {
		err = nil // it can't be done twice
	}
	require.NoError(t, err, s.op.name)
	if !done {
		require.Equal(t, s.new, s.w.freshState(t), s.op.name)
	}
	require.Empty(t, unfinished(t, s.w.Dir), s.op.name)
	if len(s.w.Values) > 0 {
		require.NoError(t, s.w.check(t.Context(), s.v), s.op.name)
	}
}
