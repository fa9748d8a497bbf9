//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package kektest_test

import (
	"path/filepath"
	"testing"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kektest"
)

func TestLocalKEK(t *testing.T) {
	var dir string
	kektest.Run(t, func(t testing.TB) vault.KEK {
		dir = filepath.Join(t.TempDir(), "kek")
		return vault.LocalKEK(dir)
	}, &kektest.Options{
		Reopen: func(testing.TB) vault.KEK { return vault.LocalKEK(dir) },
		Denied: func(t testing.TB) vault.KEK { return vault.LocalKEK(filepath.Join(t.TempDir(), "kek")) },
	})
}

func TestEitherKEK(t *testing.T) {
	kektest.Run(t, func(t testing.TB) vault.KEK {
		return vault.EitherKEK(&ring{}, vault.LocalKEK(filepath.Join(t.TempDir(), "kek")))
	}, &kektest.Options{
		Denied: func(t testing.TB) vault.KEK { return vault.EitherKEK(&ring{}, &ring{}) },
	})
}
