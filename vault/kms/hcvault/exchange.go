package hcvault

import (
	"context"
	"io"
	"net/http"

	"github.com/hashicorp/vault/api"
)

// An exchange is the transport of one request. Tink's client has no methods that
// take a context, so the exchange holds the request to one, and keeps the status
// of the answer, which errors of the client need not tell.
type exchange struct {
	ctx  context.Context // ended by whoever made it
	base http.RoundTripper

	sent   bool
	status int // 0 without an answer
}

// maxAnswer is far more than a transit engine has to say of one key.
const maxAnswer = 1 << 20

// through returns a copy of c as it is now, whose requests go through x, once.
func (x *exchange) through(c *api.Client) (*api.Client, error) {
	config := c.CloneConfig()
	// How to connect is settled in the transport. An address of a Unix socket, read
	// once more, would be written into the transport that others use.
	config.Address, config.AgentAddress = c.Address(), ""
	// The client waits between retries without a context.
	config.MaxRetries = 0
	// The client, or an http.Client that it was given, would send token and key to a
	// host that the URI does not name.
	config.DisableRedirects = true
	config.HttpClient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	x.base = config.HttpClient.Transport
	config.HttpClient.Transport = x
	once, err := api.NewClient(config)
	if err != nil {
		return nil, err
	}
	// Those of the environment, which it has now, are not what c was given.
	once.SetHeaders(c.Headers())
	once.SetToken(c.Token())
	return once, nil
}

// RoundTrip implements [http.RoundTripper].
func (x *exchange) RoundTrip(r *http.Request) (*http.Response, error) {
	x.sent = true
	// The request's own context has the client's timeouts: both count.
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
