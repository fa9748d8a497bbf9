package piitest

import (
	"bytes"
	"context"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// KEK returns k behind the outage. Its AEADs take contexts, even if the AEADs of k do
// not.
func (o *Outage) KEK(k vault.KEK) vault.KEK { return &outageKEK{o, k} }

type outageKEK struct {
	outage *Outage
	kek    vault.KEK
}

func (k *outageKEK) For(ctx context.Context, p purpose.Purpose) (vault.AEAD, error) {
	fault, err := k.outage.meet(ctx, KEKFor, p)
	if err != nil {
		return nil, err
	}
	a, err := k.kek.For(ctx, p)
	switch {
	case err != nil || a == nil:
		return nil, err
	case fault == Lose:
		return nil, lost(KEKFor)
	case fault == Garbage:
		return garbageAEAD{}, nil
	}
	return &outageAEAD{k.outage, a, p, ctx}, nil
}

// Generate makes the key of p if k is a KEK that makes keys.
func (k *outageKEK) Generate(ctx context.Context, p purpose.Purpose) error {
	g, ok := k.kek.(interface {
		Generate(context.Context, purpose.Purpose) error
	})
	if !ok {
		return nil
	}
	fault, err := k.outage.meet(ctx, KEKGenerate, p)
	if err != nil || fault == Garbage {
		return err
	}
	if err = g.Generate(ctx, p); err == nil && fault == Lose {
		return lost(KEKGenerate)
	}
	return err
}

type outageAEAD struct {
	outage  *Outage
	aead    vault.AEAD
	purpose purpose.Purpose
	ctx     context.Context // of For, for calls without a context
}

// A contextAEAD is Tink's AEADWithContext.
type contextAEAD interface {
	EncryptWithContext(ctx context.Context, plaintext, associatedData []byte) ([]byte, error)
	DecryptWithContext(ctx context.Context, ciphertext, associatedData []byte) ([]byte, error)
}

func (a *outageAEAD) Encrypt(plaintext, associatedData []byte) ([]byte, error) {
	return a.EncryptWithContext(a.ctx, plaintext, associatedData)
}

func (a *outageAEAD) Decrypt(ciphertext, associatedData []byte) ([]byte, error) {
	return a.DecryptWithContext(a.ctx, ciphertext, associatedData)
}

func (a *outageAEAD) EncryptWithContext(ctx context.Context, plaintext, associatedData []byte) ([]byte, error) {
	return a.call(ctx, KEKEncrypt, func() ([]byte, error) {
		if with, ok := a.aead.(contextAEAD); ok {
			return with.EncryptWithContext(ctx, plaintext, associatedData)
		}
		return a.aead.Encrypt(plaintext, associatedData)
	})
}

func (a *outageAEAD) DecryptWithContext(ctx context.Context, ciphertext, associatedData []byte) ([]byte, error) {
	return a.call(ctx, KEKDecrypt, func() ([]byte, error) {
		if with, ok := a.aead.(contextAEAD); ok {
			return with.DecryptWithContext(ctx, ciphertext, associatedData)
		}
		return a.aead.Decrypt(ciphertext, associatedData)
	})
}

func (a *outageAEAD) call(ctx context.Context, call Call, f func() ([]byte, error)) ([]byte, error) {
	fault, err := a.outage.meet(ctx, call, a.purpose)
	if err != nil {
		return nil, err
	}
	if fault == Garbage {
		return garbage(), nil
	}
	out, err := f()
	if err == nil && fault == Lose {
		return nil, lost(call)
	}
	return out, err
}

// garbage has the size of a key, so that nothing but its content is wrong.
func garbage() []byte { return bytes.Repeat([]byte{0x5a}, 32) }

// garbageAEAD answers every call with garbage.
type garbageAEAD struct{}

func (garbageAEAD) Encrypt(_, _ []byte) ([]byte, error) { return garbage(), nil }
func (garbageAEAD) Decrypt(_, _ []byte) ([]byte, error) { return garbage(), nil }
