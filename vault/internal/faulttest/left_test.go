//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package faulttest

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// After people were erased, their records are in no file of a Dir, and the files that held
// them hold zeros. The same is true of key records from before a key was destroyed.
func TestNoErasedRecordIsLeftInADir(t *testing.T) {
	ctx, p := t.Context(), vaulttest.Security
	dir := filepath.Join(t.TempDir(), "keys")
	store := vault.Dir(dir)
	v := vaulttest.Open(t, store, vault.SharedKEK(vaulttest.NewAEAD(t)), nil)
	require.NoError(t, v.Generate(ctx, p))
	s := vaulttest.Scope(t, v, p)
	const people, erased = 40, 20
	subject := func(i int) string { return fmt.Sprint("user-", i) }
	name := func(i int) string {
		pseudonym, err := s.Pseudonym(ctx, subject(i))
		require.NoError(t, err)
		return "security/subjects/" + pseudonym[:2] + "/" + pseudonym
	}
	var needles [][]byte  // the contents that are to be gone
	var former []*os.File // their files, after they have lost their names
	remember := func(name string) {
		needles = append(needles, vaulttest.GetRecord(t, store, name).Data)
		f, err := os.Open(filepath.Join(dir, name+".key"))
		require.NoError(t, err)
		t.Cleanup(func() { f.Close() })
		former = append(former, f)
	}
	found := func() (n int) {
		t.Helper()
		require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			for _, needle := range needles {
				if bytes.Contains(b, needle) {
					n++
				}
			}
			return err
		}))
		return n
	}
	values := make([]vault.Sealed, people)
	for i := range people {
		values[i] = vaulttest.Seal(t, s.For(subject(i)))
		if i < erased {
			remember(name(i))
		}
	}
	require.Equal(t, erased, found(), "the search finds records that are there")
	for i := range erased {
		_, err := v.Erase(ctx, subject(i), p)
		require.NoError(t, err)
	}

	remember("security/keys")
	old := vaulttest.GetRecord(t, store, "security/keys").Data
	keys, err := v.Keys(ctx, p)
	require.NoError(t, err)
	vaulttest.Rotate(t, v, p, vault.RoleSeal)
	require.NoError(t, v.RewrapSubjects(ctx, p, "", nil))
	for _, k := range keys {
		if k.Role == vault.RoleSeal {
			require.NoError(t, v.Retire(ctx, p, k.ID))
			remember("security/keys")
			require.NoError(t, v.Destroy(ctx, p, k.ID))
		}
	}
	require.NotEqual(t, old, vaulttest.GetRecord(t, store, "security/keys").Data)
	require.Zero(t, found())
	for i, f := range former {
		b, err := io.ReadAll(f)
		require.NoError(t, err)
		require.NotEmpty(t, b)
		require.Equal(t, make([]byte, len(b)), b, "former file %d", i)
	}
	for i := range people {
		if i < erased {
			vaulttest.Refuses(t, s.For(subject(i)), values[i], vault.ErrErased)
		} else {
			vaulttest.Opens(t, s.For(subject(i)), values[i])
		}
	}
}
