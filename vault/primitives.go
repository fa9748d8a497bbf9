package vault

import (
	"crypto/aes"
	"crypto/cipher"
	cryptorand "crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/hybrid"
	"github.com/tink-crypto/tink-go/v2/hybrid/hpke"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/key"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/prf/aescmacprf"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// All AEAD, PRF, HPKE and hash calls of this package are in this file, except for
// the calls of a KEK's AEAD, which kekclient.go makes. The inputs of these calls
// are built in internal/format/bind.go.

// IndexSize is the size of a blind index, in bytes. It is 128 bits, so that among
// 280 million values a false match is not to be expected.
const IndexSize = 16

var errKeyset = errors.New("not a keyset of this purpose")

// A cipherSet seals with the primary key of an AES-256-GCM keyset, and opens with
// every enabled key. It reads and writes exactly the ciphertexts of Tink with that
// keyset, but calls the standard library, which allocates less and also works under
// GODEBUG=fips140=only.
type cipherSet struct {
	primary    [format.KeyIDSize]byte
	primaryGCM cipher.AEAD
	byID       map[[format.KeyIDSize]byte]cipher.AEAD // every enabled key, including the primary
}

// newCipherSet returns the enabled keys of h, ready for use. A keyset with a key of
// another type is errKeyset.
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

// seal appends the key's id, a nonce, the ciphertext and its tag to dst, which
// must not overlap plaintext.
func (c *cipherSet) seal(dst, plaintext, aad []byte) []byte {
	dst = append(dst, c.primary[:]...)
	return c.primaryGCM.Seal(dst, nil, plaintext, aad)
}

// open appends the plaintext of sealed to dst, which must not overlap sealed. The
// id in front of sealed chooses among the keys of c alone. They are the keys of the
// scope, so no claim of a value leads to the keys of another purpose.
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

// has reports whether c has the key that sealed names.
func (c *cipherSet) has(sealed []byte) bool {
	return c.key(sealed) != nil
}

// key returns the key that sealed names, nil if c does not have it.
func (c *cipherSet) key(sealed []byte) cipher.AEAD {
	if c.onPrimary(sealed) { // nearly always
		return c.primaryGCM
	}
	if len(sealed) < format.KeyIDSize {
		return nil
	}
	return c.byID[[format.KeyIDSize]byte(sealed)]
}

// onPrimary reports whether sealed names the key that c seals with.
func (c *cipherSet) onPrimary(sealed []byte) bool {
	return len(sealed) >= format.KeyIDSize && [format.KeyIDSize]byte(sealed) == c.primary
}

// An indexSet computes blind indexes, under its primary key or under every key that
// is not retired.
type indexSet struct {
	primary prf.PRF
	others  []prf.PRF
}

// newIndexSet returns the enabled keys of h, ready for use. A keyset with a key of
// another type is errKeyset.
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

// compute returns the index under the primary key.
func (x *indexSet) compute(input []byte) ([IndexSize]byte, error) {
	return computeIndex(x.primary, input)
}

// computeAll returns the index under every key, starting with the primary key.
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

// computeIndex returns the output of f. A failure is ErrUnavailable.
func computeIndex(f prf.PRF, input []byte) ([IndexSize]byte, error) {
	out, err := f.ComputePRF(input, IndexSize)
	if err != nil || len(out) != IndexSize {
		return [IndexSize]byte{}, ErrUnavailable
	}
	return [IndexSize]byte(out), nil
}

// A publicKey wraps the keys of a collector's slots. It opens nothing.
type publicKey struct {
	id    [format.KeyIDSize]byte // Tink's output prefix
	bytes [format.EncSize]byte
	enc   tink.HybridEncrypt
}

// newPublicKey returns the X25519 public key with the given id and bytes, ready for
// use.
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

// publicKeyOf returns pub, ready for use.
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

// newCollectorKey makes a random key and wraps it. The key protects the plaintexts
// of one value or of one batch, and no others.
func (k *publicKey) newCollectorKey(p purpose.Purpose) (*collectorKey, error) {
	dek := newDEK()
	defer clear(dek)
	wrapped, err := k.enc.Encrypt(dek, format.AppendCollectorInfo(nil, p.String()))
	if err != nil || len(wrapped) != format.WrappedKeySize {
		return nil, ErrUnavailable
	}
	gcm, err := newGCM(dek)
	if err != nil {
		return nil, ErrUnavailable
	}
	return &collectorKey{func(dst, plaintext, aad []byte) []byte {
		return gcm.Seal(append(dst, wrapped...), nil, plaintext, aad)
	}}, nil
}

// A collectorKey seals the slots of a collector with a random key, and puts that
// key, wrapped for the purpose, in front of each ciphertext.
type collectorKey struct {
	seal func(dst, plaintext, aad []byte) []byte
}

// reduced reports whether the X25519 public key u is below 2^255-19 (RFC 7748,
// section 5), as every computed key is. A larger number is a second spelling of a
// key. HPKE binds the spelling, so nothing sealed for a second spelling ever opens.
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

// A collectSet opens the values of collectors, with every key of a keyset that is
// not retired.
type collectSet struct {
	primary *hpke.PublicKey
	ids     map[[format.KeyIDSize]byte]struct{}
	dec     tink.HybridDecrypt
}

// newCollectSet returns the enabled keys of h, ready for use. A keyset with a key
// of another type is errKeyset.
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

// has reports whether c has the key that sealed names. A nil c has none.
func (c *collectSet) has(sealed []byte) bool {
	if c == nil || len(sealed) < format.KeyIDSize {
		return false
	}
	_, known := c.ids[[format.KeyIDSize]byte(sealed)]
	return known
}

// open appends the plaintext of a collector's slot of purpose p to dst. The slot's
// format was checked, so sealed is long enough to hold a wrapped key.
func (c *collectSet) open(dst []byte, p purpose.Purpose, sealed, aad []byte) ([]byte, error) {
	if !c.has(sealed) {
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

// A subjectKey is the opened key of one subject under one purpose: AES-256-GCM with
// a key id in front of each ciphertext, as in a keyset.
type subjectKey struct {
	prefix [format.KeyIDSize]byte
	gcm    cipher.AEAD
}

// newSubjectKey returns the key with the given id and bytes, ready for use.
func newSubjectKey(id uint32, key []byte) (*subjectKey, error) {
	gcm, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	k := &subjectKey{gcm: gcm}
	k.prefix[0] = 1 // as in Tink's prefix
	binary.BigEndian.PutUint32(k.prefix[1:], id)
	return k, nil
}

func (k *subjectKey) seal(dst, plaintext, aad []byte) []byte {
	return k.gcm.Seal(append(dst, k.prefix[:]...), nil, plaintext, aad)
}

func (k *subjectKey) open(dst, sealed, aad []byte) ([]byte, error) {
	if len(sealed) < format.KeyIDSize || [format.KeyIDSize]byte(sealed) != k.prefix {
		return dst, ErrCorrupt
	}
	out, err := k.gcm.Open(dst, nil, sealed[format.KeyIDSize:], aad)
	if err != nil {
		return dst, ErrCorrupt
	}
	return out, nil
}

// An idSource makes the random ids of values, with a generator that the operating
// system seeds. An id costs a tenth of a read from the operating system, which
// saves an eighth of a seal.
//
// Such a generator would be wrong for nonces: two machines that start from one
// snapshot go on with equal numbers. For ids it does little harm: two values with
// equal ids lose only the guarantee that their slots can't be mixed with each
// other.
type idSource struct {
	chacha8 *rand.ChaCha8
	left    int // ids until the generator is seeded anew
}

// idsPerSeed bounds how many ids follow from one seed.
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

// newGCM returns AES-GCM whose Seal chooses a random nonce and puts it first. With
// random nonces, NIST SP 800-38D allows 2^32 seals under one key.
func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// newDEK returns a fresh random key of 32 bytes.
func newDEK() []byte {
	dek := make([]byte, format.DEKSize)
	cryptorand.Read(dek) // never fails, by its documentation
	return dek
}

// sealWith appends a nonce, the ciphertext and its tag to dst, under the key dek.
func sealWith(dek, dst, plaintext, aad []byte) ([]byte, error) {
	gcm, err := newGCM(dek)
	if err != nil {
		return nil, err
	}
	return gcm.Seal(dst, nil, plaintext, aad), nil
}

// openWith is the reverse of sealWith. A dek that is not 32 bytes long is
// ErrCorrupt, as is a ciphertext that does not open.
func openWith(dek, sealed, aad []byte) ([]byte, error) {
	if len(dek) != format.DEKSize {
		return nil, ErrCorrupt
	}
	gcm, err := newGCM(dek)
	if err != nil {
		return nil, ErrCorrupt
	}
	plain, err := gcm.Open(nil, nil, sealed, aad)
	if err != nil {
		return nil, ErrCorrupt
	}
	return plain, nil
}

// digest returns the SHA-256 digest of data.
func digest(data []byte) [sha256.Size]byte { return sha256.Sum256(data) }
