package gcpkms_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/api/option"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kms/gcpkms"
	"github.com/onlyfor/onlyfor/vault/kms/internal/kmstest"
)

func TestKEK(t *testing.T) { kmstest.Run(t, start) }

// With nothing but what the environment provides, as in a pod with workload
// identity. The context of New is over when start-up is, and the KEK lives on.
func TestDefaultCredentials(t *testing.T) {
	f := newFake(t)
	f.Grant(t, kmstest.Roles()...)
	exchange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{
			"access_token": token + kmstest.Admin, "token_type": "Bearer", "expires_in": 3600,
			"issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
		})
	}))
	t.Cleanup(exchange.Close)
	dir := t.TempDir()
	write := func(name string, content any) string {
		text, err := json.Marshal(content)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
		return filepath.Join(dir, name)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", write("credentials.json", map[string]any{
		"type":               "external_account",
		"audience":           "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x",
		"subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
		"token_url":          exchange.URL,
		"credential_source":  map[string]string{"file": write("subject", "of the pod")},
	}))
	ctx, cancel := context.WithCancel(t.Context())
	kek, err := gcpkms.New(ctx, keys, &gcpkms.Options{Client: f.reach()})
	require.NoError(t, err)
	defer kek.Close()
	cancel()
	require.Zero(t, f.Calls())
	aead, err := kek.For(t.Context(), kmstest.Security)
	require.NoError(t, err)
	_, err = aead.Encrypt([]byte("x"), nil)
	require.NoError(t, err)
}

func TestClosedKEK(t *testing.T) {
	f := newFake(t)
	f.Grant(t, kmstest.Roles()...)
	kek := f.KEK(t, kmstest.Admin, keys).(*gcpkms.KEK)
	aead, err := kek.For(t.Context(), kmstest.Security)
	require.NoError(t, err)
	require.NoError(t, kek.Close())
	require.NoError(t, kek.Close())
	_, err = aead.Encrypt([]byte("x"), nil)
	require.ErrorIs(t, err, vault.ErrUnavailable)
}

func TestPrintsNoCredentials(t *testing.T) {
	kek := newFake(t).KEK(t, kmstest.Admin, keys)
	for _, text := range []string{fmt.Sprint(kek), fmt.Sprintf("%+v", kek), fmt.Sprintf("%#v", kek), fmt.Sprintf("%s %d", kek, kek)} {
		require.Equal(t, "gcpkms.KEK", strings.SplitN(text, " ", 2)[0])
		require.NotContains(t, text, kmstest.Leak)
	}
}

// Whoever debugs by logging all that Google's clients send, which an environment
// variable is enough for, would log data keys.
func TestMessagesAreNotLogged(t *testing.T) {
	f := newFake(t)
	f.Grant(t, kmstest.Roles()...)
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	require.NoError(t, err)
	defer stderr.Close()
	real := os.Stderr
	os.Stderr = stderr
	defer func() { os.Stderr = real }()
	t.Setenv("GOOGLE_SDK_GO_LOGGING_LEVEL", "debug")
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for name, extra := range map[string][]option.ClientOption{"environment": nil, "option": {option.WithLogger(logger)}} {
		t.Run(name, func(t *testing.T) {
			aead := aeadOf(t, f, extra...)
			wrapped, err := aead.EncryptWithContext(t.Context(), []byte("a data key"), nil)
			require.NoError(t, err)
			_, err = aead.DecryptWithContext(t.Context(), wrapped, nil)
			require.NoError(t, err)
		})
	}
	written, err := os.ReadFile(stderr.Name())
	require.NoError(t, err)
	for _, text := range []string{string(written), log.String()} {
		require.False(t, strings.Contains(strings.ToLower(text), "plaintext"), "a message was logged")
		require.False(t, strings.Contains(text, base64.StdEncoding.EncodeToString([]byte("a data key"))), "a data key was logged")
	}
}
