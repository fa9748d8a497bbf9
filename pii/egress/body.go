package egress

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// A shared holds the plaintexts of one request. They are overwritten when nobody has a
// share any more: the round trip, bodies of the request that are read, and the response.
type shared struct {
	shares  atomic.Int32
	echoes  echoes
	patches [][]byte // the plaintexts as they stand in the body
}

func (s *shared) take() { s.shares.Add(1) }

func (s *shared) release() {
	if s.shares.Add(-1) != 0 {
		return
	}
	s.echoes.clear()
	for _, p := range s.patches {
		clear(p)
	}
	s.patches = nil
}

// readBody reads and closes the body of a request.
func readBody(req *http.Request, most int) ([]byte, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	defer req.Body.Close()
	if req.ContentLength > int64(most) {
		return nil, ErrTooLarge
	}
	if req.ContentLength < 0 { // a body of unknown size
		body, err := io.ReadAll(io.LimitReader(req.Body, int64(most)+1))
		if err == nil && len(body) > most {
			err = ErrTooLarge
		}
		return body, err
	}
	body := make([]byte, req.ContentLength)
	if _, err := io.ReadFull(req.Body, body); err != nil {
		return nil, bodyErr("body is shorter than its Content-Length")
	}
	var more [1]byte
	if n, _ := io.ReadFull(req.Body, more[:]); n > 0 {
		return nil, bodyErr("body is longer than its Content-Length")
	}
	return body, nil
}

// A filledBody is a body with plaintexts in place of the sealed texts. The rest of the body
// is not copied.
type filledBody struct {
	mu     sync.Mutex
	r      io.Reader
	shared *shared // nil once closed
}

// newBody returns a body that is read from the start. It takes a share of s.
func newBody(body []byte, places []place, patches [][]byte, s *shared) *filledBody {
	var parts []io.Reader
	from := 0
	for i, p := range places {
		parts = append(parts, bytes.NewReader(body[from:p.start]), bytes.NewReader(patches[i]))
		from = p.end
	}
	parts = append(parts, bytes.NewReader(body[from:]))
	s.take()
	return &filledBody{r: io.MultiReader(parts...), shared: s}
}

var errClosed = errors.New("egress: body is closed")

// Read implements [io.Reader].
func (b *filledBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shared == nil {
		return 0, errClosed
	}
	return b.r.Read(p)
}

// Close implements [io.Closer].
func (b *filledBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shared != nil {
		b.shared.release()
		b.shared, b.r = nil, nil
	}
	return nil
}
