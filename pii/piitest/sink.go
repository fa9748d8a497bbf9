package piitest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// A sink collects the output of the code under test at one point, to be searched.
type sink struct {
	name     string
	callSite callSite

	mu     sync.Mutex
	pieces [][]byte     // each searched by itself
	stream bytes.Buffer // searched as a whole
}

// sink returns a new sink of the call site.
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

// all returns the pieces and the stream.
func (s *sink) all() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(s.pieces[:len(s.pieces):len(s.pieces)], bytes.Clone(s.stream.Bytes()))
}

// Writer returns a writer for a log, a file or a message. It never fails. Everything
// that is written to it is searched.
func (c *Contact) Writer(name string) io.Writer { return c.sink(name) }

// Responses returns a handler that calls h. The headers and bodies that h answers are
// searched.
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

// An answer keeps a copy of the body that a handler writes.
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

// Requests returns a handler that calls h. The URL, headers and body of every request
// are searched before h sees it. Use it as the far end, such as an ad platform to
// which the code under test posts. A nil h answers 204 No Content.
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

// A replay is a body that is read a second time.
type replay struct {
	io.Reader
	io.Closer
}

// A rest is the end of a body: io.EOF, or the error of its first reading.
type rest struct{ err error }

func (r rest) Read([]byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	return 0, io.EOF
}

// Rows has the methods of *sql.Rows that [Contact.Rows] calls.
type Rows interface {
	Columns() ([]string, error)
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
}

// Rows searches all rows and columns of a query's result, and closes it. Messages call
// the result by the name, which is best the name of the table. Rows that can't be
// read end the test.
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
