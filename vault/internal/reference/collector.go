package reference

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
)

// The collector's part of the independent implementation: the base mode of HPKE
// (RFC 9180) for two suites, slots of types 3 and 4, the keys of collectors in a key
// record and the text that configures a collector. The caller passes the randomness of
// encapsulations, so that all results are reproducible. xwing.go has X-Wing.

// Exchange is X25519 (RFC 7748). It returns false if the result is all zeros, as for
// points of low order.
func Exchange(private, public []byte) (dh []byte, ok bool) {
	priv, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		return nil, false
	}
	pub, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, false
	}
	dh, err = priv.ECDH(pub)
	return dh, err == nil
}

// Public returns the X25519 public key of a private key.
func Public(private []byte) []byte {
	priv, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		panic(err)
	}
	return priv.PublicKey().Bytes()
}

// HPKE is a mode and a suite of HPKE, without its KEM. The KDF is HKDF-SHA256. Only
// vectors of faults have another mode than base, or another AEAD than AES-256-GCM.
type HPKE struct {
	Mode byte
	AEAD uint16 // 1 AES-128-GCM, 2 AES-256-GCM
}

// Suite is the suite of the format: base mode with AES-256-GCM.
var Suite = HPKE{0, 2}

// The identifiers of KEMs in HPKE: DHKEM(X25519, HKDF-SHA256) and X-Wing.
const (
	kemX25519 = 0x0020
	kemXWing  = 0x647a
)

// Context returns the AEAD of an HPKE context with DHKEM(X25519, HKDF-SHA256) and its
// first nonce, which are the same for sender and receiver.
func (s HPKE) Context(dh, enc, public, info []byte) (cipher.AEAD, []byte) {
	kem := []byte("KEM\x00\x20")
	shared := expand(kem, extract(kem, nil, "eae_prk", dh), "shared_secret", slices.Concat(enc, public), 32)
	return s.Schedule(kemX25519, shared, info)
}

// XWingContext is Context for X-Wing, whose shared secret is the secret of HPKE.
func (s HPKE) XWingContext(shared, info []byte) (cipher.AEAD, []byte) {
	return s.Schedule(kemXWing, shared, info)
}

// Schedule is the key schedule, from the identifier of a KEM and its shared secret.
func (s HPKE) Schedule(kem uint16, shared, info []byte) (cipher.AEAD, []byte) {
	suite := binary.BigEndian.AppendUint16([]byte("HPKE"), kem)
	suite = binary.BigEndian.AppendUint16(append(suite, 0, 1), s.AEAD)
	bound := slices.Concat([]byte{s.Mode}, extract(suite, nil, "psk_id_hash", nil), extract(suite, nil, "info_hash", info))
	secret := extract(suite, shared, "secret", nil)
	key := expand(suite, secret, "key", bound, map[uint16]int{1: 16, 2: 32}[s.AEAD])
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return gcm, expand(suite, secret, "base_nonce", bound, 12)
}

func extract(suite, salt []byte, label string, ikm []byte) []byte {
	prk, err := hkdf.Extract(sha256.New, slices.Concat([]byte("HPKE-v1"), suite, []byte(label), ikm), salt)
	if err != nil {
		panic(err)
	}
	return prk
}

func expand(suite, prk []byte, label string, info []byte, n int) []byte {
	labeled := slices.Concat([]byte{byte(n >> 8), byte(n)}, []byte("HPKE-v1"), suite, []byte(label), info)
	out, err := hkdf.Expand(sha256.New, prk, string(labeled), n)
	if err != nil {
		panic(err)
	}
	return out
}

// CollectInfo returns the info that a wrapped slot key is bound to.
func CollectInfo(name string) []byte { return append([]byte("col1"), String(name)...) }

// WrapKey wraps the key of a slot for the public half of a key pair of collectors. The
// ephemeral randomness has 32 bytes for X25519, and 64 for X-Wing.
func WrapKey(ephemeral []byte, id uint32, public, info, slotKey []byte) []byte {
	if len(public) == xwingPublicSize {
		shared, enc, ok := XWingEncapsulate(ephemeral, public)
		if !ok {
			panic("not a public key")
		}
		return XWingWrapKeyWith(Suite, shared, enc, id, info, slotKey)
	}
	dh, ok := Exchange(ephemeral, public)
	if !ok {
		panic("public key of low order")
	}
	return WrapKeyWith(Suite, dh, Public(ephemeral), id, public, info, slotKey)
}

// WrapKeyWith is WrapKey with the caller's exchange and suite. Both may be wrong ones.
func WrapKeyWith(suite HPKE, dh, enc []byte, id uint32, public, info, slotKey []byte) []byte {
	gcm, nonce := suite.Context(dh, enc, public, info)
	wrapped := append(binary.BigEndian.AppendUint32([]byte{1}, id), enc...)
	return gcm.Seal(wrapped, nonce, slotKey, nil)
}

// XWingWrapKeyWith is WrapKey with the caller's encapsulation and suite. Both may be
// wrong ones.
func XWingWrapKeyWith(suite HPKE, shared, enc []byte, id uint32, info, slotKey []byte) []byte {
	gcm, nonce := suite.XWingContext(shared, info)
	wrapped := append(binary.BigEndian.AppendUint32([]byte{1}, id), enc...)
	return gcm.Seal(wrapped, nonce, slotKey, nil)
}

// Collect seals padded under a slot key. The sealed part begins with wrapped, the
// wrapped form of the key.
func Collect(wrapped, slotKey, nonce, padded, aad []byte) []byte {
	return GCM(slotKey).Seal(slices.Concat(wrapped, nonce), nonce, padded, aad)
}

// Uncollect opens the sealed part of a slot of type 3 or 4.
func Uncollect(keys []Key, typ byte, name string, sealed, aad []byte) ([]byte, bool) {
	r := &Reader{B: sealed, Ok: true}
	prefix, enc, wrapped, nonce := r.Next(5), r.Next(map[byte]int{3: 32, 4: xwingEncSize}[typ]), r.Next(48), r.Next(12)
	if !r.Ok || prefix[0] != 1 {
		return nil, false
	}
	for _, k := range keys {
		if k.ID != binary.BigEndian.Uint32(prefix[1:]) || k.XWing != (typ == 4) {
			continue
		}
		gcm, first, ok := k.Context(enc, CollectInfo(name))
		if !ok {
			return nil, false
		}
		slotKey, err := gcm.Open(nil, first, wrapped, nil)
		if err != nil {
			return nil, false
		}
		plain, err := GCM(slotKey).Open(nil, nonce, r.B, aad)
		return plain, err == nil
	}
	return nil, false
}

// Context returns the AEAD of the HPKE context of an encapsulated key and its first
// nonce, for the holder of a key pair of collectors. It returns false for an
// encapsulated key that the receiver has to refuse.
func (k Key) Context(enc, info []byte) (gcm cipher.AEAD, nonce []byte, ok bool) {
	if k.XWing {
		shared, ok := XWingDecapsulate(k.Key, enc)
		if !ok {
			return nil, nil, false
		}
		gcm, nonce = Suite.XWingContext(shared, info)
		return gcm, nonce, true
	}
	dh, ok := Exchange(k.Key, enc)
	if !ok {
		return nil, nil, false
	}
	gcm, nonce = Suite.Context(dh, enc, Public(k.Key), info)
	return gcm, nonce, true
}

// Public returns the public key of a key pair of collectors.
func (k Key) Public() []byte {
	if k.XWing {
		return XWingPublic(k.Key)
	}
	return Public(k.Key)
}

// SlotType returns the type of the slots that are sealed for a key pair of collectors.
func (k Key) SlotType() byte {
	if k.XWing {
		return 4
	}
	return 3
}

// The keys of collectors, as they stand in a key record.

// HPKEType is the type URL of HPKE private keys in a Tink keyset.
const HPKEType = "type.googleapis.com/google.crypto.tink.HpkePrivateKey"

// CollectEntries returns the entries of a keyset. All of its keys are enabled.
func CollectEntries(keys []Key) []Entry {
	var entries []Entry
	for _, k := range keys {
		entries = append(entries, CollectEntry(k, k.Public(), 2))
	}
	return entries
}

// CollectEntry is a google.crypto.tink.HpkePrivateKey of version 0. Version 0 is the
// default of protobuf, so it is not written.
func CollectEntry(k Key, public []byte, aead uint64) Entry {
	kem := uint64(1) // DHKEM(X25519, HKDF-SHA256)
	if k.XWing {
		kem = 5
	}
	params := ProtoInt(ProtoInt(ProtoInt(nil, 1, kem), 2, 1), 3, aead) // the KDF is HKDF-SHA256
	value := ProtoBytes(ProtoBytes(nil, 2, params), 3, public)         // HpkePublicKey
	value = ProtoBytes(ProtoBytes(nil, 2, value), 3, k.Key)            // HpkePrivateKey
	return Entry{k.ID, HPKEType, value, private, Enabled, 1 /* TINK */}
}

// collectKey reads a google.crypto.tink.HpkePrivateKey of the format's suite, and checks
// that its public half belongs to the private one.
func collectKey(value Proto) (Key, bool) {
	private := value.Only(3)
	public, err := ReadProto(value.Only(2))
	if err != nil || len(private) != 32 {
		return Key{}, false
	}
	params, err := ReadProto(public.Only(2))
	k := Key{Key: private, XWing: params.ints[1] == 5}
	ok := err == nil && (params.ints[1] == 1 || k.XWing) && params.ints[2] == 1 && params.ints[3] == 2 &&
		value.ints[1] == 0 && public.ints[1] == 0 && bytes.Equal(public.Only(3), k.Public())
	return k, ok
}

// Collector has the contents of a collector's text.
type Collector struct {
	Purpose string
	ID      uint32
	Public  []byte
}

// CollectorOf returns the collector of the named purpose that seals for private key k.
func CollectorOf(name string, k Key) Collector {
	return Collector{name, k.ID, k.Public()}
}

// Body writes the key id and the public key.
func (c Collector) Body() []byte {
	return append(binary.BigEndian.AppendUint32(nil, c.ID), c.Public...)
}

// Magic returns the first field of the collector's text.
func (c Collector) Magic() string {
	if len(c.Public) == xwingPublicSize {
		return "ofc2"
	}
	return "ofc1"
}

// SlotType returns the type of the slots that the collector seals.
func (c Collector) SlotType() byte { return Key{XWing: c.Magic() == "ofc2"}.SlotType() }

// Text writes the text that configures a collector.
func (c Collector) Text() string {
	return CollectorText(c.Magic(), c.Purpose, append(c.Body(), CollectorCheck(c.Magic(), c.Purpose, c.Body())...))
}

// CollectorText writes the text of a collector around any body.
func CollectorText(magic, name string, body []byte) string {
	return magic + "." + name + "." + base64.RawURLEncoding.EncodeToString(body)
}

// CollectorCheck returns the checksum that ends the body of a collector's text.
func CollectorCheck(magic, name string, body []byte) []byte {
	sum := sha256.Sum256(slices.Concat([]byte(magic+"."+name+"."), body))
	return sum[:4]
}

// ParseCollector reads a collector's text.
func ParseCollector(text string) (Collector, bool) {
	fields := strings.Split(text, ".")
	if len(text) > 1701 || len(fields) != 3 || !purposeRE.MatchString(fields[1]) {
		return Collector{}, false
	}
	size := map[string]int{"ofc1": 32, "ofc2": xwingPublicSize}[fields[0]]
	body, ok := decodeBase64(fields[2])
	if size == 0 || !ok || len(body) != 4+size+4 {
		return Collector{}, false
	}
	c := Collector{fields[1], binary.BigEndian.Uint32(body), body[4 : 4+size]}
	check := bytes.Equal(body[4+size:], CollectorCheck(fields[0], c.Purpose, body[:4+size]))
	// Of two spellings of an X25519 key, this is the reduced one.
	u := slices.Clone(c.Public[size-32:])
	slices.Reverse(u)
	if bytes.Compare(u, Hex("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed")) >= 0 {
		return Collector{}, false
	}
	if size == 32 {
		_, ok = Exchange(bytes.Repeat([]byte{1}, 32), c.Public)
	} else {
		_, _, ok = XWingEncapsulate(bytes.Repeat([]byte{1}, 64), c.Public)
	}
	return c, check && ok
}

// Seal makes a slot of the collector's type with fresh random keys and nonce.
func (c Collector) Seal(kind string, id []byte, h Header, plaintext string) Slot {
	key := Random(32)
	wrapped := WrapKey(Random(map[byte]int{3: 32, 4: 64}[c.SlotType()]), c.ID, c.Public, CollectInfo(c.Purpose), key)
	return c.SealUnder(wrapped, key, kind, id, h, plaintext)
}

// SealUnder is Seal with a slot key that was wrapped before, as in a batch, whose values
// share one.
func (c Collector) SealUnder(wrapped, key []byte, kind string, id []byte, h Header, plaintext string) Slot {
	h.Typ = c.SlotType()
	header := h.Bytes()
	return Slot{c.Purpose, header, Collect(wrapped, key, Random(12), Pad(plaintext), AAD(kind, c.Purpose, id, header, ""))}
}

// LowOrder has points of low order on Curve25519, each in one of its encodings. An
// exchange with any of them results in zeros for every private key.
var LowOrder = []struct{ Name, Point string }{
	{"zero", "0000000000000000000000000000000000000000000000000000000000000000"},
	{"one", "0100000000000000000000000000000000000000000000000000000000000000"},
	{"of_order_8", "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"},
	{"of_order_8_other", "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"},
	{"minus_one", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
	{"zero_not_reduced", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
	{"one_not_reduced", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
}
