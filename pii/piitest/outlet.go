package piitest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// An outlet collects what comes out at one place of the code under test.
type outlet struct {
	name, place string

	mu     sync.Mutex
	pieces [][]byte     // each searched by itself
	stream bytes.Buffer // searched as a whole
}

func (c *Contact) outlet(name string) *outlet {
	o := &outlet{name: name, place: placeOfCall()}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outlets = append(c.outlets, o)
	return o
}

// add keeps a copy of b as a piece of its own.
func (o *outlet) add(b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pieces = append(o.pieces, bytes.Clone(b))
}

// Write appends b to the stream. It never fails.
func (o *outlet) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stream.Write(b)
}

func (o *outlet) all() [][]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append(o.pieces[:len(o.pieces):len(o.pieces)], bytes.Clone(o.stream.Bytes()))
}

// Writer returns a writer for a log, a file or a message, all of which is
// searched. It never fails.
func (c *Contact) Writer(name string) io.Writer { return c.outlet(name) }

// Responses returns h with everything that it answers searched: status line,
// headers and body.
func (c *Contact) Responses(name string, h http.Handler) http.Handler {
	o := c.outlet(name)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &answer{ResponseWriter: w}
		defer func() {
			o.add(fmt.Append(nil, w.Header()))
			o.add(answer.body)
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
	o := c.outlet(name)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.add([]byte(r.Method + " " + r.Host + " " + r.RequestURI + " " + r.URL.String()))
		o.add(fmt.Append(nil, r.Header))
		if r.Body != nil {
			body, err := io.ReadAll(r.Body)
			o.add(body)
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
	outlets := make([]*outlet, len(columns))
	for i, column := range columns {
		outlets[i] = c.outlet(name + ", column " + column)
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
			outlets[i].addForms(cell)
		}
	}
	if err != nil || rows.Err() != nil {
		c.t.Fatalf("piitest: the rows of %s can't be read to the end, so nothing shows that they hold no personal data", name)
	}
}
