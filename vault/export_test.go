package vault

import (
	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/key"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf/aescmacprf"
	"github.com/tink-crypto/tink-go/v2/secretdata"

	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// For tests that put test vectors through the primitives as they are wired here:
// associated data and inputs are the caller's, and keys take the way that those of
// a key record take.

// OpenUnder is cipherSet.open, of a keyset with this one key.
func OpenUnder(raw []byte, id uint32, dst, sealed, aad []byte) ([]byte, error) {
	c, err := cipherSetOf(raw, id)
	if err != nil {
		return nil, err
	}
	return c.open(dst, sealed, aad)
}

// SealUnder is cipherSet.seal, of a keyset with this one key.
func SealUnder(raw []byte, id uint32, plaintext, aad []byte) ([]byte, error) {
	c, err := cipherSetOf(raw, id)
	if err != nil {
		return nil, err
	}
	return c.seal(nil, plaintext, aad), nil
}

// IndexUnder is indexSet.compute, of a keyset with this one key.
func IndexUnder(raw, input []byte) ([IndexSize]byte, error) {
	k, err := aescmacprf.NewKey(secretdata.NewBytesFromData(raw, insecuresecretdataaccess.Token{}))
	if err != nil {
		return [IndexSize]byte{}, err
	}
	h, err := recordedKeyset(k)
	if err != nil {
		return [IndexSize]byte{}, err
	}
	x, err := newIndexSet(h, nil)
	if err != nil {
		return [IndexSize]byte{}, err
	}
	return x.compute(input)
}

func cipherSetOf(raw []byte, id uint32) (*cipherSet, error) {
	params, err := aesgcm.NewParameters(aesgcm.ParametersOpts{
		KeySizeInBytes: len(raw), IVSizeInBytes: format.NonceSize, TagSizeInBytes: format.TagSize, Variant: aesgcm.VariantTink,
	})
	if err != nil {
		return nil, err
	}
	k, err := aesgcm.NewKey(secretdata.NewBytesFromData(raw, insecuresecretdataaccess.Token{}), id, params)
	if err != nil {
		return nil, err
	}
	h, err := recordedKeyset(k)
	if err != nil {
		return nil, err
	}
	return newCipherSet(h, nil)
}

// recordedKeyset writes a keyset as a key record has it, and reads it again.
func recordedKeyset(k key.Key) (*keyset.Handle, error) {
	m := keyset.NewManager()
	id, err := m.AddKey(k)
	if err != nil {
		return nil, err
	}
	if err := m.SetPrimary(id); err != nil {
		return nil, err
	}
	var r keysetRecord
	if err := r.set(m); err != nil {
		return nil, err
	}
	return r.handle()
}
