//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package piitest

import "syscall"

// redirect makes descriptor to another one of the file of from.
func redirect(from, to int) error { return syscall.Dup2(from, to) }
