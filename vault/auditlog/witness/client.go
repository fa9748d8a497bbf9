package witness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/onlyfor/onlyfor/vault/auditlog"
)

// A Client is a witness over HTTP for a log: an [auditlog.Witness]. It may be called from
// many goroutines at once.
type Client struct {
	url      string
	verifier note.Verifier
	http     *http.Client

	mu    sync.Mutex
	known map[string]int64 // the size of the last cosigned head by origin
}

var _ auditlog.Witness = (*Client)(nil)

// NewClient returns a client of the witness at a URL, the submission prefix of C2SP
// tlog-witness, such as "https://witness.example". verifier is the public key of the
// witness: see [NewVerifier]. The client follows no redirects. A nil client is
// [http.DefaultClient]. A URL of another scheme than http and https, or with a query, is
// [ErrArgument].
func NewClient(prefix string, verifier note.Verifier, client *http.Client) (*Client, error) {
	u, err := url.Parse(prefix)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || verifier == nil {
		return nil, fmt.Errorf("witness: not a URL of a witness, or no verifier: %w", ErrArgument)
	}
	if client == nil {
		client = http.DefaultClient
	}
	c := *client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{url: strings.TrimSuffix(prefix, "/"), verifier: verifier, http: &c, known: map[string]int64{}}, nil
}

// maxKnown bounds the memory for the sizes of logs.
const maxKnown = 10_000

// maxAttempts is the number of requests for one head: the first tells the size that the
// witness has, if the client does not know it, and another client may change it meanwhile.
const maxAttempts = 4

// Cosign sends the head to the witness and returns its cosignature. It fails with
// [ErrInconsistent] if the witness has seen another history, or a longer one than the
// log has, with [ErrAnswer] for an answer that the protocol does not have, and with the
// errors of the network. It takes as long as ctx lets it.
func (c *Client) Cosign(ctx context.Context, head auditlog.Head, prove func(old int64) (tlog.TreeProof, error)) ([]byte, error) {
	signed, err := head.MarshalText()
	if err != nil {
		return nil, fmt.Errorf("witness %s: %w", c.verifier.Name(), err)
	}
	old := min(c.size(head.Origin), head.Size)
	for range maxAttempts {
		r := request{old: old, signed: string(signed)}
		if old > 0 && old < head.Size {
			if r.proof, err = prove(old); err != nil {
				return nil, fmt.Errorf("witness %s: proving: %w", c.verifier.Name(), err)
			}
		}
		lines, size, err := c.send(ctx, r)
		if err == errConflict && size <= head.Size {
			old = size
			continue
		}
		if err == errConflict {
			err = fmt.Errorf("it knows %d entries, and the log has %d: %w", size, head.Size, ErrInconsistent)
		}
		if err != nil {
			return nil, fmt.Errorf("witness %s: %w", c.verifier.Name(), err)
		}
		c.note(head.Origin, head.Size)
		return lines, nil
	}
	return nil, fmt.Errorf("witness %s: its size changes with each answer: %w", c.verifier.Name(), ErrAnswer)
}

func (c *Client) size(origin string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[origin]
}

func (c *Client) note(origin string, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxKnown {
		clear(c.known)
	}
	c.known[origin] = size
}

// errConflict reports that the witness has a head of another size than the request says.
var errConflict = errors.New("conflict")

// send makes one call. With errConflict it returns the size that the witness has.
func (c *Client) send(ctx context.Context, r request) (lines []byte, size int64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/add-checkpoint", strings.NewReader(r.String()))
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	resp, err := c.http.Do(req)
	if err != nil {
		// The error has the URL, which can have a password.
		var of *url.Error
		if errors.As(err, &of) {
			err = of.Err
		}
		return nil, 0, fmt.Errorf("asking: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxCheckpoint+1))
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("reading the answer: %w", err)
	case len(body) > maxCheckpoint:
		return nil, 0, fmt.Errorf("answer is too large: %w", ErrAnswer)
	}
	switch resp.StatusCode {
	case http.StatusOK:
		lines, ok := c.cosignatures(r.signed, string(body))
		if !ok {
			return nil, 0, fmt.Errorf("answer without its cosignature: %w", ErrAnswer)
		}
		return lines, 0, nil
	case http.StatusConflict:
		size, ok := parseSize(strings.TrimSuffix(string(body), "\n"))
		if !ok || size == r.old {
			return nil, 0, fmt.Errorf("conflict without a size: %w", ErrAnswer)
		}
		return nil, size, errConflict
	case http.StatusUnprocessableEntity:
		return nil, 0, fmt.Errorf("it has cosigned another history: %w", ErrInconsistent)
	}
	// The text of an answer can hold anything.
	return nil, 0, fmt.Errorf("HTTP status %d: %w", resp.StatusCode, ErrAnswer)
}

// cosignatures returns the signature lines of the witness in an answer. Lines of others
// are dropped.
func (c *Client) cosignatures(signed, lines string) ([]byte, bool) {
	text, _, ok := strings.Cut(signed, "\n\n")
	if !ok || lines == "" {
		return nil, false
	}
	n, err := note.Open([]byte(text+"\n\n"+lines), note.VerifierList(c.verifier))
	if err != nil || len(n.Sigs) == 0 {
		return nil, false
	}
	return []byte(signatureLines(n.Sigs)), true
}
