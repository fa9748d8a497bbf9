//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package privatefile

import (
	"io/fs"
	"os"
	"syscall"
	"time"
)

// A System holds the calls that a Dir makes to the disk. Tests let them fail one by one:
// see package faulty. Calls that only release a handle are not among them.
type System struct {
	Lstat    func(path string) (fs.FileInfo, error)
	OpenRoot func(path string) (*os.Root, error)

	LstatIn  func(in *os.Root, name string) (fs.FileInfo, error)
	OpenDir  func(in *os.Root, name string) (*os.Root, error)
	OpenFile func(in *os.Root, name string, flag int, mode fs.FileMode) (*os.File, error)
	Mkdir    func(in *os.Root, name string, mode fs.FileMode) error
	ChmodDir func(in *os.Root, name string, mode fs.FileMode) error
	Rename   func(in *os.Root, from, to string) error
	Remove   func(in *os.Root, name string) error
	Chtimes  func(in *os.Root, name string, accessed, modified time.Time) error

	Stat    func(f *os.File) (fs.FileInfo, error)
	Chmod   func(f *os.File, mode fs.FileMode) error
	Read    func(f *os.File, data []byte) (int, error)
	List    func(f *os.File, n int) ([]string, error)
	Write   func(f *os.File, data []byte) (int, error)
	WriteAt func(f *os.File, data []byte, at int64) (int, error)
	Sync    func(f *os.File) error
	Flock   func(f *os.File, how int) error
	Close   func(f *os.File) error
}

// OperatingSystem returns the calls of the operating system.
func OperatingSystem() System {
	return System{
		Lstat:    os.Lstat,
		OpenRoot: os.OpenRoot,

		LstatIn:  (*os.Root).Lstat,
		OpenDir:  (*os.Root).OpenRoot,
		OpenFile: (*os.Root).OpenFile,
		Mkdir:    (*os.Root).Mkdir,
		ChmodDir: (*os.Root).Chmod,
		Rename:   (*os.Root).Rename,
		Remove:   (*os.Root).Remove,
		Chtimes:  (*os.Root).Chtimes,

		Stat:    (*os.File).Stat,
		Chmod:   (*os.File).Chmod,
		Read:    (*os.File).Read,
		List:    (*os.File).Readdirnames,
		Write:   (*os.File).Write,
		WriteAt: (*os.File).WriteAt,
		Sync:    (*os.File).Sync,
		Flock:   func(f *os.File, how int) error { return syscall.Flock(int(f.Fd()), how) },
		Close:   (*os.File).Close,
	}
}
