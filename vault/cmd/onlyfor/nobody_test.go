//go:build unix

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// asNobody runs test as a user who owns everything of sh but the KEK of security.
func (sh *shell) asNobody(t *testing.T, test func(*shell)) {
	const nobody = 65534
	// The directory of the other user lies beside the directory of this one.
	other := t.TempDir()
	require.NoError(t, os.Chmod(other, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(other, "security.kek"), []byte("of another user"), 0o600))
	sh.config("\n[kek.of.security]\nlocal = \"" + other + "\"\n")
	for dir := sh.dir; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	require.NoError(t, filepath.Walk(sh.dir, func(path string, _ os.FileInfo, err error) error {
		require.NoError(t, err)
		return os.Chown(path, nobody, nobody)
	}))
	binary := filepath.Join(sh.dir, "command")
	data, err := os.ReadFile(built)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(binary, data, 0o755))
	test(&shell{t: t, dir: sh.dir, env: sh.env, binary: binary, uid: nobody})
}
