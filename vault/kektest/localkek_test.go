//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package kektest_test

import (
	"path/filepath"
	"testing"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile/faulty"
	"github.com/onlyfor/onlyfor/vault/kektest"
)

func TestLocalKEK(t *testing.T) {
	var dir string
	kektest.Run(t, func(t testing.TB) vault.KEK {
		dir = filepath.Join(t.TempDir(), "kek")
		return vault.LocalKEK(dir)
	}, &kektest.Options{
		Reopen: func(testing.TB) vault.KEK { return vault.LocalKEK(dir) },
		Denied: func(testing.TB) vault.KEK { // of another user
			defer privatefile.Mount(faulty.OfAnotherUser(privatefile.OperatingSystem()), dir)()
			return vault.LocalKEK(dir)
		},
	})
}

func TestEitherKEK(t *testing.T) {
	kektest.Run(t, func(t testing.TB) vault.KEK {
		return vault.EitherKEK(&ring{}, vault.LocalKEK(filepath.Join(t.TempDir(), "kek")))
	}, &kektest.Options{
		Denied: func(t testing.TB) vault.KEK { return vault.EitherKEK(&ring{}, &ring{}) },
	})
}
