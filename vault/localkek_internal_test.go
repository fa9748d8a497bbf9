//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package vault

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
)

// FuzzParseLocalKEK looks for files that make Tink or its JSON parser panic, or
// that load without being of use.
func FuzzParseLocalKEK(f *testing.F) {
	good, err := newLocalKEK()
	require.NoError(f, err)
	f.Add(good)
	f.Add([]byte(`{"primaryKeyId":1,"key":[{"keyData":{"typeUrl":"type.googleapis.com/google.crypto.tink.AesGcmKey","value":"GiAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==","keyMaterialType":"SYMMETRIC"},"status":"ENABLED","keyId":1,"outputPrefixType":"TINK"}]}`))
	f.Add([]byte(`{"key":[null,{}]}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		a, err := parseLocalKEK(file)
		if err != nil {
			require.Equal(t, ErrCorrupt, err)
			return
		}
		sealed, err := a.Encrypt([]byte("keyset"), []byte("aad"))
		require.NoError(t, err)
		opened, err := a.Decrypt(sealed, []byte("aad"))
		require.NoError(t, err)
		require.Equal(t, "keyset", string(opened))
	})
}

// Where somebody else provides the file of a KEK, Generate writes nothing; and it never
// writes over one that came while it waited for the lock.
func TestGenerateOfALocalKEKThatIsThere(t *testing.T) {
	ctx := t.Context()
	p := purpose.MustParse("security")
	path := filepath.Join(t.TempDir(), "kek")
	file := filepath.Join(path, "security.kek")
	locks, locked := 0, func() {}
	sys := privatefile.OperatingSystem()
	flock, rename := sys.Flock, sys.Rename
	sys.Flock = func(f *os.File, how int) error {
		if how&syscall.LOCK_UN == 0 {
			locks++
			locked()
		}
		return flock(f, how)
	}
	kek := &localKEK{path, privatefile.NewOn(sys, path)}
	require.NoError(t, kek.Generate(ctx, p))
	require.Equal(t, 1, locks)
	require.NoError(t, kek.Generate(ctx, p))
	require.NoError(t, os.WriteFile(file, []byte("broken"), 0o600))
	require.ErrorIs(t, kek.Generate(ctx, p), ErrCorrupt)
	require.Equal(t, 1, locks, "there is nothing to write")

	require.NoError(t, os.Remove(file))
	locked = func() { require.NoError(t, os.WriteFile(file, []byte("broken"), 0o600)) }
	require.ErrorIs(t, kek.Generate(ctx, p), ErrCorrupt)
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "broken", string(b), "it may be all that is left of a key")

	theirs, err := newLocalKEK()
	require.NoError(t, err)
	require.NoError(t, os.Remove(file))
	locked = func() { require.NoError(t, os.WriteFile(file, theirs, 0o600)) }
	require.NoError(t, kek.Generate(ctx, p))
	b, err = os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, theirs, b, "somebody seals with it already")

	require.NoError(t, os.Remove(file))
	locked = func() {}
	sys.Rename = func(in *os.Root, from, to string) error {
		if to == "security.kek" {
			return syscall.EIO
		}
		return rename(in, from, to)
	}
	require.ErrorIs(t, (&localKEK{path, privatefile.NewOn(sys, path)}).Generate(ctx, p), ErrUnavailable)
}
