package piitest

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/binary"
	"strings"
)

// A needle describes one rendering in which a contact can turn up, without the contact
// itself.
type needle struct {
	noun      string // "the e-mail address"
	rendering string // "SHA-256 of it in lower case"
}

// needleHead is the number of bytes of a digest or an index that are searched for.
// With 64 bits a truncated digest is found too. A contact has some 200 digests, and
// the search decodes a megabyte in all encodings to at most 10,000,000 positions. One
// of them has a digest by chance less than once in 10^9 times.
const needleHead = 8

// localHead is the number of characters of a local part that are searched for:
// "canary" and 50 random bits. Random text has them with a probability of 2^-80.
const localHead = 16

// hashes are the hash functions of ad platforms, data brokers and home-made schemes.
var hashes = []struct {
	name string
	sum  func([]byte) []byte
}{
	{"MD5", func(b []byte) []byte { s := md5.Sum(b); return s[:] }},
	{"SHA-1", func(b []byte) []byte { s := sha1.Sum(b); return s[:] }},
	{"SHA-256", func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }},
	{"SHA-512", func(b []byte) []byte { s := sha512.Sum512(b); return s[:] }},
	{"SHA3-256", func(b []byte) []byte { s := sha3.Sum256(b); return s[:] }},
}

// needles are the renderings of one or more contacts, for searching.
type needles struct {
	exact matcher // bytes
	text  matcher // letters and digits, in lower case and without separators
}

// addText adds text, forwards and backwards. The search ignores case and separators.
func (s *needles) addText(noun string, text []byte) {
	s.text.add(pattern{bytes: text, needle: needle{noun, "as text"}})
	s.text.add(pattern{bytes: reversed(text), needle: needle{noun, "as text, backwards"}})
}

// addDigits adds the digits of a number, forwards and backwards. The search ignores
// separators, and finds the digits only where they stand alone.
func (s *needles) addDigits(noun string, digits []byte) {
	s.text.add(pattern{bytes: digits, needle: needle{noun, "as text"}, digits: true})
	s.text.add(pattern{bytes: reversed(digits), needle: needle{noun, "as text, backwards"}, digits: true, backwards: true})
}

// addHashes adds the unkeyed hashes of a normal form.
func (s *needles) addHashes(noun, form, text string) {
	// Also with the newline that a shell's echo adds.
	for _, input := range []string{text, text + "\n"} {
		for _, h := range hashes {
			s.exact.add(pattern{bytes: h.sum([]byte(input))[:needleHead], needle: needle{noun, h.name + " of " + form}})
		}
	}
}

// addBytes adds the beginning of random bytes.
func (s *needles) addBytes(noun, rendering string, b []byte) {
	s.exact.add(pattern{bytes: b[:needleHead], needle: needle{noun, rendering}})
}

// addAddress adds an address whose local part nobody else has.
func (s *needles) addAddress(noun, address string) {
	local, _, _ := strings.Cut(address, "@")
	// Only its beginning, so that the search finds one that a column cut off.
	s.addText(noun, compact([]byte(local))[:localHead])
	s.addHashes(noun, "it in lower case", strings.ToLower(address))
	s.addHashes(noun, "it", address)
	s.addHashes(noun, "it in upper case", strings.ToUpper(address))
	s.addHashes(noun, "its local part", local)
}

// addNumber adds a number of the North American plan, "+1" and ten digits.
func (s *needles) addNumber(noun, number string) {
	national := number[2:]
	s.addDigits(noun, []byte(national))
	area, exchange, line := national[:3], national[3:6], national[6:]
	for _, form := range []struct{ name, text string }{
		{"it in E.164", number},
		{"its digits", number[1:]},
		{"it with 00", "00" + number[1:]},
		{"it with 011", "011" + number[1:]},
		{"its national digits", national},
		{"it as people write it", "+1 " + area + " " + exchange + " " + line},
		{"it as people write it", "+1-" + area + "-" + exchange + "-" + line},
		{"it as people write it", "+1 (" + area + ") " + exchange + "-" + line},
		{"it as people write it", "1-" + area + "-" + exchange + "-" + line},
		{"it as people write it", "(" + area + ") " + exchange + "-" + line},
		{"it as people write it", area + "-" + exchange + "-" + line},
	} {
		s.addHashes(noun, form.name, form.text)
	}
}

// A matcher finds any of a set of patterns in one pass. Every pattern has eight bytes
// or more.
type matcher struct {
	heads  map[uint64][]pattern // by the first eight bytes
	filter [1 << 10]uint64      // a bit for each hash of a head
}

type pattern struct {
	bytes  []byte
	needle needle

	digits    bool // found only where they stand alone
	backwards bool
}

func (m *matcher) add(p pattern) {
	if m.heads == nil {
		m.heads = make(map[uint64][]pattern)
	}
	head := binary.LittleEndian.Uint64(p.bytes)
	for _, other := range m.heads[head] {
		if string(other.bytes) == string(p.bytes) {
			return // two normal forms can be equal
		}
	}
	m.heads[head] = append(m.heads[head], p)
	bit := filterBit(head)
	m.filter[bit/64] |= 1 << (bit % 64)
}

func filterBit(head uint64) uint64 { return head * 0x9e3779b97f4a7c15 >> 48 }

// scan calls found for each pattern in data, from the beginning to the end.
func (m *matcher) scan(data []byte, found func(p pattern, at int)) {
	for i := 0; i+8 <= len(data); i++ {
		head := binary.LittleEndian.Uint64(data[i:])
		bit := filterBit(head)
		if m.filter[bit/64]&(1<<(bit%64)) == 0 {
			continue
		}
		for _, p := range m.heads[head] {
			if len(p.bytes) <= len(data)-i && string(p.bytes) == string(data[i:i+len(p.bytes)]) {
				found(p, i)
			}
		}
	}
}
