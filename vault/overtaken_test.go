package vault

import (
	"context"
	"crypto/cipher"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/onlyfor/onlyfor/purpose"
)

// overtaken is a subject's cipher during whose work the subject is erased.
type overtaken struct {
	cipher.AEAD
	sealing bool // only while it seals
	erase   func()
}

func (o overtaken) Seal(dst, nonce, plaintext, aad []byte) []byte {
	o.erase()
	return o.AEAD.Seal(dst, nonce, plaintext, aad)
}

func (o overtaken) Open(dst, nonce, ciphertext, aad []byte) ([]byte, error) {
	if !o.sealing {
		o.erase()
	}
	return o.AEAD.Open(dst, nonce, ciphertext, aad)
}

// An operation that has a subject's key in hand while the subject is erased does
// not succeed after it.
func TestErasureOvertakesKeysInUse(t *testing.T) {
	kind := MustKind("note", "vault.Note")
	p, other := purpose.MustParse("security"), purpose.MustParse("billing")
	for name, use := range map[string]func(context.Context, *Vault, *Scope, Sealed) error{
		"reveal": func(ctx context.Context, _ *Vault, s *Scope, v Sealed) error {
			_, err := s.Reveal(ctx, kind, v)
			return err
		},
		"seal": func(ctx context.Context, _ *Vault, s *Scope, _ Sealed) error {
			_, err := Seal(ctx, kind, "text", s)
			return err
		},
		"reseal": func(ctx context.Context, _ *Vault, s *Scope, v Sealed) error {
			_, err := Reseal(ctx, kind, v, s)
			return err
		},
		"extend to": func(ctx context.Context, v *Vault, s *Scope, _ Sealed) error {
			other, err := v.Scope(ctx, other)
			if err != nil {
				return err
			}
			plain, err := Seal(ctx, kind, "text", other)
			if err != nil {
				return err
			}
			_, err = Extend(ctx, kind, plain, other, s.Under(purpose.Basis{Consent: "c-1"}))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			kek, err := subtle.NewAESGCM(make([]byte, 32))
			require.NoError(t, err)
			v, err := Open(t.Context(), Memory(), SharedKEK(kek), nil)
			require.NoError(t, err)
			defer v.Close()
			require.NoError(t, v.Generate(t.Context(), p, other))
			s, err := v.Scope(t.Context(), p)
			require.NoError(t, err)
			s = s.For("alice")
			value, err := Seal(t.Context(), kind, "text", s)
			require.NoError(t, err)
			require.NoError(t, use(t.Context(), v, s, value))

			key, known := s.opened.subjects.Load().get("alice")
			require.True(t, known)
			key.gcm = overtaken{key.gcm, name == "reseal", func() {
				_, err := v.Erase(t.Context(), "alice", p)
				require.NoError(t, err)
			}}
			require.ErrorIs(t, use(t.Context(), v, s, value), ErrErased)
		})
	}
}
