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

// A trace is one form in which a contact can turn up. It is described without
// the contact.
type trace struct {
	what string // "the e-mail address"
	form string // "SHA-256 of it in lower case"
}

// traceHead is how much of a digest or an index is looked for: 64 bits, so that
// a truncated one is found too. A contact has some 200 digests. A megabyte, which in
// all the encodings that it may be in is searched at up to 10,000,000 places, has one
// of them by chance less than once in 10^9 times.
const traceHead = 8

// localHead is how much of a local part is looked for: "canary" and 50 random
// bits, which are 80 in random text.
const localHead = 16

// hashes are those that ad platforms, data brokers and home-made schemes use.
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

// traces are the forms of one or more contacts, for searching.
type traces struct {
	exact matcher // bytes
	text  matcher // letters and digits, in lower case and without separators
}

// addText looks for text without regard to case and separators, and for the same
// backwards.
func (s *traces) addText(what string, text []byte) {
	s.text.add(pattern{bytes: text, trace: trace{what, "as text"}})
	s.text.add(pattern{bytes: reversed(text), trace: trace{what, "as text, backwards"}})
}

// addDigits looks for a number's digits in the same way, where they stand alone.
func (s *traces) addDigits(what string, digits []byte) {
	s.text.add(pattern{bytes: digits, trace: trace{what, "as text"}, digits: true})
	s.text.add(pattern{bytes: reversed(digits), trace: trace{what, "as text, backwards"}, digits: true, backwards: true})
}

// addHashes looks for the unkeyed hashes of a normal form.
func (s *traces) addHashes(what, form, text string) {
	// With the newline that a shell's echo adds.
	for _, input := range []string{text, text + "\n"} {
		for _, h := range hashes {
			s.exact.add(pattern{bytes: h.sum([]byte(input))[:traceHead], trace: trace{what, h.name + " of " + form}})
		}
	}
}

// addBytes looks for the beginning of random bytes.
func (s *traces) addBytes(what, form string, b []byte) {
	s.exact.add(pattern{bytes: b[:traceHead], trace: trace{what, form}})
}

// addAddress looks for an address whose local part nobody else has.
func (s *traces) addAddress(what, address string) {
	local, _, _ := strings.Cut(address, "@")
	// Its beginning, so that one cut off by a column's width is found.
	s.addText(what, compact([]byte(local))[:localHead])
	s.addHashes(what, "it in lower case", strings.ToLower(address))
	s.addHashes(what, "it", address)
	s.addHashes(what, "it in upper case", strings.ToUpper(address))
	s.addHashes(what, "its local part", local)
}

// addNumber looks for a number of the North American plan, "+1" and ten digits.
func (s *traces) addNumber(what, number string) {
	national := number[2:]
	s.addDigits(what, []byte(national))
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
		s.addHashes(what, form.name, form.text)
	}
}

// A matcher finds any of a set of patterns in one pass. All have eight bytes or
// more.
type matcher struct {
	heads  map[uint64][]pattern // by the first eight bytes
	filter [1 << 10]uint64      // a bit for what a head hashes to
}

type pattern struct {
	bytes []byte
	trace trace

	digits    bool // to be found where they stand alone
	backwards bool
}

func (m *matcher) add(p pattern) {
	if m.heads == nil {
		m.heads = make(map[uint64][]pattern)
	}
	head := binary.LittleEndian.Uint64(p.bytes)
	for _, other := range m.heads[head] {
		if string(other.bytes) == string(p.bytes) {
			return // two normal forms can be one
		}
	}
	m.heads[head] = append(m.heads[head], p)
	bit := filterBit(head)
	m.filter[bit/64] |= 1 << (bit % 64)
}

func filterBit(head uint64) uint64 { return head * 0x9e3779b97f4a7c15 >> 48 }

// scan calls found for each pattern in data, from its beginning to its end.
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
