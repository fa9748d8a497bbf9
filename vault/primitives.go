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

// Every AEAD, PRF, HPKE and hash call of this package stands in this file, except
// for the calls of a KEK's AEAD, which kekclient.go makes. Their inputs are made in
// internal/format/bind.go.

// IndexSize is the size of a blind index, in bytes: 128 bits, so that among
// 280 million values a false match is not to be expected.
const IndexSize = 16

var errKeyset = errors.New("not a keyset of this purpose")

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
func (c *cipherSet) has(sealed []byte) bool {
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
type collectorKey struct {
	seal func(dst, plaintext, aad []byte) []byte
}

// newSlotKey makes a key and wraps it. The only plaintexts that it protects are
// those of one value, or of one batch.
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
func (c *collectSet) has(sealed []byte) bool {
	if c == nil || len(sealed) < format.KeyIDSize {
		return false
	}
	_, known := c.ids[[format.KeyIDSize]byte(sealed)]
	return known
}

// open appends the plaintext of a collector's slot of purpose p to dst.
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

// A subjectKey is the opened key of one subject under one purpose: AES-256-GCM
// with an id in front of each ciphertext, as a keyset has.
type subjectKey struct {
	prefix [format.KeyIDSize]byte
	gcm    cipher.AEAD
}

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

// openWith is the reverse of sealWith. It refuses a dek that is not of 32 bytes.
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
