package awskms_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/logging"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kms"
	"github.com/onlyfor/onlyfor/vault/kms/awskms"
	"github.com/onlyfor/onlyfor/vault/kms/internal/kmstest"
)

func TestKEK(t *testing.T) { kmstest.Run(t, start) }

// What is sent is what policies and CloudTrail are told about.
func TestEncryptionContext(t *testing.T) {
	f := start(t).(service)
	f.Grant(t, kmstest.Roles()...)
	store := vault.Memory()
	v, err := vault.OpenAdmin(t.Context(), store, f.KEK(t, kmstest.Admin, keys), nil)
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Generate(t.Context(), kmstest.Security))
	require.NotEmpty(t, f.contexts)
	records, err := store.Get(t.Context(), "0-vault")
	require.NoError(t, err)
	bound := fmt.Appendf(nil, "onlyfor purpose-keys security %x", records[0].Data[4:])
	right := map[string]string{"associatedData": hex.EncodeToString(bound)}
	require.Equal(t, right, f.contexts[0])
	require.Contains(t, f.contexts, right)
	for _, context := range f.contexts {
		require.Len(t, context, 1)
		require.Contains(t, context, "associatedData")
	}
}

// With nothing but the environment, as in a pod.
func TestDefaultConfiguration(t *testing.T) {
	f := start(t).(service)
	f.Grant(t, kmstest.Roles()...)
	dir := t.TempDir()
	bundle := filepath.Join(dir, "ca.pem")
	require.NoError(t, os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw}), 0o600))
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID":           kmstest.Secure,
		"AWS_SECRET_ACCESS_KEY":       secretOf(kmstest.Secure),
		"AWS_SESSION_TOKEN":           "",
		"AWS_REGION":                  "us-east-1",
		"AWS_CA_BUNDLE":               bundle,
		"AWS_ENDPOINT_URL_KMS":        f.URL,
		"AWS_CONFIG_FILE":             filepath.Join(dir, "none"),
		"AWS_SHARED_CREDENTIALS_FILE": filepath.Join(dir, "none"),
		"AWS_PROFILE":                 "",
	} {
		t.Setenv(name, value)
	}
	store := vault.Memory()
	admin, err := vault.OpenAdmin(t.Context(), store, f.KEK(t, kmstest.Admin, keys), nil)
	require.NoError(t, err)
	defer admin.Close()
	require.NoError(t, admin.Generate(t.Context(), kmstest.Security))
	before := f.Calls()

	kek, err := awskms.New(t.Context(), keys, nil)
	require.NoError(t, err)
	v, err := vault.OpenAdmin(t.Context(), store, kek, nil)
	require.NoError(t, err)
	defer v.Close()
	require.Equal(t, before, f.Calls())
	_, err = v.Scope(t.Context(), kmstest.Security)
	require.NoError(t, err)

	t.Setenv("AWS_CA_BUNDLE", filepath.Join(dir, "none"))
	_, err = awskms.New(t.Context(), keys, nil)
	require.ErrorIs(t, err, vault.ErrInvalid)
	require.NotContains(t, err.Error(), dir)
}

// Requests go to, and are signed for, the region of the key.
func TestRegionIsThatOfTheKey(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]string{}
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		seen[r.URL.Host] = strings.Split(between(r.Header.Get("Authorization"), "Credential=", ","), "/")[2]
		return nil, fmt.Errorf("no network here")
	})
	config := start(t).(service).config(t, kmstest.Admin)
	config.BaseEndpoint = nil
	config.HTTPClient = &http.Client{Transport: transport}
	config.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	kek, err := awskms.New(t.Context(), kms.URIs{
		kmstest.Security:    "aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/a",
		kmstest.Advertising: "aws-kms://arn:aws:kms:us-west-2:111122223333:alias/a",
		kmstest.Billing:     "aws-kms://arn:aws-cn:kms:cn-north-1:111122223333:alias/a",
	}, &awskms.Options{Config: &config})
	require.NoError(t, err)
	for _, p := range []purpose.Purpose{kmstest.Security, kmstest.Advertising, kmstest.Billing} {
		aead, err := kek.For(t.Context(), p)
		require.NoError(t, err)
		_, err = aead.Encrypt([]byte("x"), nil)
		require.ErrorIs(t, err, vault.ErrUnavailable)
	}
	require.Equal(t, map[string]string{
		"kms.eu-central-1.amazonaws.com":  "eu-central-1",
		"kms.us-west-2.amazonaws.com":     "us-west-2",
		"kms.cn-north-1.amazonaws.com.cn": "cn-north-1",
	}, seen)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestPrintsNoCredentials(t *testing.T) {
	kek := start(t).(service).KEK(t, kmstest.Admin, keys)
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("made", "kek", kek)
	require.Contains(t, log.String(), "awskms.KEK")
	for _, text := range []string{fmt.Sprint(kek), fmt.Sprintf("%+v", kek), fmt.Sprintf("%#v", kek), fmt.Sprintf("%s %d", kek, kek), log.String()} {
		require.NotContains(t, text, kmstest.Leak)
	}
}

// Whoever debugs by logging all that the SDK sends would log data keys.
func TestBodiesAreNotLogged(t *testing.T) {
	f := start(t).(service)
	f.Grant(t, kmstest.Roles()...)
	var mu sync.Mutex
	var log strings.Builder
	config := f.config(t, kmstest.Admin)
	config.ClientLogMode = aws.LogRequest | aws.LogRequestWithBody | aws.LogResponse | aws.LogResponseWithBody | aws.LogSigning | aws.LogRetries
	config.Logger = logging.LoggerFunc(func(_ logging.Classification, format string, v ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&log, format+"\n", v...)
	})
	aead := aeadOf(t, kmstest.Security, config)
	wrapped, err := aead.Encrypt([]byte("a data key"), []byte("onlyfor purpose-keys security 000102030405060708090a0b0c0d0e0f"))
	require.NoError(t, err)
	_, err = aead.Decrypt(wrapped, []byte("onlyfor purpose-keys security 000102030405060708090a0b0c0d0e0f"))
	require.NoError(t, err)
	mu.Lock()
	defer mu.Unlock()
	require.True(t, strings.Contains(log.String(), "TrentService.Encrypt"), "nothing was logged at all")
	require.False(t, strings.Contains(log.String(), base64.StdEncoding.EncodeToString([]byte("a data key"))), "a data key was logged")
	require.False(t, strings.Contains(log.String(), "CiphertextBlob"), "a body was logged")
}
