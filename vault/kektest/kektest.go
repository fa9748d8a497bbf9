// Package kektest checks that a [vault.KEK] keeps its contract.
//
// Call [Run] from a test of your own KEK:
//
//	func TestKEK(t *testing.T) {
//		kektest.Run(t, func(t testing.TB) vault.KEK {
//			return mykek.New(newKeyService(t)) // stopped by t.Cleanup
//		}, nil)
//	}
//
// [Options] adds checks that need help: a process without a grant, a key service
// that does not answer, a second process. A KEK of a key service should have all
// three.
//
// A test can't show who holds the grants of the real key service. That remains with
// the author of its policies, and with [vault.Vault.CheckDenied] at start.
package kektest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// Options describe the KEK. Nil is the same as Options{}.
type Options struct {
	// Purposes are the two purposes that the checks wrap keys for: security and
	// advertising by default.
	Purposes [2]purpose.Purpose

	// Shared says that one key wraps the keys of all purposes, as with
	// [vault.SharedKEK]. The associated data alone then tells purposes apart.
	Shared bool

	// Reopen returns another KEK with the keys of the one that newKEK returned last,
	// as another process has. By default it is the same KEK.
	Reopen func(t testing.TB) vault.KEK

	// Denied returns the KEK of a process that may not use the keys of the KEK that
	// newKEK returned last. Nil skips the check that a denied grant is
	// [vault.ErrAccessDenied].
	Denied func(t testing.TB) vault.KEK

	// Hang makes the key service of the KEK that newKEK returned last stop answering
	// until the test ends, and returns a channel that receives a value for each
	// call that hangs. Nil skips the check that a context ends a call under way.
	Hang func(t testing.TB) <-chan struct{}
}

// Run checks everything that the documentation of [vault.KEK], [vault.AEAD],
// [vault.ContextAEAD] and [vault.KeyGenerator] promises, in subtests. Each calls
// newKEK for a KEK that can wrap keys for both [Options.Purposes], and whose keys no
// other KEK has. If it is a [vault.KeyGenerator], Run calls Generate first.
//
// Run it with the race detector. It takes a few hundred calls of the key service.
func Run(t *testing.T, newKEK func(t testing.TB) vault.KEK, opts *Options) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { c.run(newSuite(t, newKEK, opts)) })
	}
}

var checks = []struct {
	name string
	run  func(*suite)
}{
	{"a wrapped key unwraps", roundTrip},
	{"a wrapped key hides the key", hidden},
	{"slices belong to the caller", ownSlices},
	{"another process unwraps", reopened},
	{"calls with and without a context are interchangeable", contextFree},
	{"other associated data is refused", otherData},
	{"the key of another purpose is refused", otherPurpose},
	{"a changed bit is refused", changedBits},
	{"a part is refused", parts},
	{"empty input is refused", empty},
	{"huge input is refused", huge},
	{"a purpose without a key is refused", noKey},
	{"a refusal is not an outage", refusals},
	{"damage is not a denied grant", damage},
	{"a denied grant is ErrAccessDenied", denied},
	{"an error repeats no input", quiet},
	{"a cancelled context is an error", cancelled},
	{"a context ends a call under way", hanging},
	{"goroutines share a KEK", concurrent},
	{"generate keeps a key that is there", generateAgain},
	{"generated keys differ", generatedDiffer},
	{"of many generators one makes the key", generateTogether},
}

// A suite is one check at work, with a KEK of its own. Its methods stop the check
// when the KEK does not do as asked.
type suite struct {
	testing.TB
	opts   Options
	newKEK func(testing.TB) vault.KEK

	kek          vault.KEK
	mine, theirs purpose.Purpose
	patience     time.Duration // for a call that nothing delays, on a busy machine
}

func newSuite(t testing.TB, newKEK func(testing.TB) vault.KEK, opts *Options) *suite {
	s := &suite{TB: t, newKEK: newKEK, patience: time.Minute}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.Purposes == ([2]purpose.Purpose{}) {
		s.opts.Purposes = [2]purpose.Purpose{purpose.MustParse("security"), purpose.MustParse("advertising")}
	}
	s.mine, s.theirs = s.opts.Purposes[0], s.opts.Purposes[1]
	s.kek = s.fresh()
	if g, ok := s.kek.(vault.KeyGenerator); ok {
		s.generate(g, s.mine)
		s.generate(g, s.theirs)
	}
	return s
}

// fresh returns a new KEK, which has made no keys yet.
func (s *suite) fresh() vault.KEK {
	kek := s.newKEK(s)
	if kek == nil {
		s.Fatal("newKEK returned nil")
	}
	return kek
}

// reopen returns another KEK with the keys of the last one.
func (s *suite) reopen() vault.KEK {
	if s.opts.Reopen == nil {
		return s.kek
	}
	return s.opts.Reopen(s)
}

func (s *suite) generate(g vault.KeyGenerator, p purpose.Purpose) {
	s.Helper()
	if err := g.Generate(s.Context(), p); err != nil {
		s.Fatalf("Generate for %s: %v", p, err)
	}
}

// generator returns the KEK as a KeyGenerator, or skips the check.
func (s *suite) generator() vault.KeyGenerator {
	g, ok := s.kek.(vault.KeyGenerator)
	if !ok {
		s.Skip("not a vault.KeyGenerator")
	}
	return g
}

// aead returns the AEAD of p.
func (s *suite) aead(kek vault.KEK, p purpose.Purpose) vault.AEAD {
	s.Helper()
	a, err := kek.For(s.Context(), p)
	if err != nil {
		s.Fatalf("For %s: %v", p, err)
	}
	if a == nil {
		s.Fatalf("For %s returned neither an AEAD nor an error", p)
	}
	return a
}

// wrap encrypts a key for p.
func (s *suite) wrap(a vault.AEAD, p purpose.Purpose, key []byte) []byte {
	s.Helper()
	wrapped, err := encrypt(s.Context(), a, key, bound(p))
	switch {
	case err != nil:
		s.Fatalf("wrapping a key for %s: %v", p, err)
	case len(wrapped) == 0 || len(wrapped) > maxWrapped:
		s.Fatalf("a wrapped key has %d bytes, want 1 to %d", len(wrapped), maxWrapped)
	}
	return wrapped
}

// unwraps checks that a decrypts a key that was wrapped for p.
func (s *suite) unwraps(a vault.AEAD, p purpose.Purpose, wrapped, key []byte) {
	s.Helper()
	got, err := decrypt(s.Context(), a, wrapped, bound(p))
	if err != nil {
		s.Fatalf("unwrapping a key of %s: %v", p, err)
	}
	if !bytes.Equal(got, key) {
		s.Fatalf("a wrapped key of %s unwrapped to %d other bytes", p, len(got))
	}
}

// refuses checks that a decrypts nothing with that associated data.
func (s *suite) refuses(a vault.AEAD, wrapped, associatedData []byte, input string) {
	s.Helper()
	if _, err := decrypt(s.Context(), a, wrapped, associatedData); err == nil {
		s.Errorf("%s: unwrapped without an error", input)
	}
}

// encrypt and decrypt call a as a vault does: with the context where a takes one, and
// with copies.
func encrypt(ctx context.Context, a vault.AEAD, plaintext, associatedData []byte) ([]byte, error) {
	plaintext, associatedData = bytes.Clone(plaintext), bytes.Clone(associatedData)
	if c, ok := a.(vault.ContextAEAD); ok {
		return c.EncryptWithContext(ctx, plaintext, associatedData)
	}
	return a.Encrypt(plaintext, associatedData)
}

func decrypt(ctx context.Context, a vault.AEAD, ciphertext, associatedData []byte) ([]byte, error) {
	ciphertext, associatedData = bytes.Clone(ciphertext), bytes.Clone(associatedData)
	if c, ok := a.(vault.ContextAEAD); ok {
		return c.DecryptWithContext(ctx, ciphertext, associatedData)
	}
	return a.Decrypt(ciphertext, associatedData)
}

// bound returns the associated data that a vault with this id binds when it wraps a key
// for p.
// The policies of a key service may demand it.
func bound(p purpose.Purpose) []byte {
	return []byte("onlyfor purpose-keys " + p.String() + " 000102030405060708090a0b0c0d0e0f")
}

// The size of a key, and of the longest wrapped key that fits a key record.
const (
	keySize    = 32
	maxWrapped = 1<<16 - 1
)

func newKey() []byte {
	key := make([]byte, keySize)
	rand.Read(key)
	return key
}

// isOutage reports whether a vault takes err for a key service that is down.
func isOutage(err error) bool {
	for _, outage := range []error{vault.ErrUnavailable, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, outage) {
			return true
		}
	}
	return false
}
