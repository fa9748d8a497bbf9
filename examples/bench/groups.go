package main

import (
	"encoding/base64"
	"encoding/binary"
)

// The tables of base64url: of pairs of characters, and of the value of a character at each
// place of a group.
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

var pairs = func() (t [1 << 12]uint16) {
	for bits := range t {
		t[bits] = uint16(alphabet[bits>>6]) | uint16(alphabet[bits&63])<<8
	}
	return t
}()

var places = func() (t [4][256]uint32) {
	for place := range t {
		for c := range t[place] {
			t[place][c] = 1 << 31
		}
		for bits := range len(alphabet) {
			t[place][alphabet[bits]] = uint32(bits) << (18 - 6*place)
		}
	}
	return t
}()

// appendGroups appends the base64url of body. There is room for it.
func appendGroups(dst, body []byte) []byte {
	at := len(dst)
	dst = dst[:at+base64.RawURLEncoding.EncodedLen(len(body))]
	out := dst[at:]
	for len(body) >= 8 && len(out) >= 8 { // 8 bytes are read, and 6 of them encoded
		v := binary.BigEndian.Uint64(body)
		binary.LittleEndian.PutUint64(out, uint64(pairs[v>>52])|uint64(pairs[v>>40&0xfff])<<16|
			uint64(pairs[v>>28&0xfff])<<32|uint64(pairs[v>>16&0xfff])<<48)
		body, out = body[6:], out[8:]
	}
	base64.RawURLEncoding.Encode(out, body) // up to 8 bytes
	return dst
}

// decodeGroups is the reverse of appendGroups. It accepts no second spelling, and needs room
// for 8 bytes more than it returns.
func decodeGroups(dst []byte, text string) ([]byte, bool) {
	size := base64.RawURLEncoding.DecodedLen(len(text))
	if size > len(dst)-8 {
		return nil, false
	}
	out, all := dst, uint32(0)
	for len(text) >= 8 { // 8 bytes are written, and 6 of them kept
		a := places[0][text[0]] | places[1][text[1]] | places[2][text[2]] | places[3][text[3]]
		b := places[0][text[4]] | places[1][text[5]] | places[2][text[6]] | places[3][text[7]]
		all |= a | b
		binary.BigEndian.PutUint64(out, uint64(a)<<40|uint64(b)<<16)
		text, out = text[8:], out[6:]
	}
	if len(text) > 0 {
		for i := range len(text) { // the decoder of the standard library skips ends of lines
			all |= places[0][text[i]]
		}
		if _, err := base64.RawURLEncoding.Strict().Decode(out, []byte(text)); err != nil {
			return nil, false
		}
	}
	return dst[:size], all>>31 == 0
}
