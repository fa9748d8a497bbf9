//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package faulty

import (
	"io/fs"
	"os"
	"syscall"

	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
)

// OfAnotherUser returns sys with every top directory as one that belongs to another user
// and does not open for this one. Root, who runs some tests, opens the files of everybody.
func OfAnotherUser(sys privatefile.System) privatefile.System {
	lstat := sys.Lstat
	sys.Lstat = func(path string) (fs.FileInfo, error) { return anothers(lstat(path)) }
	sys.OpenRoot = func(string) (*os.Root, error) { return nil, ErrPermission }
	return sys
}

// ErrPermission is the error of the system for a file that does not open for this user.
var ErrPermission = &fs.PathError{Op: "openat", Err: syscall.EACCES}

// anothers returns info with another user as the owner.
func anothers(info fs.FileInfo, err error) (fs.FileInfo, error) {
	if err != nil {
		return nil, err
	}
	return Another(info), nil
}

// Another returns info with another user as the owner.
func Another(info fs.FileInfo) fs.FileInfo { return ofAnother{info} }

type ofAnother struct{ fs.FileInfo }

func (o ofAnother) Sys() any {
	stat := *o.FileInfo.Sys().(*syscall.Stat_t)
	stat.Uid = uint32(os.Geteuid() + 1)
	return &stat
}
