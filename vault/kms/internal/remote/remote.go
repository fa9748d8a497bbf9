// Package remote makes a client of a key service into what a vault expects of a
// KEK: errors that are the vault's and repeat nothing, and answers that are
// whole.
package remote

import (
	"context"
	"fmt"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kms"
)

// A Client is Tink's for one key.
type Client interface {
	EncryptWithContext(ctx context.Context, plaintext, associatedData []byte) ([]byte, error)
	DecryptWithContext(ctx context.Context, ciphertext, associatedData []byte) ([]byte, error)
}

// An AEAD is the KEK of one purpose.
type AEAD struct {
	Purpose purpose.Purpose
	Key     kms.Key
	Client  Client
	// Explain says what an error of Client means, with a reason that is made of
	// the service's own codes and never of its text.
	Explain func(error) (Verdict, string)
}

// A Verdict is what became of a call.
type Verdict int

// The verdicts.
const (
	Unclear Verdict = iota // no answer of the key service
	Refused                // an answer that asking again won't change
	Denied                 // a refusal to these credentials: they have no grant
)

// An Error is a call that failed. It is [vault.ErrUnavailable] or [vault.ErrNoKeys],
// and [vault.ErrAccessDenied] if the key service knew who asked and has granted
// them nothing. That proves that they can't use the key. A disabled key, a key that
// is not found and expired credentials prove nothing.
type Error struct {
	purpose purpose.Purpose
	key     kms.Key
	reason  string
	verdict Verdict
	cause   error // of a context, or nil
}

// Error names purpose, key and reason, none of which is secret.
func (e *Error) Error() string {
	return fmt.Sprintf("KEK of %s at %s: %s: %v", e.purpose, e.key, e.reason, e.sentinel())
}

// Unwrap returns the vault's sentinel, and the error of a context that is done.
func (e *Error) Unwrap() []error {
	if e.cause != nil {
		return []error{e.sentinel(), e.cause}
	}
	return []error{e.sentinel()}
}

func (e *Error) sentinel() error {
	switch e.verdict {
	case Denied:
		return vault.ErrAccessDenied
	case Refused:
		return vault.ErrNoKeys
	}
	return vault.ErrUnavailable
}

var _ vault.ContextAEAD = (*AEAD)(nil)

// EncryptWithContext has the service encrypt.
func (a *AEAD) EncryptWithContext(ctx context.Context, plaintext, associatedData []byte) ([]byte, error) {
	out, err := a.Client.EncryptWithContext(ctx, plaintext, associatedData)
	return a.result(ctx, out, err)
}

// DecryptWithContext has the service decrypt.
func (a *AEAD) DecryptWithContext(ctx context.Context, ciphertext, associatedData []byte) ([]byte, error) {
	out, err := a.Client.DecryptWithContext(ctx, ciphertext, associatedData)
	return a.result(ctx, out, err)
}

// Encrypt waits without end, so a vault calls EncryptWithContext.
func (a *AEAD) Encrypt(plaintext, associatedData []byte) ([]byte, error) {
	return a.EncryptWithContext(context.Background(), plaintext, associatedData)
}

// Decrypt waits without end, so a vault calls DecryptWithContext.
func (a *AEAD) Decrypt(ciphertext, associatedData []byte) ([]byte, error) {
	return a.DecryptWithContext(context.Background(), ciphertext, associatedData)
}

func (a *AEAD) result(ctx context.Context, out []byte, err error) ([]byte, error) {
	if err == nil {
		if len(out) > 0 {
			return out, nil
		}
		// Nobody wraps nothing: this is some other server's success.
		return nil, &Error{a.Purpose, a.Key, "empty answer", Unclear, nil}
	}
	verdict, reason := a.Explain(err)
	cause := ctx.Err()
	switch {
	case verdict != Unclear:
		cause = nil // an answer in time, whatever happened since
	case cause != nil:
		reason = "not waited for any longer"
	}
	return nil, &Error{a.Purpose, a.Key, reason, verdict, cause}
}
