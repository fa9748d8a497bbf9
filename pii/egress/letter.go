package egress

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime"
	"strings"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

const (
	// maxAddress is the size of the longest address, in bytes (RFC 5321, section 4.5.3.1.3).
	maxAddress = 254
	// maxLine is the size of the longest line without its end (RFC 5322, section 2.1.1).
	maxLine = 998
)

// A letter is a [Mail] that was checked.
type letter struct {
	from    string
	to      []pii.Email
	texts   []string // the sealed texts of to
	message []byte
	places  []mailPlace // in the order of the message
	eight   bool        // the message has bytes that are not ASCII
}

// A mailPlace is the text of a recipient in the message.
type mailPlace struct{ start, end, recipient int }

func messageErr(fact string) error { return fmt.Errorf("%s: %w", fact, ErrMessage) }

// readMail checks a mail, and finds the recipients in its header.
func readMail(mail Mail, most int) (*letter, error) {
	l := &letter{from: mail.From, to: mail.To, message: mail.Message}
	switch {
	case hidesSealed(mail.From):
		return nil, fmt.Errorf("sender: %w", ErrUndeclared)
	case mail.From != "" && !validMailbox(mail.From):
		return nil, messageErr("sender")
	case len(mail.To) == 0 || len(mail.To) > maxRecipients:
		return nil, messageErr("number of recipients")
	case len(mail.Message) > most:
		return nil, ErrTooLarge
	}
	for i, to := range mail.To {
		text, err := to.MarshalText()
		if err != nil || to.IsZero() {
			return nil, fmt.Errorf("recipient %d: %w", i+1, ErrNotSealed)
		}
		l.texts = append(l.texts, string(text))
	}
	body, err := l.header()
	if err != nil {
		return nil, err
	}
	if err := l.body(body); err != nil {
		return nil, err
	}
	return l, nil
}

// header reads the header fields. It returns the position of the body.
func (l *letter) header() (body int, err error) {
	seen := map[string]bool{}
	for at := 0; at < len(l.message); {
		end, size, err := l.line(at)
		switch {
		case err != nil:
			return 0, err
		case end == at && at == 0:
			return 0, messageErr("no header")
		case end == at:
			return at + size, nil
		}
		next := at + size
		for next < len(l.message) && (l.message[next] == ' ' || l.message[next] == '\t') { // folded
			if end, size, err = l.line(next); err != nil {
				return 0, err
			}
			if len(bytes.TrimSpace(l.message[next:end])) == 0 { // the end of the header to some readers
				return 0, messageErr("header line of blanks")
			}
			next += size
		}
		name, value, found := bytes.Cut(l.message[at:end], []byte(":"))
		if !found || !validToken(string(name)) {
			return 0, messageErr("header field")
		}
		if hidesInMail(name) {
			return 0, fmt.Errorf("name of a header field: %w", ErrUndeclared)
		}
		if err := l.field(strings.ToLower(string(name)), end-len(value), end, seen); err != nil {
			return 0, err
		}
		if err := l.fits(at, end); err != nil {
			return 0, err
		}
		at = next
	}
	return len(l.message), nil
}

// line returns the end of the line at a position, and its size with the line end.
func (l *letter) line(at int) (end, size int, err error) {
	rest := l.message[at:]
	n := bytes.IndexByte(rest, '\n')
	size = n + 1
	if n < 0 {
		n, size = len(rest), len(rest)
	}
	line := bytes.TrimSuffix(rest[:n], []byte("\r"))
	if n == len(rest) {
		line = rest
	}
	if bytes.IndexByte(line, '\r') >= 0 || bytes.IndexByte(line, 0) >= 0 {
		return 0, 0, messageErr("carriage return or zero byte in a line")
	}
	return at + len(line), size, nil
}

// field checks a header field whose value is the bytes from start to end.
func (l *letter) field(name string, start, end int, seen map[string]bool) error {
	value := l.message[start:end]
	for _, c := range value {
		if c >= 0x7f || c < ' ' && c != '\t' && c != '\r' && c != '\n' {
			return messageErr("header field is not plain ASCII")
		}
	}
	if name == "to" || name == "cc" {
		if seen[name] {
			return messageErr("header field To or Cc twice")
		}
		seen[name] = true
		if sealedAt(value) >= 0 {
			return l.addresses(start, end)
		}
	}
	if hidesInMail(value) {
		return fmt.Errorf("header field: %w", ErrUndeclared)
	}
	return nil
}

// addresses finds the recipients in a list of addresses: "Ann <text>, text".
func (l *letter) addresses(start, end int) error {
	for at := start; at <= end; {
		size := l.address(at, end)
		item := l.message[at : at+size]
		text := bytes.TrimSpace(item)
		name := []byte(nil)
		if open := bytes.LastIndexByte(text, '<'); open >= 0 {
			closed := false
			name = text[:open]
			if text, closed = bytes.CutSuffix(text[open+1:], []byte(">")); !closed {
				return fmt.Errorf("address of the header: %w", ErrNotSealed)
			}
		}
		switch {
		case hidesInMail(name):
			return fmt.Errorf("name in the header: %w", ErrUndeclared)
		case bytes.ContainsAny(name, "\"<>()[]\\:;@,") && !quoted(name):
			return messageErr("name in the header")
		}
		place := mailPlace{start: at + bytes.LastIndex(item, text), recipient: -1}
		place.end = place.start + len(text)
		for i, t := range l.texts {
			if t == string(text) {
				place.recipient = i
				break
			}
		}
		if place.recipient < 0 {
			if _, err := vault.ParseSealed(string(text)); err == nil && len(text) > 0 {
				return fmt.Errorf("header names a value that is no recipient: %w", ErrUndeclared)
			}
			return fmt.Errorf("address of the header: %w", ErrNotSealed)
		}
		l.places = append(l.places, place)
		at += size + 1
	}
	return nil
}

// address returns the size of the item of a list that begins at a position: to the next
// comma outside quotes.
func (l *letter) address(at, end int) int {
	inQuotes := false
	for i := at; i < end; i++ {
		switch c := l.message[i]; {
		case inQuotes && c == '\\':
			i++
		case c == '"':
			inQuotes = !inQuotes
		case c == ',' && !inQuotes:
			return i - at
		}
	}
	return end - at
}

// quoted reports whether a name is one quoted string.
func quoted(name []byte) bool {
	name = bytes.TrimSpace(name)
	if len(name) < 2 || name[0] != '"' || name[len(name)-1] != '"' {
		return false
	}
	for i := 1; i < len(name)-1; i++ {
		switch name[i] {
		case '\\':
			i++
		case '"':
			return false
		}
	}
	return true
}

// fits refuses a header field with a line that is too long, or can become so once the
// addresses stand in it.
func (l *letter) fits(start, end int) error {
	for start < end {
		stop, size, err := l.line(start)
		if err != nil {
			return err
		}
		length := stop - start
		for _, p := range l.places {
			if p.start >= start && p.end <= stop {
				length += maxAddress - (p.end - p.start)
			}
		}
		if length > maxLine {
			return messageErr("line of the message is too long")
		}
		start += size
	}
	return nil
}

// body checks the body, which begins at a position.
func (l *letter) body(at int) error {
	for from := at; from < len(l.message); {
		end, size, err := l.line(from)
		if err != nil {
			return err
		}
		if end-from > maxLine {
			return messageErr("line of the message is too long")
		}
		from += size
	}
	body := l.message[at:]
	for _, c := range body {
		if c >= 0x80 {
			l.eight = true
			break
		}
	}
	if hidesInMail(body) {
		return fmt.Errorf("body: %w", ErrUndeclared)
	}
	return nil
}

// hidesInMail reports whether text has a sealed value: as it stands, with escapes, in
// quoted-printable, in an encoded word or in base64.
func hidesInMail(text []byte) bool {
	if sealedAt(text) >= 0 || bytes.ContainsAny(text, `%\`) && hidesSealed(string(text)) {
		return true
	}
	if bytes.IndexByte(text, '=') >= 0 {
		if sealedAt(unquote(text)) >= 0 {
			return true
		}
		if bytes.Contains(text, []byte("=?")) {
			words, err := new(mime.WordDecoder).DecodeHeader(string(text))
			if err == nil && hidesSealed(words) {
				return true
			}
		}
	}
	return hidesInBase64(text)
}

// unquote decodes quoted-printable (RFC 2045, section 6.7). An escape that is not valid
// stays as it is.
func unquote(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		rest := text[i:]
		switch {
		case rest[0] != '=':
			out = append(out, rest[0])
		case len(rest) > 2 && hexValue(rest[1]) >= 0 && hexValue(rest[2]) >= 0:
			out = append(out, byte(hexValue(rest[1])<<4|hexValue(rest[2])))
			i += 2
		default:
			soft := bytes.TrimLeft(rest[1:], " \t\r") // a line that goes on
			if len(soft) == 0 || soft[0] != '\n' {
				out = append(out, '=')
				continue
			}
			i += len(rest) - len(soft)
		}
	}
	return out
}

// base64Marks are the characters of base64 that "pii1." has in each of its three positions in
// a group, and the number of those that belong to the group before.
var base64Marks = [...]struct {
	text   string
	before int
}{{"cGlpMS5", 0}, {"BpaTEu", 2}, {"waWkxL", 1}}

// hidesInBase64 reports whether text has the beginning of a sealed value in base64, whose
// lines may end within it.
func hidesInBase64(text []byte) bool {
	for _, mark := range base64Marks {
		for from := 0; ; from++ {
			n := bytes.IndexByte(text[from:], mark.text[0])
			if n < 0 {
				break
			}
			from += n
			var window [mailWindow]byte
			if string(unwrap(window[:0:len(mark.text)], text[from:])) != mark.text {
				continue
			}
			groups := unwrap(window[:0], text[from:])[mark.before:]
			groups = groups[:len(groups)/4*4]
			var plain [mailWindow]byte
			size, _ := base64.StdEncoding.Decode(plain[:], groups)
			if _, rest, ok := bytes.Cut(plain[:size], []byte("1.")); ok && kindBegins(rest) {
				return true
			}
		}
	}
	return false
}

// mailWindow is the number of characters of base64 that are decoded: enough for a sealed
// text up to the dot after the name of the longest kind.
const mailWindow = 4 * 24

// unwrap appends characters of text without line ends until dst is full.
func unwrap(dst, text []byte) []byte {
	for _, c := range text {
		if len(dst) == cap(dst) {
			break
		}
		if c != '\r' && c != '\n' {
			dst = append(dst, c)
		}
	}
	return dst
}

// kindBegins reports whether text begins with the name of a kind and a dot.
func kindBegins(text []byte) bool {
	size := bytes.IndexByte(text, '.')
	if size < 1 || text[0] < 'a' || text[0] > 'z' {
		return false
	}
	for _, c := range text[:size] {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
