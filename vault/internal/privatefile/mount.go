//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package privatefile

import (
	"path/filepath"
	"sync"
)

// mounted has the systems that tests put in the operating system's place, by clean path.
var mounted sync.Map

// Mount has [New] use sys for path until unmount is called: tests of a package that is
// given a path and no System call it around that package's constructor. No other code
// does.
func Mount(sys System, path string) (unmount func()) {
	path = filepath.Clean(path)
	if _, loaded := mounted.LoadOrStore(path, sys); loaded {
		panic("privatefile: mounted already")
	}
	return func() { mounted.Delete(path) }
}

func systemFor(path string) System {
	if sys, ok := mounted.Load(filepath.Clean(path)); ok {
		return sys.(System)
	}
	return OperatingSystem()
}
