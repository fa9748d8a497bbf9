package vault

import (
	"crypto/aes"
	"crypto/cipher"
	cryptorand "crypto/rand"
	"encoding/binary"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/key"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/prf/aescmacprf"

	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// Every cryptographic primitive of this package is called in this file, and
// those with public keys in hpke.go.

// IndexSize is the size of a blind index, in bytes: 128 bits, so that among
// 280 million values a false match is not to be expected.
const IndexSize = 16

var errKeyset = errors.New("not a keyset of this purpose")

// parameters are those of new keys. Seal keys are AES-256-GCM with the TINK
// prefix, which puts the key's id before every ciphertext, so that opening never
// tries keys. Those of indexes and pseudonyms are AES-CMAC PRF keys: an index needs no more than a
// PRF, and of Tink's it is the one that costs a tenth of the others.
func (r Role) parameters() (key.Parameters, error) {
	switch r {
	case RoleCollect:
		return hpkeParameters()
	case RoleSeal:
		return aesgcm.NewParameters(aesgcm.ParametersOpts{
			KeySizeInBytes: 32, IVSizeInBytes: format.NonceSize, TagSizeInBytes: format.TagSize, Variant: aesgcm.VariantTink,
		})
	}
	p, err := aescmacprf.NewParameters(32)
	return &p, err
}

// addKey puts a fresh primary key into a keyset.
func addKey(m *keyset.Manager, role Role) (id uint32, err error) {
	params, err := role.parameters()
	if err != nil {
		return 0, err
	}
	if id, err = m.AddNewKeyFromParameters(params); err != nil {
		return 0, err
	}
	return id, m.SetPrimary(id)
}

// newSealKeyset makes a keyset with one seal key.
func newSealKeyset() (*keyset.Handle, error) {
	m := keyset.NewManager()
	if _, err := addKey(m, RoleSeal); err != nil {
		return nil, err
	}
	return m.Handle()
}

// A cipherSet seals with one key of an AES-256-GCM keyset and opens with all
// of them. It reads and writes exactly what Tink does with the same keyset,
// but calls the standard library: that allocates less, and also works under
// GODEBUG=fips140=only.
type cipherSet struct {
	primary    [format.KeyIDSize]byte
	primaryGCM cipher.AEAD
	byID       map[[format.KeyIDSize]byte]cipher.AEAD // the primary one too
}

// key returns the key that sealed names, nil if it is none of c's.
func (c *cipherSet) key(sealed []byte) cipher.AEAD {
	if c.onPrimary(sealed) { // as nearly all are
		return c.primaryGCM
	}
	if len(sealed) < format.KeyIDSize {
		return nil
	}
	return c.byID[[format.KeyIDSize]byte(sealed)]
}

func newCipherSet(h *keyset.Handle) (*cipherSet, error) {
	c := &cipherSet{byID: make(map[[format.KeyIDSize]byte]cipher.AEAD, h.Len())}
	for i := range h.Len() {
		e, err := h.Entry(i)
		if err != nil {
			return nil, errKeyset
		}
		if e.KeyStatus() != keyset.Enabled {
			continue
		}
		key, ok := e.Key().(*aesgcm.Key)
		if !ok {
			return nil, errKeyset
		}
		p, ok := key.Parameters().(*aesgcm.Parameters)
		if !ok || p.Variant() != aesgcm.VariantTink || p.KeySizeInBytes() != 32 || p.IVSizeInBytes() != format.NonceSize || p.TagSizeInBytes() != format.TagSize {
			return nil, errKeyset
		}
		gcm, err := newGCM(key.KeyBytes().Data(insecuresecretdataaccess.Token{}))
		if err != nil {
			return nil, errKeyset
		}
		prefix := [format.KeyIDSize]byte(key.OutputPrefix())
		c.byID[prefix] = gcm
		if e.IsPrimary() {
			c.primary = prefix
		}
	}
	if c.primaryGCM = c.byID[c.primary]; c.primaryGCM == nil {
		return nil, errKeyset
	}
	return c, nil
}

// newGCM returns AES-GCM whose Seal chooses a random nonce and puts it first.
// 2^32 seals under one key are within what NIST SP 800-38D allows for these.
func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal appends the key's id, a nonce, the ciphertext and its tag to dst, which
// must not overlap plaintext.
func (c *cipherSet) seal(dst, plaintext, aad []byte) []byte {
	dst = append(dst, c.primary[:]...)
	return c.primaryGCM.Seal(dst, nil, plaintext, aad)
}

// knows reports whether the key that sealed names is one of c's.
func (c *cipherSet) knows(sealed []byte) bool {
	return c.key(sealed) != nil
}

// onPrimary reports whether sealed names the key that c seals with.
func (c *cipherSet) onPrimary(sealed []byte) bool {
	return len(sealed) >= format.KeyIDSize && [format.KeyIDSize]byte(sealed) == c.primary
}

// open appends the plaintext of sealed to dst, which must not overlap sealed.
// The id in front chooses among this purpose's keys only: these are the scope's
// keys, whatever the value says of itself.
func (c *cipherSet) open(dst, sealed, aad []byte) ([]byte, error) {
	gcm := c.key(sealed)
	if gcm == nil {
		return dst, ErrCorrupt
	}
	out, err := gcm.Open(dst, nil, sealed[format.KeyIDSize:], aad)
	if err != nil {
		return dst, ErrCorrupt
	}
	return out, nil
}

// An indexSet computes blind indexes, under its primary key or under all that
// are not retired.
type indexSet struct {
	primary prf.PRF
	others  []prf.PRF
}

func newIndexSet(h *keyset.Handle) (*indexSet, error) {
	for i := range h.Len() {
		e, err := h.Entry(i)
		if err != nil {
			return nil, errKeyset
		}
		if _, ok := e.Key().(*aescmacprf.Key); !ok {
			return nil, errKeyset
		}
	}
	set, err := prf.NewPRFSet(h) // of the enabled keys
	if err != nil {
		return nil, errKeyset
	}
	x := &indexSet{primary: set.PRFs[set.PrimaryID]}
	for _, id := range slices.Sorted(maps.Keys(set.PRFs)) {
		if id != set.PrimaryID {
			x.others = append(x.others, set.PRFs[id])
		}
	}
	return x, nil
}

func (x *indexSet) compute(input []byte) ([IndexSize]byte, error) {
	return computeIndex(x.primary, input)
}

// computeAll returns the index under every key, the primary one's first.
func (x *indexSet) computeAll(input []byte) ([][IndexSize]byte, error) {
	all := make([][IndexSize]byte, 1+len(x.others))
	var err error
	if all[0], err = computeIndex(x.primary, input); err != nil {
		return nil, err
	}
	for i, f := range x.others {
		if all[1+i], err = computeIndex(f, input); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func computeIndex(f prf.PRF, input []byte) ([IndexSize]byte, error) {
	out, err := f.ComputePRF(input, IndexSize)
	if err != nil || len(out) != IndexSize {
		return [IndexSize]byte{}, ErrUnavailable
	}
	return [IndexSize]byte(out), nil
}

// idSource makes the ids of values: by a generator of its own that is seeded by
// the operating system, which costs a tenth of asking for each. That would be
// wrong for nonces: of a machine that was restored from a snapshot twice, both go
// on with the same numbers. Two values with one id lose no more than what the id is
// for, which is that their slots can't be mixed with each other.
type idSource struct {
	chacha8 *rand.ChaCha8
	left    int // ids until it is seeded anew
}

// idsPerSeed bounds what follows from one seed.
const idsPerSeed = 1 << 12

// appendID appends the random id that the slots of one value share.
func (s *idSource) appendID(b []byte) []byte {
	if s.left == 0 {
		var seed [32]byte
		cryptorand.Read(seed[:]) // never fails, by its documentation
		s.chacha8, s.left = rand.NewChaCha8(seed), idsPerSeed
	}
	s.left--
	b = binary.LittleEndian.AppendUint64(b, s.chacha8.Uint64())
	return binary.LittleEndian.AppendUint64(b, s.chacha8.Uint64())
}
