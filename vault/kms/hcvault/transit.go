package hcvault

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	"github.com/hashicorp/vault/api"
	tinkhcvault "github.com/tink-crypto/tink-go-hcvault/v2/integration/hcvault"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/onlyfor/onlyfor/vault/kms"
)

// transit is Tink's client for one key, with contexts.
type transit struct {
	client *api.Client
	key    kms.Key
}

// prefix is the beginning of the transit engine's ciphertexts, before the version of
// the key.
var prefix = []byte("vault:v")

var errForeign = errors.New("answer that is not of a transit engine")

func (t transit) EncryptWithContext(ctx context.Context, plaintext, associatedData []byte) ([]byte, error) {
	out, err := t.ask(ctx, func(a tink.AEAD) ([]byte, error) { return a.Encrypt(plaintext, associatedData) })
	if err == nil && !bytes.HasPrefix(out, prefix) {
		return nil, errForeign
	}
	return out, err
}

// DecryptWithContext may return an empty plaintext: Tink's client does so for an answer
// without one. [remote.AEAD] refuses it.
func (t transit) DecryptWithContext(ctx context.Context, ciphertext, associatedData []byte) ([]byte, error) {
	return t.ask(ctx, func(a tink.AEAD) ([]byte, error) { return a.Decrypt(ciphertext, associatedData) })
}

// ask makes one request with Tink's client, under ctx.
func (t transit) ask(ctx context.Context, f func(tink.AEAD) ([]byte, error)) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends a request that the client left open
	x := &exchange{ctx: ctx}
	client, err := x.through(t.client)
	if err != nil {
		return nil, &failure{x, err, false}
	}
	// Without options, NewAEAD binds associated data. NewClient, and an option of
	// NewAEAD, send it as a context, which most keys ignore.
	a, err := tinkhcvault.NewAEAD("/"+t.key.Name(), client.Logical())
	if err != nil {
		return nil, &failure{x, err, false}
	}
	out, err := f(a)
	switch {
	case err != nil:
		return nil, &failure{x, err, x.status == http.StatusForbidden && t.known(ctx)}
	case x.status != http.StatusOK: // the client takes a redirect for a success
		return nil, &failure{x, errForeign, false}
	}
	return out, nil
}

// known reports whether the server knows the token. It refuses an expired token and a
// token without the right in the same words, and only the refusal of a known token
// proves that a process can't open a purpose. The policy "default", which a token has
// unless it was made without it, allows the request.
func (t transit) known(ctx context.Context) bool {
	x := &exchange{ctx: ctx}
	client, err := x.through(t.client)
	if err != nil {
		return false
	}
	self, err := client.Auth().Token().LookupSelf()
	return err == nil && x.status == http.StatusOK && self != nil && self.Data["id"] != nil
}
