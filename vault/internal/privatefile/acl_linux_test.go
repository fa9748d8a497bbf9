package privatefile

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// aclFor returns an access control list, as Linux stores it, that gives the user with that
// id the right to read, up to the given mask.
func aclFor(id, mask uint32) []byte {
	const (
		version                                = 2
		userObj, user, groupObj, maskOf, other = 1, 2, 4, 16, 32
		read, all, none                        = 4, 7, ^uint32(0)
	)
	b := binary.LittleEndian.AppendUint32(nil, version)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{userObj, all, none}, {user, read | 1, id}, {groupObj, 0, none}, {maskOf, uint16(mask), none}, {other, 0, none}} {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.perm)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return b
}

// maskOf returns the mask of the access control list of a file: no user that the list names
// has more rights. A file without a list has the mask 0.
func maskOf(t *testing.T, path string) (mask uint16) {
	t.Helper()
	b := make([]byte, 1024)
	n, err := syscall.Getxattr(path, "system.posix_acl_access", b)
	if errors.Is(err, syscall.ENODATA) {
		return 0
	}
	require.NoError(t, err)
	for entry := range (n - 4) / 8 {
		if e := b[4+8*entry:]; binary.LittleEndian.Uint16(e) == 16 {
			return binary.LittleEndian.Uint16(e[2:])
		}
	}
	return 0
}

// Access control lists give nobody a right: new files and directories do not take over the
// list of the directory above, and a file or directory with a list of its own is refused.
func TestAccessControlListsOpenNothing(t *testing.T) {
	const nobody = 65534
	above := t.TempDir()
	err := syscall.Setxattr(above, "system.posix_acl_default", aclFor(nobody, 5), 0)
	if errors.Is(err, syscall.EOPNOTSUPP) {
		t.Skip("no access control lists on this file system")
	}
	require.NoError(t, err)
	plain := filepath.Join(above, "plain") // the list works: a file that nobody takes care of has it
	require.NoError(t, os.WriteFile(plain, nil, 0o666))
	require.NotZero(t, maskOf(t, plain)&4)

	path := filepath.Join(above, "private")
	d := New(path)
	write(t, d, "a/file", "data")
	for _, made := range []string{".", "a", "a/file"} {
		require.Zero(t, maskOf(t, filepath.Join(path, made)), made)
	}
	requireFile(t, d, "a/file", "data")
	for _, opened := range []string{"a/file", "a", "."} {
		at := filepath.Join(path, opened)
		require.NoError(t, syscall.Setxattr(at, "system.posix_acl_access", aclFor(nobody, 5), 0))
		_, err := read(d, "a/file")
		require.ErrorIs(t, err, ErrRefused, opened)
		require.ErrorContains(t, err, "is open to others")
		require.NoError(t, syscall.Setxattr(at, "system.posix_acl_access", aclFor(nobody, 0), 0))
		requireFile(t, d, "a/file", "data")
	}
}
