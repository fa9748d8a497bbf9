package piitest

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"html"
	"io"
	"strconv"
)

// maxDepth is how many encodings within each other are looked into: a hash in
// hex in JSON in the base64 of a token are two.
const maxDepth = 2

// maxUnpacked bounds what a small gzip stream is unpacked to.
const maxUnpacked = 64 << 20

// search calls found for each trace in data, and sealed for each text in it that
// may be a sealed value. in says how it was encoded, such as ", in hex".
func (s *traces) search(data []byte, found func(t trace, in string), sealed func(text, in string)) {
	(&finder{s, found, sealed}).search(data, "", 0)
}

type finder struct {
	traces *traces
	found  func(t trace, in string)
	sealed func(text, in string)
}

func (f *finder) search(data []byte, in string, depth int) {
	report := func(t trace) { f.found(t, in) }
	f.traces.exact.scan(data, report)
	plain := unescape(data)
	if !bytes.Equal(plain, data) {
		f.traces.exact.scan(plain, report)
	}
	squeezed := compact(plain)
	f.traces.text.scan(squeezed, report)
	f.sealedTexts(plain, in)
	if depth == maxDepth {
		return
	}
	depth++
	if unpacked, ok := unzip(data); ok {
		f.search(unpacked, in+", in gzip", depth)
	}
	// Lines are broken in mail and PEM.
	for run := range runs(withoutSpace(plain), isBase64, 16) {
		run = standard(run)
		for offset := range 4 { // wherever within the run it begins
			if b := decode64(run[offset:]); len(b) >= traceHead {
				f.search(b, in+", in base64", depth)
			}
		}
	}
	for run := range runs(squeezed, isHex, 2*traceHead) {
		for offset := range 2 {
			b := make([]byte, (len(run)-offset)/2)
			hex.Decode(b, run[offset:offset+2*len(b)])
			f.search(b, in+", in hex", depth)
		}
	}
	for b := range byteLists(plain) {
		f.search(b, in+", as a list of bytes", depth)
	}
}

// sealedTexts looks for text that begins as sealed values do.
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
		// A full stop after a sentence is no part of it.
		f.sealed(string(bytes.TrimRight(data[:n], ".~")), in)
		data = data[n:]
	}
}

const sealedMagic = "pii1."

// unescape returns data with what URLs, JSON, Go, HTML and quoted-printable
// write for a character replaced by it. Text that was not escaped may change as
// well, so the original is searched too.
func unescape(data []byte) []byte {
	for range 3 { // one in another
		out := unescapeOnce(data)
		if bytes.Equal(out, data) {
			break
		}
		data = out
	}
	return data
}

func unescapeOnce(data []byte) []byte {
	if !bytes.ContainsAny(data, `%\&=`) {
		return data
	}
	out := make([]byte, 0, len(data))
	for i := 0; i < len(data); i++ {
		c, rest := data[i], data[i+1:]
		switch {
		case c == '%' && len(rest) >= 2:
			if n, ok := fromHex(rest[:2]); ok {
				c, i = byte(n), i+2
			}
		case c == '\\' && len(rest) >= 3 && rest[0] == 'x':
			if n, ok := fromHex(rest[1:3]); ok {
				c, i = byte(n), i+3
			}
		case c == '\\' && len(rest) >= 5 && rest[0] == 'u':
			if n, ok := fromHex(rest[1:5]); ok && n < 0x80 {
				c, i = byte(n), i+5
			}
		case c == '\\' && len(rest) >= 1 && bytes.IndexByte([]byte("nrt"), rest[0]) >= 0:
			c, i = ' ', i+1
		case c == '\\' && len(rest) >= 1 && (rest[0] == '/' || rest[0] == '\\' || rest[0] == '"'):
			c, i = rest[0], i+1
		case c == '=' && bytes.HasPrefix(rest, []byte("\r\n")):
			i += 2
			continue
		case c == '=' && bytes.HasPrefix(rest, []byte("\n")):
			i++
			continue
		}
		out = append(out, c)
	}
	if bytes.IndexByte(out, '&') >= 0 {
		return []byte(html.UnescapeString(string(out)))
	}
	return out
}

func fromHex(digits []byte) (uint64, bool) {
	n, err := strconv.ParseUint(string(digits), 16, 16)
	return n, err == nil
}

// compact returns data in lower case, without what people and programs put
// between letters and digits, and without the zero bytes of UTF-16.
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

// runs yields the longest runs of bytes of a class, of at least the given length.
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

// byteLists yields what lists of numbers such as [99 97 110] and {0x63, 0x61}
// stand for, which is how fmt prints bytes.
func byteLists(data []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		var list []byte
		flush := func() bool {
			ok := len(list) < traceHead || yield(list)
			list = nil
			return ok
		}
		for i := 0; i < len(data); {
			n := 0
			for i+n < len(data) && isAlphanumeric(data[i+n]) {
				n++
			}
			if n > 0 {
				v, err := strconv.ParseUint(string(data[i:i+n]), 0, 8)
				if n > len("0xff") || err != nil {
					if !flush() {
						return
					}
				} else {
					list = append(list, byte(v))
				}
				i += n
				continue
			}
			if c := data[i]; !isSpace(c) && c != ',' && !flush() {
				return
			}
			i++
		}
		flush()
	}
}

func unzip(data []byte) ([]byte, bool) {
	if !bytes.HasPrefix(data, []byte("\x1f\x8b")) {
		return nil, false
	}
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, false
	}
	// Of a stream that breaks off, what there is.
	unpacked, _ := io.ReadAll(io.LimitReader(r, maxUnpacked))
	return unpacked, true
}
