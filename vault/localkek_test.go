//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package vault_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/secretdata"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/childtest"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// A generator is what LocalKEK returns.
type generator interface {
	vault.KEK
	Generate(ctx context.Context, p purpose.Purpose) error
}

func localKEK(path string) generator { return vault.LocalKEK(path).(generator) }

func TestLocalKEK(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	kek := localKEK(path)
	_, err := kek.For(t.Context(), vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	_, err = os.Lstat(path)
	require.ErrorIs(t, err, fs.ErrNotExist, "For made the directory")

	require.NoError(t, kek.Generate(t.Context(), vaulttest.Security))
	a, err := kek.For(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	sealed, err := a.Encrypt([]byte("keyset"), []byte("aad"))
	require.NoError(t, err)

	again, err := localKEK(path).For(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	opened, err := again.Decrypt(sealed, []byte("aad"))
	require.NoError(t, err)
	require.Equal(t, "keyset", string(opened))
	for _, aad := range []string{"", "aae", "aad "} {
		_, err = again.Decrypt(sealed, []byte(aad))
		require.ErrorIs(t, err, vault.ErrCorrupt)
	}
	for i := range sealed {
		_, err = again.Decrypt(sealed[:i], []byte("aad"))
		require.ErrorIs(t, err, vault.ErrCorrupt)
	}
}

func TestLocalKEKKeepsPurposesApart(t *testing.T) {
	all := filepath.Join(t.TempDir(), "all")
	kek := localKEK(all)
	require.NoError(t, kek.Generate(t.Context(), vaulttest.Security))
	require.NoError(t, kek.Generate(t.Context(), vaulttest.Advertising))
	s, err := kek.For(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	ads, err := kek.For(t.Context(), vaulttest.Advertising)
	require.NoError(t, err)
	sealed, err := s.Encrypt([]byte("keyset"), nil)
	require.NoError(t, err)
	_, err = ads.Decrypt(sealed, nil)
	require.ErrorIs(t, err, vault.ErrCorrupt)

	// The advertising process is given one file and has one purpose.
	own := filepath.Join(t.TempDir(), "own")
	require.NoError(t, os.Mkdir(own, 0o700))
	b, err := os.ReadFile(filepath.Join(all, "advertising.kek"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(own, "advertising.kek"), b, 0o600))
	_, err = localKEK(own).For(t.Context(), vaulttest.Advertising)
	require.NoError(t, err)
	_, err = localKEK(own).For(t.Context(), vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrNoKeys)
}

func TestLocalKEKIsATinkKeyset(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	kek := localKEK(path)
	require.NoError(t, kek.Generate(t.Context(), vaulttest.Security))
	file := filepath.Join(path, "security.kek")
	info, err := os.Lstat(file)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode())
	a, err := kek.For(t.Context(), vaulttest.Security)
	require.NoError(t, err)

	h := readKeyset(t, file)
	require.Equal(t, 1, h.Len())
	theirs, err := aead.New(h)
	require.NoError(t, err)
	requireInterchangeable(t, a, theirs)

	// Rotated by an operator: new ciphertexts under the new key, the old ones
	// open nevertheless.
	old, err := a.Encrypt([]byte("old"), nil)
	require.NoError(t, err)
	m := keyset.NewManagerFromHandle(h)
	id, err := m.Add(aead.AES256GCMKeyTemplate())
	require.NoError(t, err)
	require.NoError(t, m.SetPrimary(id))
	rotated, err := m.Handle()
	require.NoError(t, err)
	writeKeyset(t, file, rotated)
	a, err = kek.For(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	opened, err := a.Decrypt(old, nil)
	require.NoError(t, err)
	require.Equal(t, "old", string(opened))
	theirs, err = aead.New(rotated)
	require.NoError(t, err)
	requireInterchangeable(t, a, theirs)
}

func requireInterchangeable(t *testing.T, ours vault.AEAD, theirs tink.AEAD) {
	t.Helper()
	for _, pair := range [][2]vault.AEAD{{ours, theirs}, {theirs, ours}} {
		sealed, err := pair[0].Encrypt([]byte("keyset"), []byte("aad"))
		require.NoError(t, err)
		opened, err := pair[1].Decrypt(sealed, []byte("aad"))
		require.NoError(t, err)
		require.Equal(t, "keyset", string(opened))
	}
}

func readKeyset(t *testing.T, file string) *keyset.Handle {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(b)))
	require.NoError(t, err)
	return h
}

func writeKeyset(t *testing.T, file string, h *keyset.Handle) {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&b)))
	require.NoError(t, os.WriteFile(file, b.Bytes(), 0o600))
}

func TestLocalKEKNeverOverwrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	kek := localKEK(path)
	require.NoError(t, kek.Generate(t.Context(), vaulttest.Security))
	file := filepath.Join(path, "security.kek")
	first, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, kek.Generate(t.Context(), vaulttest.Security))
	requireContent(t, file, string(first))

	for _, damaged := range []string{"", "{", string(first[:len(first)/2])} {
		require.NoError(t, os.WriteFile(file, []byte(damaged), 0o600))
		require.ErrorIs(t, kek.Generate(t.Context(), vaulttest.Security), vault.ErrCorrupt)
		requireContent(t, file, damaged)
	}
	require.NoError(t, os.WriteFile(file, first, 0o600))
	require.NoError(t, os.Chmod(file, 0o644))
	require.ErrorIs(t, kek.Generate(t.Context(), vaulttest.Security), vault.ErrNoKeys)
	requireContent(t, file, string(first))
}

func requireContent(t *testing.T, file, want string) {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, want, string(b))
}

func TestLocalKEKErrors(t *testing.T) {
	const file = "kek/security.kek"
	const notAKeyset = "local KEK kek: file security.kek is not a keyset of AES-256-GCM keys: not sealed here, or altered since"
	content := func(data string) func(*testing.T) {
		return func(t *testing.T) { require.NoError(t, os.WriteFile(file, []byte(data), 0o600)) }
	}
	keysetOf := func(template func() *keyset.Manager) func(*testing.T) {
		return func(t *testing.T) {
			h, err := template().Handle()
			require.NoError(t, err)
			writeKeyset(t, file, h)
		}
	}
	for _, test := range []struct {
		name    string
		destroy func(t *testing.T)
		is      error
		want    string
	}{
		{"missing", func(t *testing.T) { require.NoError(t, os.Remove(file)) },
			vault.ErrNoKeys, "local KEK kek: opening file security.kek: no such file or directory: no usable keys"},
		{"open to others", func(t *testing.T) { require.NoError(t, os.Chmod(file, 0o640)) },
			vault.ErrNoKeys, "local KEK kek: file security.kek is open to others: no usable keys"},
		{"directory open to others", func(t *testing.T) { require.NoError(t, os.Chmod("kek", 0o750)) },
			vault.ErrNoKeys, "local KEK kek: directory is open to others: no usable keys"},
		{"symlink", func(t *testing.T) {
			require.NoError(t, os.Rename(file, "elsewhere"))
			require.NoError(t, os.Symlink("../elsewhere", file))
		}, vault.ErrNoKeys, "local KEK kek: file security.kek is a symbolic link: no usable keys"},
		{"FIFO", func(t *testing.T) {
			require.NoError(t, os.Remove(file))
			require.NoError(t, syscall.Mkfifo(file, 0o600))
		}, vault.ErrNoKeys, "local KEK kek: file security.kek is not a regular file: no usable keys"},
		{"too large", func(t *testing.T) { require.NoError(t, os.Truncate(file, 1<<40)) },
			vault.ErrCorrupt, "local KEK kek: file security.kek is too large: not sealed here, or altered since"},
		{"empty", content(""), vault.ErrCorrupt, notAKeyset},
		{"no keys", content(`{"primaryKeyId":1,"key":[]}`), vault.ErrCorrupt, notAKeyset},
		{"not JSON", content("hunter2"), vault.ErrCorrupt, notAKeyset},
		{"unknown field", content(`{"hunter2":"hunter2"}`), vault.ErrCorrupt, notAKeyset},
		{"null", content("null"), vault.ErrCorrupt, notAKeyset},
		{"key without data", content(`{"primaryKeyId":1,"key":[{"keyId":1,"status":"ENABLED","outputPrefixType":"TINK"}]}`), vault.ErrCorrupt, notAKeyset},
		{"no primary key", content(`{"primaryKeyId":2,"key":[{"keyData":{"typeUrl":"type.googleapis.com/google.crypto.tink.AesGcmKey","value":"GiAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==","keyMaterialType":"SYMMETRIC"},"status":"ENABLED","keyId":1,"outputPrefixType":"TINK"}]}`), vault.ErrCorrupt, notAKeyset},
		{"a remote key", content(`{"primaryKeyId":1,"key":[{"keyData":{"typeUrl":"type.googleapis.com/google.crypto.tink.KmsAeadKey","value":"EgNhOi8=","keyMaterialType":"REMOTE"},"status":"ENABLED","keyId":1,"outputPrefixType":"TINK"}]}`), vault.ErrCorrupt, notAKeyset},
		{"another kind of key", keysetOf(func() *keyset.Manager {
			m := keyset.NewManager()
			id, err := m.Add(aead.ChaCha20Poly1305KeyTemplate())
			require.NoError(t, err)
			require.NoError(t, m.SetPrimary(id))
			return m
		}), vault.ErrCorrupt, notAKeyset},
		{"a key without an id in front", keysetOf(func() *keyset.Manager {
			m := keyset.NewManager()
			id, err := m.Add(aead.AES256GCMNoPrefixKeyTemplate())
			require.NoError(t, err)
			require.NoError(t, m.SetPrimary(id))
			return m
		}), vault.ErrCorrupt, notAKeyset},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			kek := localKEK("kek")
			require.NoError(t, kek.Generate(t.Context(), vaulttest.Security))
			test.destroy(t)
			_, err := kek.For(t.Context(), vaulttest.Security)
			require.ErrorIs(t, err, test.is)
			require.EqualError(t, err, test.want)
			if test.name != "missing" {
				require.EqualError(t, kek.Generate(t.Context(), vaulttest.Security), test.want)
			}
		})
	}
}

func TestLocalKEKArguments(t *testing.T) {
	t.Chdir(t.TempDir())
	_, err := localKEK("").For(t.Context(), vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrInvalid)
	require.ErrorIs(t, localKEK("").Generate(t.Context(), vaulttest.Security), vault.ErrInvalid)
	_, err = localKEK("kek").For(t.Context(), purpose.Purpose{})
	require.ErrorIs(t, err, vault.ErrInvalid)
	require.ErrorIs(t, localKEK("kek").Generate(t.Context(), purpose.Purpose{}), vault.ErrInvalid)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = localKEK("kek").For(ctx, vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrUnavailable)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, localKEK("kek").Generate(ctx, vaulttest.Security), vault.ErrUnavailable)
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	require.Empty(t, entries)
}

// No printer and no test diff gets at a key, wherever the AEAD or the KEK ends
// up in a struct that somebody logs.
func TestLocalKEKDoesNotPrintKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	kek := localKEK(path)
	require.NoError(t, kek.Generate(t.Context(), vaulttest.Security)) // the directory
	// A key that is not in what is printed by chance, such as addresses and paths.
	key := bytes.Repeat([]byte{0xf1, 0xe2, 0xd3, 0xc4}, 8)
	params, err := aesgcm.NewParameters(aesgcm.ParametersOpts{
		KeySizeInBytes: 32, IVSizeInBytes: 12, TagSizeInBytes: 16, Variant: aesgcm.VariantTink,
	})
	require.NoError(t, err)
	known, err := aesgcm.NewKey(secretdata.NewBytesFromData(key, insecuresecretdataaccess.Token{}), 1, params)
	require.NoError(t, err)
	m := keyset.NewManager()
	id, err := m.AddKey(known)
	require.NoError(t, err)
	require.NoError(t, m.SetPrimary(id))
	h, err := m.Handle()
	require.NoError(t, err)
	writeKeyset(t, filepath.Join(path, "security.kek"), h)
	a, err := kek.For(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	type holder struct{ hidden any }
	for _, v := range []any{a, kek, &a, holder{a}, &holder{kek}, []any{a}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s", "%d", "%q"} {
			printed := fmt.Sprintf(verb, v)
			require.NotContains(t, printed, fmt.Sprintf("%x", key[:4]), verb)
			require.NotContains(t, printed, strings.Trim(fmt.Sprint(key[:4]), "[]"), verb)
			require.NotContains(t, printed, "cipher", verb)
		}
	}
}

func init() {
	childtest.Children["generate"] = func(args []string) error {
		kek := localKEK(args[0])
		if err := kek.Generate(context.Background(), vaulttest.Security); err != nil {
			return err
		}
		a, err := kek.For(context.Background(), vaulttest.Security)
		if err != nil {
			return err
		}
		sealed, err := a.Encrypt([]byte("keyset"), nil)
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(sealed)
		return err
	}
}

// Processes that generate at once, and even make the directory at once, end with
// one key that opens what each of them sealed.
func TestLocalKEKInSeveralProcesses(t *testing.T) {
	for range 10 {
		path := filepath.Join(t.TempDir(), "kek")
		var sealed [4][]byte
		var wg sync.WaitGroup
		for i := range sealed {
			cmd := childtest.Command(t, "generate", path)
			wg.Go(func() {
				out, err := cmd.Output()
				if err != nil {
					t.Errorf("%v: %v", err, cmd.Stderr)
				}
				sealed[i] = out
			})
		}
		wg.Wait()
		a, err := localKEK(path).For(t.Context(), vaulttest.Security)
		require.NoError(t, err)
		for _, s := range sealed {
			opened, err := a.Decrypt(s, nil)
			require.NoError(t, err)
			require.Equal(t, "keyset", string(opened))
		}
		entries, err := os.ReadDir(path)
		require.NoError(t, err)
		require.Len(t, entries, 2) // the key and the lock
	}
}
