package kmstest

import (
	"bytes"
	"io"
	"log"
	"net/http"
)

// quiet drops the server's log of connections that tests cut.
var quiet = log.New(io.Discard, "", 0)

// replay reads a request's body so that a handler can read it again. It does not read
// a body of HTTP/2: the server notices without it that a client has left, and the end
// of a stream may not have come yet.
type replay struct{}

func (*replay) of(r *http.Request) *http.Request {
	if r.ProtoMajor > 1 {
		return r
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return r
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return r
}
