package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A kekClient calls the AEAD of a purpose. It passes a context to an AEAD that takes
// one, and returns errors of this package only.
type kekClient struct {
	ctx  context.Context // of the one operation that the client is made for
	aead AEAD

	unwrapped func() // called when the AEAD has decrypted; may be nil

	stats *callCounter // nil for the KEKs of an [EitherKEK], which are called for one that counts
}

// kekClient returns a client whose calls are counted.
func (b *backend) kekClient(ctx context.Context, kek KEK, p purpose.Purpose) (kekClient, error) {
	began := time.Now()
	w, err := newKEKClient(ctx, kek, p)
	w.unwrapped = func() { b.noteUnwraps(p, 1) }
	if w.stats = &b.stats.kek; err != nil {
		w.count(began, err)
	}
	return w, err
}

func newKEKClient(ctx context.Context, kek KEK, p purpose.Purpose) (kekClient, error) {
	a, err := kek.For(ctx, p)
	if err != nil {
		return kekClient{}, kekError(err)
	}
	if a == nil {
		return kekClient{}, notConfigured("no KEK")
	}
	return kekClient{ctx: ctx, aead: a}, nil
}

// encrypt and decrypt pass fresh copies: an AEAD that keeps its arguments, or appends
// to them, must not reach the slices of this package.
func (w kekClient) encrypt(plaintext, aad []byte) (out []byte, err error) {
	began := time.Now()
	err = errBroken // unless the AEAD returns
	defer func() { w.count(began, err) }()
	if err := w.ctx.Err(); err != nil {
		return nil, kekError(err)
	}
	if a, ok := w.aead.(ContextAEAD); ok {
		out, err = a.EncryptWithContext(w.ctx, bytes.Clone(plaintext), bytes.Clone(aad))
	} else {
		out, err = w.aead.Encrypt(bytes.Clone(plaintext), bytes.Clone(aad))
	}
	return out, kekError(err)
}

func (w kekClient) decrypt(ciphertext, aad []byte) (out []byte, err error) {
	began := time.Now()
	err = errBroken // unless the AEAD returns
	defer func() { w.count(began, err) }()
	if err := w.ctx.Err(); err != nil {
		return nil, kekError(err)
	}
	if a, ok := w.aead.(ContextAEAD); ok {
		out, err = a.DecryptWithContext(w.ctx, bytes.Clone(ciphertext), bytes.Clone(aad))
	} else {
		out, err = w.aead.Decrypt(bytes.Clone(ciphertext), bytes.Clone(aad))
	}
	if err == nil && w.unwrapped != nil {
		w.unwrapped()
	}
	return out, kekError(err)
}

// keyName returns the name of the key in its service, or "" if the AEAD states none.
func (w kekClient) keyName() (string, error) {
	n, ok := w.aead.(KeyNamer)
	if !ok {
		return "", nil
	}
	name := n.KeyName()
	if !validKeyName(name) {
		return "", fmt.Errorf("malformed name of a KEK: %w", ErrInvalid)
	}
	return name, nil
}

// validKeyName reports whether name is "" or the name of a KEK: see [KeyNamer].
func validKeyName(name string) bool {
	if len(name) > maxKeyName {
		return false
	}
	for i := range len(name) {
		if name[i] <= ' ' || name[i] > '~' {
			return false
		}
	}
	return true
}

// maxKeyName is the size of the longest name of a KEK, in bytes.
const maxKeyName = 255

// count counts a call and its failure.
func (w kekClient) count(began time.Time, err error) {
	if w.stats != nil {
		w.stats.called(began, err)
	}
}

// selfTest fails if the AEAD decrypts a key that it wrapped for p with other associated
// data: some key-service clients silently ignore associated data. A throttled or
// unreachable client also refuses. The caller must therefore decrypt with the correct
// associated data immediately afterwards.
//
// selfTest runs whenever a record is written, and never when a record is read. A key
// that was wrapped with associated data does not decrypt without it, and a record
// binds its purpose even if the KEK does not.
func (w kekClient) selfTest(p purpose.Purpose, h keyRecordHeader) error {
	dek, err := w.decrypt(h.wrapped, format.WrongKEKAAD(p.String(), h.vault))
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

// kekError and storeError turn a foreign error into an error of this package. An error
// that already is a sentinel of this package is kept whole, because its author knows
// the rules. The text of any other error is dropped, since clients quote requests.
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

// An opaqueError replaces the error of a client that is no sentinel of this package.
// It may be a refusal or anything else.
type opaqueError struct {
	from string
	err  error
}

func (e *opaqueError) Error() string { return e.from + ": " + e.err.Error() }

func (e *opaqueError) Unwrap() error { return e.err }
