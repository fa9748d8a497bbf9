// Package reference is a second implementation of FORMAT.md, written from its text with
// the standard library alone: it has its own parsers, padding, AES-CMAC and protobuf.
// It imports nothing of package vault, so that one mistake is not made twice. Only tests
// import it.
//
// It takes nonces and value ids from the caller and checks nothing when it seals. It can
// therefore also make malformed values, which package vault never makes.
package reference

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"regexp"
	"slices"
	"strings"
)

// Key is one key of a keyset. The key of a key pair of collectors is the private one:
// an X25519 private key, or the seed of an X-Wing key pair.
type Key struct {
	ID    uint32
	Key   []byte
	XWing bool
}

// Keys are the keys of one purpose; the first of each list is primary.
type Keys struct {
	Vault                []byte // the id of the vault
	Seal, Index, Subject []Key
}

// Record has the keys of a key record. Not every record has keys of collectors.
type Record struct {
	Keys
	Collect []Key // key pairs
}

// Header has the fields of a slot header.
type Header struct {
	Typ             byte
	Collected       uint64
	Legal           byte
	Notice, Consent string
	Expires         uint64
	From            string
	Stated          bool
}

// Bytes writes the header, with a flag for each field that is set.
func (h Header) Bytes() []byte {
	b := []byte{h.Typ, 0}
	b = append(b, Uint40(h.Collected)...)
	if h.Legal != 0 {
		b[1] |= 0x01
		b = append(b, h.Legal)
	}
	if h.Notice != "" {
		b[1] |= 0x02
		b = append(b, String(h.Notice)...)
	}
	if h.Consent != "" {
		b[1] |= 0x04
		b = append(b, String(h.Consent)...)
	}
	if h.Expires != 0 {
		b[1] |= 0x08
		b = append(b, Uint40(h.Expires)...)
	}
	if h.From != "" {
		b[1] |= 0x10
		b = append(b, String(h.From)...)
	}
	if h.Stated {
		b[1] |= 0x20
	}
	return b
}

// Uint40 writes n in five bytes, big-endian.
func Uint40(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n)[3:] }

// String writes the length of s in one byte, and s.
func String(s string) []byte { return append([]byte{byte(len(s))}, s...) }

// Slot is one slot with its name.
type Slot struct {
	Purpose        string
	Header, Sealed []byte
}

// Value has the parts of a sealed value.
type Value struct {
	Kind  string
	ID    []byte
	Slots []Slot
}

// Clone returns a deep copy, for tests that change one field.
func (v Value) Clone() Value {
	c := Value{v.Kind, slices.Clone(v.ID), slices.Clone(v.Slots)}
	for i, s := range c.Slots {
		c.Slots[i] = Slot{s.Purpose, slices.Clone(s.Header), slices.Clone(s.Sealed)}
	}
	return c
}

// Names returns the purposes of the slots, in their order.
func (v Value) Names() []string {
	var names []string
	for _, s := range v.Slots {
		names = append(names, s.Purpose)
	}
	return names
}

// Body writes the value id and the slots.
func (v Value) Body() []byte {
	b := slices.Clone(v.ID)
	for _, s := range v.Slots {
		b = append(b, s.Header...)
		b = append(b, byte(len(s.Sealed)>>8), byte(len(s.Sealed)))
		b = append(b, s.Sealed...)
	}
	return b
}

// Text writes the text form.
func (v Value) Text() string { return Text(v.Kind, strings.Join(v.Names(), "~"), v.Body()) }

// Text writes the text form of a kind, the names joined by "~", and a body. It does not
// check any of them.
func Text(kind, names string, body []byte) string {
	return "pii1." + kind + "." + names + "." + base64.RawURLEncoding.EncodeToString(body)
}

// Binary writes the binary form.
func (v Value) Binary() []byte {
	b := append([]byte{1}, String(v.Kind)...)
	b = append(b, byte(len(v.Slots)))
	for _, s := range v.Slots {
		b = append(b, String(s.Purpose)...)
	}
	return append(b, v.Body()...)
}

// SlotOf seals plaintext into a slot of the header's type.
func SlotOf(kind, name string, id []byte, h Header, key Key, nonce []byte, plaintext string) Slot {
	return SubjectSlot(kind, name, id, h, "", key, nonce, plaintext)
}

// SubjectSlot is SlotOf for a slot that binds a subject. The sealed part of a slot of
// type 2 does not name the key.
func SubjectSlot(kind, name string, id []byte, h Header, subject string, key Key, nonce []byte, plaintext string) Slot {
	header := h.Bytes()
	sealed := Seal(key, nonce, Pad(plaintext), AAD(kind, name, id, header, subject))
	if h.Typ == 2 {
		sealed = sealed[5:]
	}
	return Slot{name, header, sealed}
}

// AAD returns the associated data of a slot. The subject is empty if the slot binds
// none.
func AAD(kind, name string, id, header []byte, subject string) []byte {
	return bytes.Join([][]byte{
		[]byte("pii1"), String(kind), String(name), id, header,
		{byte(len(subject) >> 8), byte(len(subject))}, []byte(subject),
	}, nil)
}

// Seal encrypts under one key of a keyset, with the prefix that names the key.
func Seal(key Key, nonce, padded, aad []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{1}, key.ID)
	b = append(b, nonce...)
	return GCM(key.Key).Seal(b, nonce, padded, aad)
}

// Unseal decrypts with the key of keys that the prefix names.
func Unseal(keys []Key, sealed, aad []byte) ([]byte, bool) {
	if len(sealed) < 5+12+16 || sealed[0] != 1 {
		return nil, false
	}
	for _, k := range keys {
		if k.ID == binary.BigEndian.Uint32(sealed[1:]) {
			plain, err := GCM(k.Key).Open(nil, sealed[5:17], sealed[17:], aad)
			return plain, err == nil
		}
	}
	return nil, false
}

// UnsealSubject decrypts the sealed part of a slot of type 2.
func UnsealSubject(key Key, sealed, aad []byte) ([]byte, bool) {
	if len(sealed) < 12+16 {
		return nil, false
	}
	plain, err := GCM(key.Key).Open(nil, sealed[:12], sealed[12:], aad)
	return plain, err == nil
}

// Pad appends 0x80 and zeros, up to the next multiple of 32.
func Pad(plaintext string) []byte {
	steps := len(plaintext)/32 + 1
	b := make([]byte, 32*steps)
	copy(b, plaintext)
	b[len(plaintext)] = 0x80
	return b
}

func unpad(padded []byte) (string, bool) {
	n := bytes.LastIndexByte(padded, 0x80)
	if n < 1 || n > 1024 || !bytes.Equal(Pad(string(padded[:n])), padded) {
		return "", false
	}
	return string(padded[:n]), true
}

// Asked has the inputs for opening a value: the purpose and its keys and, if the scope
// is narrowed to a subject, the subject and the records of the key store.
type Asked struct {
	Kind, Purpose string
	Keys          Record
	Subject       string
	Store         map[string][]byte
	Now           uint64
}

// Open returns the plaintext of v, or the class of the refusal as the vectors name it.
func (v Value) Open(asked Asked) (plaintext, class string) {
	if v.Kind != asked.Kind {
		return "", "corrupt"
	}
	i := slices.Index(v.Names(), asked.Purpose)
	if i < 0 {
		return "", "mismatch"
	}
	s := v.Slots[i]
	h, rest, ok := CutHeader(s.Header)
	var own Key
	switch {
	case !ok || len(rest) > 0:
		return "", "corrupt"
	case (h.Typ == 2) != (asked.Subject != ""):
		return "", "subject"
	case h.Typ == 2:
		if own, class = SubjectKey(asked); class != "" {
			return "", class
		}
	}
	aad := AAD(asked.Kind, asked.Purpose, v.ID, s.Header, asked.Subject)
	var padded []byte
	switch h.Typ {
	case 2:
		padded, ok = UnsealSubject(own, s.Sealed, aad)
	case 3, 4:
		padded, ok = Uncollect(asked.Keys.Collect, h.Typ, asked.Purpose, s.Sealed, aad)
	default:
		padded, ok = Unseal(asked.Keys.Seal, s.Sealed, aad)
	}
	if !ok {
		return "", "corrupt"
	}
	if plaintext, ok = unpad(padded); !ok {
		return "", "corrupt"
	}
	if h.Expires != 0 && asked.Now >= h.Expires {
		return "", "expired"
	}
	if h.Expires != 0 && h.Typ >= 3 && asked.Now+24*3600 < h.Collected {
		return "", "corrupt"
	}
	if h.Expires != 0 && asked.Now+300 < h.Collected {
		return "", "unavailable"
	}
	return plaintext, "success"
}

var (
	kindRE      = regexp.MustCompile(`\A[a-z][a-z0-9-]{0,30}\z`)
	purposeRE   = regexp.MustCompile(`\A[a-z][a-z0-9-]{0,62}\z`)
	referenceRE = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\z`)
	letterRE    = regexp.MustCompile(`[A-Za-z]`)
)

// Parse reads the text form.
func Parse(text string) (Value, bool) {
	fields := strings.Split(text, ".")
	if len(text) > 65536 || len(fields) != 4 || fields[0] != "pii1" {
		return Value{}, false
	}
	body, ok := decodeBase64(fields[3])
	if !ok {
		return Value{}, false
	}
	return parts(fields[1], strings.Split(fields[2], "~"), body)
}

// decodeBase64 decodes bit by bit, so that it does not share the leniency of a library.
func decodeBase64(s string) ([]byte, bool) {
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

// ParseBinary reads the binary form.
func ParseBinary(data []byte) (Value, bool) {
	if len(data) > 65536 {
		return Value{}, false
	}
	r := &Reader{B: data, Ok: true}
	magic := r.Next(1)
	kind := r.string()
	count := r.Next(1)
	if !r.Ok || magic[0] != 1 {
		return Value{}, false
	}
	var names []string
	for range count[0] {
		names = append(names, r.string())
	}
	if !r.Ok {
		return Value{}, false
	}
	return parts(kind, names, r.B)
}

func parts(kind string, names []string, body []byte) (Value, bool) {
	if !kindRE.MatchString(kind) || len(names) < 1 || len(names) > 16 || len(body) < 16 {
		return Value{}, false
	}
	v := Value{Kind: kind, ID: body[:16]}
	rest := body[16:]
	for i, name := range names {
		if !purposeRE.MatchString(name) || i > 0 && names[i-1] >= name {
			return Value{}, false
		}
		h, after, ok := CutHeader(rest)
		if !ok {
			return Value{}, false
		}
		header := rest[:len(rest)-len(after)]
		r := &Reader{B: after, Ok: true}
		size := r.Next(2)
		if !r.Ok {
			return Value{}, false
		}
		sealed := r.Next(int(size[0])<<8 | int(size[1]))
		prefix := map[byte]int{1: 5, 2: 0, 3: 85, 4: 1173}[h.Typ]
		padded := len(sealed) - prefix - 12 - 16
		if !r.Ok || h.From == name || padded < 32 || padded > 1056 || padded%32 != 0 || prefix > 0 && sealed[0] != 1 {
			return Value{}, false
		}
		v.Slots = append(v.Slots, Slot{name, header, sealed})
		rest = r.B
	}
	return v, len(rest) == 0
}

// CutHeader reads a slot header, and returns the bytes after it.
func CutHeader(b []byte) (Header, []byte, bool) {
	r := &Reader{B: b, Ok: true}
	fixed := r.Next(7)
	if !r.Ok {
		return Header{}, nil, false
	}
	h := Header{Typ: fixed[0], Collected: Uint(fixed[2:7])}
	flags := fixed[1]
	h.Stated = flags&0x20 != 0
	valid := h.Typ >= 1 && h.Typ <= 4 && flags < 0x40 && h.Collected <= Latest && (!h.Stated || h.Collected > 0)
	if flags&0x01 != 0 {
		h.Legal = r.Next(1)[0]
		valid = valid && h.Legal >= 1 && h.Legal <= 6
	}
	reference := func() string {
		s := r.string()
		valid = valid && referenceRE.MatchString(s) && letterRE.MatchString(s)
		return s
	}
	if flags&0x02 != 0 {
		h.Notice = reference()
	}
	if flags&0x04 != 0 {
		h.Consent = reference()
	}
	if flags&0x08 != 0 {
		h.Expires = Uint(r.Next(5))
		valid = valid && h.Collected > 0 && h.Expires > h.Collected && h.Expires <= Latest &&
			h.Expires-h.Collected <= (100*365+1)*24*3600
	}
	if flags&0x10 != 0 {
		h.From = r.string()
		valid = valid && purposeRE.MatchString(h.From) && h.Consent != "" && h.Typ <= 2
	}
	return h, r.B, valid && r.Ok
}

// Latest is 9999-12-31T23:59:59Z, the latest time of a header and of a subject record.
const Latest = 253402300799

// Uint reads a big-endian number of up to eight bytes.
func Uint(b []byte) uint64 {
	return binary.BigEndian.Uint64(append(make([]byte, 8-len(b)), b...))
}

// Reader cuts a byte slice. At the end of the slice it yields zeros, and Ok is false.
type Reader struct {
	B  []byte
	Ok bool
}

// Next returns the next n bytes.
func (r *Reader) Next(n int) []byte {
	if len(r.B) < n {
		r.Ok = false
		r.B = nil
		return make([]byte, n)
	}
	b := r.B[:n]
	r.B = r.B[n:]
	return b
}

func (r *Reader) string() string { return string(r.Next(int(r.Next(1)[0]))) }

// Index computes a blind index.
func Index(key []byte, kind, name, canonical string) []byte {
	return CMAC(key, slices.Concat([]byte("idx1"), String(kind), String(name), []byte(canonical)))
}

// Time is when everything in the vectors was made: 2026-01-02T03:04:05Z.
