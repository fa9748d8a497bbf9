package egress

import (
	"context"
	"encoding"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/onlyfor/onlyfor/vault"
)

// A Rule declares the fields of a request to one host that are filled, and the keys that
// fill them.
type Rule struct {
	// Host is the host name in lower case, with ":" and a port other than 443, such as
	// "api.sms.example". It is compared exactly.
	Host string
	// Method is the method, such as "POST". It is compared exactly.
	Method string
	// Path is the path as the URL spells it. A segment "*" stands for any one segment, as in
	// "/v1/accounts/*/messages". Rules for one host and method must not overlap.
	Path string
	// Fields are the declared fields. Fields of the body are all of one format. A rule
	// without fields fills nothing, such as a rule for the status of a message.
	Fields []Field
	// Reader reveals the values. It may be nil for a rule without fields.
	Reader *vault.Reader
	// MaxBody is the size of the largest body, in bytes. 0 means 1 MiB.
	MaxBody int
}

const defaultMaxBody = 1 << 20

// A format is the place of a field in a request.
type format string

const (
	ofHeader    format = "header"
	ofForm      format = "form field"
	ofJSON      format = "JSON value"
	ofMultipart format = "multipart field"
)

// A Field is a declared field of a request: its place, and the kind of value that it takes.
// [Form], [JSON], [Multipart] and [Header] return one. The zero Field is [ErrRules].
type Field struct {
	format format
	name   string
	path   []string // of a JSON pointer
	parse  func(text []byte) (revealer, error)
}

// String returns the place of the field, such as "form field To".
func (f Field) String() string { return string(f.format) + " " + f.name }

// A revealer is a sealed value such as [pii.Email].
type revealer interface {
	Reveal(ctx context.Context, scope vault.Revealer) (string, error)
}

// A sealed is a pointer to a sealed value.
type sealed[T any] interface {
	*T
	encoding.TextUnmarshaler
	revealer
}

// Form returns the field of the given name in a body of type
// application/x-www-form-urlencoded. T is the type of its value, such as pii.Phone.
func Form[T any, P sealed[T]](name string) Field { return newField[T, P](ofForm, name) }

// Multipart returns the field of the given name in a body of type multipart/form-data.
func Multipart[T any, P sealed[T]](name string) Field { return newField[T, P](ofMultipart, name) }

// Header returns the header of the given name.
func Header[T any, P sealed[T]](name string) Field {
	return newField[T, P](ofHeader, http.CanonicalHeaderKey(name))
}

// JSON returns the string at a JSON pointer (RFC 6901) in a body of type application/json.
// A "*" in the pointer stands for any one element or member:
// /personalizations/*/to/*/email.
func JSON[T any, P sealed[T]](pointer string) Field {
	f := newField[T, P](ofJSON, pointer)
	if rest, ok := strings.CutPrefix(pointer, "/"); ok {
		for token := range strings.SplitSeq(rest, "/") {
			f.path = append(f.path, strings.NewReplacer("~1", "/", "~0", "~").Replace(token))
		}
	}
	return f
}

func newField[T any, P sealed[T]](at format, name string) Field {
	return Field{format: at, name: name, parse: func(text []byte) (revealer, error) {
		p := P(new(T))
		if err := p.UnmarshalText(text); err != nil {
			return nil, err
		}
		return p, nil
	}}
}

// A compiledRule is a rule that was checked.
type compiledRule struct {
	Rule
	path    []string
	headers []*Field
	body    []*Field
	format  format // of the body, "" for a rule without fields of it
}

// reservedHeaders are headers that say how the request is read.
var reservedHeaders = map[string]bool{
	"Host": true, "Content-Length": true, "Content-Type": true, "Content-Encoding": true, "Transfer-Encoding": true, "Trailer": true,
	"Connection": true, "Expect": true, "Upgrade": true, "Te": true, "Accept-Encoding": true, "Keep-Alive": true, "Proxy-Connection": true,
	"User-Agent": true, "Cookie": true, "Authorization": true,
}

// hostBytes are the bytes of a host with its port.
const hostBytes = "abcdefghijklmnopqrstuvwxyz0123456789.-:[]"

// maxFields is the number of fields that a rule can have.
const maxFields = 64

// compile returns the rule in the form that requests are compared with.
func compile(r Rule) (*compiledRule, error) {
	c := &compiledRule{Rule: r, path: strings.Split(r.Path, "/")}
	u, err := url.Parse("https://" + r.Host)
	switch {
	case err != nil || u.Host != r.Host || r.Host == "" || hostOf(u) != r.Host || strings.Trim(r.Host, hostBytes) != "":
		return nil, ruleErr("host")
	case r.Method == "" || r.Method == http.MethodConnect || strings.ToUpper(r.Method) != r.Method:
		return nil, ruleErr("method")
	case !strings.HasPrefix(r.Path, "/") || !plainPath(c.path):
		return nil, ruleErr("path")
	case r.MaxBody < 0:
		return nil, ruleErr("size of the largest body")
	case len(r.Fields) > maxFields:
		return nil, ruleErr("number of fields")
	case len(r.Fields) > 0 && r.Reader == nil:
		return nil, ruleErr("reader")
	}
	if c.MaxBody == 0 {
		c.MaxBody = defaultMaxBody
	}
	for i := range r.Fields {
		f := r.Fields[i]
		for _, other := range r.Fields[:i] {
			if f.format == other.format && (f.name == other.name || f.format == ofJSON && overlap(f.path, other.path)) {
				return nil, ruleErr("two fields that overlap")
			}
		}
		switch {
		case f.parse == nil || f.name == "" || f.format == ofJSON && len(f.path) == 0:
			return nil, ruleErr("field")
		case f.format == ofHeader:
			if reservedHeaders[f.name] || !validToken(f.name) {
				return nil, ruleErr("header")
			}
			c.headers = append(c.headers, &f)
			continue
		case c.format != "" && c.format != f.format:
			return nil, ruleErr("fields of two formats")
		}
		c.format = f.format
		c.body = append(c.body, &f)
	}
	if c.Reader != nil {
		c.Reader = c.Reader.To(r.Host)
	}
	return c, nil
}

func ruleErr(at string) error { return fmt.Errorf("egress: %s: %w", at, ErrRules) }

// matches reports whether the rule is for the method and the path of a request to its host.
func (c *compiledRule) matches(method string, path []string) bool {
	if c.Method != method || len(path) != len(c.path) || !plainPath(path) {
		return false
	}
	for i, segment := range c.path {
		if segment != path[i] && (segment != "*" || path[i] == "") {
			return false
		}
	}
	return true
}

// overlap reports whether two paths are equal, but for segments "*".
func overlap(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] && a[i] != "*" && b[i] != "*" {
			return false
		}
	}
	return true
}

// plainPath reports whether no segment of an escaped path means another path to a server
// that cleans or unescapes it.
func plainPath(path []string) bool {
	for i, segment := range path {
		text, err := url.PathUnescape(segment)
		if err != nil || text == "." || text == ".." || strings.ContainsAny(text, "/\\;?#\x00") {
			return false
		}
		if text == "" && i > 0 && i < len(path)-1 {
			return false
		}
	}
	return true
}

// hostOf returns the host of an https URL in the form of [Rule.Host].
func hostOf(u *url.URL) string {
	return strings.ToLower(strings.TrimSuffix(u.Host, ":443"))
}

// validToken reports whether s is a token of RFC 9110, section 5.6.2.
func validToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}
