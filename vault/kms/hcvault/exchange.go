package hcvault

import (
	"context"
	"io"
	"net/http"

	"github.com/hashicorp/vault/api"
)

// An exchange is the transport of one request. Tink's client has no methods with a
// context, so the exchange ends the request with one. It keeps the status of the
// answer, because not all errors of the client have it.
type exchange struct {
	ctx  context.Context
	base http.RoundTripper

	sent   bool
	status int // 0 without an answer
}

// maxAnswer is far more than the longest answer of a transit engine for one key.
const maxAnswer = 1 << 20

// through returns a copy of c in its present state. A request goes through x, once.
func (x *exchange) through(c *api.Client) (*api.Client, error) {
	config := c.CloneConfig()
	// The transport knows how to connect. NewClient would write the address of a Unix
	// socket into the transport again, while other requests use it.
	config.Address, config.AgentAddress = c.Address(), ""
	// The client waits between retries without a context.
	config.MaxRetries = 0
	// With a redirect, the client or its http.Client would send token and key to a
	// host that the URI does not name.
	config.DisableRedirects = true
	config.HttpClient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	x.base = config.HttpClient.Transport
	config.HttpClient.Transport = x
	once, err := api.NewClient(config)
	if err != nil {
		return nil, err
	}
	// NewClient has set token and headers from the environment.
	once.SetHeaders(c.Headers())
	once.SetToken(c.Token())
	return once, nil
}

// RoundTrip implements [http.RoundTripper].
func (x *exchange) RoundTrip(r *http.Request) (*http.Response, error) {
	x.sent = true
	// The request's own context has the client's timeouts. Both contexts count.
	ctx, cancel := context.WithCancel(r.Context())
	context.AfterFunc(x.ctx, cancel)
	answer, err := x.base.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	x.status = answer.StatusCode
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	return answer, nil
}
