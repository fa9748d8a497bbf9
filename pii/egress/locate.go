package egress

import (
	"bytes"
	"fmt"
	"mime"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/onlyfor/onlyfor/vault"
)

// A place is one declared field in a request.
type place struct {
	field      *Field
	start, end int    // of the content in the body
	text       []byte // the content, decoded
	value      revealer
}

// locate returns the declared fields in a body, in its order. Every other place must be
// free of sealed values.
func locate(c *compiledRule, header http.Header, body []byte) ([]place, error) {
	if err := plainHeaders(header); err != nil {
		return nil, err
	}
	var found []place
	var err error
	switch c.format {
	case ofForm, ofJSON, ofMultipart:
		var boundary string
		if boundary, err = checkType(c.format, header.Get("Content-Type")); err != nil {
			return nil, err
		}
		switch c.format {
		case ofForm:
			found, err = locateForm(c.body, body)
		case ofJSON:
			found, err = locateJSON(c.body, body)
		default:
			found, err = locateMultipart(c.body, body, boundary)
		}
	default:
		if hidesSealed(string(body)) {
			err = ErrUndeclared
		}
	}
	if err != nil {
		return nil, err
	}
	if strayValue(body, found) {
		return nil, ErrUndeclared
	}
	return found, nil
}

// plainHeaders refuses headers by which two readers could read one body in two ways.
func plainHeaders(header http.Header) error {
	for name, values := range header {
		if len(name) != len("Content-Encoding") && len(name) != len("Content-Type") {
			continue
		}
		switch canonical := http.CanonicalHeaderKey(name); canonical {
		case "Content-Encoding":
			return bodyErr("body is encoded")
		case "Content-Type":
			if len(values) != 1 || name != canonical {
				return bodyErr("more than one content type")
			}
		}
	}
	return nil
}

// checkType refuses a content type other than that of the format. It returns the boundary
// of a multipart body.
func checkType(f format, contentType string) (boundary string, err error) {
	if f == ofJSON && contentType == "application/json" { // as most are
		return "", nil
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return "", bodyErr("content type")
	}
	if charset, given := params["charset"]; given && !strings.EqualFold(charset, "utf-8") {
		return "", bodyErr("character set")
	}
	ok := false
	switch f {
	case ofForm:
		ok = media == "application/x-www-form-urlencoded"
	case ofJSON:
		ok = media == "application/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
	case ofMultipart:
		boundary = params["boundary"]
		ok = media == "multipart/form-data" && boundary != "" && len(boundary) <= 70
	}
	if !ok {
		return "", bodyErr("content type")
	}
	return boundary, nil
}

// locateForm returns the declared fields of a form.
func locateForm(fields []*Field, body []byte) (found []place, err error) {
	for start := 0; start < len(body); {
		end := len(body)
		if n := bytes.IndexByte(body[start:], '&'); n >= 0 {
			end = start + n
		}
		pair := body[start:end]
		if bytes.IndexByte(pair, ';') >= 0 { // a separator to some servers
			return nil, bodyErr("semicolon in the form")
		}
		key, value, _ := bytes.Cut(pair, []byte("="))
		name, err := unescapeForm(key)
		if err != nil {
			return nil, err
		}
		text, err := unescapeForm(value)
		if err != nil {
			return nil, err
		}
		if f := named(fields, name); f != nil {
			if isIn(found, f) {
				return nil, bodyErr("declared field twice")
			}
			found = append(found, place{field: f, start: end - len(value), end: end, text: []byte(text)})
		} else if hidesSealed(text) || hidesSealed(name) {
			return nil, ErrUndeclared
		}
		start = end + 1
	}
	return found, nil
}

func unescapeForm(b []byte) (string, error) {
	text, err := url.QueryUnescape(string(b))
	if err != nil { // which quotes the text
		return "", bodyErr("escape in the form")
	}
	return text, nil
}

func named(fields []*Field, name string) *Field {
	for _, f := range fields {
		if f.name == name {
			return f
		}
	}
	return nil
}

func isIn(found []place, f *Field) bool {
	for _, p := range found {
		if p.field == f {
			return true
		}
	}
	return false
}

// locateMultipart returns the declared fields of a multipart form (RFC 7578).
func locateMultipart(fields []*Field, body []byte, boundary string) (found []place, err error) {
	first, next := []byte("--"+boundary), []byte("\r\n--"+boundary)
	if !bytes.HasPrefix(body, first) {
		return nil, bodyErr("multipart body does not begin with its boundary")
	}
	for at := len(first); ; {
		rest := body[at:]
		if string(rest) == "--" || string(rest) == "--\r\n" {
			return found, nil
		}
		size := bytes.Index(rest, next)
		if size < 2 || !bytes.HasPrefix(rest, []byte("\r\n")) {
			return nil, bodyErr("multipart body is cut off")
		}
		head, content, ok := bytes.Cut(rest[2:size], []byte("\r\n\r\n"))
		if !ok {
			return nil, bodyErr("part of a multipart body")
		}
		name, plain, err := partName(string(head))
		if err != nil {
			return nil, err
		}
		if f := named(fields, name); f != nil {
			if isIn(found, f) {
				return nil, bodyErr("declared field twice")
			}
			if !plain {
				return nil, bodyErr("declared field is no plain part")
			}
			found = append(found, place{field: f, start: at + size - len(content), end: at + size, text: content})
		}
		at += size + len(next)
	}
}

// partName returns the name of a part, and whether the part is text and not a file or in
// an encoding.
func partName(head string) (name string, plain bool, err error) {
	plain = true
	dispositions := 0
	for line := range strings.SplitSeq(head, "\r\n") {
		key, value, ok := strings.Cut(line, ":")
		if !ok || !validToken(key) || strings.ContainsAny(value, "\r\n") {
			return "", false, bodyErr("header of a part")
		}
		switch textproto.CanonicalMIMEHeaderKey(key) {
		case "Content-Disposition":
			media, params, err := mime.ParseMediaType(value)
			if err != nil || media != "form-data" || params["name"] == "" {
				return "", false, bodyErr("disposition of a part")
			}
			dispositions++
			name = params["name"]
			if _, file := params["filename"]; file {
				plain = false
			}
		case "Content-Type":
			media, _, err := mime.ParseMediaType(value)
			plain = plain && err == nil && media == "text/plain"
		case "Content-Transfer-Encoding":
			plain = false
		}
	}
	if dispositions != 1 {
		return "", false, bodyErr("disposition of a part")
	}
	return name, plain, nil
}

// sealedPrefix begins every sealed text, before the name of its kind.
const sealedPrefix = "pii1."

// sealedAt returns the position of the first sealed value in b, -1 if there is none.
func sealedAt(b []byte) int {
	for from := 0; ; {
		n := bytes.Index(b[from:], []byte(sealedPrefix))
		if n < 0 {
			return -1
		}
		n += from
		from = n + len(sealedPrefix)
		if from < len(b) && b[from] >= 'a' && b[from] <= 'z' {
			return n
		}
	}
}

// strayValue reports whether a sealed value stands in the body outside the places found.
func strayValue(body []byte, found []place) bool {
	from := 0
	for _, p := range found {
		if sealedAt(body[from:p.start]) >= 0 {
			return true
		}
		from = p.end
	}
	return sealedAt(body[from:]) >= 0
}

// hidesSealed reports whether text has a sealed value as it is, with percent escapes or
// with escapes of JSON.
func hidesSealed(text string) bool {
	if sealedAt([]byte(text)) >= 0 {
		return true
	}
	if !strings.ContainsAny(text, `%\`) {
		return false
	}
	var plain []byte
	for b := []byte(text); len(b) > 0; {
		c, n, _ := decodeEscape(b, true)
		if n == 0 {
			c, n = []byte{b[0]}, 1
		}
		plain, b = append(plain, c...), b[n:]
	}
	return sealedAt(plain) >= 0
}

// checkOutside refuses sealed values in the URL and in headers that are not declared.
func checkOutside(c *compiledRule, req *http.Request) error {
	if hidesSealed(req.URL.String()) || hidesSealed(req.Host) {
		return fmt.Errorf("URL: %w", ErrUndeclared)
	}
	for name, values := range req.Header {
		if named(c.headers, name) != nil {
			continue
		}
		if hidesSealed(name) {
			return fmt.Errorf("header: %w", ErrUndeclared)
		}
		for _, v := range values {
			if hidesSealed(v) {
				return fmt.Errorf("header: %w", ErrUndeclared)
			}
		}
	}
	return nil
}

// locateHeaders returns the declared headers of a request.
func locateHeaders(c *compiledRule, header http.Header) (found []place, err error) {
	for _, f := range c.headers {
		switch values := header[f.name]; len(values) {
		case 0:
		case 1:
			found = append(found, place{field: f, text: []byte(values[0])})
		default:
			return nil, fmt.Errorf("%v: %w", f, ErrNotSealed)
		}
	}
	return found, nil
}

// parse reads the sealed value of a place.
func (p *place) parse() error {
	value, err := p.field.parse(p.text)
	switch {
	case len(p.text) == 0:
		err = ErrNotSealed
	case err == nil:
		p.value = value
	default:
		if _, other := vault.ParseSealed(string(p.text)); other == nil {
			err = ErrKind
		} else {
			err = ErrNotSealed
		}
	}
	if err != nil {
		return fmt.Errorf("%v: %w", p.field, err)
	}
	return nil
}

// maxEncoded is how many bytes a byte of a plaintext takes at most, as an escape of JSON.
const maxEncoded = 6

// encode appends the plaintext as it stands in a request at the place.
func (p *place) encode(dst []byte, plaintext string) ([]byte, error) {
	if !utf8.ValidString(plaintext) {
		return nil, fmt.Errorf("%v: %w", p.field, vault.ErrCorrupt)
	}
	switch p.field.format {
	case ofForm:
		return appendPercent(dst, plaintext), nil
	case ofJSON:
		return appendJSON(dst, plaintext), nil
	}
	for i := range len(plaintext) { // as it is, so it must not end a line
		if plaintext[i] < ' ' || plaintext[i] == 0x7f {
			return nil, fmt.Errorf("%v: %w", p.field, vault.ErrCorrupt)
		}
	}
	return append(dst, plaintext...), nil
}

const hexDigits = "0123456789ABCDEF"

// appendPercent appends s with the escapes of a form.
func appendPercent(dst []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~':
			dst = append(dst, c)
		default:
			dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return dst
}

// appendJSON appends s as the content of a JSON string.
func appendJSON(dst []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
