package egress

import (
	"bytes"
	"cmp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// An echo is a text that a gateway may send back, and the sealed text that takes its place.
// Sealed text has no character that JSON, XML or a URL escapes.
type echo struct {
	plain  []byte
	sealed []byte
}

// echoes finds the plaintexts of a request in a response. A response takes the time of its
// length, and not of its length times the number of plaintexts: next walks down the sorted
// plaintexts as down a tree.
type echoes struct {
	all    []echo
	sorted bool      // all is in the order of compareEcho
	escape bool      // a plaintext has a character that begins an escape
	first  [4]uint64 // the set of bytes that can begin one
	most   int       // the size of the longest one in any encoding
}

// add adds a plaintext in the forms in which a gateway writes it. It keeps both slices, and
// overwrites the first one at the end.
func (e *echoes) add(plain, sealed []byte) {
	e.addForm(plain, sealed)
	if digits, ok := bytes.CutPrefix(plain, []byte("+")); ok && onlyDigits(digits) {
		e.addForm(digits, sealed) // E.164 without the plus
	}
}

func (e *echoes) addForm(plain, sealed []byte) {
	if len(plain) == 0 {
		return
	}
	e.all, e.sorted = append(e.all, echo{plain, sealed}), false
	e.escape = e.escape || bytes.ContainsAny(plain, `%\&`)
	for _, c := range [...]byte{plain[0], lower(plain[0]), upper(plain[0]), '%', '\\', '&'} {
		e.first[c/64] |= 1 << (c % 64)
	}
	e.most = max(e.most, len(plain)*maxEscape)
}

func onlyDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// clear overwrites the plaintexts.
func (e *echoes) clear() {
	for _, one := range e.all {
		clear(one.plain)
	}
	e.all = nil
}

// next returns the number of bytes of b before the first echo, and the size of the echo
// and the text that takes its place. The size is 0 if b has none. Without atEnd, more bytes
// may follow: an echo that could go on there ends the bytes before it.
func (e *echoes) next(b []byte, atEnd bool) (before, size int, sealed []byte) {
	for i := range b {
		if e.first[b[i]/64]&(1<<(b[i]%64)) == 0 {
			continue
		}
		size, one, more := e.match(b[i:], atEnd)
		if more {
			return i, 0, nil
		}
		if size > 0 {
			return i, size, one.sealed
		}
	}
	return len(b), 0, nil
}

// replace returns text with the sealed text in place of each echo.
func (e *echoes) replace(text string) string {
	var out []byte
	for b := []byte(text); len(b) > 0; {
		before, size, sealed := e.next(b, true)
		if size == 0 && out == nil {
			return text
		}
		out = append(append(out, b[:before]...), sealed...)
		clear(b[before : before+size])
		b = b[before+size:]
	}
	return string(out)
}

// match returns the longest echo that begins b and its size, 0 if there is none. It reports
// more if b is too short to tell.
func (e *echoes) match(b []byte, atEnd bool) (size int, one *echo, more bool) {
	if !e.sorted {
		slices.SortStableFunc(e.all, compareEcho)
		e.sorted = true
	}
	w := echoWalk{b: b, atEnd: atEnd, escapes: true}
	w.walk(e.all, 0, 0)
	if e.escape && !w.more {
		w.escapes = false
		w.walk(e.all, 0, 0)
	}
	return w.size, w.one, w.more
}

// compareEcho orders plaintexts without regard to the case of ASCII letters.
func compareEcho(a, b echo) int {
	for i := range min(len(a.plain), len(b.plain)) {
		if c := cmp.Compare(lower(a.plain[i]), lower(b.plain[i])); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a.plain), len(b.plain))
}

// An echoWalk reads b as the beginning of an echo: with escapes, or with every byte as it
// stands. ASCII letters match in either case: gateways write addresses in lower case.
type echoWalk struct {
	b              []byte
	atEnd, escapes bool

	size  int // of the longest echo
	one   *echo
	more  bool
	steps int // a test counts them
}

// walk goes on at b[at:] with echoes that are sorted, and whose first depth bytes were read.
func (w *echoWalk) walk(of []echo, depth, at int) {
	for ; len(of) > 0; w.steps++ {
		if len(of[0].plain) == depth {
			if at > w.size {
				w.size, w.one = at, &of[0]
			}
			for len(of) > 0 && len(of[0].plain) == depth {
				of = of[1:]
			}
			continue
		}
		if at == len(w.b) {
			w.more = w.more || !w.atEnd
			return
		}
		if w.escapes {
			c, n, short := decodeEscape(w.b[at:], w.atEnd)
			if short {
				w.more = true
				return
			}
			if n > 0 {
				escaped := of
				for i := range c {
					escaped = beginning(escaped, depth+i, c[i])
				}
				if len(c) != 1 || lower(c[0]) != lower(w.b[at]) { // otherwise these are the ones below
					w.walk(escaped, depth+len(c), at+n)
				} else {
					of, depth, at = escaped, depth+1, at+n
					continue
				}
			}
		}
		of, depth, at = beginning(of, depth, w.b[at]), depth+1, at+1
	}
}

// beginning returns those of the sorted echoes that go on with c behind the first depth bytes,
// which they have in common. An echo that ends there is left out.
func beginning(of []echo, depth int, c byte) []echo {
	c = lower(c)
	at := func(i int) int {
		if len(of[i].plain) == depth {
			return -1
		}
		return int(lower(of[i].plain[depth]))
	}
	from := sort.Search(len(of), func(i int) bool { return at(i) >= int(c) })
	of = of[from:]
	return of[:sort.Search(len(of), func(i int) bool { return at(i) > int(c) })]
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

// maxEscape is the size of the longest escape that decodeEscape reads for one byte.
const maxEscape = 2*maxRepeat + 12

// maxRepeat is how many bytes of an escape may be there because a text was escaped twice.
const maxRepeat = 4

// decodeEscape returns the bytes that an escape stands for which begins b, and its size: a
// percent escape, an escape of JSON, or a character reference of XML and HTML. The size is 0
// if there is none. It reports more if b is too short to tell.
func decodeEscape(b []byte, atEnd bool) (c []byte, size int, more bool) {
	switch b[0] {
	case '%':
		c, size = decodePercent(b)
	case '\\':
		c, size = decodeBackslash(b)
	case '&':
		c, size = decodeReference(b)
	default:
		return nil, 0, false
	}
	if atEnd {
		return c, size, false
	}
	more = size == 0 && len(b) < maxEscape || b[0] == '%' && string(c) == "%" && len(b) < size+2 // escaped twice, perhaps
	return c, size, more
}

// decodePercent reads an escape such as %40 or, escaped twice, %2540.
func decodePercent(b []byte) (c []byte, size int) {
	size = 1
	for size < maxRepeat && bytes.HasPrefix(b[size:], []byte("25")) && len(b) > size+3 && hexValue(b[size+2]) >= 0 && hexValue(b[size+3]) >= 0 {
		size += 2
	}
	if len(b) < size+2 {
		return nil, 0
	}
	high, low := hexValue(b[size]), hexValue(b[size+1])
	if high < 0 || low < 0 {
		return nil, 0
	}
	return []byte{byte(high<<4 | low)}, size + 2
}

// decodeBackslash reads an escape such as \u0040, \x40 or \/. A text that was escaped twice
// has more than one backslash.
func decodeBackslash(b []byte) (c []byte, size int) {
	for size < len(b) && size < maxRepeat && b[size] == '\\' {
		size++
	}
	rest := b[size:]
	switch {
	case len(rest) == 0:
		return nil, 0
	case rest[0] == 'u':
		r, ok := hex4(rest[1:])
		if !ok {
			return nil, 0
		}
		size += 5
		if utf16.IsSurrogate(r) {
			end := size
			for end < len(b) && end < size+maxRepeat && b[end] == '\\' {
				end++
			}
			if end == size || end == len(b) || b[end] != 'u' {
				return nil, 0
			}
			low, ok := hex4(b[end+1:])
			if !ok {
				return nil, 0
			}
			return utf8.AppendRune(nil, utf16.DecodeRune(r, low)), end + 5
		}
		return utf8.AppendRune(nil, r), size
	case rest[0] == 'x' && len(rest) >= 3 && hexValue(rest[1]) >= 0 && hexValue(rest[2]) >= 0:
		return []byte{byte(hexValue(rest[1])<<4 | hexValue(rest[2]))}, size + 3
	}
	if r := rest[0]; r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
		return nil, 0
	}
	return rest[:1], size + 1
}

// references are the names of ASCII characters that addresses and numbers have.
var references = map[string]string{
	"amp": "&", "apos": "'", "quot": `"`, "lt": "<", "gt": ">", "plus": "+", "commat": "@", "period": ".", "lowbar": "_", "hyphen": "-",
}

// maxReference is the size of the longest character reference that is read.
const maxReference = 11

// decodeReference reads a character reference such as &#64;, &#x40; or &commat;.
func decodeReference(b []byte) (c []byte, size int) {
	end := bytes.IndexByte(b[:min(len(b), maxReference)], ';')
	if end < 2 {
		return nil, 0
	}
	name := string(b[1:end])
	if digits, ok := strings.CutPrefix(name, "#"); ok {
		base := 10
		if x := strings.TrimLeft(digits, "xX"); len(x) == len(digits)-1 {
			digits, base = x, 16
		}
		n, err := strconv.ParseUint(digits, base, 21)
		if err != nil {
			return nil, 0
		}
		return utf8.AppendRune(nil, rune(n)), end + 1
	}
	if text, ok := references[name]; ok {
		return []byte(text), end + 1
	}
	return nil, 0
}
