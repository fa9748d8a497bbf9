package gcpkms_test

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	cloudkms "cloud.google.com/go/kms/apiv1/kmspb"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"google.golang.org/api/option"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kms"
	"github.com/onlyfor/onlyfor/vault/kms/gcpkms"
	"github.com/onlyfor/onlyfor/vault/kms/internal/kmstest"
)

// failing answers every call with one status.
type failing struct {
	cloudkms.UnimplementedKeyManagementServiceServer
	err error
}

func (f *failing) Encrypt(context.Context, *cloudkms.EncryptRequest) (*cloudkms.EncryptResponse, error) {
	return nil, f.err
}

func (f *failing) Decrypt(context.Context, *cloudkms.DecryptRequest) (*cloudkms.DecryptResponse, error) {
	return nil, f.err
}

func aeadOf(t *testing.T, f *fake, extra ...option.ClientOption) vault.ContextAEAD {
	kek, err := gcpkms.New(t.Context(), keys, &gcpkms.Options{Client: append(f.options(kmstest.Admin), extra...)})
	require.NoError(t, err)
	t.Cleanup(func() { kek.Close() })
	aead, err := kek.For(t.Context(), kmstest.Security)
	require.NoError(t, err)
	return aead.(vault.ContextAEAD)
}

func TestCodes(t *testing.T) {
	denial := func(reason string) error {
		s, err := status.New(codes.PermissionDenied, kmstest.Leak).WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: "googleapis.com"})
		require.NoError(t, err)
		return s.Err()
	}
	for name, c := range map[string]struct {
		err    error
		want   error
		denied bool
	}{
		"PermissionDenied":          {refuse(codes.PermissionDenied), vault.ErrNoKeys, true},
		"PermissionDenied by IAM":   {denial("IAM_PERMISSION_DENIED"), vault.ErrNoKeys, true},
		"API that is switched off":  {denial("SERVICE_DISABLED"), vault.ErrNoKeys, false},
		"bill that is not paid":     {denial("BILLING_DISABLED"), vault.ErrNoKeys, false},
		"Unauthenticated":           {refuse(codes.Unauthenticated), vault.ErrNoKeys, false},
		"NotFound":                  {refuse(codes.NotFound), vault.ErrNoKeys, false},
		"FailedPrecondition":        {refuse(codes.FailedPrecondition), vault.ErrNoKeys, false},
		"InvalidArgument":           {refuse(codes.InvalidArgument), vault.ErrNoKeys, false},
		"Unavailable":               {refuse(codes.Unavailable), vault.ErrUnavailable, false},
		"ResourceExhausted":         {refuse(codes.ResourceExhausted), vault.ErrUnavailable, false},
		"Internal":                  {refuse(codes.Internal), vault.ErrUnavailable, false},
		"Unknown":                   {refuse(codes.Unknown), vault.ErrUnavailable, false},
		"Unimplemented":             {refuse(codes.Unimplemented), vault.ErrUnavailable, false},
		"DeadlineExceeded":          {refuse(codes.DeadlineExceeded), vault.ErrUnavailable, false},
		"Canceled by the service":   {refuse(codes.Canceled), vault.ErrUnavailable, false},
		"code that nobody knows":    {refuse(codes.Code(99)), vault.ErrUnavailable, false},
		"DataLoss":                  {refuse(codes.DataLoss), vault.ErrUnavailable, false},
		"Aborted, for another try":  {refuse(codes.Aborted), vault.ErrUnavailable, false},
		"OutOfRange, whatever that": {refuse(codes.OutOfRange), vault.ErrUnavailable, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := grpc.NewServer()
			t.Cleanup(s.Stop)
			cloudkms.RegisterKeyManagementServiceServer(s, &failing{err: c.err})
			f := &fake{Server: kmstest.NewServer(t, "application/grpc", http.HandlerFunc(s.ServeHTTP))}
			aead := aeadOf(t, f)
			// The client asks again for as long as it may where that could help.
			ctx, cancel := context.WithCancel(t.Context())
			if code := status.Code(c.err); code == codes.Unavailable || code == codes.DeadlineExceeded {
				ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
			}
			defer cancel()
			_, encrypt := aead.EncryptWithContext(ctx, []byte("x"), nil)
			_, decrypt := aead.DecryptWithContext(ctx, []byte("x"), nil)
			for _, err := range []error{encrypt, decrypt} {
				require.ErrorIs(t, err, c.want)
				for _, other := range []error{vault.ErrNoKeys, vault.ErrUnavailable} {
					require.Equal(t, c.want == other, errors.Is(err, other))
				}
				require.NotContains(t, err.Error(), kmstest.Leak)
				require.Contains(t, err.Error(), "gcp-kms://"+nameOf(kmstest.Security))
				require.Equal(t, c.denied, errors.Is(err, vault.ErrAccessDenied))
			}
		})
	}
}

func TestAnswersDamagedOnTheWay(t *testing.T) {
	f := newFake(t)
	f.Grant(t, kmstest.Roles()...)
	aead := aeadOf(t, f)
	wrapped, err := aead.EncryptWithContext(t.Context(), []byte("a data key"), nil)
	require.NoError(t, err)
	f.corrupt.Store(true)
	_, err = aead.EncryptWithContext(t.Context(), []byte("a data key"), nil)
	require.ErrorIs(t, err, vault.ErrUnavailable)
	_, err = aead.DecryptWithContext(t.Context(), wrapped, nil)
	require.ErrorIs(t, err, vault.ErrUnavailable)
	require.NotErrorIs(t, err, vault.ErrNoKeys)
	f.corrupt.Store(false)
	_, err = aead.DecryptWithContext(t.Context(), wrapped, nil)
	require.NoError(t, err)
}

// tokens is where credentials come from.
type tokens func() (*oauth2.Token, error)

func (f tokens) Token() (*oauth2.Token, error) { return f() }

func TestTokensThatAreNotToBeHad(t *testing.T) {
	f := newFake(t)
	f.Grant(t, kmstest.Roles()...)
	aead := aeadOf(t, f, option.WithTokenSource(tokens(func() (*oauth2.Token, error) { return nil, errors.New(kmstest.Leak) })))
	_, err := aead.DecryptWithContext(t.Context(), []byte("x"), nil)
	require.ErrorIs(t, err, vault.ErrUnavailable)
	require.NotErrorIs(t, err, vault.ErrNoKeys)
	require.NotContains(t, err.Error(), kmstest.Leak)
}

func TestNewRefuses(t *testing.T) {
	for name, bad := range map[string]kms.Keys{
		"nil":                nil,
		"template without":   "gcp-kms://" + kms.Template(nameOf(kmstest.Security)),
		"of another service": kms.Template("hcvault://localhost/transit/keys/{purpose}"),
		"with a version":     keys + "/cryptoKeyVersions/1",
	} {
		t.Run(name, func(t *testing.T) {
			kek, err := gcpkms.New(t.Context(), bad, nil)
			require.ErrorIs(t, err, vault.ErrInvalid)
			require.Nil(t, kek)
		})
	}
	t.Run("without credentials", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), kmstest.Leak)
		t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", path)
		_, err := gcpkms.New(t.Context(), keys, nil)
		require.ErrorIs(t, err, vault.ErrInvalid)
		require.NotContains(t, err.Error(), kmstest.Leak)
	})
	t.Run("when nobody waits any longer", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := gcpkms.New(ctx, keys, nil)
		require.ErrorIs(t, err, vault.ErrUnavailable)
		require.ErrorIs(t, err, context.Canceled)
	})
	for _, kek := range []*gcpkms.KEK{nil, {}} {
		_, err := kek.For(t.Context(), kmstest.Security)
		require.ErrorIs(t, err, vault.ErrInvalid)
		require.NoError(t, kek.Close())
	}
}
