package egress_test

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/egress"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

var (
	security = purpose.MustParse("security")
	ads      = purpose.MustParse("advertising")
)

const (
	number  = "+14155552671"
	address = "Alice.O'Hara+news@example.com"
)

// A gateway is a server with the requests that reached it, and a transport to it.
type gateway struct {
	*httptest.Server
	kit    *piitest.Kit
	reader *vault.Reader
	phone  pii.Phone
	email  pii.Email
	logged *lockedBuffer // of the server

	mu       sync.Mutex
	requests []received
	conns    int // that were opened
}

type received struct {
	*http.Request
	body string
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// newGateway starts a server with TLS that answers by the given function.
func newGateway(t testing.TB, answer func(w http.ResponseWriter, r received)) *gateway {
	return startGateway(t, false, answer)
}

func startGateway(t testing.TB, http2 bool, answer func(w http.ResponseWriter, r received)) *gateway {
	t.Helper()
	g := &gateway{kit: piitest.New(t, security, ads), logged: &lockedBuffer{}}
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got := received{r, string(body)}
		g.mu.Lock()
		g.requests = append(g.requests, got)
		g.mu.Unlock()
		if answer != nil {
			answer(w, got)
		}
	}))
	g.EnableHTTP2 = http2
	g.Config.ErrorLog = log.New(g.logged, "", 0)
	g.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			g.mu.Lock()
			g.conns++
			g.mu.Unlock()
		}
	}
	g.StartTLS()
	t.Cleanup(g.Close)
	ctx := context.Background()
	s := g.kit.Scope(security)
	var err error
	g.reader, err = g.kit.Vault.Reader(ctx, security)
	require.NoError(t, err)
	g.phone, err = pii.SealPhone(ctx, number, s)
	require.NoError(t, err)
	g.email, err = pii.SealEmail(ctx, address, s)
	require.NoError(t, err)
	g.kit.Audit.Reset()
	return g
}

func (g *gateway) host() string { return strings.TrimPrefix(g.URL, "https://") }

// seen returns the requests that reached the server.
func (g *gateway) seen() []received {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.requests
}

func (g *gateway) base() *http.Transport {
	return g.Client().Transport.(*http.Transport).Clone()
}

// rule returns a rule for POST /send with the given fields.
func (g *gateway) rule(fields ...egress.Field) egress.Rule {
	return egress.Rule{Host: g.host(), Method: "POST", Path: "/send", Fields: fields, Reader: g.reader}
}

func (g *gateway) transport(t testing.TB, rules ...egress.Rule) *egress.Transport {
	t.Helper()
	tr, err := egress.NewTransport(g.base(), rules...)
	require.NoError(t, err)
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func (g *gateway) client(t testing.TB, fields ...egress.Field) *http.Client {
	t.Helper()
	return &http.Client{Transport: g.transport(t, g.rule(fields...))}
}

// text returns the sealed text of a value.
func text(t testing.TB, v interface{ MarshalText() ([]byte, error) }) string {
	t.Helper()
	b, err := v.MarshalText()
	require.NoError(t, err)
	return string(b)
}

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

// post sends a body, and returns the response and its body.
func post(t testing.TB, c *http.Client, url, contentType, body string) (*http.Response, string, error) {
	t.Helper()
	resp, err := c.Post(url, contentType, strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return resp, string(got), err
}

// noPlaintext fails if a text has the address or the number in any form.
func noPlaintext(t testing.TB, where, text string) {
	t.Helper()
	for _, plain := range []string{number[1:], "O'Hara", "o'hara", url.QueryEscape(address), "4155552671"} {
		require.NotContains(t, text, plain, where)
	}
}

// exampleVault returns a vault with keys for security, in memory.
func exampleVault() (v *vault.Vault, done func()) {
	kek, err := subtle.NewAESGCM(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		panic(err)
	}
	admin, err := vault.OpenAdmin(context.Background(), vault.Memory(), vault.SharedKEK(kek), nil)
	if err != nil {
		panic(err)
	}
	if err := admin.Generate(context.Background(), security); err != nil {
		panic(err)
	}
	return admin.Vault(), func() { admin.Close() }
}
