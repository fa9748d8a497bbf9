// Package remote turns a client of a key service into an AEAD that keeps the contract
// of a KEK: its errors are the vault's and repeat no text of the service, and it
// refuses answers that are not whole.
package remote

import (
	"context"
	"fmt"
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kms"
)

// A Client is Tink's client for one key.
type Client interface {
	EncryptWithContext(ctx context.Context, plaintext, associatedData []byte) ([]byte, error)
	DecryptWithContext(ctx context.Context, ciphertext, associatedData []byte) ([]byte, error)
}

// An AEAD is the KEK of one purpose.
type AEAD struct {
	Purpose purpose.Purpose
	Key     kms.Key
	Client  Client
	// Explain returns the meaning of an error of Client, and a reason with the
	// service's own code and without its text.
	Explain func(error) (Verdict, string)
}

// A Verdict is the meaning of an error.
type Verdict int

// The verdicts.
const (
	Unclear Verdict = iota // no answer of the key service
	Refused                // a refusal that another attempt does not change
	Denied                 // a refusal because these credentials have no grant
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

// Error names purpose, key and reason. None of them is secret.
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

var (
	_ vault.ContextAEAD = (*AEAD)(nil)
	_ vault.KeyNamer    = (*AEAD)(nil)
)

// maxKeyName is the size of the longest name that a vault takes.
const maxKeyName = 255

// KeyName returns the URI of the key. Of a URI that is too long it returns the end, which
// tells keys apart.
func (a *AEAD) KeyName() string {
	name := a.Key.String()
	return name[max(0, len(name)-maxKeyName):]
}

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
		// No vault wraps an empty key, so another server answered.
		return nil, &Error{a.Purpose, a.Key, "empty answer", Unclear, nil}
	}
	verdict, reason := a.Explain(err)
	cause := ctx.Err()
	switch {
	case verdict != Unclear:
		cause = nil // the answer came before the context was done
	case cause != nil:
		reason = "not waited for any longer"
	}
	return nil, &Error{a.Purpose, a.Key, reason, verdict, cause}
}

// WithoutPrefix returns an error of package kms without the package's prefix. The
// caller adds its own, or the vault does.
func WithoutPrefix(err error) error {
	if err == nil {
		return nil
	}
	return inner{err}
}

type inner struct{ err error }

func (e inner) Error() string { return strings.TrimPrefix(e.err.Error(), "kms: ") }
func (e inner) Unwrap() error { return e.err }
