package vault

import (
	"context"
	"errors"
	"slices"

	"github.com/onlyfor/onlyfor/purpose"
)

// An AEAD is authenticated encryption with associated data. Every tink.AEAD is an
// AEAD, from either of Tink's import paths.
//
// An AEAD that calls a key service should be a [ContextAEAD].
//
// An error that is a sentinel of this package, such as [ErrUnavailable] or
// [ErrNoKeys], is passed on unchanged, so it must not quote the input of the AEAD.
// Any other error of a context counts as [ErrUnavailable], every other error as
// [ErrNoKeys], and the text of neither is repeated.
type AEAD interface {
	// Encrypt encrypts plaintext and binds associatedData to it.
	Encrypt(plaintext, associatedData []byte) ([]byte, error)
	// Decrypt is the reverse of Encrypt. It fails for any other associatedData.
	Decrypt(ciphertext, associatedData []byte) ([]byte, error)
}

// A ContextAEAD is an [AEAD] whose calls end with a context. It has the methods of
// Tink's AEADWithContext. A vault calls them instead of Encrypt and Decrypt.
type ContextAEAD interface {
	AEAD
	// EncryptWithContext is Encrypt, and returns an error once ctx is done.
	EncryptWithContext(ctx context.Context, plaintext, associatedData []byte) ([]byte, error)
	// DecryptWithContext is Decrypt, and returns an error once ctx is done.
	DecryptWithContext(ctx context.Context, ciphertext, associatedData []byte) ([]byte, error)
}

// A KeyNamer is an [AEAD] that tells the name of its key. The vault stores the name in
// clear beside the keys that the AEAD wraps (see [Admin.WrappedBy]). It is for operators:
// it decides nothing about which key unwraps.
type KeyNamer interface {
	AEAD
	// KeyName returns the name of the key in its service, such as the ARN of a key of a
	// cloud or the number of a key in a file. It must hold no secret. It has at most 255
	// bytes of printable ASCII without blanks, or is "" for a key without a name. Any
	// other name is [ErrInvalid] when keys are wrapped.
	KeyName() string
}

// A KEK (key-encryption key) wraps the keys of purposes. A vault asks it when the keys
// of a purpose are opened or changed, and never for a value. The right to use a KEK is
// the right to use its purpose.
//
// If a KEK or its AEAD panics, or ends the goroutine that it is called in, every
// caller that waits for the call gets [ErrUnavailable]. The value of the panic is
// dropped.
//
// A KEK is used from many goroutines at once. A vault uses the AEAD that For returns
// for one operation, so an AEAD that For returns twice is used from several goroutines
// as well.
//
// A KEK that can make keys is a [KeyGenerator]. Package kektest checks that a KEK
// keeps its promises.
type KEK interface {
	// For returns the AEAD that wraps the keys of purpose p. The purpose is also
	// bound as associated data, so one AEAD may serve several purposes.
	For(ctx context.Context, p purpose.Purpose) (AEAD, error)
}

// A KeyGenerator is a [KEK] that makes keys itself. [Admin.Generate] calls it.
type KeyGenerator interface {
	KEK
	// Generate makes the key of purpose p, unless there is one already. It never
	// changes an existing key. Once Generate has returned nil, For works.
	Generate(ctx context.Context, p purpose.Purpose) error
}

// KEKFunc is a function that serves as a [KEK].
type KEKFunc func(ctx context.Context, p purpose.Purpose) (AEAD, error)

// For calls f. A nil f is [ErrNoKeys].
func (f KEKFunc) For(ctx context.Context, p purpose.Purpose) (AEAD, error) {
	if f == nil {
		return nil, notConfigured("nil KEKFunc")
	}
	return f(ctx, p)
}

// KEKs is a [KEK] that holds a KEK for each purpose, which keeps the keys of purposes
// in different places. A purpose without a KEK, or with a nil one, is [ErrNoKeys].
type KEKs map[purpose.Purpose]KEK

// For calls the KEK of p.
func (m KEKs) For(ctx context.Context, p purpose.Purpose) (AEAD, error) {
	kek := m[p]
	if kek == nil {
		return nil, errNotConfigured
	}
	return kek.For(ctx, p)
}

// A notConfigured is a refusal for want of a KEK. No key service was asked, so it
// proves nothing about grants.
type notConfigured string

var errNotConfigured error = notConfigured("no KEK for this purpose")

func (n notConfigured) Error() string { return string(n) + ": " + ErrNoKeys.Error() }
func (notConfigured) Unwrap() error   { return ErrNoKeys }

// Generate makes the key of p in the KEK of p, if that KEK is a [KeyGenerator].
func (m KEKs) Generate(ctx context.Context, p purpose.Purpose) error {
	return generateKEK(ctx, m[p], p)
}

// SharedKEK returns a [KEK] that wraps the keys of all purposes with one AEAD, such as
// a tink.AEAD made by a Tink key-service client. A process that may use the AEAD may
// use every purpose. Where purposes belong to separate processes, give each purpose an
// AEAD of its own with [KEKs] or a [KEKFunc], or use [LocalKEK].
func SharedKEK(a AEAD) KEK {
	return KEKFunc(func(context.Context, purpose.Purpose) (AEAD, error) { return a, nil })
}

// EitherKEK returns a [KEK] that wraps with current, and unwraps with current or, if
// that fails, with previous. It is for processes that open keys while [Admin.Rewrap]
// moves them from previous to current. Either of the two may lack the key of a
// purpose. If one of them is nil, every purpose is [ErrNoKeys].
func EitherKEK(current, previous KEK) KEK { return eitherKEK{current, previous} }

type eitherKEK struct{ current, previous KEK }

func (e eitherKEK) For(ctx context.Context, p purpose.Purpose) (AEAD, error) {
	if e.current == nil || e.previous == nil {
		return nil, notConfigured("nil KEK")
	}
	a := &eitherAEAD{keks: []kekClient{{}, {}}, errs: make([]error, 2)}
	for i, kek := range []KEK{e.current, e.previous} {
		a.keks[i], a.errs[i] = newKEKClient(ctx, kek, p)
	}
	if a.errs[0] != nil && a.errs[1] != nil {
		return nil, mostUseful(a.errs)
	}
	return a, nil
}

// Generate makes the key of p in current, if current is a [KeyGenerator].
func (e eitherKEK) Generate(ctx context.Context, p purpose.Purpose) error {
	return generateKEK(ctx, e.current, p)
}

// An eitherAEAD is used for one operation on one purpose. Once one of its KEKs has
// worked, the other is not asked again: it may be down.
type eitherAEAD struct {
	keks []kekClient // current and previous
	errs []error     // for each KEK, why it can't be used
}

// KeyName returns the name of the key that Encrypt uses.
func (e *eitherAEAD) KeyName() string {
	if n, ok := e.keks[0].aead.(KeyNamer); ok {
		return n.KeyName()
	}
	return ""
}

func (e *eitherAEAD) Encrypt(plaintext, associatedData []byte) ([]byte, error) {
	if e.errs[0] != nil {
		return nil, e.errs[0]
	}
	e.keks, e.errs = e.keks[:1], e.errs[:1]
	return e.keks[0].encrypt(plaintext, associatedData)
}

func (e *eitherAEAD) Decrypt(ciphertext, associatedData []byte) ([]byte, error) {
	errs := slices.Clone(e.errs)
	for i, w := range e.keks {
		if errs[i] != nil {
			continue
		}
		var plaintext []byte
		if plaintext, errs[i] = w.decrypt(ciphertext, associatedData); errs[i] == nil {
			e.keks, e.errs = e.keks[i:i+1], e.errs[i:i+1]
			return plaintext, nil
		}
	}
	return nil, mostUseful(errs)
}

// mostUseful returns the first error that is ErrUnavailable, because a key service
// that is down might have agreed. If there is none, it returns the first error.
func mostUseful(errs []error) error {
	for _, err := range errs {
		if errors.Is(err, ErrUnavailable) {
			return &joinedError{err, errs}
		}
	}
	return &joinedError{errs[0], errs}
}

// A joinedError holds the errors of several KEKs and shows one of them. The others
// count when it has to be proven that no KEK opens the keys.
type joinedError struct {
	shown error
	errs  []error
}

func (e *joinedError) Error() string { return e.shown.Error() }

func (e *joinedError) Unwrap() error { return e.shown }

// generateKEK makes the key of p in kek, if kek is a KeyGenerator.
func generateKEK(ctx context.Context, kek KEK, p purpose.Purpose) error {
	g, ok := kek.(KeyGenerator)
	if !ok {
		return nil
	}
	return kekError(g.Generate(ctx, p))
}
