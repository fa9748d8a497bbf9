package otel

import (
	"context"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// KEK returns a KEK that makes the calls of the given one, each in a span
// (onlyfor.kek.for, wrap, unwrap, generate) and in the histogram onlyfor.kek.duration. A
// span has the purpose. A nil KEK stays nil.
//
// The KEK is a vault.KeyGenerator if the given one is, and its AEADs are a
// vault.ContextAEAD and a vault.KeyNamer if those of the given one are.
func KEK(kek vault.KEK, opts *Options) vault.KEK {
	if kek == nil {
		return nil
	}
	k := &tracedKEK{kek, newCalls(opts, "onlyfor.kek.", "Time of calls of the key service.")}
	if g, ok := kek.(vault.KeyGenerator); ok {
		return &tracedGenerator{k, g}
	}
	return k
}

type tracedKEK struct {
	kek   vault.KEK
	calls *calls
}

func (k *tracedKEK) For(ctx context.Context, p purpose.Purpose) (vault.AEAD, error) {
	inner, call := k.calls.start(ctx, "for", purposeKey.String(p.String()))
	result := broken // unless For returns
	defer func() { call.end(result) }()
	a, err := k.kek.For(inner, p)
	result = resultOf(err)
	if err != nil || a == nil {
		return nil, err
	}
	return wrap(tracedAEAD{ctx, a, p, k.calls}), nil
}

type tracedGenerator struct {
	*tracedKEK
	generator vault.KeyGenerator
}

func (k *tracedGenerator) Generate(ctx context.Context, p purpose.Purpose) error {
	ctx, call := k.calls.start(ctx, "generate", purposeKey.String(p.String()))
	result := broken
	defer func() { call.end(result) }()
	err := k.generator.Generate(ctx, p)
	result = resultOf(err)
	return err
}

// wrap returns a with the optional methods that its AEAD has.
func wrap(a tracedAEAD) vault.AEAD {
	withContext, inContext := a.aead.(vault.ContextAEAD)
	namer, named := a.aead.(vault.KeyNamer)
	switch {
	case inContext && named:
		return &struct {
			contextAEAD
			keyName
		}{contextAEAD{a, withContext}, keyName{namer}}
	case inContext:
		return &contextAEAD{a, withContext}
	case named:
		return &struct {
			tracedAEAD
			keyName
		}{a, keyName{namer}}
	}
	return &a
}

// A tracedAEAD is an AEAD without a context of its own. Its spans are in the context of
// For: a vault uses the AEAD for one operation.
type tracedAEAD struct {
	ctx     context.Context
	aead    vault.AEAD
	purpose purpose.Purpose
	calls   *calls
}

func (a *tracedAEAD) Encrypt(plaintext, associatedData []byte) ([]byte, error) {
	return a.call(a.ctx, "wrap", func(context.Context) ([]byte, error) { return a.aead.Encrypt(plaintext, associatedData) })
}

func (a *tracedAEAD) Decrypt(ciphertext, associatedData []byte) ([]byte, error) {
	return a.call(a.ctx, "unwrap", func(context.Context) ([]byte, error) { return a.aead.Decrypt(ciphertext, associatedData) })
}

func (a *tracedAEAD) call(ctx context.Context, name string, f func(context.Context) ([]byte, error)) ([]byte, error) {
	ctx, call := a.calls.start(ctx, name, purposeKey.String(a.purpose.String()))
	result := broken
	defer func() { call.end(result) }()
	out, err := f(ctx)
	result = resultOf(err)
	return out, err
}

type contextAEAD struct {
	tracedAEAD
	withContext vault.ContextAEAD
}

func (a *contextAEAD) EncryptWithContext(ctx context.Context, plaintext, associatedData []byte) ([]byte, error) {
	return a.call(ctx, "wrap", func(ctx context.Context) ([]byte, error) {
		return a.withContext.EncryptWithContext(ctx, plaintext, associatedData)
	})
}

func (a *contextAEAD) DecryptWithContext(ctx context.Context, ciphertext, associatedData []byte) ([]byte, error) {
	return a.call(ctx, "unwrap", func(ctx context.Context) ([]byte, error) {
		return a.withContext.DecryptWithContext(ctx, ciphertext, associatedData)
	})
}

// keyName has the one method of a vault.KeyNamer that is not one of an AEAD.
type keyName struct{ namer vault.KeyNamer }

func (n keyName) KeyName() string { return n.namer.KeyName() }
