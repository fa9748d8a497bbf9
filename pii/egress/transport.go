package egress

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/onlyfor/onlyfor/vault"
)

// A Transport is an [http.RoundTripper] that fills the declared fields of requests. It is the
// innermost one of a client: others are around it, and see sealed text.
//
// It is made by [NewTransport] and may be used from many goroutines at once. A zero
// Transport refuses every request with [ErrNoRule].
type Transport struct {
	base  *http.Transport
	rules map[string][]*compiledRule // by host
	http2 sync.Map                   // hosts that spoke HTTP/2 last
}

// NewTransport returns a transport that sends requests under the given rules, and no other
// requests. It makes its connections as base does, of which it keeps a copy; nil means
// [http.DefaultTransport].
//
// A rule that is malformed, and two rules that overlap, are [ErrRules]. So is a base that
// makes TLS connections by a function of its own, that does not verify the certificate of
// the host by its name, or that writes the keys of connections to a log.
func NewTransport(base *http.Transport, rules ...Rule) (*Transport, error) {
	if base == nil {
		var ok bool
		if base, ok = http.DefaultTransport.(*http.Transport); !ok {
			return nil, fmt.Errorf("egress: default transport: %w", ErrRules)
		}
	}
	t := &Transport{base: base.Clone(), rules: map[string][]*compiledRule{}}
	if err := harden(t.base); err != nil {
		return nil, err
	}
	for _, r := range rules {
		c, err := compile(r)
		if err != nil {
			return nil, err
		}
		for _, other := range t.rules[c.Host] {
			if other.Method == c.Method && overlap(other.path, c.path) {
				return nil, ruleErr("two rules that overlap")
			}
		}
		t.rules[c.Host] = append(t.rules[c.Host], c)
	}
	return t, nil
}

// harden refuses a base transport by which plaintext could go elsewhere, and sets the
// options that egress depends on.
func harden(base *http.Transport) error {
	//lint:ignore SA1019 the old hook is refused as the new one is
	if base.DialTLSContext != nil || base.DialTLS != nil || len(base.TLSNextProto) > 0 {
		return fmt.Errorf("egress: base makes TLS connections itself: %w", ErrRules)
	}
	if err := checkTLS(base.TLSClientConfig); err != nil {
		return err
	}
	base.DisableCompression = false // an echo in a compressed response is found only if net/http unpacks it
	if proxy := base.Proxy; proxy != nil {
		base.Proxy = func(r *http.Request) (*url.URL, error) { // without the plaintext
			bare := &http.Request{Method: r.Method, URL: r.URL, Host: r.Host, Header: http.Header{}}
			return proxy(bare.WithContext(r.Context()))
		}
	}
	return nil
}

// checkTLS refuses a configuration by which plaintext could go to another host, or be read
// by others.
func checkTLS(c *tls.Config) error {
	switch {
	case c == nil:
		return nil
	case c.InsecureSkipVerify || c.ServerName != "":
		return fmt.Errorf("egress: TLS does not verify the host: %w", ErrRules)
	case c.KeyLogWriter != nil:
		return fmt.Errorf("egress: TLS logs the keys of connections: %w", ErrRules)
	case c.MinVersion != 0 && c.MinVersion < tls.VersionTLS12 || c.MaxVersion != 0 && c.MaxVersion < tls.VersionTLS12:
		return fmt.Errorf("egress: TLS takes old versions: %w", ErrRules)
	}
	return nil
}

// Hosts returns the hosts of the rules, in ascending order: the recipients of personal data.
func (t *Transport) Hosts() []string { return slices.Sorted(maps.Keys(t.rules)) }

// CloseIdleConnections closes connections that are not in use.
func (t *Transport) CloseIdleConnections() {
	if t.base != nil {
		t.base.CloseIdleConnections()
	}
}

// Format implements [fmt.Formatter]: every verb prints the hosts of the rules.
func (t *Transport) Format(f fmt.State, _ rune) { io.WriteString(f, t.label()) }

// LogValue implements [slog.LogValuer] with the hosts of the rules.
func (t *Transport) LogValue() slog.Value { return slog.StringValue(t.label()) }

func (t *Transport) label() string {
	if t == nil {
		return "egress.Transport()"
	}
	return "egress.Transport(" + strings.Join(t.Hosts(), " ") + ")"
}

type subjectKey struct{}

// WithSubject returns a context with the id of the person whose values a request has, under
// the rules of [vault.Scope.For]. It grants nothing: a value of somebody else does not open.
// Requests without a subject take values that are sealed for no single person.
func WithSubject(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, subjectKey{}, id)
}

// RoundTrip sends the request with its declared fields filled, and returns the response with
// the sealed texts in place of the plaintexts. The request stays as it is, and the request
// of the response is the same one.
//
// The response is searched for the plaintexts of this request: as they stand, in the case
// of either ASCII letter, with percent escapes, escapes of JSON and character references of
// XML, a phone number with and without its plus. Its length is unknown therefore, and
// compressed bodies are unpacked. A response in another encoding has a body that fails with
// [ErrResponse].
//
// The body of a request is read before anything is revealed. A request without a rule is
// [ErrNoRule], [ErrInsecure] or [ErrRedirect], one with a body that can't be filled is
// [ErrBody] or [ErrTooLarge], and one with fields that can't be filled is [ErrUndeclared],
// [ErrNotSealed], [ErrKind] or an error of [vault.Scope.Reveal]: nothing has left then.
// [ErrSend] reports that the connection failed. A connection of HTTP/1 is closed after a
// request with a plaintext, because package net/http would write bytes that follow the
// response to the log of the process; connections of HTTP/2 are kept. Where a host goes
// back from HTTP/2 to HTTP/1, one connection of HTTP/1 is kept.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	c, body, err := t.read(req)
	if err != nil {
		return nil, fmt.Errorf("egress: %w", err)
	}
	places, err := c.find(req, body)
	if err != nil {
		return nil, fmt.Errorf("egress: %w", err)
	}
	s, err := c.open(req.Context(), places)
	if err != nil {
		return nil, fmt.Errorf("egress: %w", err)
	}
	defer s.release()
	resp, err := t.base.RoundTrip(t.outgoing(req, body, places, s))
	if err != nil {
		return nil, sendErr(err)
	}
	resp.Request = req
	if resp.ProtoMajor == 2 {
		t.http2.Store(c.Host, nil)
	} else {
		t.http2.Delete(c.Host)
	}
	if len(places) > 0 {
		reseal(resp, s)
	}
	return resp, nil
}

// read returns the rule for a request, and its body, which it closes.
func (t *Transport) read(req *http.Request) (*compiledRule, []byte, error) {
	c, err := t.rule(req)
	if err == nil {
		err = checkOutside(c, req)
	}
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, nil, err
	}
	body, err := readBody(req, c.MaxBody)
	return c, body, err
}

// rule returns the rule for a request.
func (t *Transport) rule(req *http.Request) (*compiledRule, error) {
	switch u := req.URL; {
	case u == nil || u.Opaque != "":
		return nil, ErrNoRule
	case u.Scheme != "https":
		return nil, ErrInsecure
	case req.Host != "" && hostOf(&url.URL{Host: req.Host}) != hostOf(u):
		return nil, ErrNoRule
	case len(req.Trailer) > 0:
		return nil, bodyErr("request has trailers")
	}
	if from := req.Response; from != nil && (from.Request == nil || from.Request.URL == nil || hostOf(from.Request.URL) != hostOf(req.URL)) {
		return nil, ErrRedirect
	}
	path := strings.Split(req.URL.EscapedPath(), "/")
	for _, c := range t.rules[hostOf(req.URL)] {
		if c.matches(req.Method, path) {
			return c, nil
		}
	}
	return nil, ErrNoRule
}

// find returns the declared fields of a request, those in headers first.
func (c *compiledRule) find(req *http.Request, body []byte) ([]place, error) {
	places, err := locateHeaders(c, req.Header)
	if err != nil {
		return nil, err
	}
	inBody, err := locate(c, req.Header, body)
	if err != nil {
		return nil, err
	}
	if len(places) == 0 {
		places = inBody
	} else {
		places = append(places, inBody...)
	}
	for i := range places {
		if err := places[i].parse(); err != nil {
			return nil, err
		}
	}
	return places, nil
}

// open reveals the values of places. The caller has a share of the plaintexts.
func (c *compiledRule) open(ctx context.Context, places []place) (*shared, error) {
	s := newShared(len(places))
	for i := range places {
		if err := c.openOne(ctx, &places[i], s); err != nil {
			s.release()
			return nil, err
		}
	}
	return s, nil
}

func (c *compiledRule) openOne(ctx context.Context, p *place, s *shared) error {
	plaintext, err := c.reveal(ctx, p)
	if err != nil {
		return err
	}
	plain := append(make([]byte, 0, (1+maxEncoded)*len(plaintext)), plaintext...)
	s.echoes.add(plain, p.text)
	patch, err := p.encode(plain[len(plain):], plaintext) // behind it, and so cleared on its own
	if err != nil {
		return err
	}
	s.patches = append(s.patches, patch)
	return nil
}

// reveal opens the value of a place. The value of a panic of its kind is dropped: it could
// be anything.
func (c *compiledRule) reveal(ctx context.Context, p *place) (plaintext string, err error) {
	defer func() {
		if recover() != nil {
			plaintext, err = "", fmt.Errorf("%v: kind panicked: %w", p.field, vault.ErrCorrupt)
		}
	}()
	reader := c.Reader
	if id, ok := ctx.Value(subjectKey{}).(string); ok {
		reader = reader.For(id)
	}
	if plaintext, err = p.value.Reveal(ctx, reader); err != nil {
		return "", fmt.Errorf("%v: %w", p.field, err)
	}
	return plaintext, nil
}

// outgoing returns the request that goes to the host.
func (t *Transport) outgoing(req *http.Request, body []byte, places []place, s *shared) *http.Request {
	out := req.Clone(untraced(req.Context()))
	out.Response = nil
	out.Header.Del("Accept-Encoding")
	if len(places) > 0 {
		_, kept := t.http2.Load(hostOf(req.URL))
		out.Close = out.Close || !kept
	}
	headers := 0
	for ; headers < len(places) && places[headers].field.format == ofHeader; headers++ {
		out.Header.Set(places[headers].field.name, string(s.patches[headers]))
	}
	if len(body) == 0 {
		out.Body, out.GetBody, out.ContentLength = http.NoBody, nil, 0
		return out
	}
	out.TransferEncoding = nil
	out.GetBody = func() (io.ReadCloser, error) { return newBody(body, places[headers:], s.patches[headers:], s), nil }
	out.Body, _ = out.GetBody()
	out.ContentLength = int64(len(body))
	for i := headers; i < len(places); i++ {
		out.ContentLength += int64(len(s.patches[i]) - (places[i].end - places[i].start))
	}
	return out
}
