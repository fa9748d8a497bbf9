package egress

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// maxDepth bounds the nesting of a JSON body.
	maxDepth = 100
	// fewKeys is the size of the largest object whose keys are compared one by one.
	fewKeys = 16
)

// locateJSON returns the declared fields of a JSON text. It is stricter than RFC 8259: a
// key that occurs twice and half of a surrogate pair are refused, because two readers could
// understand them in two ways.
func locateJSON(fields []*Field, body []byte) ([]place, error) {
	s := jsonScanner{data: body, fields: fields}
	s.keys = s.few[:0]
	all := ^uint64(0) >> (maxFields - len(fields))
	s.space()
	if err := s.value(0, all); err != nil {
		return nil, err
	}
	if s.space(); s.pos != len(body) {
		return nil, bodyErr("text after the JSON value")
	}
	return s.found, nil
}

// A jsonScanner reads a JSON text once. A set of fields is a bit mask.
type jsonScanner struct {
	data   []byte
	pos    int
	fields []*Field
	found  []place
	keys   [][]byte // of the objects around pos

	few [fewKeys][]byte // the memory of keys, while they are few
}

var (
	errJSON     = bodyErr("not JSON")
	errDepth    = bodyErr("JSON is nested too deeply")
	errTwice    = bodyErr("key occurs twice in a JSON object")
	errNoString = ErrNotSealed
)

// value reads the value at pos. The first depth tokens of the pointers of live lead to it.
func (s *jsonScanner) value(depth int, live uint64) error {
	if depth > maxDepth {
		return errDepth
	}
	if s.pos == len(s.data) {
		return errJSON
	}
	declared := s.at(depth, live)
	c := s.data[s.pos]
	if declared != nil && c != '"' {
		return errNoString
	}
	switch {
	case c == '"':
		start := s.pos + 1
		raw, escaped, err := s.text()
		if err != nil {
			return err
		}
		if declared != nil {
			s.found = append(s.found, place{field: declared, start: start, end: s.pos - 1, text: unescapeJSON(raw, escaped)})
			return nil
		}
		return s.undeclared(raw, escaped)
	case c == '{':
		return s.object(depth, live)
	case c == '[':
		return s.array(depth, live)
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
			s.pos += len(word)
			return nil
		}
	}
	return errJSON
}

// undeclared refuses a string outside the declared fields that has a sealed value behind
// escapes. A value that is not escaped is found in the whole body at once.
func (s *jsonScanner) undeclared(raw []byte, escaped bool) error {
	if escaped && sealedAt(unescapeJSON(raw, true)) >= 0 {
		return ErrUndeclared
	}
	return nil
}

// at returns the field of live whose pointer ends here.
func (s *jsonScanner) at(depth int, live uint64) *Field {
	for i, f := range s.fields {
		if live&(1<<i) != 0 && len(f.path) == depth {
			return f
		}
	}
	return nil
}

// below returns the fields of live whose next token is key.
func (s *jsonScanner) below(depth int, live uint64, key []byte) (next uint64) {
	if live == 0 {
		return 0
	}
	for i, f := range s.fields {
		if live&(1<<i) != 0 && len(f.path) > depth && (f.path[depth] == "*" || f.path[depth] == string(key)) {
			next |= 1 << i
		}
	}
	return next
}

func (s *jsonScanner) object(depth int, live uint64) error {
	base := len(s.keys)
	defer func() { s.keys = s.keys[:base] }()
	var many map[string]bool
	s.pos++
	if s.space(); s.take('}') {
		return nil
	}
	for {
		raw, escaped, err := s.text()
		if err != nil {
			return err
		}
		if err := s.undeclared(raw, escaped); err != nil {
			return err
		}
		key := unescapeJSON(raw, escaped)
		if many, err = s.unique(base, many, key); err != nil {
			return err
		}
		if s.space(); !s.take(':') {
			return errJSON
		}
		s.space()
		if err := s.value(depth+1, s.below(depth, live, key)); err != nil {
			return err
		}
		s.space()
		switch {
		case s.take('}'):
			return nil
		case !s.take(','):
			return errJSON
		}
		s.space()
	}
}

// unique refuses a key that the object has already. The keys of a large object are in many.
func (s *jsonScanner) unique(base int, many map[string]bool, key []byte) (map[string]bool, error) {
	if many == nil {
		for _, k := range s.keys[base:] {
			if bytes.Equal(k, key) {
				return nil, errTwice
			}
		}
		if s.keys = append(s.keys, key); len(s.keys)-base <= fewKeys {
			return nil, nil
		}
		many = make(map[string]bool)
		for _, k := range s.keys[base:] {
			many[string(k)] = true
		}
		return many, nil
	}
	if many[string(key)] {
		return nil, errTwice
	}
	many[string(key)] = true
	return many, nil
}

func (s *jsonScanner) array(depth int, live uint64) error {
	s.pos++
	if s.space(); s.take(']') {
		return nil
	}
	for i := 0; ; i++ {
		var next uint64
		if live != 0 {
			var index [20]byte
			next = s.below(depth, live, strconv.AppendInt(index[:0], int64(i), 10))
		}
		if err := s.value(depth+1, next); err != nil {
			return err
		}
		s.space()
		switch {
		case s.take(']'):
			return nil
		case !s.take(','):
			return errJSON
		}
		s.space()
	}
}

// text reads the string at pos, and returns its content as it stands.
func (s *jsonScanner) text() (raw []byte, escaped bool, err error) {
	if !s.take('"') {
		return nil, false, errJSON
	}
	start, ascii := s.pos, true
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		switch {
		case c == '"':
			raw = s.data[start:s.pos]
			s.pos++
			if !ascii && !utf8.Valid(raw) {
				return nil, false, errJSON
			}
			return raw, escaped, nil
		case c == '\\':
			escaped = true
			n := jsonEscape(s.data[s.pos:])
			if n == 0 {
				return nil, false, errJSON
			}
			s.pos += n
		case c < ' ':
			return nil, false, errJSON
		default:
			ascii = ascii && c < utf8.RuneSelf
			s.pos++
		}
	}
	return nil, false, errJSON
}

// jsonEscape returns the length of the escape that begins b, 0 if it is not valid.
func jsonEscape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	if b[1] != 'u' {
		if bytes.IndexByte([]byte(`"\/bfnrt`), b[1]) < 0 {
			return 0
		}
		return 2
	}
	r, ok := hex4(b[2:])
	switch {
	case !ok:
		return 0
	case !utf16.IsSurrogate(r):
		return 6
	case len(b) < 12 || b[6] != '\\' || b[7] != 'u':
		return 0
	}
	if low, ok := hex4(b[8:]); !ok || utf16.DecodeRune(r, low) == utf8.RuneError {
		return 0
	}
	return 12
}

// hex4 reads four hexadecimal digits.
func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		d := hexValue(c)
		if d < 0 {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}

// hexValue returns the value of a hexadecimal digit, -1 for any other byte.
func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// unescapeJSON returns the content of a string that was read with text.
func unescapeJSON(raw []byte, escaped bool) []byte {
	if !escaped {
		return raw
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		n := jsonEscape(raw[i:])
		switch n {
		case 2:
			c := raw[i+1]
			if at := bytes.IndexByte([]byte("bfnrt"), c); at >= 0 {
				c = "\b\f\n\r\t"[at]
			}
			out = append(out, c)
		case 6:
			r, _ := hex4(raw[i+2:])
			out = utf8.AppendRune(out, r)
		default:
			high, _ := hex4(raw[i+2:])
			low, _ := hex4(raw[i+8:])
			out = utf8.AppendRune(out, utf16.DecodeRune(high, low))
		}
		i += n
	}
	return out
}

// number reads a number of RFC 8259, section 6.
func (s *jsonScanner) number() error {
	s.take('-')
	switch {
	case s.take('0'):
	case s.digits() == 0:
		return errJSON
	}
	if s.take('.') && s.digits() == 0 {
		return errJSON
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		if s.digits() == 0 {
			return errJSON
		}
	}
	return nil
}

func (s *jsonScanner) digits() (n int) {
	for s.pos < len(s.data) && s.data[s.pos] >= '0' && s.data[s.pos] <= '9' {
		s.pos++
		n++
	}
	return n
}

// take reads c if it is next.
func (s *jsonScanner) take(c byte) bool {
	if s.pos == len(s.data) || s.data[s.pos] != c {
		return false
	}
	s.pos++
	return true
}

func (s *jsonScanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}
