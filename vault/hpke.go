package vault

import (
	"crypto/rand"

	"github.com/tink-crypto/tink-go/v2/hybrid"
	"github.com/tink-crypto/tink-go/v2/hybrid/hpke"
	"github.com/tink-crypto/tink-go/v2/key"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// The public-key half of the cryptography: what collectors seal with, and what
// opens it. Everything else is in cipher.go.

// hpkeParameters are those of collectors' keys: HPKE (RFC 9180) with
// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM, with the TINK prefix.
func hpkeParameters() (*hpke.Parameters, error) {
	return hpke.NewParameters(hpke.ParametersOpts{
		KEMID: hpke.DHKEM_X25519_HKDF_SHA256, KDFID: hpke.HKDFSHA256, AEADID: hpke.AES256GCM, Variant: hpke.VariantTink,
	})
}

// A publicKey wraps the keys of a collector's slots. It opens nothing.
type publicKey struct {
	id    [format.KeyIDSize]byte // Tink's output prefix
	bytes [format.EncSize]byte
	enc   tink.HybridEncrypt
}

// newPublicKey returns the X25519 public key of that id, ready for use.
func newPublicKey(id uint32, bytes []byte) (*publicKey, error) {
	params, err := hpkeParameters()
	if err != nil {
		return nil, errKeyset
	}
	pub, err := hpke.NewPublicKey(bytes, id, params)
	if err != nil {
		return nil, errKeyset
	}
	return publicKeyOf(pub)
}

// reduced reports whether an X25519 public key is below 2^255-19 (RFC 7748,
// section 5), as every one that was computed is. Others are second spellings of
// keys; HPKE binds the spelling, so nothing that is sealed for one ever opens.
func reduced(u []byte) bool {
	if u[31] != 0x7f {
		return u[31] < 0x7f
	}
	for _, b := range u[1:31] {
		if b != 0xff {
			return true
		}
	}
	return u[0] < 0xed
}

func publicKeyOf(pub *hpke.PublicKey) (*publicKey, error) {
	m := keyset.NewManager()
	id, err := m.AddKey(pub)
	if err != nil || m.SetPrimary(id) != nil {
		return nil, errKeyset
	}
	h, err := m.Handle()
	if err != nil {
		return nil, errKeyset
	}
	k := &publicKey{id: [format.KeyIDSize]byte(pub.OutputPrefix()), bytes: [format.EncSize]byte(pub.PublicKeyBytes())}
	if k.enc, err = hybrid.NewHybridEncrypt(h); err != nil {
		return nil, errKeyset
	}
	return k, nil
}

// A slotKey seals the slots of a collector with a random key, and puts the same
// key, wrapped for the purpose, in front of each.
type slotKey struct {
	seal func(dst, plaintext, aad []byte) []byte
}

// newSlotKey makes a key and wraps it. The only plaintexts that it protects are
// those of one value, or of one batch.
func (k *publicKey) newSlotKey(p purpose.Purpose) (*slotKey, error) {
	dek := make([]byte, format.DEKSize)
	defer clear(dek)
	rand.Read(dek)
	wrapped, err := k.enc.Encrypt(dek, format.AppendCollectorInfo(nil, p.String()))
	if err != nil || len(wrapped) != format.WrappedKeySize {
		return nil, ErrUnavailable
	}
	gcm, err := newGCM(dek)
	if err != nil {
		return nil, ErrUnavailable
	}
	return &slotKey{func(dst, plaintext, aad []byte) []byte {
		return gcm.Seal(append(dst, wrapped...), nil, plaintext, aad)
	}}, nil
}

// A collectSet opens what collectors sealed, with every key of a keyset that is
// not retired.
type collectSet struct {
	primary *hpke.PublicKey
	ids     map[[format.KeyIDSize]byte]struct{}
	dec     tink.HybridDecrypt
}

func newCollectSet(h *keyset.Handle) (*collectSet, error) {
	c := &collectSet{ids: make(map[[format.KeyIDSize]byte]struct{}, h.Len())}
	params, err := hpkeParameters()
	if err != nil {
		return nil, errKeyset
	}
	for i := range h.Len() {
		e, err := h.Entry(i)
		if err != nil {
			return nil, errKeyset
		}
		priv, ok := e.Key().(*hpke.PrivateKey)
		if !ok || !priv.Parameters().Equal(key.Parameters(params)) {
			return nil, errKeyset
		}
		if e.KeyStatus() != keyset.Enabled {
			continue
		}
		c.ids[[format.KeyIDSize]byte(priv.OutputPrefix())] = struct{}{}
		if e.IsPrimary() {
			pub, err := priv.PublicKey()
			if err != nil {
				return nil, errKeyset
			}
			c.primary, _ = pub.(*hpke.PublicKey)
		}
	}
	if c.primary == nil {
		return nil, errKeyset
	}
	if c.dec, err = hybrid.NewHybridDecrypt(h); err != nil {
		return nil, errKeyset
	}
	return c, nil
}

// knows reports whether the key that sealed names is one of c's, which may be
// nil.
func (c *collectSet) knows(sealed []byte) bool {
	if c == nil || len(sealed) < format.KeyIDSize {
		return false
	}
	_, known := c.ids[[format.KeyIDSize]byte(sealed)]
	return known
}

// open appends the plaintext of a collector's slot of purpose p to dst.
func (c *collectSet) open(dst []byte, p purpose.Purpose, sealed, aad []byte) ([]byte, error) {
	if !c.knows(sealed) {
		return dst, ErrCorrupt
	}
	dek, err := c.dec.Decrypt(sealed[:format.WrappedKeySize:format.WrappedKeySize], format.AppendCollectorInfo(nil, p.String()))
	if err != nil || len(dek) != format.DEKSize {
		return dst, ErrCorrupt
	}
	defer clear(dek)
	gcm, err := newGCM(dek)
	if err != nil {
		return dst, ErrCorrupt
	}
	out, err := gcm.Open(dst, nil, sealed[format.WrappedKeySize:], aad)
	if err != nil {
		return dst, ErrCorrupt
	}
	return out, nil
}
