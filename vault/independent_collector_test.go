package vault_test

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
	"testing"

	"github.com/stretchr/testify/require"
)

// The collector's part of the independent implementation: the base mode of HPKE
// (RFC 9180) for one suite, slots of type 3, the keys of collectors in a key
// record and the text that a collector is configured with. The private keys of
// its key exchanges are the caller's, so that all of it is reproducible.

// refExchange is X25519 (RFC 7748). A result of zeros, which is what points of
// low order lead to, is none.
func refExchange(private, public []byte) (dh []byte, ok bool) {
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

func refPublic(private []byte) []byte {
	priv, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		panic(err)
	}
	return priv.PublicKey().Bytes()
}

// refHPKE is what an HPKE context is made of. The KEM is DHKEM(X25519,
// HKDF-SHA256) and the KDF HKDF-SHA256; the vectors of faults have other modes,
// and other AEADs than AES-256-GCM.
type refHPKE struct {
	mode byte
	aead uint16 // 1 AES-128-GCM, 2 AES-256-GCM
}

var refSuite = refHPKE{0, 2}

// context returns the AEAD of a context and its first nonce. Sender and receiver
// have the same.
func (s refHPKE) context(dh, enc, public, info []byte) (cipher.AEAD, []byte) {
	kem := []byte("KEM\x00\x20")
	shared := refExpand(kem, refExtract(kem, nil, "eae_prk", dh), "shared_secret", slices.Concat(enc, public), 32)

	suite := binary.BigEndian.AppendUint16([]byte("HPKE\x00\x20\x00\x01"), s.aead)
	bound := slices.Concat([]byte{s.mode}, refExtract(suite, nil, "psk_id_hash", nil), refExtract(suite, nil, "info_hash", info))
	secret := refExtract(suite, shared, "secret", nil)
	key := refExpand(suite, secret, "key", bound, map[uint16]int{1: 16, 2: 32}[s.aead])
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return gcm, refExpand(suite, secret, "base_nonce", bound, 12)
}

func refExtract(suite, salt []byte, label string, ikm []byte) []byte {
	prk, err := hkdf.Extract(sha256.New, slices.Concat([]byte("HPKE-v1"), suite, []byte(label), ikm), salt)
	if err != nil {
		panic(err)
	}
	return prk
}

func refExpand(suite, prk []byte, label string, info []byte, n int) []byte {
	labeled := slices.Concat([]byte{byte(n >> 8), byte(n)}, []byte("HPKE-v1"), suite, []byte(label), info)
	out, err := hkdf.Expand(sha256.New, prk, string(labeled), n)
	if err != nil {
		panic(err)
	}
	return out
}

// RFC 9180, appendix A.1.1 (with AES-128-GCM), and a vector of the same form for
// AES-256-GCM from BoringSSL, which the RFC has none of.
func TestIndependentHPKE(t *testing.T) {
	info, plaintext := refHex("4f6465206f6e2061204772656369616e2055726e"), refHex("4265617574792069732074727574682c20747275746820626561757479")
	for _, c := range []struct{ aead, ephemeral, private, enc, nonce, first string }{
		{"\x01", "52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736",
			"4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8",
			"37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431", "56d890e5accaaf011cff4b7d",
			"f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a"},
		{"\x02", "28e212563a8b6f068af7ff17400ff1baf23612b7a738bbaf5dfb321b2b5b431a",
			"4f8282f1b30e39a5d7f3fcccf73d8044a09d89ac168c1929f179e2e93e20b8ae",
			"8e806d41aecfcece96a6b47f1e488a3ac6e48090d9b634355c705dd34311d900", "a243fc1ebc972a48eaf28ea9",
			"23ded2d5d90ea89d975dac4792b297240f194952d7421aacbff0474100052b6bb8aa58d18ef6c42b6960e2e28f"},
	} {
		suite := refHPKE{0, uint16(c.aead[0])}
		ephemeral, private := refHex(c.ephemeral), refHex(c.private)
		enc, public := refPublic(ephemeral), refPublic(private)
		require.Equal(t, refHex(c.enc), enc)
		dh, ok := refExchange(ephemeral, public)
		require.True(t, ok)
		same, ok := refExchange(private, enc)
		require.True(t, ok)
		require.Equal(t, dh, same)
		gcm, nonce := suite.context(dh, enc, public, info)
		require.Equal(t, refHex(c.nonce), nonce)
		require.Equal(t, refHex(c.first), gcm.Seal(nil, nonce, plaintext, []byte("Count-0")))
	}
}

// refCollectInfo is what a wrapped slot key binds.
func refCollectInfo(name string) []byte { return append([]byte("col1"), refString(name)...) }

// refWrapKey wraps the key of a slot for a key of collectors, of which it needs
// the public half alone.
func refWrapKey(ephemeral []byte, id uint32, public, info, slotKey []byte) []byte {
	dh, ok := refExchange(ephemeral, public)
	if !ok {
		panic("public key of low order")
	}
	return refWrapKeyWith(refSuite, dh, refPublic(ephemeral), id, public, info, slotKey)
}

// refWrapKeyWith does the same with whatever the sender says was exchanged.
func refWrapKeyWith(suite refHPKE, dh, enc []byte, id uint32, public, info, slotKey []byte) []byte {
	gcm, nonce := suite.context(dh, enc, public, info)
	wrapped := append(binary.BigEndian.AppendUint32([]byte{1}, id), enc...)
	return gcm.Seal(wrapped, nonce, slotKey, nil)
}

// refCollect seals padded under a slot key that wrapped holds.
func refCollect(wrapped, slotKey, nonce, padded, aad []byte) []byte {
	return refGCM(slotKey).Seal(slices.Concat(wrapped, nonce), nonce, padded, aad)
}

// refUncollect opens the sealed part of a slot of type 3.
func refUncollect(keys []refKey, name string, sealed, aad []byte) ([]byte, bool) {
	r := &refReader{b: sealed, ok: true}
	prefix, enc, wrapped, nonce := r.next(5), r.next(32), r.next(48), r.next(12)
	if !r.ok || prefix[0] != 1 {
		return nil, false
	}
	for _, k := range keys {
		if k.id != binary.BigEndian.Uint32(prefix[1:]) {
			continue
		}
		dh, ok := refExchange(k.key, enc)
		if !ok {
			return nil, false
		}
		gcm, first := refSuite.context(dh, enc, refPublic(k.key), refCollectInfo(name))
		slotKey, err := gcm.Open(nil, first, wrapped, nil)
		if err != nil {
			return nil, false
		}
		plain, err := refGCM(slotKey).Open(nil, nonce, r.b, aad)
		return plain, err == nil
	}
	return nil, false
}

// The keys of collectors, as they stand in a key record.

const refHPKEType = "type.googleapis.com/google.crypto.tink.HpkePrivateKey"

// refCollectEntries returns the entries of a keyset. All of its keys are enabled.
func refCollectEntries(keys []refKey) []refEntry {
	var entries []refEntry
	for _, k := range keys {
		entries = append(entries, refCollectEntry(k, refPublic(k.key), 2))
	}
	return entries
}

// refCollectEntry is a google.crypto.tink.HpkePrivateKey of version 0, which is
// the default and not written.
func refCollectEntry(k refKey, public []byte, aead uint64) refEntry {
	params := refProtoInt(refProtoInt(refProtoInt(nil, 1, 1), 2, 1), 3, aead) // DHKEM(X25519, HKDF-SHA256), HKDF-SHA256
	value := refProtoBytes(refProtoBytes(nil, 2, params), 3, public)          // HpkePublicKey
	value = refProtoBytes(refProtoBytes(nil, 2, value), 3, k.key)             // HpkePrivateKey
	return refEntry{k.id, refHPKEType, value, refPrivate, refEnabled, 1 /* TINK */}
}

// refCollectKey reads a google.crypto.tink.HpkePrivateKey of the one suite, whose
// halves belong together.
func refCollectKey(value refProto) ([]byte, bool) {
	private := value.only(3)
	public, err := refReadProto(value.only(2))
	if err != nil || len(private) != 32 {
		return nil, false
	}
	params, err := refReadProto(public.only(2))
	ok := err == nil && params.ints[1] == 1 && params.ints[2] == 1 && params.ints[3] == 2 &&
		value.ints[1] == 0 && public.ints[1] == 0 && bytes.Equal(public.only(3), refPublic(private))
	return private, ok
}

// refCollector is what a collector's text says.
type refCollector struct {
	purpose string
	id      uint32
	public  []byte
}

func refCollectorOf(name string, k refKey) refCollector {
	return refCollector{name, k.id, refPublic(k.key)}
}

func (c refCollector) body() []byte {
	return append(binary.BigEndian.AppendUint32(nil, c.id), c.public...)
}

func (c refCollector) text() string {
	return refCollectorText(c.purpose, append(c.body(), refCollectorCheck(c.purpose, c.body())...))
}

func refCollectorText(name string, body []byte) string {
	return "ofc1." + name + "." + base64.RawURLEncoding.EncodeToString(body)
}

func refCollectorCheck(name string, body []byte) []byte {
	sum := sha256.Sum256(slices.Concat([]byte("ofc1."+name+"."), body))
	return sum[:4]
}

// refParseCollector reads a collector's text.
func refParseCollector(text string) (refCollector, bool) {
	fields := strings.Split(text, ".")
	if len(text) > 123 || len(fields) != 3 || fields[0] != "ofc1" || !refPurposeRE.MatchString(fields[1]) {
		return refCollector{}, false
	}
	body, ok := refBase64(fields[2])
	if !ok || len(body) != 4+32+4 {
		return refCollector{}, false
	}
	c := refCollector{fields[1], binary.BigEndian.Uint32(body), body[4:36]}
	if _, exchanged := refExchange(bytes.Repeat([]byte{1}, 32), c.public); !exchanged {
		return refCollector{}, false
	}
	return c, bytes.Equal(body[36:], refCollectorCheck(c.purpose, body[:36]))
}

// seal makes a slot of type 3, all of it from random bytes of its own.
func (c refCollector) seal(kind string, id []byte, h refHeader, plaintext string) refSlot {
	key := refRandom(32)
	wrapped := refWrapKey(refRandom(32), c.id, c.public, refCollectInfo(c.purpose), key)
	return c.sealUnder(wrapped, key, kind, id, h, plaintext)
}

// sealUnder does the same with a slot key that is there, as a batch has it.
func (c refCollector) sealUnder(wrapped, key []byte, kind string, id []byte, h refHeader, plaintext string) refSlot {
	h.typ = 3
	header := h.bytes()
	return refSlot{c.purpose, header, refCollect(wrapped, key, refRandom(12), refPad(plaintext), refAAD(kind, c.purpose, id, header, ""))}
}
