package main

import (
	"crypto/aes"
	"crypto/cipher"
	cryptorand "crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math/rand/v2"

	"github.com/tink-crypto/tink-go/v2/tink"
)

// byHand is code that a team writes without a library: a ciphertext of Tink in a text
// column.
type byHand struct{ aead tink.AEAD }

func (h byHand) seal(text string, aad []byte) (string, error) {
	sealed, err := h.aead.Encrypt([]byte(text), aad)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

func (h byHand) reveal(text string, aad []byte) (string, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return "", err
	}
	plain, err := h.aead.Decrypt(sealed, aad)
	return string(plain), err
}

// A floor writes and reads the texts of e-mail addresses for one purpose, byte for byte as
// FORMAT.md has them, and does nothing else: it knows one key, one kind and one purpose,
// looks at no clock, no lease and no suspension, checks no address, counts nothing, and
// its memory is for one goroutine, which does not clear it. No program that writes this
// format on this machine is much faster.
type floor struct {
	gcm   cipher.AEAD
	id    *rand.ChaCha8
	plain []byte
	aad   []byte
	body  []byte
	text  []byte
}

const (
	floorHead   = "pii1.email.security."
	floorBound  = "pii1\x05email\x08security"    // of the associated data
	floorHeader = "\x01\x00\x00\x65\x53\xf1\x00" // of the slot: 2023-11-14T22:13:20Z
	floorPrefix = "\x01\x00\x00\x00\x01"         // of the ciphertext, which names the key
	floorID     = 16
	floorStep   = 32
	floorSealed = len(floorPrefix) + 12 + floorStep + 16
	floorSize   = "\x00\x41" // of floorSealed
	floorFront  = floorHeader + floorSize
	floorBody   = floorID + len(floorFront) + floorSealed
)

func newFloor() (*floor, error) {
	key, seed := make([]byte, 32), [32]byte{}
	cryptorand.Read(key)
	cryptorand.Read(seed[:])
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	return &floor{
		gcm: gcm, id: rand.NewChaCha8(seed), plain: make([]byte, floorStep), aad: make([]byte, 0, 64),
		body: make([]byte, 0, floorBody+8), text: make([]byte, 0, 256),
	}, err
}

func (f *floor) bind(id []byte) []byte {
	aad := append(f.aad[:0], floorBound...)
	aad = append(aad, id...)
	aad = append(aad, floorHeader...)
	return append(aad, 0, 0)
}

// seal returns the text of an address of up to 31 bytes.
func (f *floor) seal(address string) string {
	body := binary.LittleEndian.AppendUint64(f.body[:0], f.id.Uint64())
	body = binary.LittleEndian.AppendUint64(body, f.id.Uint64())
	aad := f.bind(body)
	n := copy(f.plain, address)
	f.plain[n] = 0x80
	clear(f.plain[n+1:])
	body = append(append(body, floorFront...), floorPrefix...)
	body = f.gcm.Seal(body, nil, f.plain, aad)
	return string(appendGroups(append(f.text[:0], floorHead...), body))
}

var errFloor = errors.New("not a text of the floor")

// reveal returns the address of a text that seal returned.
func (f *floor) reveal(text string) (string, error) {
	if len(text) < len(floorHead) || text[:len(floorHead)] != floorHead {
		return "", errFloor
	}
	body, ok := decodeGroups(f.body[:floorBody+8], text[len(floorHead):])
	if !ok || len(body) != floorBody || string(body[floorID:floorID+len(floorFront)]) != floorFront {
		return "", errFloor
	}
	sealed := body[floorID+len(floorFront):]
	if string(sealed[:len(floorPrefix)]) != floorPrefix {
		return "", errFloor
	}
	plain, err := f.gcm.Open(f.plain[:0], nil, sealed[len(floorPrefix):], f.bind(body[:floorID]))
	if err != nil {
		return "", err
	}
	n := len(plain) - 1
	for n > 0 && plain[n] == 0 {
		n--
	}
	return string(plain[:n]), nil
}
