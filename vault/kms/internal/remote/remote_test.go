package remote_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kms"
	"github.com/onlyfor/onlyfor/vault/kms/internal/remote"
)

var security = purpose.MustParse("security")

// A client answers every call in one way.
type client struct {
	out []byte
	err error
	do  func() // meanwhile
}

func (c client) answer() ([]byte, error) {
	if c.do != nil {
		c.do()
	}
	return c.out, c.err
}

func (c client) EncryptWithContext(context.Context, []byte, []byte) ([]byte, error) {
	return c.answer()
}

func (c client) DecryptWithContext(context.Context, []byte, []byte) ([]byte, error) {
	return c.answer()
}

func aeadOf(t *testing.T, c client, verdict remote.Verdict) *remote.AEAD {
	key, err := kms.URIs{security: "hcvault://vault.example:8200/transit/keys/security"}.Key(security)
	require.NoError(t, err)
	return &remote.AEAD{Purpose: security, Key: key, Client: c, Explain: func(error) (remote.Verdict, string) {
		return verdict, "code-of-the-service"
	}}
}

// What a client says is one of two things, by what the service decided and by
// whether anybody still waited for it, and none of the client's words are repeated.
func TestErrors(t *testing.T) {
	quoting := errors.New("sEcReT")
	gone := context.Canceled
	for name, test := range map[string]struct {
		client   client
		verdict  remote.Verdict
		gone     bool // the caller left meanwhile
		want     error
		cause    error
		denied   bool
		contains string
	}{
		"an answer":                           {client: client{out: []byte("x")}},
		"an answer that came late":            {client: client{out: []byte("x")}, gone: true},
		"an empty answer":                     {client: client{out: []byte{}}, want: vault.ErrUnavailable, contains: "empty answer"},
		"no answer and no error":              {client: client{}, want: vault.ErrUnavailable, contains: "empty answer"},
		"an outage":                           {client: client{err: quoting}, want: vault.ErrUnavailable, contains: "code-of-the-service"},
		"an outage, and part of an answer":    {client: client{out: []byte("x"), err: quoting}, want: vault.ErrUnavailable},
		"an outage that was not waited for":   {client: client{err: quoting}, gone: true, want: vault.ErrUnavailable, cause: gone, contains: "not waited for"},
		"a refusal":                           {client: client{err: quoting}, verdict: remote.Refused, want: vault.ErrNoKeys},
		"a refusal that was not waited for":   {client: client{err: quoting}, verdict: remote.Refused, gone: true, want: vault.ErrNoKeys},
		"a denial":                            {client: client{err: quoting}, verdict: remote.Denied, want: vault.ErrNoKeys, denied: true},
		"a denial that was not waited for":    {client: client{err: quoting}, verdict: remote.Denied, gone: true, want: vault.ErrNoKeys, denied: true},
		"a context of the client's own":       {client: client{err: context.DeadlineExceeded}, want: vault.ErrUnavailable},
		"a refusal with the vault's own name": {client: client{err: vault.ErrErased}, verdict: remote.Refused, want: vault.ErrNoKeys},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c := test.client
			if test.gone {
				c.do = cancel
			}
			a := aeadOf(t, c, test.verdict)
			for _, call := range []func(context.Context, []byte, []byte) ([]byte, error){a.EncryptWithContext, a.DecryptWithContext} {
				out, err := call(ctx, []byte("key"), []byte("aad"))
				if test.want == nil {
					require.NoError(t, err)
					require.Equal(t, "x", string(out))
					continue
				}
				require.Empty(t, out)
				require.ErrorIs(t, err, test.want)
				for _, other := range []error{vault.ErrUnavailable, vault.ErrNoKeys, vault.ErrErased} {
					require.Equal(t, other == test.want, errors.Is(err, other), "%v", other)
				}
				require.Equal(t, test.cause != nil, errors.Is(err, context.Canceled))
				require.NotErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorContains(t, err, test.contains)
				require.ErrorContains(t, err, "KEK of security at hcvault://vault.example:8200/transit/keys/security: ")
				require.NotContains(t, err.Error(), "sEcReT")
				require.Equal(t, test.denied, errors.Is(err, vault.ErrAccessDenied))
			}
		})
	}
}

// The methods without a context are those with one, for whoever has none.
func TestWithoutContext(t *testing.T) {
	a := aeadOf(t, client{out: []byte("x")}, remote.Unclear)
	for _, call := range []func([]byte, []byte) ([]byte, error){a.Encrypt, a.Decrypt} {
		out, err := call([]byte("key"), []byte("aad"))
		require.NoError(t, err)
		require.Equal(t, "x", string(out))
	}
}

// A vault has a prefix of its own, and so has each client.
func TestWithoutPrefix(t *testing.T) {
	_, err := kms.URIs{}.Key(security)
	err = remote.WithoutPrefix(err)
	require.EqualError(t, err, "no URI for security: no usable keys")
	require.ErrorIs(t, err, vault.ErrNoKeys)
	require.NoError(t, remote.WithoutPrefix(nil))
}
