package awskms_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kms"
	"github.com/onlyfor/onlyfor/vault/kms/awskms"
	"github.com/onlyfor/onlyfor/vault/kms/internal/kmstest"
)

// answering returns the AEAD of a key whose service always answers alike.
func answering(t *testing.T, p purpose.Purpose, status int, body any) vault.AEAD {
	s := kmstest.NewServer(t, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(body)
	}))
	return aeadOf(t, p, aws.Config{
		BaseEndpoint: aws.String(s.URL),
		HTTPClient:   s.Client(),
		Credentials:  credentials.NewStaticCredentialsProvider("id", "secret", ""),
		Retryer:      func() aws.Retryer { return aws.NopRetryer{} },
	})
}

func aeadOf(t *testing.T, p purpose.Purpose, config aws.Config) vault.AEAD {
	kek, err := awskms.New(t.Context(), keys, &awskms.Options{Config: &config})
	require.NoError(t, err)
	aead, err := kek.For(t.Context(), p)
	require.NoError(t, err)
	return aead
}

func TestCodes(t *testing.T) {
	for _, c := range []struct {
		code   string
		status int
		want   error
		denied bool
	}{
		{"AccessDeniedException", 400, vault.ErrNoKeys, true},
		{"com.amazonaws.kms#AccessDeniedException", 400, vault.ErrNoKeys, true},
		{"AccessDenied", 403, vault.ErrNoKeys, false},
		{"DisabledException", 400, vault.ErrNoKeys, false},
		{"NotFoundException", 400, vault.ErrNoKeys, false},
		{"KMSInvalidStateException", 400, vault.ErrNoKeys, false},
		{"InvalidCiphertextException", 400, vault.ErrNoKeys, false},
		{"IncorrectKeyException", 400, vault.ErrNoKeys, false},
		{"InvalidKeyUsageException", 400, vault.ErrNoKeys, false},
		{"ValidationException", 400, vault.ErrNoKeys, false},
		{"UnrecognizedClientException", 400, vault.ErrNoKeys, false},
		{"InvalidSignatureException", 400, vault.ErrNoKeys, false},
		{"ExpiredTokenException", 400, vault.ErrNoKeys, false},
		{"ThrottlingException", 400, vault.ErrUnavailable, false},
		{"KMSInternalException", 500, vault.ErrUnavailable, false},
		{"DependencyTimeoutException", 500, vault.ErrUnavailable, false},
		{"KeyUnavailableException", 500, vault.ErrUnavailable, false},
		{"ServiceUnavailable", 503, vault.ErrUnavailable, false},
		{"SomethingNewException", 400, vault.ErrUnavailable, false},
		{kmstest.Leak, 403, vault.ErrUnavailable, false},
		{"", 400, vault.ErrUnavailable, false},
	} {
		t.Run(c.code, func(t *testing.T) {
			aead := answering(t, kmstest.Security, c.status, map[string]string{"__type": c.code, "message": kmstest.Leak})
			for _, call := range []func() error{
				func() error { _, err := aead.Encrypt([]byte("x"), nil); return err },
				func() error { _, err := aead.Decrypt([]byte("x"), nil); return err },
			} {
				err := call()
				require.ErrorIs(t, err, c.want)
				for _, other := range []error{vault.ErrNoKeys, vault.ErrUnavailable} {
					require.Equal(t, c.want == other, errors.Is(err, other))
				}
				require.NotContains(t, err.Error(), kmstest.Leak)
				require.Contains(t, err.Error(), keys[kmstest.Security])
				require.Equal(t, c.denied, errors.Is(err, vault.ErrAccessDenied))
			}
		})
	}
}

func TestAnswersOfAnotherKeyAreNone(t *testing.T) {
	id := place + ":key/0a000000-0000-4000-8000-000000000000"
	for name, c := range map[string]struct {
		purpose purpose.Purpose
		keyID   any
		ok      bool
	}{
		"some key, asked by alias":        {kmstest.Security, id, true},
		"the key, asked by id":            {kmstest.Billing, strings.TrimPrefix(keys[kmstest.Billing], "aws-kms://"), true},
		"another key, asked by id":        {kmstest.Billing, id, false},
		"no key":                          {kmstest.Security, nil, false},
		"key of another account":          {kmstest.Security, strings.Replace(id, account, "999999999999", 1), false},
		"key of another region":           {kmstest.Security, strings.Replace(id, region, "us-east-1", 1), false},
		"what is no key":                  {kmstest.Security, "ok", false},
		"an alias":                        {kmstest.Security, strings.TrimPrefix(keys[kmstest.Security], "aws-kms://"), false},
		"key of another type of resource": {kmstest.Security, strings.Replace(id, ":kms:", ":s3:", 1), false},
	} {
		t.Run(name, func(t *testing.T) {
			aead := answering(t, c.purpose, 200, map[string]any{"Plaintext": []byte("x"), "CiphertextBlob": []byte("x"), "KeyId": c.keyID})
			_, encrypt := aead.Encrypt([]byte("x"), nil)
			_, decrypt := aead.Decrypt([]byte("x"), nil)
			for _, err := range []error{encrypt, decrypt} {
				if c.ok {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, vault.ErrUnavailable)
				}
			}
		})
	}
	t.Run("nothing, by the right key", func(t *testing.T) {
		_, err := answering(t, kmstest.Security, 200, map[string]any{"KeyId": id}).Decrypt([]byte("x"), nil)
		require.ErrorIs(t, err, vault.ErrUnavailable)
	})
}

// provider is where credentials come from.
type provider func(ctx context.Context) (aws.Credentials, error)

func (p provider) Retrieve(ctx context.Context) (aws.Credentials, error) { return p(ctx) }

func TestCredentialsThatAreNotToBeHad(t *testing.T) {
	t.Run("because their source fails", func(t *testing.T) {
		aead := aeadOf(t, kmstest.Security, aws.Config{Credentials: provider(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New(kmstest.Leak)
		})})
		_, err := aead.Decrypt([]byte("x"), nil)
		require.ErrorIs(t, err, vault.ErrUnavailable)
		require.NotContains(t, err.Error(), kmstest.Leak)
	})
	t.Run("because their source hangs", func(t *testing.T) {
		asked := make(chan struct{})
		aead := aeadOf(t, kmstest.Security, aws.Config{Credentials: provider(func(ctx context.Context) (aws.Credentials, error) {
			close(asked)
			<-ctx.Done()
			return aws.Credentials{}, ctx.Err()
		})})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-asked; cancel() }()
		_, err := aead.(vault.ContextAEAD).DecryptWithContext(ctx, []byte("x"), nil)
		require.ErrorIs(t, err, vault.ErrUnavailable)
		require.ErrorIs(t, err, context.Canceled)
	})
}

// A client that is throttled for long has used up its retries, and asks
// nevertheless.
func TestThrottlingIsForgotten(t *testing.T) {
	f := start(t).(service)
	f.Grant(t, kmstest.Roles()...)
	config := f.config(t, kmstest.Admin)
	standard := retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = 1 })
	config.Retryer = func() aws.Retryer { return standard }
	aead := aeadOf(t, kmstest.Security, config)
	f.Server().SetFault(kmstest.Throttle)
	for range 300 {
		_, err := aead.Encrypt([]byte("x"), []byte("onlyfor purpose-keys security 000102030405060708090a0b0c0d0e0f"))
		require.ErrorIs(t, err, vault.ErrUnavailable)
	}
	f.Server().SetFault(kmstest.Up)
	_, err := aead.Encrypt([]byte("x"), []byte("onlyfor purpose-keys security 000102030405060708090a0b0c0d0e0f"))
	require.NoError(t, err)
}

func TestNewRefuses(t *testing.T) {
	for name, bad := range map[string]kms.Keys{
		"nil":                 nil,
		"template without":    kms.Template(keys[kmstest.Security]),
		"of another service":  kms.Template("hcvault://localhost/transit/keys/{purpose}"),
		"one key for two":     kms.URIs{kmstest.Security: keys[kmstest.Security], kmstest.Billing: keys[kmstest.Security]},
		"with a wildcard":     kms.Template("aws-kms://" + place + ":alias/{purpose}*"),
		"without any at all":  kms.URIs{},
		"with a bare key id":  kms.URIs{kmstest.Security: "aws-kms://0b111111-0000-4000-8000-000000000000"},
		"with AWS's own keys": kms.Template("aws-kms://" + place + ":alias/aws/{purpose}"),
	} {
		t.Run(name, func(t *testing.T) {
			kek, err := awskms.New(t.Context(), bad, nil)
			require.ErrorIs(t, err, vault.ErrInvalid)
			require.Nil(t, kek)
		})
	}
	for _, kek := range []*awskms.KEK{nil, {}} {
		_, err := kek.For(t.Context(), kmstest.Security)
		require.ErrorIs(t, err, vault.ErrInvalid)
	}
}
