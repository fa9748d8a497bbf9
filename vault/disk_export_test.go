//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package vault

import "github.com/onlyfor/onlyfor/vault/internal/privatefile"

// DirOn is [Dir] on another system.
func DirOn(sys privatefile.System, path string) Store {
	return &dir{path, privatefile.NewOn(sys, path)}
}

// LocalKEKOn is [LocalKEK] on another system.
func LocalKEKOn(sys privatefile.System, path string) KEK {
	return &localKEK{path, privatefile.NewOn(sys, path)}
}
