package egress

import (
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

	first struct { // the memory of a request with few places
		echoes  [2 * fewPlaces]echo // a number has two forms
		patches [fewPlaces][]byte
	}
}

const fewPlaces = 2

// newShared returns the plaintexts of a request with a number of places. The caller has a
// share.
func newShared(places int) *shared {
	s := new(shared)
	if places > fewPlaces {
		s.echoes.all, s.patches = make([]echo, 0, 2*places), make([][]byte, 0, places)
	} else {
		s.echoes.all, s.patches = s.first.echoes[:0], s.first.patches[:0]
	}
	s.take()
	return s
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
	body    []byte
	places  []place
	patches [][]byte

	mu      sync.Mutex
	shared  *shared // nil once closed
	rest    []byte  // of the segment that is read
	segment int     // the number of the next one
}

// newBody returns a body that is read from the start. It takes a share of s.
func newBody(body []byte, places []place, patches [][]byte, s *shared) *filledBody {
	s.take()
	return &filledBody{body: body, places: places, patches: patches, shared: s}
}

var errClosed = errors.New("egress: body is closed")

// Read implements [io.Reader].
func (b *filledBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shared == nil {
		return 0, errClosed
	}
	size := 0
	for size < len(p) {
		n := copy(p[size:], b.rest)
		size, b.rest = size+n, b.rest[n:]
		if len(b.rest) > 0 {
			break
		}
		if b.segment > 2*len(b.places) {
			if size == 0 {
				return 0, io.EOF
			}
			break
		}
		b.rest = b.next()
	}
	return size, nil
}

// next returns the next segment: by turns, bytes of the body and a patch.
func (b *filledBody) next() []byte {
	i := b.segment / 2
	b.segment++
	if b.segment%2 == 0 {
		return b.patches[i]
	}
	start, end := 0, len(b.body)
	if i > 0 {
		start = b.places[i-1].end
	}
	if i < len(b.places) {
		end = b.places[i].start
	}
	return b.body[start:end]
}

// Close implements [io.Closer].
func (b *filledBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shared != nil {
		b.shared.release()
		b.shared, b.rest, b.patches = nil, nil, nil
	}
	return nil
}
