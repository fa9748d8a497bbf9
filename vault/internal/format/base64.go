package format

import "encoding/binary"

// The body of a text is base64url without padding (RFC 4648, section 5), in its one
// spelling. This codec exists because that of the standard library takes more than twice as
// long, which was a fifth of the time of a seal and a third of that of a reveal. The
// decoder of the standard library also accepts line breaks, so a parser had to encode the
// decoded bytes again to compare them: parsing took twice the time that it takes now.
// BenchmarkBase64 compares both.
//
// Which entries of the tables are read depends on the bytes of a body and on the characters
// of a text, which are public: ids, headers and ciphertext. Plaintext and keys are never
// encoded here.

const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// encodePairs has the two characters of every 12 bits, the first one in the low byte.
var encodePairs = func() (pairs [1 << 12]uint16) {
	for bits := range pairs {
		pairs[bits] = uint16(base64url[bits>>6]) | uint16(base64url[bits&63])<<8
	}
	return pairs
}()

// decodeTables has the bits of every character at each of the four places of a group of
// characters, and notBase64 for a byte that is no such character.
var decodeTables = func() (tables [4][256]uint32) {
	for place := range tables {
		for c := range tables[place] {
			tables[place][c] = notBase64
		}
		for bits := range len(base64url) {
			tables[place][base64url[bits]] = uint32(bits) << (18 - 6*place)
		}
	}
	return tables
}()

// notBase64 is a bit above the 24 bits of a group.
const notBase64 = 1 << 31

// base64Size returns the size of the encoding of n bytes.
func base64Size(n int) int { return n/3*4 + (n%3*8+5)/6 }

// AppendBase64 appends the encoding of src to dst, which must not overlap src.
func AppendBase64(dst, src []byte) []byte {
	dst, out := extend(dst, base64Size(len(src)))
	for len(src) >= 8 && len(out) >= 8 { // 8 bytes are read, and 6 of them encoded
		v := binary.BigEndian.Uint64(src)
		binary.LittleEndian.PutUint64(out, uint64(encodePairs[v>>52])|
			uint64(encodePairs[v>>40&0xfff])<<16|
			uint64(encodePairs[v>>28&0xfff])<<32|
			uint64(encodePairs[v>>16&0xfff])<<48)
		src, out = src[6:], out[8:]
	}
	for len(src) >= 3 && len(out) >= 4 {
		v := uint32(src[0])<<16 | uint32(src[1])<<8 | uint32(src[2])
		binary.LittleEndian.PutUint32(out, uint32(encodePairs[v>>12])|uint32(encodePairs[v&0xfff])<<16)
		src, out = src[3:], out[4:]
	}
	switch len(src) {
	case 2:
		v := uint32(src[0])<<10 | uint32(src[1])<<2
		out[0], out[1], out[2] = base64url[v>>12], base64url[v>>6&63], base64url[v&63]
	case 1:
		v := uint32(src[0]) << 4
		out[0], out[1] = base64url[v>>6], base64url[v&63]
	}
	return dst
}

// spareRoom is the room behind a result in which 8 bytes can be written of which 6 belong to
// the result.
const spareRoom = 2

// AppendDecoded appends the bytes that text encodes to dst. It reports false for every text
// that AppendBase64 does not write, and then has appended bytes without a meaning. It may
// write to the two bytes behind the result, within the capacity of dst.
func AppendDecoded(dst []byte, text string) ([]byte, bool) {
	if len(text)%4 == 1 {
		return dst, false
	}
	dst, out := extend(dst, len(text)/4*3+len(text)%4*6/8+spareRoom)
	dst = dst[:len(dst)-spareRoom]
	var all uint32 // the bits of all groups, for one test at the end
	for len(text) >= 8 && len(out) >= 8 {
		a := decodeTables[0][text[0]] | decodeTables[1][text[1]] | decodeTables[2][text[2]] | decodeTables[3][text[3]]
		b := decodeTables[0][text[4]] | decodeTables[1][text[5]] | decodeTables[2][text[6]] | decodeTables[3][text[7]]
		all |= a | b
		binary.BigEndian.PutUint64(out, uint64(a)<<40|uint64(b)<<16)
		text, out = text[8:], out[6:]
	}
	for len(text) >= 4 && len(out) >= 3 {
		v := decodeTables[0][text[0]] | decodeTables[1][text[1]] | decodeTables[2][text[2]] | decodeTables[3][text[3]]
		all |= v
		out[0], out[1], out[2] = byte(v>>16), byte(v>>8), byte(v)
		text, out = text[4:], out[3:]
	}
	spare := uint32(0) // the bits after the last byte, which are zero in the one spelling
	switch len(text) {
	case 3:
		v := decodeTables[0][text[0]] | decodeTables[1][text[1]] | decodeTables[2][text[2]]
		all |= v
		out[0], out[1], spare = byte(v>>16), byte(v>>8), v&0xff
	case 2:
		v := decodeTables[0][text[0]] | decodeTables[1][text[1]]
		all |= v
		out[0], spare = byte(v>>16), v&0xffff
	}
	return dst, all&notBase64 == 0 && spare == 0
}

// extend returns b with n more bytes, and these bytes.
func extend(b []byte, n int) (extended, more []byte) {
	at := len(b)
	if cap(b)-at < n {
		b = append(b, make([]byte, n)...)
	} else {
		b = b[:at+n]
	}
	return b, b[at:]
}
