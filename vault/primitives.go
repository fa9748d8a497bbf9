package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hpke"
	cryptorand "crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	tinkhpke "github.com/tink-crypto/tink-go/v2/hybrid/hpke"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/key"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/prf/aescmacprf"

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
	schedule *schedule[*cipherKey]                 // nil in a set that opens alone
	byID     map[[format.KeyIDSize]byte]*cipherKey // every enabled key, including the primary
}

// countWith has c count the seals of each key that is primary, or will be.
func (c *cipherSet) countWith(counts *sealCounts) {
	for _, k := range c.schedule.keys {
		k.key.count = &counts.of(binary.BigEndian.Uint32(k.key.id[1:])).here
	}
}

// A cipherKey is one key of a cipherSet.
type cipherKey struct {
	id    [format.KeyIDSize]byte // Tink's output prefix
	gcm   cipher.AEAD
	count *counter // of the key's seals, nil if nobody counts
}

// newCipherSet returns the enabled keys of h, ready for use, with the times at which
// further keys become primary. A keyset with a key of another type is errKeyset.
func newCipherSet(h *keyset.Handle, promotions map[uint32]int64) (*cipherSet, error) {
	c := &cipherSet{byID: make(map[[format.KeyIDSize]byte]*cipherKey, h.Len())}
	var primary *cipherKey
	for i := range h.Len() {
		e, err := h.Entry(i)
		if err != nil {
			return nil, errKeyset
		}
		if e.KeyStatus() != keyset.Enabled {
			continue
		}
		prefix, gcm, err := newCipher(e)
		if err != nil {
			return nil, err
		}
		k := &cipherKey{id: prefix, gcm: gcm}
		c.byID[prefix] = k
		if e.IsPrimary() {
			primary = k
		}
	}
	if primary == nil {
		return nil, errKeyset
	}
	var err error
	c.schedule, err = newSchedule(primary, promotions, func(id uint32) (*cipherKey, bool) {
		k := c.byID[keyPrefix(id)]
		return k, k != nil
	})
	return c, err
}

// newRetiredSet returns the keys of h that are not enabled, for opening alone. A key of
// another type is left out.
func newRetiredSet(h *keyset.Handle) *cipherSet {
	c := &cipherSet{byID: make(map[[format.KeyIDSize]byte]*cipherKey)}
	for i := range h.Len() {
		if e, err := h.Entry(i); err == nil && e.KeyStatus() != keyset.Enabled {
			if prefix, gcm, err := newCipher(e); err == nil {
				c.byID[prefix] = &cipherKey{id: prefix, gcm: gcm}
			}
		}
	}
	return c
}

// newCipher returns the cipher of an AES-256-GCM key with the TINK prefix, and the prefix.
// A key of another type is errKeyset.
func newCipher(e *keyset.Entry) (prefix [format.KeyIDSize]byte, gcm cipher.AEAD, err error) {
	key, ok := e.Key().(*aesgcm.Key)
	if !ok {
		return prefix, nil, errKeyset
	}
	p, ok := key.Parameters().(*aesgcm.Parameters)
	if !ok || p.Variant() != aesgcm.VariantTink || p.KeySizeInBytes() != 32 || p.IVSizeInBytes() != format.NonceSize || p.TagSizeInBytes() != format.TagSize {
		return prefix, nil, errKeyset
	}
	if gcm, err = newGCM(key.KeyBytes().Data(insecuresecretdataaccess.Token{})); err != nil {
		return prefix, nil, errKeyset
	}
	return [format.KeyIDSize]byte(key.OutputPrefix()), gcm, nil
}

// seal appends the key's id, a nonce, the ciphertext and its tag to dst, which
// must not overlap plaintext.
func (c *cipherSet) seal(dst, plaintext, aad []byte) []byte {
	k := c.schedule.primary()
	if k.count != nil {
		k.count.add(1)
	}
	return k.gcm.Seal(append(dst, k.id[:]...), nil, plaintext, aad)
}

// open appends the plaintext of sealed to dst, which must not overlap sealed. The
// id in front of sealed chooses among the keys of c alone. They are the keys of the
// scope, so no claim of a value leads to the keys of another purpose.
func (c *cipherSet) open(dst, sealed, aad []byte) ([]byte, error) {
	return c.key(sealed).open(dst, sealed, aad)
}

// open appends the plaintext of sealed, which names k, to dst. A nil k opens nothing.
func (k *cipherKey) open(dst, sealed, aad []byte) ([]byte, error) {
	if k == nil {
		return dst, ErrCorrupt
	}
	out, err := k.gcm.Open(dst, nil, sealed[format.KeyIDSize:], aad)
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
func (c *cipherSet) key(sealed []byte) *cipherKey {
	if c.schedule != nil { // a set for opening alone has none
		if k := c.schedule.last(); k.names(sealed) { // nearly always
			return k
		}
	}
	if len(sealed) < format.KeyIDSize {
		return nil
	}
	return c.byID[[format.KeyIDSize]byte(sealed)]
}

// onPrimary reports whether sealed names the key that c seals with.
func (c *cipherSet) onPrimary(sealed []byte) bool { return c.schedule.primary().names(sealed) }

// onNewest reports whether sealed names the key that c seals with, or a key that is
// still to become primary.
func (c *cipherSet) onNewest(sealed []byte) bool {
	return c.onPrimary(sealed) || c.schedule.mayBecome(func(k *cipherKey) bool { return k.names(sealed) })
}

// names reports whether k is the key that sealed names.
func (k *cipherKey) names(sealed []byte) bool {
	return len(sealed) >= format.KeyIDSize && [format.KeyIDSize]byte(sealed) == k.id
}

// keyPrefix returns the prefix of ciphertexts under the key of the given id, as Tink
// writes it.
func keyPrefix(id uint32) (prefix [format.KeyIDSize]byte) {
	prefix[0] = 1
	binary.BigEndian.PutUint32(prefix[1:], id)
	return prefix
}

// keyIDOf returns the id of the key that sealed names, and reports whether it names one.
func keyIDOf(sealed []byte) (id uint32, ok bool) {
	if len(sealed) < format.KeyIDSize || sealed[0] != 1 {
		return 0, false
	}
	return binary.BigEndian.Uint32(sealed[1:]), true
}

// An indexSet computes blind indexes, under its primary key or under every key that
// is not retired.
type indexSet struct {
	schedule *schedule[indexKey]
	all      []indexKey // by id
}

// An indexKey is one key of an indexSet.
type indexKey struct {
	id  uint32
	prf prf.PRF
}

// newIndexSet returns the enabled keys of h, ready for use, with the times at which
// further keys become primary. A keyset with a key of another type is errKeyset.
func newIndexSet(h *keyset.Handle, promotions map[uint32]int64) (*indexSet, error) {
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
	x := &indexSet{}
	for _, id := range slices.Sorted(maps.Keys(set.PRFs)) {
		x.all = append(x.all, indexKey{id, set.PRFs[id]})
	}
	x.schedule, err = newSchedule(indexKey{set.PrimaryID, set.PRFs[set.PrimaryID]}, promotions, func(id uint32) (indexKey, bool) {
		f, ok := set.PRFs[id]
		return indexKey{id, f}, ok
	})
	return x, err
}

// compute returns the index under the primary key.
func (x *indexSet) compute(input []byte) ([IndexSize]byte, error) {
	return computeIndex(x.schedule.primary().prf, input)
}

// computeAll returns the index under every key, starting with the primary key. A key
// that is still to become primary is one of them.
func (x *indexSet) computeAll(input []byte) ([][IndexSize]byte, error) {
	primary := x.schedule.primary()
	first, err := computeIndex(primary.prf, input)
	if err != nil {
		return nil, err
	}
	all := append(make([][IndexSize]byte, 0, len(x.all)), first)
	for _, k := range x.all {
		if k.id == primary.id {
			continue
		}
		index, err := computeIndex(k.prf, input)
		if err != nil {
			return nil, err
		}
		all = append(all, index)
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

// A kem is a key encapsulation mechanism of collectors, with its sizes in bytes. The
// rest of the HPKE suite is HKDF-SHA256 and AES-256-GCM.
type kem struct {
	name       CollectorKEM
	slotType   byte   // the type of the slots that collectors make with it
	magic      string // of a collector's text
	publicSize int
	hpke       hpke.KEM
	works      func() bool // reports whether the platform has it
}

// kems are the mechanisms of collectors.
var kems = [...]*kem{
	newKEM(XWing, format.OfCollectorXWing, format.CollectorMagicXWing, format.XWingPublicSize, hpke.MLKEM768X25519()),
	newKEM(X25519, format.OfCollector, format.CollectorMagic, format.X25519Size, hpke.DHKEM(ecdh.X25519())),
}

func newKEM(name CollectorKEM, slotType byte, magic string, publicSize int, of hpke.KEM) *kem {
	k := &kem{name: name, slotType: slotType, magic: magic, publicSize: publicSize, hpke: of}
	// Under GODEBUG=fips140=only the platform lacks X25519 alone and, in older modules of
	// FIPS 140-3, the nonces of HPKE. To try it is to know.
	k.works = sync.OnceValue(func() bool {
		key, err := of.GenerateKey()
		if err != nil {
			return false
		}
		sealed, err := hpke.Seal(key.PublicKey(), hpke.HKDFSHA256(), hpke.AES256GCM(), nil, nil)
		if err != nil {
			return false
		}
		_, err = hpke.Open(key, hpke.HKDFSHA256(), hpke.AES256GCM(), nil, sealed)
		return err == nil
	})
	return k
}

// findKEM returns the KEM for which is reports true, and false if there is none.
func findKEM(is func(*kem) bool) (*kem, bool) {
	i := slices.IndexFunc(kems[:], is)
	if i < 0 {
		return nil, false
	}
	return kems[i], true
}

// parameters returns the parameters of key pairs: HPKE (RFC 9180) with this KEM,
// HKDF-SHA256 and AES-256-GCM, with the TINK prefix.
func (k *kem) parameters() (*tinkhpke.Parameters, error) {
	id := tinkhpke.X_WING
	if k.name == X25519 {
		id = tinkhpke.DHKEM_X25519_HKDF_SHA256
	}
	return tinkhpke.NewParameters(tinkhpke.ParametersOpts{
		KEMID: id, KDFID: tinkhpke.HKDFSHA256, AEADID: tinkhpke.AES256GCM, Variant: tinkhpke.VariantTink,
	})
}

// A publicKey wraps the keys of a collector's slots. It opens nothing.
type publicKey struct {
	kem   *kem
	id    [format.KeyIDSize]byte // Tink's output prefix
	bytes []byte
	key   hpke.PublicKey
}

// newPublicKey returns the public key with the given id and bytes, ready for use. A
// platform without the KEM, and bytes that are no public key in its one spelling, are
// errKeyset. A key of low order, and a platform that lacks the nonces of HPKE, show at the
// first encapsulation.
func newPublicKey(kem *kem, id uint32, bytes []byte) (*publicKey, error) {
	if len(bytes) != kem.publicSize || !reduced(bytes[len(bytes)-format.X25519Size:]) {
		return nil, errKeyset
	}
	key, err := kem.hpke.NewPublicKey(bytes)
	if err != nil {
		return nil, errKeyset
	}
	k := &publicKey{kem: kem, bytes: slices.Clone(bytes), key: key}
	k.id[0] = 1 // as in Tink's prefix
	binary.BigEndian.PutUint32(k.id[1:], id)
	return k, nil
}

// newCollectorKey makes a random key and wraps it. The key protects the plaintexts
// of one value or of one batch, and no others.
func (k *publicKey) newCollectorKey(p purpose.Purpose) (*collectorKey, error) {
	dek := newDEK()
	defer clear(dek)
	wrapped, err := hpke.Seal(k.key, hpke.HKDFSHA256(), hpke.AES256GCM(), format.AppendCollectorInfo(nil, p.String()), dek)
	if err != nil {
		return nil, ErrUnavailable
	}
	wrapped = slices.Concat(k.id[:], wrapped)
	if len(wrapped) != format.WrappedKeySize(k.kem.slotType) {
		return nil, ErrUnavailable
	}
	gcm, err := newGCM(dek)
	if err != nil {
		return nil, ErrUnavailable
	}
	return &collectorKey{k.kem.slotType, func(dst, plaintext, aad []byte) []byte {
		return gcm.Seal(append(dst, wrapped...), nil, plaintext, aad)
	}}, nil
}

// A collectorKey seals the slots of a collector with a random key, and puts that
// key, wrapped for the purpose, in front of each ciphertext.
type collectorKey struct {
	slotType byte
	hidden   func(dst, plaintext, aad []byte) []byte // holds the key where no printer gets to it
}

func (k *collectorKey) seal(dst, plaintext, aad []byte) []byte { return k.hidden(dst, plaintext, aad) }

// reduced reports whether the X25519 public key u is below 2^255-19 (RFC 7748,
// section 5), as every computed key is. A larger number is a second spelling of a
// key. HPKE and X-Wing bind the spelling, so nothing sealed for a second spelling
// ever opens.
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
// not retired. It reads and writes exactly the ciphertexts of Tink with that keyset,
// but calls the standard library, which seals in half the time and opens in a third.
type collectSet struct {
	schedule *schedule[*publicKey] // nil keys are of a KEM that the platform lacks
	byID     map[[format.KeyIDSize]byte]*privateKey
}

// A privateKey opens the slots of one type. It keeps the last few slot keys that it
// has opened: all values of a batch have one, and opening it takes some fifty times as
// long as using it. It protects nothing that the private key does not open, and
// goes with the private key, when the keys of the purpose change or are closed.
type privateKey struct {
	slotType byte
	key      hpke.PrivateKey
	opened   atomic.Pointer[[]openedSlotKey] // the latest first, at most maxOpened
}

// maxOpened bounds the slot keys that a key pair keeps. The values of a few batches
// may come in turns.
const maxOpened = 8

// An openedSlotKey is an opened slot key. It serves for the same purpose and for the
// same bytes of the wrapped key alone.
type openedSlotKey struct {
	purpose purpose.Purpose
	wrapped string
	gcm     cipher.AEAD
}

// newCollectSet returns the enabled keys of h, ready for use, with the times at which
// further keys become primary. A keyset with a key of another type is errKeyset. Keys of
// a KEM that the platform lacks are left out.
func newCollectSet(h *keyset.Handle, promotions map[uint32]int64) (*collectSet, error) {
	c := &collectSet{byID: make(map[[format.KeyIDSize]byte]*privateKey, h.Len())}
	publics := make(map[uint32]*publicKey, h.Len()) // of all enabled keys
	primary, found := uint32(0), false
	for i := range h.Len() {
		e, err := h.Entry(i)
		if err != nil {
			return nil, errKeyset
		}
		kem, ok := kemOf(e.Key())
		if !ok {
			return nil, errKeyset
		}
		if e.KeyStatus() != keyset.Enabled {
			continue
		}
		publics[e.KeyID()] = nil
		if e.IsPrimary() {
			primary, found = e.KeyID(), true
		}
		if !kem.works() {
			continue
		}
		secret := e.Key().(*tinkhpke.PrivateKey).PrivateKeyBytes().Data(insecuresecretdataaccess.Token{})
		key, err := kem.hpke.NewPrivateKey(secret)
		if err != nil {
			return nil, errKeyset
		}
		public, err := newPublicKey(kem, e.KeyID(), key.PublicKey().Bytes())
		if err != nil {
			return nil, errKeyset
		}
		c.byID[public.id], publics[e.KeyID()] = &privateKey{slotType: kem.slotType, key: key}, public
	}
	if !found {
		return nil, errKeyset
	}
	var err error
	c.schedule, err = newSchedule(publics[primary], promotions, func(id uint32) (*publicKey, bool) {
		public, ok := publics[id]
		return public, ok
	})
	return c, err
}

// kemOf returns the KEM of a collector's key pair, and false for a key of another type
// or of another HPKE suite.
func kemOf(k key.Key) (*kem, bool) {
	private, ok := k.(*tinkhpke.PrivateKey)
	if !ok {
		return nil, false
	}
	return findKEM(func(k *kem) bool {
		params, err := k.parameters()
		return err == nil && private.Parameters().Equal(key.Parameters(params))
	})
}

// kemName returns the name of the KEM of a collector's key pair, "" for another key.
func kemName(k key.Key) CollectorKEM {
	if kem, ok := kemOf(k); ok {
		return kem.name
	}
	return ""
}

// has reports whether c has the key that sealed names. A nil c has none.
func (c *collectSet) has(sealed []byte) bool { return c.key(sealed) != nil }

// key returns the key that sealed names, nil if c does not have it. A nil c has none.
func (c *collectSet) key(sealed []byte) *privateKey {
	if c == nil || len(sealed) < format.KeyIDSize {
		return nil
	}
	return c.byID[[format.KeyIDSize]byte(sealed)]
}

// open appends the plaintext of a collector's slot of purpose p, which names k, to dst. The
// slot's format was checked, so its sealed part is long enough to hold a wrapped key. A nil k
// opens nothing.
func (k *privateKey) open(dst []byte, p purpose.Purpose, slot format.Slot, aad []byte) ([]byte, error) {
	if k == nil || k.slotType != slot.Type() {
		return dst, ErrCorrupt
	}
	n := format.WrappedKeySize(slot.Type())
	gcm, err := k.unwrap(p, slot.Sealed[:n:n])
	if err != nil {
		return dst, ErrCorrupt
	}
	out, err := gcm.Open(dst, nil, slot.Sealed[n:], aad)
	if err != nil {
		return dst, ErrCorrupt
	}
	return out, nil
}

// unwrap opens the wrapped key of a collector's slot of purpose p.
func (k *privateKey) unwrap(p purpose.Purpose, wrapped []byte) (cipher.AEAD, error) {
	var opened []openedSlotKey
	if last := k.opened.Load(); last != nil {
		opened = *last
	}
	for _, o := range opened {
		if o.purpose == p && o.wrapped == string(wrapped) {
			return o.gcm, nil
		}
	}
	dek, err := hpke.Open(k.key, hpke.HKDFSHA256(), hpke.AES256GCM(), format.AppendCollectorInfo(nil, p.String()), wrapped[format.KeyIDSize:])
	if err != nil || len(dek) != format.DEKSize {
		return nil, ErrCorrupt
	}
	defer clear(dek)
	gcm, err := newGCM(dek)
	if err != nil {
		return nil, ErrCorrupt
	}
	// Of two goroutines that open keys at once, one may undo the other's entry.
	opened = append([]openedSlotKey{{p, string(wrapped), gcm}}, opened[:min(len(opened), maxOpened-1)]...)
	k.opened.Store(&opened)
	return gcm, nil
}

// A subjectKey is the opened key of one subject under one purpose: AES-256-GCM. There
// is one such key, so ciphertexts do not name it.
type subjectKey struct{ gcm cipher.AEAD }

// newSubjectKey returns the key with the given bytes, ready for use.
func newSubjectKey(key []byte) (*subjectKey, error) {
	gcm, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	return &subjectKey{gcm}, nil
}

func (k *subjectKey) seal(dst, plaintext, aad []byte) []byte {
	return k.gcm.Seal(dst, nil, plaintext, aad)
}

func (k *subjectKey) open(dst, sealed, aad []byte) ([]byte, error) {
	out, err := k.gcm.Open(dst, nil, sealed, aad)
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
