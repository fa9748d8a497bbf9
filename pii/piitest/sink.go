package piitest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// An outlet collects what comes out at one place of the code under test.
type sink struct {
	name     string
	callSite callSite

	mu     sync.Mutex
	pieces [][]byte     // each searched by itself
	stream bytes.Buffer // searched as a whole
}

func (c *Contact) sink(name string) *sink {
	s := &sink{name: name, callSite: kitCaller()}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sinks = append(c.sinks, s)
	return s
}

// add keeps a copy of b as a piece of its own.
func (s *sink) add(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pieces = append(s.pieces, bytes.Clone(b))
}

// Write appends b to the stream. It never fails.
func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream.Write(b)
}

func (s *sink) all() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(s.pieces[:len(s.pieces):len(s.pieces)], bytes.Clone(s.stream.Bytes()))
}

// Writer returns a writer for a log, a file or a message, all of which is
// searched. It never fails.
func (c *Contact) Writer(name string) io.Writer { return c.sink(name) }

// Responses returns h with everything that it answers searched: status line,
// headers and body.
func (c *Contact) Responses(name string, h http.Handler) http.Handler {
	s := c.sink(name)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &answer{ResponseWriter: w}
		defer func() {
			s.add(fmt.Append(nil, w.Header()))
			s.add(answer.body)
		}()
		h.ServeHTTP(answer, r)
	})
}

// answer keeps a copy of what a handler writes.
type answer struct {
	http.ResponseWriter
	body []byte
}

func (a *answer) Write(b []byte) (int, error) {
	a.body = append(a.body, b...)
	return a.ResponseWriter.Write(b)
}

// Flush is for handlers that look for http.Flusher.
func (a *answer) Flush() { _ = http.NewResponseController(a.ResponseWriter).Flush() }

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Requests returns h with every request to it searched, before h sees it: URL,
// headers and body. It stands for the far end, such as an ad platform to which
// the code under test posts; a nil h answers 204 No Content.
func (c *Contact) Requests(name string, h http.Handler) http.Handler {
	s := c.sink(name)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.add([]byte(r.Method + " " + r.Host + " " + r.RequestURI + " " + r.URL.String()))
		s.add(fmt.Append(nil, r.Header))
		if r.Body != nil {
			body, err := io.ReadAll(r.Body)
			s.add(body)
			r.Body = &replay{io.MultiReader(bytes.NewReader(body), rest{err}), r.Body}
		}
		if h == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// replay is a body that was read already.
type replay struct {
	io.Reader
	io.Closer
}

// rest is the end of a body, which may be that it could not be read.
type rest struct{ err error }

func (r rest) Read([]byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	return 0, io.EOF
}

// Rows is what *sql.Rows has.
type Rows interface {
	Columns() ([]string, error)
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
}

// Rows searches all rows and columns of a query's result, and closes it. The
// name is best that of the table. Rows that can't be read end the test.
func (c *Contact) Rows(name string, rows Rows) {
	c.t.Helper()
	defer rows.Close()
	columns, err := rows.Columns()
	sinks := make([]*sink, len(columns))
	for i, column := range columns {
		sinks[i] = c.sink(name + ", column " + column)
	}
	for err == nil && rows.Next() {
		cells, dest := make([]any, len(columns)), make([]any, len(columns))
		for i := range dest {
			dest[i] = &cells[i]
		}
		if err = rows.Scan(dest...); err != nil {
			break
		}
		for i, cell := range cells {
			sinks[i].addRenderings(cell)
		}
	}
	if err != nil || rows.Err() != nil {
		c.t.Fatalf("piitest: the rows of %s can't be read to the end, so nothing shows that they hold no personal data", name)
	}
}
