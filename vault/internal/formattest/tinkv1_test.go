package formattest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/hybrid"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// The files in vault/testdata/tinkv1 were written by github.com/google/tink/go v1.7.0.
// The module internal/tinkv1 writes them, and says what they are.

// A tinkV1Value is what v1.7.0 encrypted.
type tinkV1Value struct {
	Plaintext      string `json:"plaintext"`
	AssociatedData []byte `json:"associated_data"`
	Ciphertext     []byte `json:"ciphertext"`
	Disabled       bool   `json:"disabled"` // the key that it is encrypted under
}

func tinkV1File(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../testdata/tinkv1", name))
	require.NoError(t, err)
	return data
}

func tinkV1Values(t testing.TB, name string) []tinkV1Value {
	t.Helper()
	var values []tinkV1Value
	require.NoError(t, json.Unmarshal(tinkV1File(t, name), &values))
	require.NotEmpty(t, values)
	return values
}

// tinkV1Keysets returns a keyset that is in clear, from either of its forms.
func tinkV1Keysets(t testing.TB, name string) map[string]*keyset.Handle {
	t.Helper()
	fromJSON, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(tinkV1File(t, name+".json"))))
	require.NoError(t, err)
	fromBinary, err := insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(tinkV1File(t, name+".bin"))))
	require.NoError(t, err)
	return map[string]*keyset.Handle{"JSON": fromJSON, "binary": fromBinary}
}

func requireTinkV1Values(t testing.TB, values []tinkV1Value, decrypt func(ciphertext, associatedData []byte) ([]byte, error)) {
	t.Helper()
	for i, v := range values {
		plaintext, err := decrypt(v.Ciphertext, v.AssociatedData)
		if v.Disabled {
			require.Error(t, err, i)
			continue
		}
		require.NoError(t, err, i)
		require.True(t, string(plaintext) == v.Plaintext, "value %d is another", i)
		_, err = decrypt(v.Ciphertext, append(v.AssociatedData, 0))
		require.Error(t, err, i)
	}
}

func TestTinkV1CiphertextsOpen(t *testing.T) {
	values := tinkV1Values(t, "aead.values.json")
	for form, h := range tinkV1Keysets(t, "aead") {
		t.Run(form, func(t *testing.T) {
			requireTinkV1Values(t, values, tinkAEAD(t, h).Decrypt)
			primary, err := h.Primary()
			require.NoError(t, err)
			first, err := h.Entry(0)
			require.NoError(t, err)
			require.NotEqual(t, first.KeyID(), primary.KeyID(), "the premise: a keyset with a history")
		})
	}
	kek := tinkAEAD(t, tinkV1Keysets(t, "kek")["JSON"])
	t.Run("encrypted JSON", func(t *testing.T) {
		h, err := keyset.Read(keyset.NewJSONReader(bytes.NewReader(tinkV1File(t, "aead.encrypted.json"))), kek)
		require.NoError(t, err)
		requireTinkV1Values(t, values, tinkAEAD(t, h).Decrypt)
	})
	t.Run("encrypted binary with associated data", func(t *testing.T) {
		read := func(associatedData string) (*keyset.Handle, error) {
			r := keyset.NewBinaryReader(bytes.NewReader(tinkV1File(t, "aead.encrypted.bin")))
			return keyset.ReadWithAssociatedData(r, kek, []byte(associatedData))
		}
		h, err := read("onlyfor/testdata")
		require.NoError(t, err)
		requireTinkV1Values(t, values, tinkAEAD(t, h).Decrypt)
		_, err = read("")
		require.Error(t, err)
	})
}

func TestTinkV1HybridOpens(t *testing.T) {
	for form, h := range tinkV1Keysets(t, "hpke") {
		t.Run(form, func(t *testing.T) {
			dec, err := hybrid.NewHybridDecrypt(h)
			require.NoError(t, err)
			requireTinkV1Values(t, tinkV1Values(t, "hpke.values.json"), dec.Decrypt)

			public, err := keyset.ReadWithNoSecrets(keyset.NewJSONReader(bytes.NewReader(tinkV1File(t, "hpke.public.json"))))
			require.NoError(t, err)
			enc, err := hybrid.NewHybridEncrypt(public)
			require.NoError(t, err)
			ciphertext, err := enc.Encrypt([]byte(vaulttest.Address), nil)
			require.NoError(t, err)
			plaintext, err := dec.Decrypt(ciphertext, nil)
			require.NoError(t, err)
			require.True(t, string(plaintext) == vaulttest.Address, "another plaintext")
		})
	}
}

// Pseudorandom functions give the same, and so does an index under such a keyset:
// one of the outputs is that of the index input that FORMAT.md specifies.
func TestTinkV1OutputsAreTheSame(t *testing.T) {
	var outputs []struct{ Input, Output []byte }
	require.NoError(t, json.Unmarshal(tinkV1File(t, "prf.outputs.json"), &outputs))
	const indexed = "idx1\x05email\x08security"
	found := false
	for form, h := range tinkV1Keysets(t, "prf") {
		set, err := prf.NewPRFSet(h)
		require.NoError(t, err)
		ks := newTinkKeysets(t)
		ks.index = h
		scope := tinkScope(t, "security", ks.seal, ks)
		for _, o := range outputs {
			got, err := set.ComputePrimaryPRF(o.Input, uint32(len(o.Output)))
			require.NoError(t, err)
			require.True(t, bytes.Equal(o.Output, got), form)
			if canonical, ok := bytes.CutPrefix(o.Input, []byte(indexed)); ok {
				found = true
				index, err := scope.Index(t.Context(), vaulttest.Email, string(canonical))
				require.NoError(t, err)
				require.True(t, bytes.Equal(o.Output, index[:]), form)
			}
		}
	}
	require.True(t, found, "no output for an index")
}

// Ciphertexts that an application made with plain v1.7.0 are opened with its keyset
// and sealed, as the example of package pii does it.
func TestTinkV1CiphertextsAreSealed(t *testing.T) {
	ctx := t.Context()
	for form, read := range map[string]func(data []byte) keyset.Reader{
		"aead.json": func(data []byte) keyset.Reader { return keyset.NewJSONReader(bytes.NewReader(data)) },
		"aead.bin":  func(data []byte) keyset.Reader { return keyset.NewBinaryReader(bytes.NewReader(data)) },
	} {
		t.Run(form, func(t *testing.T) {
			v := vaulttest.OpenKept(t, vault.Memory(), vault.SharedKEK(tinkAEAD(t, newTinkKeysets(t).seal)))
			require.NoError(t, v.Generate(ctx, vaulttest.Purposes...))
			mine, err := v.Scope(ctx, vaulttest.Purposes[0])
			require.NoError(t, err)
			handle, err := insecurecleartextkeyset.Read(read(tinkV1File(t, form)))
			require.NoError(t, err)
			old, err := aead.New(handle)
			require.NoError(t, err)
			for i, value := range tinkV1Values(t, "aead.values.json") {
				_, err := old.Decrypt(value.Ciphertext, append(value.AssociatedData, 0))
				require.Error(t, err, i)
				plaintext, err := old.Decrypt(value.Ciphertext, value.AssociatedData)
				if value.Disabled {
					require.Error(t, err, i)
					continue
				}
				require.NoError(t, err, i)
				sealed, err := vault.Seal(ctx, vaulttest.Email, string(plaintext), mine)
				require.NoError(t, err, i)
				got, err := mine.Reveal(ctx, vaulttest.Email, sealed)
				require.NoError(t, err, i)
				require.True(t, got == value.Plaintext, "value %d is another", i)
			}
		})
	}
}

// A key record that an AEAD of v1.7.0 wrapped, as KEK, opens with the same keyset
// under the new path, and so does what was sealed with the keys in it.
func TestTinkV1WrappedKeysOpen(t *testing.T) {
	text := bytes.TrimSuffix(tinkV1File(t, "sealed.txt"), []byte("\n"))
	sealed, err := vault.ParseSealed(string(text))
	require.NoError(t, err)
	for form, h := range tinkV1Keysets(t, "kek") {
		t.Run(form, func(t *testing.T) {
			scope, err := vaulttest.OpenRecord(t, tinkAEAD(t, h), "security", tinkV1File(t, "record.bin"))
			require.NoError(t, err)
			plaintext, err := scope.Reveal(t.Context(), vaulttest.Email, sealed)
			require.NoError(t, err)
			require.True(t, plaintext == "ada@example.com", "another plaintext")
		})
	}
	other := tinkAEAD(t, newTinkKeysets(t).seal)
	_, err = vaulttest.OpenRecord(t, other, "security", tinkV1File(t, "record.bin"))
	require.ErrorIs(t, err, vault.ErrNoKeys)
}

var _ vault.AEAD = tink.AEAD(nil)
