//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package faulttest

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile/faulty"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// A process in which key files are used: its system, and the directory that is its KEK.
type fileProcess struct {
	sys privatefile.System
	dir string
}

func (p fileProcess) file() string { return filepath.Join(p.dir, "security.kek") }

// denyDir makes the directory of this user refuse to open.
func (p *fileProcess) denyDir() {
	p.sys.OpenRoot = func(string) (*os.Root, error) { return nil, faulty.ErrPermission }
}

// denyFile makes the key file refuse to open, as one of another user or of this user.
func (p *fileProcess) denyFile(others bool) {
	lstat, open := p.sys.LstatIn, p.sys.OpenFile
	p.sys.LstatIn = func(in *os.Root, name string) (fs.FileInfo, error) {
		info, err := lstat(in, name)
		if err == nil && others && name == "security.kek" {
			info = faulty.Another(info)
		}
		return info, err
	}
	p.sys.OpenFile = func(in *os.Root, name string, flag int, mode fs.FileMode) (*os.File, error) {
		if name == "security.kek" {
			return nil, faulty.ErrPermission
		}
		return open(in, name, flag, mode)
	}
}

// CheckDenied returns nil if the key exists and this process was refused it, and in no
// other situation.
func TestKeyFilesThatProveADenial(t *testing.T) {
	for name, test := range map[string]struct {
		change func(t *testing.T, p *fileProcess)
		want   error
	}{
		"the key":                           {func(*testing.T, *fileProcess) {}, vault.ErrGranted},
		"another user's directory":          {func(_ *testing.T, p *fileProcess) { p.sys = faulty.OfAnotherUser(p.sys) }, nil},
		"another user's file":               {func(_ *testing.T, p *fileProcess) { p.denyFile(true) }, nil},
		"the own directory, without a mode": {func(_ *testing.T, p *fileProcess) { p.denyDir() }, vault.ErrUnavailable},
		"the own file, without a mode":      {func(_ *testing.T, p *fileProcess) { p.denyFile(false) }, vault.ErrUnavailable},
		"a missing directory":               {func(_ *testing.T, p *fileProcess) { p.dir += "-elsewhere" }, vault.ErrUnavailable},
		"a relative path":                   {func(_ *testing.T, p *fileProcess) { p.dir = "kek" }, vault.ErrUnavailable},
		"an empty directory":                {func(t *testing.T, p *fileProcess) { require.NoError(t, os.Remove(p.file())) }, vault.ErrUnavailable},
		"a misspelt file":                   {func(t *testing.T, p *fileProcess) { require.NoError(t, os.Rename(p.file(), p.dir+"/Security.kek")) }, vault.ErrUnavailable},
		"a file in a hidden directory": {func(_ *testing.T, p *fileProcess) {
			p.sys.Lstat = func(string) (fs.FileInfo, error) { return nil, faulty.ErrPermission }
		}, vault.ErrUnavailable},
		"another user's directory that is open": {func(_ *testing.T, p *fileProcess) {
			lstat := p.sys.LstatIn
			p.sys.LstatIn = func(in *os.Root, name string) (fs.FileInfo, error) {
				info, err := lstat(in, name)
				return faulty.Another(info), err
			}
		}, vault.ErrUnavailable},
		"a file that others may read": {func(t *testing.T, p *fileProcess) { require.NoError(t, os.Chmod(p.file(), 0o644)) }, vault.ErrUnavailable},
		"a file with a second hard link": {func(t *testing.T, p *fileProcess) {
			require.NoError(t, os.Link(p.file(), p.dir+"-backup"))
		}, vault.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			p := &fileProcess{disk(), filepath.Join(t.TempDir(), "kek")}
			store := vault.Memory()
			require.NoError(t, vaulttest.Open(t, store, vault.LocalKEK(p.dir), nil).Generate(t.Context(), vaulttest.Security))
			test.change(t, p)
			err := vaulttest.Open(t, store, localKEKOn(p.sys, p.dir), nil).CheckDenied(t.Context(), vaulttest.Security)
			if test.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, test.want)
		})
	}
}

// A file with a second hard link is refused in a Dir as well: under its other name, a
// record would outlive its erasure.
func TestHardLinksAreRefused(t *testing.T) {
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "keys")
	v := vaulttest.Open(t, vault.Dir(dir), vault.SharedKEK(vaulttest.NewAEAD(t)), nil)
	require.NoError(t, v.Generate(ctx, vaulttest.Security))
	file := filepath.Join(dir, "security", "keys.key")
	require.NoError(t, os.Link(file, dir+"-backup"))
	_, err := v.Scope(ctx, vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	require.ErrorContains(t, err, "file security/keys.key has a second hard link")
	require.NoError(t, os.Remove(dir+"-backup"))
	vaulttest.Scope(t, v, vaulttest.Security)
}
