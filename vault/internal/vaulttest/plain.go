package vaulttest

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Plain is a Tink AEAD keyset as an application without onlyfor has it.
type Plain struct {
	tink.AEAD
	Binary, JSON []byte
	Handle       *keyset.Handle
}

// NewPlain returns a keyset with fresh keys, the last of them primary.
func NewPlain(t testing.TB, templates ...*tinkpb.KeyTemplate) Plain {
	t.Helper()
	m := keyset.NewManager()
	for _, template := range templates {
		id, err := m.Add(template)
		require.NoError(t, err)
		require.NoError(t, m.SetPrimary(id))
	}
	h, err := m.Handle()
	require.NoError(t, err)
	return PlainOf(t, h)
}

// PlainOf returns a keyset that is there.
func PlainOf(t testing.TB, h *keyset.Handle) Plain {
	t.Helper()
	p := Plain{Handle: h}
	var binary, json bytes.Buffer
	require.NoError(t, insecurecleartextkeyset.Write(h, keyset.NewBinaryWriter(&binary)))
	require.NoError(t, insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&json)))
	p.Binary, p.JSON = binary.Bytes(), json.Bytes()
	p.AEAD, _ = aead.New(h)
	return p
}

// Ciphertext encrypts with the primary key.
func (p Plain) Ciphertext(t testing.TB, text, aad string) []byte {
	t.Helper()
	ciphertext, err := p.Encrypt([]byte(text), []byte(aad))
	require.NoError(t, err)
	return ciphertext
}
