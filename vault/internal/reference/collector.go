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
// (RFC 9180) for one suite, slots of type 3, the keys of collectors in a key record
// and the text that configures a collector. The caller passes the private keys of key
// exchanges, so that all results are reproducible.

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

// HPKE is a mode and a suite of HPKE. The KEM is DHKEM(X25519, HKDF-SHA256) and the KDF
// is HKDF-SHA256. Only vectors of faults have another mode than base, or another AEAD
// than AES-256-GCM.
type HPKE struct {
	Mode byte
	AEAD uint16 // 1 AES-128-GCM, 2 AES-256-GCM
}

// Suite is the suite of the format: base mode with AES-256-GCM.
var Suite = HPKE{0, 2}

// Context returns the AEAD of an HPKE context and its first nonce, which are the same
// for sender and receiver.
func (s HPKE) Context(dh, enc, public, info []byte) (cipher.AEAD, []byte) {
	kem := []byte("KEM\x00\x20")
	shared := expand(kem, extract(kem, nil, "eae_prk", dh), "shared_secret", slices.Concat(enc, public), 32)

	suite := binary.BigEndian.AppendUint16([]byte("HPKE\x00\x20\x00\x01"), s.AEAD)
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

// WrapKey wraps the key of a slot for the public half of a key of collectors.
func WrapKey(ephemeral []byte, id uint32, public, info, slotKey []byte) []byte {
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

// Collect seals padded under a slot key. The sealed part begins with wrapped, the
// wrapped form of the key.
func Collect(wrapped, slotKey, nonce, padded, aad []byte) []byte {
	return GCM(slotKey).Seal(slices.Concat(wrapped, nonce), nonce, padded, aad)
}

// Uncollect opens the sealed part of a slot of type 3.
func Uncollect(keys []Key, name string, sealed, aad []byte) ([]byte, bool) {
	r := &Reader{B: sealed, Ok: true}
	prefix, enc, wrapped, nonce := r.Next(5), r.Next(32), r.Next(48), r.Next(12)
	if !r.Ok || prefix[0] != 1 {
		return nil, false
	}
	for _, k := range keys {
		if k.ID != binary.BigEndian.Uint32(prefix[1:]) {
			continue
		}
		dh, ok := Exchange(k.Key, enc)
		if !ok {
			return nil, false
		}
		gcm, first := Suite.Context(dh, enc, Public(k.Key), CollectInfo(name))
		slotKey, err := gcm.Open(nil, first, wrapped, nil)
		if err != nil {
			return nil, false
		}
		plain, err := GCM(slotKey).Open(nil, nonce, r.B, aad)
		return plain, err == nil
	}
	return nil, false
}

// The keys of collectors, as they stand in a key record.

// HPKEType is the type URL of HPKE private keys in a Tink keyset.
const HPKEType = "type.googleapis.com/google.crypto.tink.HpkePrivateKey"

// CollectEntries returns the entries of a keyset. All of its keys are enabled.
func CollectEntries(keys []Key) []Entry {
	var entries []Entry
	for _, k := range keys {
		entries = append(entries, CollectEntry(k, Public(k.Key), 2))
	}
	return entries
}

// CollectEntry is a google.crypto.tink.HpkePrivateKey of version 0. Version 0 is the
// default of protobuf, so it is not written.
func CollectEntry(k Key, public []byte, aead uint64) Entry {
	params := ProtoInt(ProtoInt(ProtoInt(nil, 1, 1), 2, 1), 3, aead) // DHKEM(X25519, HKDF-SHA256), HKDF-SHA256
	value := ProtoBytes(ProtoBytes(nil, 2, params), 3, public)       // HpkePublicKey
	value = ProtoBytes(ProtoBytes(nil, 2, value), 3, k.Key)          // HpkePrivateKey
	return Entry{k.ID, HPKEType, value, private, Enabled, 1 /* TINK */}
}

// collectKey reads a google.crypto.tink.HpkePrivateKey of the format's suite, and checks
// that its public half belongs to the private one.
func collectKey(value Proto) ([]byte, bool) {
	private := value.Only(3)
	public, err := ReadProto(value.Only(2))
	if err != nil || len(private) != 32 {
		return nil, false
	}
	params, err := ReadProto(public.Only(2))
	ok := err == nil && params.ints[1] == 1 && params.ints[2] == 1 && params.ints[3] == 2 &&
		value.ints[1] == 0 && public.ints[1] == 0 && bytes.Equal(public.Only(3), Public(private))
	return private, ok
}

// Collector has the contents of a collector's text.
type Collector struct {
	Purpose string
	ID      uint32
	Public  []byte
}

// CollectorOf returns the collector of the named purpose that seals for private key k.
func CollectorOf(name string, k Key) Collector {
	return Collector{name, k.ID, Public(k.Key)}
}

// Body writes the key id and the public key.
func (c Collector) Body() []byte {
	return append(binary.BigEndian.AppendUint32(nil, c.ID), c.Public...)
}

// Text writes the text that configures a collector.
func (c Collector) Text() string {
	return CollectorText(c.Purpose, append(c.Body(), CollectorCheck(c.Purpose, c.Body())...))
}

// CollectorText writes the text of a collector around any body.
func CollectorText(name string, body []byte) string {
	return "ofc1." + name + "." + base64.RawURLEncoding.EncodeToString(body)
}

// CollectorCheck returns the checksum that ends the body of a collector's text.
func CollectorCheck(name string, body []byte) []byte {
	sum := sha256.Sum256(slices.Concat([]byte("ofc1."+name+"."), body))
	return sum[:4]
}

// ParseCollector reads a collector's text.
func ParseCollector(text string) (Collector, bool) {
	fields := strings.Split(text, ".")
	if len(text) > 123 || len(fields) != 3 || fields[0] != "ofc1" || !purposeRE.MatchString(fields[1]) {
		return Collector{}, false
	}
	body, ok := decodeBase64(fields[2])
	if !ok || len(body) != 4+32+4 {
		return Collector{}, false
	}
	c := Collector{fields[1], binary.BigEndian.Uint32(body), body[4:36]}
	if _, exchanged := Exchange(bytes.Repeat([]byte{1}, 32), c.Public); !exchanged {
		return Collector{}, false
	}
	return c, bytes.Equal(body[36:], CollectorCheck(c.Purpose, body[:36]))
}

// Seal makes a slot of type 3 with fresh random keys and nonce.
func (c Collector) Seal(kind string, id []byte, h Header, plaintext string) Slot {
	key := Random(32)
	wrapped := WrapKey(Random(32), c.ID, c.Public, CollectInfo(c.Purpose), key)
	return c.SealUnder(wrapped, key, kind, id, h, plaintext)
}

// SealUnder is Seal with a slot key that was wrapped before, as in a batch, whose values
// share one.
func (c Collector) SealUnder(wrapped, key []byte, kind string, id []byte, h Header, plaintext string) Slot {
	h.Typ = 3
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
