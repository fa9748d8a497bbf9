package piitest

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"html"
	"io"
	"regexp"
	"strconv"
)

// maxDepth is the number of nested encodings that the search decodes: a hash in hex,
// in JSON, in the base64 of a token has two.
const maxDepth = 2

// maxUnpacked is the number of bytes to which a gzip stream is unpacked at most.
const maxUnpacked = 64 << 20

// search calls found for each needle in data, and sealed for each text in it that may
// be a sealed value. in names the encodings around it, such as ", in hex".
func (s *needles) search(data []byte, found func(n needle, in string), sealed func(text, in string)) {
	(&finder{s, found, sealed}).search(data, "", 0)
}

type finder struct {
	needles *needles
	found   func(n needle, in string)
	sealed  func(text, in string)
}

func (f *finder) search(data []byte, in string, depth int) {
	f.searchExact(data, in)
	plain := unescape(data, everyEscape)
	f.sealedTexts(plain, in)
	f.searchText(plain, in, depth)
	// Text that looks like an escape may be none: LIKE '%canary-1…' has "%ca" in it,
	// and ?email=canary-1… has "=ca". So the search looks at data as it is, too.
	if !bytes.Equal(plain, data) {
		f.searchExact(plain, in)
		f.searchText(data, in, depth)
		if some := unescape(data, unambiguous); !bytes.Equal(some, plain) && !bytes.Equal(some, data) {
			f.searchText(some, in, depth)
		}
	}
	if unpacked, ok := unzip(data); ok && depth < maxDepth {
		f.search(unpacked, in+", in gzip", depth+1)
	}
}

func (f *finder) searchExact(data []byte, in string) {
	f.needles.exact.scan(data, func(p pattern, _ int) { f.found(p.needle, in) })
}

// searchText searches text itself, and the data that it encodes.
func (f *finder) searchText(text []byte, in string, depth int) {
	squeezed := compact(text)
	c := &cursor{text: text}
	f.needles.text.scan(squeezed, func(p pattern, at int) {
		if p.digits {
			if from, to := c.span(at, len(p.bytes)); !alone(text, from, to, p.backwards) {
				return
			}
		}
		f.found(p.needle, in)
	})
	if depth == maxDepth {
		return
	}
	depth++
	// Mail and PEM break lines.
	for run := range runs(withoutSpace(text), isBase64, 16) {
		run = standard(run)
		for offset := range 4 { // base64 can begin anywhere in the run
			if b := decode64(run[offset:]); len(b) >= needleHead {
				f.search(b, in+", in base64", depth)
			}
		}
	}
	f.searchHex(squeezed, in, depth)
	if dumpMargin.Match(text) {
		f.searchHex(compact(dumpMargin.ReplaceAll(text, []byte(" "))), in, depth)
	}
	for b := range byteLists(text) {
		f.search(b, in+", as a list of bytes", depth)
	}
}

func (f *finder) searchHex(squeezed []byte, in string, depth int) {
	for run := range runs(squeezed, isHex, 2*needleHead) {
		for offset := range 2 {
			b := make([]byte, (len(run)-offset)/2)
			hex.Decode(b, run[offset:offset+2*len(b)])
			f.search(b, in+", in hex", depth)
		}
	}
}

// dumpMargin matches the text between two lines of bytes in a dump of encoding/hex:
// the bytes as characters, and the offset of the next line.
var dumpMargin = regexp.MustCompile(`\|.{16}\|\s+[0-9a-f]{8}\s`)

// sealedTexts calls sealed for each text that begins as sealed values do.
func (f *finder) sealedTexts(data []byte, in string) {
	for {
		i := bytes.Index(data, []byte(sealedMagic))
		if i < 0 {
			return
		}
		data = data[i:]
		n := len(sealedMagic)
		for n < len(data) && isSealed(data[n]) {
			n++
		}
		// A full stop after it may end a sentence.
		f.sealed(string(bytes.TrimRight(data[:n], ".~")), in)
		data = data[n:]
	}
}

const sealedMagic = "pii1."

// escapes is a set of escape sequences for a character.
type escapes uint8

const (
	unambiguous escapes = 0 // with backslashes and ampersands
	everyEscape escapes = 1 // also with % and =, which stand for themselves in SQL and in forms
)

// unescape returns data with the escape sequences of URLs, JSON, Go, HTML and
// quoted-printable replaced by their characters. Text without escapes may change as
// well, so the search looks at the original too.
func unescape(data []byte, which escapes) []byte {
	for range 3 { // escapes can be nested
		out := unescapeOnce(data, which)
		if bytes.Equal(out, data) {
			break
		}
		data = out
	}
	return data
}

func unescapeOnce(data []byte, which escapes) []byte {
	if !bytes.ContainsAny(data, `%\&=`) && !bytes.Contains(data, []byte("U+")) {
		return data
	}
	out := make([]byte, 0, len(data))
	for i := 0; i < len(data); {
		c, n := escaped(data[i:], which)
		if n == 0 {
			c, n = data[i:i+1], 1
		}
		out = append(out, c...)
		i += n
	}
	if bytes.IndexByte(out, '&') >= 0 {
		return []byte(html.UnescapeString(string(out)))
	}
	return out
}

// escaped returns the character that an escape sequence at the beginning of s stands
// for, and the length of the sequence, 0 if there is none.
func escaped(s []byte, which escapes) (c []byte, n int) {
	switch {
	case s[0] == '\\' && len(s) > 1:
		return escapedByBackslash(s)
	case s[0] == 'U' && len(s) > 1 && s[1] == '+': // as %U prints it
		return character(s, 2, 4)
	case which == unambiguous:
	case s[0] == '%' && len(s) > 1 && s[1] == 'u':
		return character(s, 2, 4)
	case s[0] == '%':
		return number(s, 1, 2, 16)
	case s[0] == '=' && bytes.HasPrefix(s[1:], []byte("\r\n")):
		return nil, 3
	case s[0] == '=' && bytes.HasPrefix(s[1:], []byte("\n")):
		return nil, 2
	case s[0] == '=':
		return number(s, 1, 2, 16)
	}
	return nil, 0
}

func escapedByBackslash(s []byte) (c []byte, n int) {
	switch s[1] {
	case 'x':
		return number(s, 2, 2, 16)
	case 'u':
		if end := bytes.IndexByte(s[:min(len(s), len(`\u{10ffff}`))], '}'); end > 3 && s[2] == '{' {
			c, n = character(s[:end], 3, end-3)
			return c, n + b2i(n > 0)
		}
		return character(s, 2, 4)
	case 'U':
		return character(s, 2, 8)
	case 'n', 'r', 't':
		return []byte(" "), 2
	case '/', '\\', '"':
		return s[1:2], 2
	}
	return number(s, 1, 3, 8)
}

// character returns the ASCII character whose code is the given number of hex digits
// in s, beginning at from, and the length up to their end. Needles have no other
// characters.
func character(s []byte, from, digits int) (c []byte, n int) {
	if len(s) < from+digits {
		return nil, 0
	}
	v, err := strconv.ParseUint(string(s[from:from+digits]), 16, 32)
	if err != nil || v >= 0x80 {
		return nil, 0
	}
	return []byte{byte(v)}, from + digits
}

// number returns the byte whose value is the given number of digits in s, beginning at
// from, and the length up to their end.
func number(s []byte, from, digits, base int) (c []byte, n int) {
	if len(s) < from+digits {
		return nil, 0
	}
	v, err := strconv.ParseUint(string(s[from:from+digits]), base, 8)
	if err != nil {
		return nil, 0
	}
	return []byte{byte(v)}, from + digits
}

// compact returns data in lower case, without the separators that people and programs
// put between letters and digits, and without the zero bytes of UTF-16.
func compact(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for _, c := range data {
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case separates[c]:
			continue
		}
		out = append(out, c)
	}
	return out
}

// A cursor maps positions in the result of compact to positions in its input.
type cursor struct {
	text     []byte
	at, kept int // a position in text, and the number of kept bytes before it
}

// span returns the part of the text that compacts to the n bytes from position i on.
// From call to call, i does not fall.
func (c *cursor) span(i, n int) (from, to int) {
	for c.kept < i || separates[c.text[c.at]] {
		c.kept += b2i(!separates[c.text[c.at]])
		c.at++
	}
	to = c.at
	for ; n > 0; to++ {
		n -= b2i(!separates[c.text[to]])
	}
	return c.at, to
}

// separates are the bytes that compact drops.
var separates = func() (set [256]bool) {
	for _, c := range []byte("\x00 \t\n\v\f\r()-./:,_+'\"[]{}") {
		set[c] = true
	}
	return set
}()

func withoutSpace(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for _, c := range data {
		if !isSpace(c) {
			out = append(out, c)
		}
	}
	return out
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isBase64(c byte) bool {
	return isAlphanumeric(c) || c == '+' || c == '/' || c == '-' || c == '_'
}

func isSealed(c byte) bool {
	return isAlphanumeric(c) || c == '.' || c == '~' || c == '-' || c == '_'
}

// standard returns run in the alphabet of RFC 4648, section 4.
func standard(run []byte) []byte {
	out := bytes.Clone(run)
	for i, c := range out {
		switch c {
		case '-':
			out[i] = '+'
		case '_':
			out[i] = '/'
		}
	}
	return out
}

func decode64(run []byte) []byte {
	run = run[:len(run)-b2i(len(run)%4 == 1)]
	b := make([]byte, base64.RawStdEncoding.DecodedLen(len(run)))
	n, _ := base64.RawStdEncoding.Decode(b, run) // the last bits need not be zero
	return b[:n]
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// runs yields the longest runs of bytes of a class that have at least the given
// length.
func runs(data []byte, class func(byte) bool, least int) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		start := 0
		for i := 0; i <= len(data); i++ {
			if i < len(data) && class(data[i]) {
				continue
			}
			if i-start >= least && !yield(data[start:i]) {
				return
			}
			start = i + 1
		}
	}
}

// byteLists yields the bytes of lists of numbers such as [99 97 110], {0x63, 0x61} and
// [143 141], as fmt prints bytes. It reads each list in decimal or by the prefixes of
// its numbers, in octal, and in binary.
func byteLists(data []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		var lists [3][]byte
		flush := func(i int) bool {
			list := lists[i]
			lists[i] = nil
			return len(list) < needleHead || yield(list)
		}
		for i := 0; i < len(data); {
			n := 0
			for i+n < len(data) && isAlphanumeric(data[i+n]) {
				n++
			}
			for l, base := range [len(lists)]int{0, 8, 2} {
				switch v, ok := listed(data[i:i+n], base); {
				case ok:
					lists[l] = append(lists[l], v)
				case n == 0 && isBetween(data[i]):
				case len(lists[l]) > 0 && !flush(l):
					return
				}
			}
			i += max(n, 1)
		}
		for l := range lists {
			if !flush(l) {
				return
			}
		}
	}
}

// listed returns the byte of a number in a list.
func listed(digits []byte, base int) (byte, bool) {
	if len(digits) == 0 || len(digits) > len("0b11111111") || digits[0] < '0' || digits[0] > '9' {
		return 0, false
	}
	if base == 0 {
		if len(digits) > 3 && digits[0] != '0' { // a year, for example
			return 0, false
		}
		v, err := strconv.ParseUint(string(digits), 0, 8)
		return byte(v), err == nil
	}
	v := 0
	for _, c := range digits {
		if c < '0' || int(c-'0') >= base {
			return 0, false
		}
		v = v*base + int(c-'0')
	}
	return byte(v), v <= 0xff
}

// isBetween reports whether c stands between the numbers of a list.
func isBetween(c byte) bool { return isSpace(c) || c == ',' || c == ';' || c == ':' || c == '-' }

func unzip(data []byte) ([]byte, bool) {
	if !bytes.HasPrefix(data, []byte("\x1f\x8b")) {
		return nil, false
	}
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, false
	}
	// A stream that breaks off yields its beginning.
	unpacked, _ := io.ReadAll(io.LimitReader(r, maxUnpacked))
	return unpacked, true
}
