package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A wrapper calls a purpose's AEAD: with the context where it takes one, and
// with errors that are ours.
type kekClient struct {
	ctx  context.Context // of the one operation that the wrapper is made for
	aead AEAD
}

func newKEKClient(ctx context.Context, kek KEK, p purpose.Purpose) (kekClient, error) {
	a, err := kek.For(ctx, p)
	if err != nil {
		return kekClient{}, kekError(err)
	}
	if a == nil {
		return kekClient{}, notConfigured("no KEK")
	}
	return kekClient{ctx, a}, nil
}

// encrypt and decrypt pass fresh copies: a callee that appends to or keeps its
// arguments must not reach ours.
func (w kekClient) encrypt(plaintext, aad []byte) ([]byte, error) {
	if err := w.ctx.Err(); err != nil {
		return nil, kekError(err)
	}
	var out []byte
	var err error
	if a, ok := w.aead.(ContextAEAD); ok {
		out, err = a.EncryptWithContext(w.ctx, bytes.Clone(plaintext), bytes.Clone(aad))
	} else {
		out, err = w.aead.Encrypt(bytes.Clone(plaintext), bytes.Clone(aad))
	}
	return out, kekError(err)
}

func (w kekClient) decrypt(ciphertext, aad []byte) ([]byte, error) {
	if err := w.ctx.Err(); err != nil {
		return nil, kekError(err)
	}
	var out []byte
	var err error
	if a, ok := w.aead.(ContextAEAD); ok {
		out, err = a.DecryptWithContext(w.ctx, bytes.Clone(ciphertext), bytes.Clone(aad))
	} else {
		out, err = w.aead.Decrypt(bytes.Clone(ciphertext), bytes.Clone(aad))
	}
	return out, kekError(err)
}

// selfTest fails if the AEAD opens what it wrapped for p under other associated
// data: some key-service clients ignore it without a word. What looks like a
// refusal may be a client that is throttled or gone, so the right associated
// data has to work right after the wrong, which is up to the caller to see.
//
// It is made whenever a record is written, and never when one is read: what
// was bound when it was wrapped opens for nobody who leaves the data out, and a
// record binds its purpose whether the KEK does or not.
func (w kekClient) selfTest(p purpose.Purpose, wrapped []byte) error {
	dek, err := w.decrypt(wrapped, format.WrongKEKAAD(p.String()))
	clear(dek)
	if err == nil {
		return errUnbound
	}
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return nil
}

var errUnbound = fmt.Errorf("the KEK ignores associated data, so it would unwrap one purpose's keys for another: %w", ErrNoKeys)

// kekError and storeError turn a foreign error into one of ours. One that is a
// sentinel of this package already is kept whole, for whoever wrote it knows
// our rules; of any other nothing is repeated, since clients quote requests.
func kekError(err error) error { return foreignError("KEK", err, ErrNoKeys) }

func storeError(err error) error { return foreignError("key store", err, ErrUnavailable) }

func foreignError(from string, err, otherwise error) error {
	if err == nil {
		return nil
	}
	for _, sentinel := range []error{ErrConflict, ErrNoKeys, ErrCorrupt, ErrInvalid, ErrUnavailable} {
		if errors.Is(err, sentinel) {
			return err
		}
	}
	for _, sentinel := range []error{context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, sentinel) {
			return fmt.Errorf("%s: %w: %w", from, ErrUnavailable, sentinel)
		}
	}
	return &opaqueError{from, otherwise}
}

// An unexplained is the error of a client that does not say which of ours it
// is: in place of a refusal it may mean anything.
type opaqueError struct {
	from string
	err  error
}

func (e *opaqueError) Error() string { return e.from + ": " + e.err.Error() }

func (e *opaqueError) Unwrap() error { return e.err }
