package egress_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/egress"
	"github.com/onlyfor/onlyfor/vault"
)

// Rules that could be read in two ways, or that fill headers which say how a request is
// read, are refused.
func TestRulesAreChecked(t *testing.T) {
	g := newGateway(t, nil)
	to := egress.Form[pii.Phone]("To")
	for name, change := range map[string]func(r *egress.Rule) *egress.Rule{
		"no host":         func(r *egress.Rule) *egress.Rule { r.Host = ""; return nil },
		"a URL":           func(r *egress.Rule) *egress.Rule { r.Host = "https://sms.example"; return nil },
		"a path as host":  func(r *egress.Rule) *egress.Rule { r.Host = "sms.example/v1"; return nil },
		"upper case":      func(r *egress.Rule) *egress.Rule { r.Host = "SMS.example"; return nil },
		"the port 443":    func(r *egress.Rule) *egress.Rule { r.Host = "sms.example:443"; return nil },
		"a user":          func(r *egress.Rule) *egress.Rule { r.Host = "a@sms.example"; return nil },
		"any host":        func(r *egress.Rule) *egress.Rule { r.Host = "*.example"; return nil },
		"no method":       func(r *egress.Rule) *egress.Rule { r.Method = ""; return nil },
		"a small method":  func(r *egress.Rule) *egress.Rule { r.Method = "post"; return nil },
		"a tunnel":        func(r *egress.Rule) *egress.Rule { r.Method = "CONNECT"; return nil },
		"no path":         func(r *egress.Rule) *egress.Rule { r.Path = ""; return nil },
		"a relative path": func(r *egress.Rule) *egress.Rule { r.Path = "send"; return nil },
		"dots":            func(r *egress.Rule) *egress.Rule { r.Path = "/a/../b"; return nil },
		"a query":         func(r *egress.Rule) *egress.Rule { r.Path = "/a%3fb"; return nil },
		"no reader":       func(r *egress.Rule) *egress.Rule { r.Reader = nil; return nil },
		"no size":         func(r *egress.Rule) *egress.Rule { r.MaxBody = -1; return nil },
		"a zero field":    func(r *egress.Rule) *egress.Rule { r.Fields = []egress.Field{{}}; return nil },
		"no name":         func(r *egress.Rule) *egress.Rule { r.Fields = []egress.Field{egress.Form[pii.Phone]("")}; return nil },
		"no pointer":      func(r *egress.Rule) *egress.Rule { r.Fields = []egress.Field{egress.JSON[pii.Phone]("to")}; return nil },
		"two formats": func(r *egress.Rule) *egress.Rule {
			r.Fields = append(r.Fields, egress.JSON[pii.Phone]("/to"))
			return nil
		},
		"a field twice": func(r *egress.Rule) *egress.Rule { r.Fields = append(r.Fields, to); return nil },
		"two pointers": func(r *egress.Rule) *egress.Rule {
			r.Fields = []egress.Field{egress.JSON[pii.Phone]("/to/*"), egress.JSON[pii.Email]("/to/0")}
			return nil
		},
		"too many fields": func(r *egress.Rule) *egress.Rule { r.Fields = make([]egress.Field, 65); return nil },
		"Content-Type": func(r *egress.Rule) *egress.Rule {
			r.Fields = []egress.Field{egress.Header[pii.Phone]("content-type")}
			return nil
		},
		"a broken header": func(r *egress.Rule) *egress.Rule {
			r.Fields = []egress.Field{egress.Header[pii.Phone]("a b")}
			return nil
		},
		"the rule twice": func(r *egress.Rule) *egress.Rule { again := *r; return &again },
		"rules that overlap": func(r *egress.Rule) *egress.Rule {
			again := *r
			again.Path = "/*"
			return &again
		},
	} {
		rule := g.rule(to)
		rules := []egress.Rule{}
		if more := change(&rule); more != nil {
			rules = append(rules, *more)
		}
		_, err := egress.NewTransport(nil, append(rules, rule)...)
		require.ErrorIs(t, err, egress.ErrRules, name)
	}
	tr, err := egress.NewTransport(nil, g.rule(to), egress.Rule{Host: "mail.example", Method: "GET", Path: "/"})
	require.NoError(t, err)
	require.Equal(t, []string{g.host(), "mail.example"}, tr.Hosts())
	require.Equal(t, "form field To", to.String())
	require.Equal(t, "egress.Transport()", (*egress.Transport)(nil).LogValue().String())
}

// A base that could send plaintext to somebody else is refused, and a change of it after
// NewTransport is of no effect.
func TestTheBaseIsChecked(t *testing.T) {
	g := newGateway(t, nil)
	for name, change := range map[string]func(b *http.Transport){
		"no verification": func(b *http.Transport) { b.TLSClientConfig.InsecureSkipVerify = true },
		"another name":    func(b *http.Transport) { b.TLSClientConfig.ServerName = "example.com" },
		"a key log":       func(b *http.Transport) { b.TLSClientConfig.KeyLogWriter = io.Discard },
		"TLS 1.0":         func(b *http.Transport) { b.TLSClientConfig.MinVersion = tls.VersionTLS10 },
		"own TLS": func(b *http.Transport) {
			b.DialTLSContext = func(context.Context, string, string) (net.Conn, error) { return nil, nil }
		},
		"own protocols": func(b *http.Transport) {
			b.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{"h2": nil}
		},
	} {
		base := g.base()
		base.TLSNextProto = nil
		change(base)
		_, err := egress.NewTransport(base, g.rule(egress.Form[pii.Phone]("To")))
		require.ErrorIs(t, err, egress.ErrRules, name)
	}
	base := g.base()
	tr, err := egress.NewTransport(base, g.rule(egress.Form[pii.Phone]("To")))
	require.NoError(t, err)
	base.DialContext = func(context.Context, string, string) (net.Conn, error) { panic("used") }
	resp, err := tr.RoundTrip(form(g, "To="+text(t, g.phone)))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())

	unknown, err := egress.NewTransport(&http.Transport{}, g.rule(egress.Form[pii.Phone]("To")))
	require.NoError(t, err)
	_, err = unknown.RoundTrip(form(g, "To="+text(t, g.phone)))
	require.EqualError(t, err, "egress: sending failed: certificate of the host is not valid")
	require.Len(t, g.seen(), 1)
}

// A loud kind panics with the plaintext that it judges.
type loud struct{}

var (
	loudKind = vault.MustKind("loud", "egress_test.Loud")
	quiet    bool
)

func (loud) Kind() vault.Kind                  { return loudKind }
func (loud) Parse(text string) (string, bool)  { return text, true }
func (loud) Canonical(plaintext string) string { return plaintext }
func (loud) Mask(string) string                { return "" }
func (loud) ValidPlaintext(plaintext string) bool {
	if !quiet {
		panic(plaintext)
	}
	return true
}

// A kind of the program's own can panic, or hold a line end: it does not end a header.
func TestOwnKinds(t *testing.T) {
	g := newGateway(t, nil)
	value, err := pii.Seal[loud](t.Context(), "a\r\nBcc: everybody", g.kit.Scope(security))
	require.NoError(t, err)
	tr := g.transport(t, g.rule(egress.Header[pii.Sealed[loud]]("X-To"), egress.Form[pii.Sealed[loud]]("To")))
	send := func(header bool) error {
		body := "To=" + text(t, value)
		if header {
			body = ""
		}
		resp, err := tr.RoundTrip(with(form(g, body), func(r *http.Request) {
			if header {
				r.Header.Set("X-To", text(t, value))
			}
		}))
		if err == nil {
			err = resp.Body.Close()
		}
		return err
	}
	quiet = false
	require.EqualError(t, send(false), "egress: form field To: kind panicked: not sealed here, or altered since")
	quiet = true
	require.ErrorIs(t, send(true), vault.ErrCorrupt)
	require.Empty(t, g.seen())
	require.NoError(t, send(false))
	require.Equal(t, "To=a%0D%0ABcc%3A%20everybody", g.seen()[0].body)
}
