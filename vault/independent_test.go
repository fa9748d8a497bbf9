package vault_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A second implementation of FORMAT.md, written from the text with the
// standard library alone: own parsers, own padding, own AES-CMAC, own protobuf.
// It takes its nonces and value ids from the caller and checks nothing when it
// seals, so that it also makes the malformed values that ours never would.

// refKey is one key of a keyset.
type refKey struct {
	id  uint32
	key []byte
}

// refKeys are the keys of one purpose; the first of each list is primary.
type refKeys struct {
	seal, index, subject []refKey
}

// refRecord is what a key record holds: those, and the keys that not every record
// has.
type refRecord struct {
	refKeys
	collect  []refKey // X25519 private keys
	imported []refKey // AES-GCM, whose ciphertexts have the TINK prefix
}

// refHeader is a slot header before it is written.
type refHeader struct {
	typ             byte
	collected       uint64
	legal           byte
	notice, consent string
	expires         uint64
	from            string
}

func (h refHeader) bytes() []byte {
	b := []byte{h.typ, 0}
	b = append(b, ref40(h.collected)...)
	if h.legal != 0 {
		b[1] |= 0x01
		b = append(b, h.legal)
	}
	if h.notice != "" {
		b[1] |= 0x02
		b = append(b, refString(h.notice)...)
	}
	if h.consent != "" {
		b[1] |= 0x04
		b = append(b, refString(h.consent)...)
	}
	if h.expires != 0 {
		b[1] |= 0x08
		b = append(b, ref40(h.expires)...)
	}
	if h.from != "" {
		b[1] |= 0x10
		b = append(b, refString(h.from)...)
	}
	return b
}

func ref40(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n)[3:] }

func refString(s string) []byte { return append([]byte{byte(len(s))}, s...) }

// refSlot is one slot with its name.
type refSlot struct {
	purpose        string
	header, sealed []byte
}

// refValue is a sealed value in parts.
type refValue struct {
	kind  string
	id    []byte
	slots []refSlot
}

// clone returns a deep copy, for tests that change one thing.
func (v refValue) clone() refValue {
	c := refValue{v.kind, slices.Clone(v.id), slices.Clone(v.slots)}
	for i, s := range c.slots {
		c.slots[i] = refSlot{s.purpose, slices.Clone(s.header), slices.Clone(s.sealed)}
	}
	return c
}

func (v refValue) names() []string {
	var names []string
	for _, s := range v.slots {
		names = append(names, s.purpose)
	}
	return names
}

func (v refValue) body() []byte {
	b := slices.Clone(v.id)
	for _, s := range v.slots {
		b = append(b, s.header...)
		b = append(b, byte(len(s.sealed)>>8), byte(len(s.sealed)))
		b = append(b, s.sealed...)
	}
	return b
}

func (v refValue) text() string { return refText(v.kind, strings.Join(v.names(), "~"), v.body()) }

func refText(kind, names string, body []byte) string {
	return "pii1." + kind + "." + names + "." + base64.RawURLEncoding.EncodeToString(body)
}

func (v refValue) binary() []byte {
	b := append([]byte{1}, refString(v.kind)...)
	b = append(b, byte(len(v.slots)))
	for _, s := range v.slots {
		b = append(b, refString(s.purpose)...)
	}
	return append(b, v.body()...)
}

// refSlotOf seals plaintext into a slot of the type that the header says.
func refSlotOf(kind, name string, id []byte, h refHeader, key refKey, nonce []byte, plaintext string) refSlot {
	return refSubjectSlot(kind, name, id, h, "", key, nonce, plaintext)
}

// refSubjectSlot does the same and binds a subject.
func refSubjectSlot(kind, name string, id []byte, h refHeader, subject string, key refKey, nonce []byte, plaintext string) refSlot {
	header := h.bytes()
	return refSlot{name, header, refSeal(key, nonce, refPad(plaintext), refAAD(kind, name, id, header, subject))}
}

func refAAD(kind, name string, id, header []byte, subject string) []byte {
	return bytes.Join([][]byte{
		[]byte("pii1"), refString(kind), refString(name), id, header,
		{byte(len(subject) >> 8), byte(len(subject))}, []byte(subject),
	}, nil)
}

func refSeal(key refKey, nonce, padded, aad []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{1}, key.id)
	b = append(b, nonce...)
	return refGCM(key.key).Seal(b, nonce, padded, aad)
}

func refUnseal(keys []refKey, sealed, aad []byte) ([]byte, bool) {
	if len(sealed) < 5+12+16 || sealed[0] != 1 {
		return nil, false
	}
	for _, k := range keys {
		if k.id == binary.BigEndian.Uint32(sealed[1:]) {
			plain, err := refGCM(k.key).Open(nil, sealed[5:17], sealed[17:], aad)
			return plain, err == nil
		}
	}
	return nil, false
}

func refGCM(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return gcm
}

func refPad(plaintext string) []byte {
	steps := len(plaintext)/32 + 1
	b := make([]byte, 32*steps)
	copy(b, plaintext)
	b[len(plaintext)] = 0x80
	return b
}

func refUnpad(padded []byte) (string, bool) {
	n := bytes.LastIndexByte(padded, 0x80)
	if n < 1 || n > 1024 || !bytes.Equal(refPad(string(padded[:n])), padded) {
		return "", false
	}
	return string(padded[:n]), true
}

// refAsked is what a value is opened with: the purpose and its keys, and the
// subject, if the scope is narrowed to one, with what the store holds.
type refAsked struct {
	kind, purpose string
	keys          refRecord
	subject       string
	store         map[string][]byte
	now           uint64
}

// open returns the plaintext of v, or the class of refusal that the vectors
// name.
func (v refValue) open(asked refAsked) (plaintext, class string) {
	if v.kind != asked.kind {
		return "", "corrupt"
	}
	i := slices.Index(v.names(), asked.purpose)
	if i < 0 {
		return "", "mismatch"
	}
	s := v.slots[i]
	h, rest, ok := refCutHeader(s.header)
	keys := asked.keys.seal
	switch {
	case !ok || len(rest) > 0:
		return "", "corrupt"
	case (h.typ == 2) != (asked.subject != ""):
		return "", "subject"
	case h.typ == 2:
		if keys, class = refSubjectKey(asked); class != "" {
			return "", class
		}
	}
	aad := refAAD(asked.kind, asked.purpose, v.id, s.header, asked.subject)
	var padded []byte
	if h.typ == 3 {
		padded, ok = refUncollect(asked.keys.collect, asked.purpose, s.sealed, aad)
	} else {
		padded, ok = refUnseal(keys, s.sealed, aad)
	}
	if !ok {
		return "", "corrupt"
	}
	if plaintext, ok = refUnpad(padded); !ok {
		return "", "corrupt"
	}
	if h.expires != 0 && asked.now >= h.expires {
		return "", "expired"
	}
	if h.expires != 0 && h.typ == 3 && asked.now+24*3600 < h.collected {
		return "", "corrupt"
	}
	if h.expires != 0 && asked.now+300 < h.collected {
		return "", "unavailable"
	}
	return plaintext, "success"
}

var (
	refKindRE    = regexp.MustCompile(`\A[a-z][a-z0-9-]{0,30}\z`)
	refPurposeRE = regexp.MustCompile(`\A[a-z][a-z0-9-]{0,62}\z`)
	refRefRE     = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\z`)
	refLetterRE  = regexp.MustCompile(`[A-Za-z]`)
)

// refParse reads the text form.
func refParse(text string) (refValue, bool) {
	fields := strings.Split(text, ".")
	if len(text) > 32768 || len(fields) != 4 || fields[0] != "pii1" {
		return refValue{}, false
	}
	body, ok := refBase64(fields[3])
	if !ok {
		return refValue{}, false
	}
	return refParts(fields[1], strings.Split(fields[2], "~"), body)
}

// refBase64 decodes bit by bit, so that it shares nothing with a library's
// leniency.
func refBase64(s string) ([]byte, bool) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	var out []byte
	bits, n := 0, 0
	for i := range len(s) {
		c := strings.IndexByte(alphabet, s[i])
		if c < 0 {
			return nil, false
		}
		bits, n = bits<<6|c, n+6
		if n >= 8 {
			n -= 8
			out = append(out, byte(bits>>n))
			bits &= 1<<n - 1
		}
	}
	return out, n < 6 && bits == 0
}

// refParseBinary reads the binary form.
func refParseBinary(data []byte) (refValue, bool) {
	if len(data) > 32768 {
		return refValue{}, false
	}
	r := &refReader{b: data, ok: true}
	magic := r.next(1)
	kind := r.string()
	count := r.next(1)
	if !r.ok || magic[0] != 1 {
		return refValue{}, false
	}
	var names []string
	for range count[0] {
		names = append(names, r.string())
	}
	if !r.ok {
		return refValue{}, false
	}
	return refParts(kind, names, r.b)
}

func refParts(kind string, names []string, body []byte) (refValue, bool) {
	if !refKindRE.MatchString(kind) || len(names) < 1 || len(names) > 16 || len(body) < 16 {
		return refValue{}, false
	}
	v := refValue{kind: kind, id: body[:16]}
	rest := body[16:]
	for i, name := range names {
		if !refPurposeRE.MatchString(name) || i > 0 && names[i-1] >= name {
			return refValue{}, false
		}
		h, after, ok := refCutHeader(rest)
		if !ok {
			return refValue{}, false
		}
		header := rest[:len(rest)-len(after)]
		r := &refReader{b: after, ok: true}
		size := r.next(2)
		if !r.ok {
			return refValue{}, false
		}
		sealed := r.next(int(size[0])<<8 | int(size[1]))
		overhead := 5 + 12 + 16
		if h.typ == 3 {
			overhead = 85 + 12 + 16
		}
		padded := len(sealed) - overhead
		if !r.ok || h.from == name || padded < 32 || padded > 1056 || padded%32 != 0 || sealed[0] != 1 {
			return refValue{}, false
		}
		v.slots = append(v.slots, refSlot{name, header, sealed})
		rest = r.b
	}
	return v, len(rest) == 0
}

func refCutHeader(b []byte) (refHeader, []byte, bool) {
	r := &refReader{b: b, ok: true}
	fixed := r.next(7)
	if !r.ok {
		return refHeader{}, nil, false
	}
	h := refHeader{typ: fixed[0], collected: refUint(fixed[2:7])}
	flags := fixed[1]
	valid := h.typ >= 1 && h.typ <= 3 && flags < 0x20
	if flags&0x01 != 0 {
		h.legal = r.next(1)[0]
		valid = valid && h.legal >= 1 && h.legal <= 6
	}
	reference := func() string {
		s := r.string()
		valid = valid && refRefRE.MatchString(s) && refLetterRE.MatchString(s)
		return s
	}
	if flags&0x02 != 0 {
		h.notice = reference()
	}
	if flags&0x04 != 0 {
		h.consent = reference()
	}
	if flags&0x08 != 0 {
		h.expires = refUint(r.next(5))
		valid = valid && h.expires > h.collected
	}
	if flags&0x10 != 0 {
		h.from = r.string()
		valid = valid && refPurposeRE.MatchString(h.from) && h.consent != ""
	}
	return h, r.b, valid && r.ok
}

func refUint(b []byte) uint64 {
	return binary.BigEndian.Uint64(append(make([]byte, 8-len(b)), b...))
}

// refReader cuts a byte slice. After it ran out it yields zeros.
type refReader struct {
	b  []byte
	ok bool
}

func (r *refReader) next(n int) []byte {
	if len(r.b) < n {
		r.ok = false
		r.b = nil
		return make([]byte, n)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *refReader) string() string { return string(r.next(int(r.next(1)[0]))) }

// refIndex computes a blind index.
func refIndex(key []byte, kind, name, canonical string) []byte {
	return refCMAC(key, slices.Concat([]byte("idx1"), refString(kind), refString(name), []byte(canonical)))
}

// refCMAC is AES-CMAC, RFC 4493, with a key of any AES size.
func refCMAC(key, message []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	double := func(b []byte) []byte {
		out := make([]byte, 16)
		for i := range out {
			out[i] = b[i] << 1
			if i < 15 {
				out[i] |= b[i+1] >> 7
			}
		}
		out[15] ^= 0x87 * (b[0] >> 7)
		return out
	}
	zero := make([]byte, 16)
	block.Encrypt(zero, zero)
	subkey := double(zero)
	whole := len(message) > 0 && len(message)%16 == 0
	message = slices.Clone(message)
	if !whole {
		subkey = double(subkey)
		message = append(message, 0x80)
		for len(message)%16 != 0 {
			message = append(message, 0)
		}
	}
	last := message[len(message)-16:]
	for i := range last {
		last[i] ^= subkey[i]
	}
	mac := make([]byte, 16)
	for chunk := range slices.Chunk(message, 16) {
		for i := range mac {
			mac[i] ^= chunk[i]
		}
		block.Encrypt(mac, mac)
	}
	return mac
}

// NIST SP 800-38B, appendix D.3 (AES-256).
func TestIndependentCMAC(t *testing.T) {
	key := refHex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
	message := refHex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51" +
		"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	for n, want := range map[int]string{
		0:  "028962f61b7bf89efc6b551f4667d983",
		16: "28a7023f452e8f82bd4bf28d8c37c35c",
		40: "aaf3d8f1de5640c232f5b169b9c911e6",
		64: "e1992190549f6ed5696a2c056c315410",
	} {
		require.Equal(t, want, hex.EncodeToString(refCMAC(key, message[:n])), "%d bytes", n)
	}
}

func refHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// The key record.

// refKeyPayload is what is encrypted in a key record.
type refKeyPayload struct {
	Purpose    string    `json:"purpose"`
	Generation uint64    `json:"generation"`
	Seal       refKeyset `json:"seal"`
	Index      refKeyset `json:"index"`
	Subject    refKeyset `json:"subject"`

	Collect *refKeyset `json:"collect,omitempty"`
	Import  *refKeyset `json:"import,omitempty"`
}

type refKeyset struct {
	Keyset  string            `json:"keyset"`
	Created map[string]uint64 `json:"created"`
}

const (
	refGCMType  = "type.googleapis.com/google.crypto.tink.AesGcmKey"
	refCMACType = "type.googleapis.com/google.crypto.tink.AesCmacPrfKey"
)

func refPayload(name string, keys refKeys) refKeyPayload {
	return refRecord{refKeys: keys}.payload(name)
}

func (keys refRecord) payload(name string) refKeyPayload {
	set := func(keys []refKey, data []byte) refKeyset {
		created := map[string]uint64{}
		for _, k := range keys {
			created[fmt.Sprint(k.id)] = vecTime
		}
		return refKeyset{base64.StdEncoding.EncodeToString(data), created}
	}
	p := refKeyPayload{
		Purpose: name, Generation: 1,
		Seal:    set(keys.seal, refProtoKeyset(keys.seal, refGCMType, 3, 1)),
		Index:   set(keys.index, refProtoKeyset(keys.index, refCMACType, 2, 3)),
		Subject: set(keys.subject, refProtoKeyset(keys.subject, refCMACType, 2, 3)),
	}
	if keys.collect != nil {
		collect := set(keys.collect, refProtoEntries(refCollectEntries(keys.collect)...))
		p.Collect = &collect
	}
	if keys.imported != nil {
		imported := set(keys.imported, refProtoKeyset(keys.imported, refGCMType, 3, 1))
		p.Import = &imported
	}
	return p
}

// refProtoKeyset writes a google.crypto.tink.Keyset of symmetric keys. Prefix 1
// is TINK, 3 is RAW, which is what PRF keys have.
func refProtoKeyset(keys []refKey, typ string, keyField, prefix uint64) []byte {
	var entries []refEntry
	for _, k := range keys {
		entries = append(entries, refEntry{k.id, typ, refProtoBytes(nil, keyField, k.key), refSymmetric, refEnabled, prefix})
	}
	return refProtoEntries(entries...)
}

// refEntry is one key of a google.crypto.tink.Keyset.
type refEntry struct {
	id                       uint32
	typ                      string
	value                    []byte
	material, status, prefix uint64
}

const (
	refSymmetric, refPrivate = 1, 2 // KeyMaterialType
	refEnabled, refDisabled  = 1, 2 // KeyStatusType
)

// refProtoEntries writes a keyset whose first key is primary.
func refProtoEntries(entries ...refEntry) []byte {
	var set []byte
	if len(entries) > 0 {
		set = refProtoInt(set, 1, uint64(entries[0].id)) // primary_key_id
	}
	for _, e := range entries {
		data := refProtoBytes(nil, 1, []byte(e.typ))                          // type_url
		data = refProtoBytes(data, 2, e.value)                                // value
		data = refProtoInt(data, 3, e.material)                               // key_material_type
		entry := refProtoInt(refProtoBytes(nil, 1, data), 2, e.status)        // key_data, status
		entry = refProtoInt(refProtoInt(entry, 3, uint64(e.id)), 4, e.prefix) // key_id, output_prefix_type
		set = refProtoBytes(set, 2, entry)
	}
	return set
}

func refProtoBytes(b []byte, n uint64, v []byte) []byte {
	b = binary.AppendUvarint(b, n<<3|2)
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

func refProtoInt(b []byte, n, v uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, n<<3), v)
}

// refReadKeyset reads what ours generates: keys of one type and prefix, the primary
// first. Those that are disabled are left out.
func refReadKeyset(data []byte, typ string, prefix uint64, read func(value refProto) ([]byte, bool)) ([]refKey, error) {
	set, err := refReadProto(data)
	if err != nil {
		return nil, err
	}
	var keys []refKey
	for _, raw := range set.bytes[2] {
		entry, err := refReadProto(raw)
		if err != nil {
			return nil, err
		}
		keyData, err := refReadProto(entry.only(1))
		if err != nil {
			return nil, err
		}
		value, err := refReadProto(keyData.only(2))
		if err != nil {
			return nil, err
		}
		if entry.ints[2] == refDisabled {
			continue
		}
		key, ok := read(value)
		if string(keyData.only(1)) != typ || entry.ints[2] != refEnabled || entry.ints[4] != prefix || !ok {
			return nil, errors.New("not an enabled key of this type")
		}
		k := refKey{uint32(entry.ints[3]), key}
		if uint64(k.id) == set.ints[1] {
			keys = slices.Insert(keys, 0, k)
		} else {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 || uint64(keys[0].id) != set.ints[1] {
		return nil, errors.New("no enabled primary key")
	}
	return keys, nil
}

// refSymmetricKey returns what reads a key that is in this field of its message.
func refSymmetricKey(field uint64) func(value refProto) ([]byte, bool) {
	return func(value refProto) ([]byte, bool) { return value.only(field), len(value.bytes[field]) == 1 }
}

type refProto struct {
	ints  map[uint64]uint64
	bytes map[uint64][][]byte
}

// only returns the first of the fields of that number, nil if there is none.
func (m refProto) only(n uint64) []byte {
	if len(m.bytes[n]) == 0 {
		return nil
	}
	return m.bytes[n][0]
}

func refReadProto(data []byte) (refProto, error) {
	m := refProto{map[uint64]uint64{}, map[uint64][][]byte{}}
	for r := bytes.NewReader(data); r.Len() > 0; {
		tag, err := binary.ReadUvarint(r)
		if err != nil {
			return m, err
		}
		n, err := binary.ReadUvarint(r)
		switch {
		case err != nil:
			return m, err
		case tag&7 == 0:
			m.ints[tag>>3] = n
		case tag&7 == 2 && n <= uint64(r.Len()):
			b := make([]byte, n)
			if _, err := io.ReadFull(r, b); err != nil {
				return m, err
			}
			m.bytes[tag>>3] = append(m.bytes[tag>>3], b)
		default:
			return m, errors.New("wire type")
		}
	}
	return m, nil
}

// refWrap writes a key record. dek, its nonce and the KEK's are the caller's.
func refWrap(kek refKEK, name string, payload, dek, nonce []byte) []byte {
	wrapped, err := kek.Encrypt(dek, []byte("onlyfor purpose-keys "+name))
	if err != nil {
		panic(err)
	}
	return refWrapUnder(name, wrapped, payload, dek, nonce)
}

func refWrapUnder(name string, wrapped, payload, dek, nonce []byte) []byte {
	b := append([]byte("ofk1"), byte(len(wrapped)>>8), byte(len(wrapped)))
	b = append(append(b, wrapped...), nonce...)
	return refGCM(dek).Seal(b, nonce, payload, refRecordAAD(name, wrapped))
}

func refRecordAAD(name string, wrapped []byte) []byte {
	return slices.Concat([]byte("ofk1"), refString("purpose-keys"), refString(name), wrapped)
}

// refUnwrap reads a key record.
func refUnwrap(kek vault.AEAD, name string, data []byte) (refRecord, error) {
	r := &refReader{b: data, ok: true}
	magic, size := r.next(4), r.next(2)
	wrapped := r.next(int(size[0])<<8 | int(size[1]))
	nonce := r.next(12)
	if !r.ok || string(magic) != "ofk1" || len(data) > 1<<20 {
		return refRecord{}, errors.New("malformed")
	}
	dek, err := kek.Decrypt(wrapped, []byte("onlyfor purpose-keys "+name))
	if err != nil {
		return refRecord{}, err
	}
	plain, err := refGCM(dek).Open(nil, nonce, r.b, refRecordAAD(name, wrapped))
	if err != nil {
		return refRecord{}, err
	}
	var payload refKeyPayload
	d := json.NewDecoder(bytes.NewReader(plain))
	d.DisallowUnknownFields()
	if err := d.Decode(&payload); err != nil {
		return refRecord{}, err
	}
	if payload.Purpose != name || payload.Generation == 0 {
		return refRecord{}, errors.New("of another purpose")
	}
	var keys refRecord
	for _, x := range []struct {
		to       *[]refKey
		from     *refKeyset
		typ      string
		prefix   uint64
		read     func(value refProto) ([]byte, bool)
		optional bool
	}{
		{&keys.seal, &payload.Seal, refGCMType, 1, refSymmetricKey(3), false},
		{&keys.index, &payload.Index, refCMACType, 3, refSymmetricKey(2), false},
		{&keys.subject, &payload.Subject, refCMACType, 3, refSymmetricKey(2), false},
		{&keys.collect, payload.Collect, refHPKEType, 1, refCollectKey, true},
		{&keys.imported, payload.Import, refGCMType, 1, refSymmetricKey(3), true},
	} {
		if x.from == nil {
			continue
		}
		set, err := base64.StdEncoding.DecodeString(x.from.Keyset)
		if err == nil {
			*x.to, err = refReadKeyset(set, x.typ, x.prefix, x.read)
		}
		if err != nil && !x.optional {
			return refRecord{}, err
		}
	}
	return keys, nil
}

// refKEK is an AES-256-GCM AEAD in Tink's encoding, as the vectors use it. A
// fixed nonce makes it deterministic, for one message only.
type refKEK struct {
	key   refKey
	nonce []byte
}

func (k refKEK) Encrypt(plaintext, aad []byte) ([]byte, error) {
	nonce := k.nonce
	if nonce == nil {
		nonce = make([]byte, 12)
		rand.Read(nonce)
	}
	return refSeal(k.key, nonce, plaintext, aad), nil
}

func (k refKEK) Decrypt(ciphertext, aad []byte) ([]byte, error) {
	plain, ok := refUnseal([]refKey{k.key}, ciphertext, aad)
	if !ok {
		return nil, vault.ErrCorrupt
	}
	return plain, nil
}

// The records of subjects, and the count of erasures.

// refSubjectRecord is what is encrypted in a subject record.
type refSubjectRecord struct {
	state byte
	id    uint32
	time  uint64
	key   []byte
}

func (r refSubjectRecord) bytes() []byte {
	b := binary.BigEndian.AppendUint32([]byte{r.state}, r.id)
	return slices.Concat(b, ref40(r.time), r.key)
}

func refPseudonym(name string, keys refKeys, subject string) []byte {
	return refCMAC(keys.subject[0].key, slices.Concat([]byte("psn1"), refString(name), []byte(subject)))
}

func refSubjectName(name string, pseudonym []byte) string {
	return fmt.Sprintf("%s/subjects/%x/%x", name, pseudonym[:1], pseudonym)
}

func refSubjectAAD(name string, pseudonym []byte) []byte {
	return slices.Concat([]byte("sub1"), refString(name), pseudonym)
}

// refSealSubject writes a subject record.
func refSealSubject(key refKey, nonce []byte, name string, pseudonym, payload []byte) []byte {
	return append([]byte("ofs1"), refSeal(key, nonce, payload, refSubjectAAD(name, pseudonym))...)
}

// refOpenSubject reads a subject record.
func refOpenSubject(keys refKeys, name, subject string, data []byte) (refSubjectRecord, bool) {
	sealed, ok := bytes.CutPrefix(data, []byte("ofs1"))
	if !ok {
		return refSubjectRecord{}, false
	}
	payload, ok := refUnseal(keys.seal, sealed, refSubjectAAD(name, refPseudonym(name, keys, subject)))
	r := &refReader{b: payload, ok: ok}
	record := refSubjectRecord{r.next(1)[0], uint32(refUint(r.next(4))), refUint(r.next(5)), r.b}
	if !r.ok || !(record.state == 1 && len(record.key) == 32 || record.state == 2 && len(record.key) == 0) {
		return refSubjectRecord{}, false
	}
	return record, true
}

// refSubjectKey returns the key of the subject asked for, or why there is none.
func refSubjectKey(asked refAsked) (keys []refKey, class string) {
	data, ok := asked.store[refSubjectName(asked.purpose, refPseudonym(asked.purpose, asked.keys.refKeys, asked.subject))]
	if !ok {
		return nil, "corrupt"
	}
	record, ok := refOpenSubject(asked.keys.refKeys, asked.purpose, asked.subject, data)
	switch {
	case !ok:
		return nil, "corrupt"
	case record.state == 2:
		return nil, "erased"
	}
	return []refKey{{record.id, record.key}}, ""
}

func refErasuresTag(keys refKeys, name string, n uint64) []byte {
	return refCMAC(keys.subject[0].key, binary.BigEndian.AppendUint64(append([]byte("era1"), refString(name)...), n))
}

// refErasures writes the count of erasures.
func refErasures(keys refKeys, name string, n uint64) []byte {
	return append(binary.BigEndian.AppendUint64([]byte("ofe1"), n), refErasuresTag(keys, name, n)...)
}

func refReadErasures(keys refKeys, name string, data []byte) (uint64, bool) {
	r := &refReader{b: data, ok: true}
	magic, n, tag := r.next(4), refUint(r.next(8)), r.next(16)
	ok := r.ok && len(r.b) == 0 && string(magic) == "ofe1" && bytes.Equal(tag, refErasuresTag(keys, name, n))
	return n, ok
}

// refVault returns a vault of ours whose key records the independent
// implementation wrote.
func refVault(t testing.TB, keys map[string]refKeys) *vault.Vault {
	t.Helper()
	return vecOpen(t, refStore(t, keys, nil), vault.SharedKEK(refKEK{key: vecKEK}))
}

// refStore returns a store with these keys and records, all of them written by
// the independent implementation.
func refStore(t testing.TB, keys map[string]refKeys, records map[string][]byte) vault.Store {
	t.Helper()
	all := map[string]refRecord{}
	for name, k := range keys {
		all[name] = refRecord{refKeys: k}
	}
	return refStoreOf(t, all, records)
}

// refStoreOf does the same with all that a key record may hold.
func refStoreOf(t testing.TB, keys map[string]refRecord, records map[string][]byte) vault.Store {
	t.Helper()
	ctx := context.Background()
	store := vault.Memory()
	for name, k := range keys {
		payload, err := json.Marshal(k.payload(name))
		require.NoError(t, err)
		record := refWrap(refKEK{key: vecKEK}, name, payload, refRandom(32), refRandom(12))
		_, err = store.Put(ctx, vault.Record{Name: name + "/keys", Data: record})
		require.NoError(t, err)
	}
	for name, data := range records {
		_, err := store.Put(ctx, vault.Record{Name: name, Data: data})
		require.NoError(t, err)
	}
	return store
}

// refContent returns what a store holds.
func refContent(t testing.TB, store vault.Store) map[string][]byte {
	t.Helper()
	content := map[string][]byte{}
	for name, err := range store.List(context.Background(), "", "") {
		require.NoError(t, err)
		records, err := store.Get(context.Background(), name)
		require.NoError(t, err)
		require.Len(t, records, 1)
		content[name] = records[0].Data
	}
	return content
}

func refScope(t testing.TB, v *vault.Vault, name string) *vault.Scope {
	t.Helper()
	s, err := v.Scope(context.Background(), purpose.MustParse(name))
	require.NoError(t, err)
	return s
}

func refRandom(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
