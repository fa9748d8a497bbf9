package vault

import (
	"context"
	"errors"
	"slices"

	"github.com/onlyfor/onlyfor/purpose"
)

// An AEAD is authenticated encryption with associated data. Every tink.AEAD is
// one, from either of Tink's import paths.
//
// An AEAD that asks a key service should be a [ContextAEAD].
//
// An error that is one of this package's, such as [ErrUnavailable] or [ErrNoKeys],
// is handed on as it is, so it must not quote what the AEAD was given. Of all
// others, those of a context are taken for [ErrUnavailable] and the rest for
// [ErrNoKeys], and their text is never repeated.
type AEAD interface {
	// Encrypt encrypts plaintext and binds associatedData.
	Encrypt(plaintext, associatedData []byte) ([]byte, error)
	// Decrypt is the reverse, and fails for any other associatedData.
	Decrypt(ciphertext, associatedData []byte) ([]byte, error)
}

// A ContextAEAD is an [AEAD] whose calls end with a context. It has the methods
// of Tink's AEADWithContext, and a vault calls them instead of the other two.
type ContextAEAD interface {
	AEAD
	// EncryptWithContext is Encrypt, and returns an error once ctx is done.
	EncryptWithContext(ctx context.Context, plaintext, associatedData []byte) ([]byte, error)
	// DecryptWithContext is Decrypt, and returns an error once ctx is done.
	DecryptWithContext(ctx context.Context, ciphertext, associatedData []byte) ([]byte, error)
}

// A KEK (key-encryption key) wraps the keys of purposes. It is asked when
// the keys of a purpose are opened or changed, and never for a value: who may use
// a purpose is decided by who may use its KEK.
//
// A KEK that panics, or whose AEAD does, is [ErrUnavailable] to all who wait for the
// call. So is one that ends the goroutine it is called in. What it said is dropped.
//
// A KEK is used from many goroutines at once. An AEAD that it returns is used for one
// operation, so an AEAD that is returned twice is used from several as well.
//
// A KEK that can make keys is a [KeyGenerator]. Package kektest checks that a KEK
// keeps its promises.
type KEK interface {
	// For returns the AEAD that wraps the keys of purpose p. The purpose is
	// bound as associated data as well, so one AEAD may serve several.
	For(ctx context.Context, p purpose.Purpose) (AEAD, error)
}

// A KeyGenerator is a [KEK] that makes keys itself. [Vault.Generate] calls it.
type KeyGenerator interface {
	KEK
	// Generate makes the key of purpose p, and leaves the key as it is if there is
	// one already. For works when it has returned nil.
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

// KEKs is a [KEK] that has one for each purpose: for keeping the keys of
// purposes in different places. Purposes that are not in it are [ErrNoKeys].
type KEKs map[purpose.Purpose]KEK

// For asks the KEK of p.
func (m KEKs) For(ctx context.Context, p purpose.Purpose) (AEAD, error) {
	kek := m[p]
	if kek == nil {
		return nil, errNotConfigured
	}
	return kek.For(ctx, p)
}

// An unasked is a refusal that asked nobody, so it proves nothing.
type notConfigured string

var errNotConfigured error = notConfigured("no KEK for this purpose")

func (n notConfigured) Error() string { return string(n) + ": " + ErrNoKeys.Error() }
func (notConfigured) Unwrap() error   { return ErrNoKeys }

// Generate has the KEK of p make its key.
func (m KEKs) Generate(ctx context.Context, p purpose.Purpose) error {
	return generateKEK(ctx, m[p], p)
}

// SharedKEK returns a [KEK] that wraps the keys of all purposes with one AEAD,
// such as a tink.AEAD made by a Tink key-service client. Whoever may use that
// AEAD may use every purpose: where purposes belong to separate processes,
// give each purpose an AEAD of its own with [KEKs] or a [KEKFunc], or use
// [LocalKEK].
func SharedKEK(a AEAD) KEK {
	return KEKFunc(func(context.Context, purpose.Purpose) (AEAD, error) { return a, nil })
}

// EitherKEK returns a [KEK] that wraps with current, and unwraps with current or
// previous, whichever can: for processes that open keys while [Vault.Rewrap]
// moves them from the one to the other. Either may lack a purpose's key.
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

// Generate has current make its key.
func (e eitherKEK) Generate(ctx context.Context, p purpose.Purpose) error {
	return generateKEK(ctx, e.current, p)
}

// An eitherAEAD is used for one operation on one purpose. Once one of its KEKs
// has worked, the other is not asked any more: it may be down.
type eitherAEAD struct {
	keks []kekClient // current and previous
	errs []error     // of each
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

// hopeful returns the first error, unless another leaves hope: a key service
// that is down could have said yes.
func mostUseful(errs []error) error {
	for _, err := range errs {
		if errors.Is(err, ErrUnavailable) {
			return &joinedError{err, errs}
		}
	}
	return &joinedError{errs[0], errs}
}

// An eitherError is one of the errors of several KEKs. The others count when it
// has to be proven that none of them opens.
type joinedError struct {
	shown error
	errs  []error
}

func (e *joinedError) Error() string { return e.shown.Error() }

func (e *joinedError) Unwrap() error { return e.shown }

// generateKEK has kek make its key for p, if it is one that does.
func generateKEK(ctx context.Context, kek KEK, p purpose.Purpose) error {
	g, ok := kek.(KeyGenerator)
	if !ok {
		return nil
	}
	return kekError(g.Generate(ctx, p))
}
