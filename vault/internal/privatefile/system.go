//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package privatefile

import (
	"io/fs"
	"os"
)

// A system is the calls by which a Dir changes the disk and makes sure that it
// did. Tests let them fail one by one.
type system struct {
	mkdir    func(in *os.Root, name string, mode fs.FileMode) error
	chmodDir func(in *os.Root, name string, mode fs.FileMode) error
	create   func(in *os.Root, name string, flag int, mode fs.FileMode) (*os.File, error)
	chmod    func(f *os.File, mode fs.FileMode) error
	write    func(f *os.File, data []byte) (int, error)
	sync     func(f *os.File) error
	close    func(f *os.File) error
	rename   func(in *os.Root, from, to string) error
	remove   func(in *os.Root, name string) error
}

var operatingSystem = system{
	mkdir:    (*os.Root).Mkdir,
	chmodDir: (*os.Root).Chmod,
	create:   (*os.Root).OpenFile,
	chmod:    (*os.File).Chmod,
	write:    (*os.File).Write,
	sync:     (*os.File).Sync,
	close:    (*os.File).Close,
	rename:   (*os.Root).Rename,
	remove:   (*os.Root).Remove,
}
