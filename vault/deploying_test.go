//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package vault_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

func put(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	require.NoError(t, os.Chmod(path, mode))
}

// secretVolume lays dir out as the kubelet does: a directory that everybody may write,
// sticky, with a link to a directory for each version of the secret.
func secretVolume(t *testing.T, dir, version string, mode fs.FileMode, files map[string]string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, version), 0o755))
	require.NoError(t, os.Chmod(dir, fs.ModeSticky|fs.ModeSetgid|0o777))
	for name, text := range files {
		put(t, filepath.Join(dir, version, name), text, mode)
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			require.NoError(t, os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)))
		}
	}
	require.NoError(t, os.Symlink(version, filepath.Join(dir, "..data_tmp")))
	require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
}

// opens reports whether a vault makes and opens keys under the KEK.
func opens(t *testing.T, kek vault.KEK) {
	t.Helper()
	store := vault.Memory()
	require.NoError(t, vaulttest.Open(t, store, kek, nil).Generate(t.Context(), vaulttest.Security))
	vaulttest.Scope(t, vaulttest.Open(t, store, kek, nil), vaulttest.Security)
}

func TestKubernetesSecret(t *testing.T) {
	page, err := os.ReadFile("DEPLOYING.md")
	require.NoError(t, err)
	mode, err := strconv.ParseUint(regexp.MustCompile(`defaultMode: (\d+)`).FindStringSubmatch(string(page))[1], 8, 32)
	require.NoError(t, err)
	dir := t.TempDir()
	secretVolume(t, dir, "..2026_11_30_10_00_00.1", fs.FileMode(mode), map[string]string{"security.kek": kekText + "\n"})
	kek := vault.SecretKEK(dir)
	opens(t, kek)
	_, err = kek.For(t.Context(), vaulttest.Advertising)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	require.NotErrorIs(t, err, vault.ErrAccessDenied, "a file that is missing proves nothing")

	// The secret changes under the running process.
	next, err := vault.GenerateKEK(vaulttest.Security)
	require.NoError(t, err)
	secretVolume(t, dir, "..2026_11_30_11_00_00.2", fs.FileMode(mode), map[string]string{"security.kek": next})
	a, err := vault.TextKEK(always(next)).For(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	wrapped, err := a.Encrypt([]byte("keyset"), nil)
	require.NoError(t, err)
	a, err = kek.For(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	_, err = a.Decrypt(wrapped, nil)
	require.NoError(t, err)

	// The default mode of Kubernetes.
	secretVolume(t, dir, "..2026_11_30_12_00_00.3", 0o644, map[string]string{"security.kek": kekText})
	_, err = kek.For(t.Context(), vaulttest.Security)
	require.EqualError(t, err, "secret KEK "+dir+": file security.kek is open to others: its mode may be 0400 or 0440, as with defaultMode: 0440: no usable keys")
}

func TestSystemdCredential(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "security.kek"), kekText, 0o400)
	require.NoError(t, os.Chmod(dir, 0o500))
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	kek := vault.SecretKEK(os.Getenv("CREDENTIALS_DIRECTORY"))
	opens(t, kek)
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	_, err := vault.SecretKEK(os.Getenv("CREDENTIALS_DIRECTORY")).For(t.Context(), vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrInvalid)
}

func TestComposeSecret(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	put(t, filepath.Join(dir, "security.kek"), kekText+"\r\n", 0o400)
	opens(t, vault.SecretKEK(dir))
}

func TestSecretKEKRefuses(t *testing.T) {
	root := os.Geteuid() == 0
	for name, c := range map[string]struct {
		lay func(t *testing.T, dir, file string)
		err string
		is  error
	}{
		"others read":      {func(t *testing.T, _, file string) { put(t, file, kekText, 0o404) }, "is open to others", vault.ErrNoKeys},
		"the group writes": {func(t *testing.T, _, file string) { put(t, file, kekText, 0o460) }, "is open to others", vault.ErrNoKeys},
		"others replace": {func(t *testing.T, dir, file string) {
			put(t, file, kekText, 0o400)
			require.NoError(t, os.Chmod(dir, 0o777))
		}, "is open to writers", vault.ErrNoKeys},
		"a directory": {func(t *testing.T, _, file string) { require.NoError(t, os.Mkdir(file, 0o700)) }, "is a directory", vault.ErrNoKeys},
		"a FIFO":      {func(t *testing.T, _, file string) { require.NoError(t, syscall.Mkfifo(file, 0o600)) }, "is not a regular file", vault.ErrNoKeys},
		"a link to the outside": {func(t *testing.T, dir, file string) {
			other := filepath.Join(t.TempDir(), "security.kek")
			put(t, other, kekText, 0o400)
			require.NoError(t, os.Symlink(other, file))
		}, "opening file security.kek", nil},
		"a link to itself": {func(t *testing.T, _, file string) { require.NoError(t, os.Symlink("security.kek", file)) }, "opening file security.kek", nil},
		"too long":         {func(t *testing.T, _, file string) { put(t, file, strings.Repeat("x", 1<<17), 0o400) }, "is too large", vault.ErrCorrupt},
		"empty":            {func(t *testing.T, _, file string) { put(t, file, "", 0o400) }, "no text", vault.ErrNoKeys},
		"no directory":     {func(t *testing.T, dir, _ string) { require.NoError(t, os.Remove(dir)) }, "opening directory", vault.ErrNoKeys},
		"another user's": {func(t *testing.T, _, file string) {
			put(t, file, kekText, 0o400)
			if root {
				require.NoError(t, os.Chown(file, 65534, 65534))
			}
		}, "belongs to another user", vault.ErrNoKeys},
		"a directory of another user": {func(t *testing.T, dir, file string) {
			put(t, file, kekText, 0o400)
			if root {
				require.NoError(t, os.Chown(dir, 65534, 65534))
			}
		}, "belongs to another user", vault.ErrNoKeys},
	} {
		t.Run(name, func(t *testing.T) {
			if !root && strings.Contains(name, "another user") {
				t.Skip("needs root, to give files away")
			}
			dir := filepath.Join(t.TempDir(), "secrets")
			require.NoError(t, os.Mkdir(dir, 0o700))
			c.lay(t, dir, filepath.Join(dir, "security.kek"))
			_, err := vault.SecretKEK(dir).For(t.Context(), vaulttest.Security)
			require.ErrorContains(t, err, c.err)
			require.NotErrorIs(t, err, vault.ErrAccessDenied)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			require.NotContains(t, err.Error(), kekText[30:60])
		})
	}
}

// Every line of code of the page is one that the tests run, or that another test file has.
func TestDeployingPage(t *testing.T) {
	page, err := os.ReadFile("DEPLOYING.md")
	require.NoError(t, err)
	runs := strings.Builder{}
	for _, file := range []string{"deploying_test.go", "textkek_test.go", "check_test.go", "example_test.go", "kms/README.md"} {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		runs.Write(source)
	}
	shown := 0
	for _, block := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		for _, call := range regexp.MustCompile(`(vault|awskms)\.(\w+)|v\.CheckDenied|kms\.Template`).FindAllString(block[1], -1) {
			require.Contains(t, runs.String(), call, "DEPLOYING.md shows what no test calls")
			shown++
		}
	}
	require.Greater(t, shown, 8)
}

// A key store of this process alone has nothing to try, and the error says what is needed.
func TestCheckDeniedNeedsASharedStore(t *testing.T) {
	v := vaulttest.Open(t, vault.Memory(), vault.TextKEK(always(kekText)), nil)
	err := v.CheckDenied(t.Context(), vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	require.EqualError(t, err, "vault: checking keys of security: nothing to try and so no proof: the check needs a key store shared with that purpose's processes, "+
		"or a copy of its wrapped keys: no usable keys")
}
