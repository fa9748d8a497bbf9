package kmstest

import (
	"bytes"
	"io"
	"log"
	"net/http"
)

// quiet swallows what the server logs of connections that tests cut.
var quiet = log.New(io.Discard, "", 0)

// replay reads a request's body so that it can be read again later. The body of
// HTTP/2 is left alone: its end need not be seen to notice that a client left, and
// that of a stream may not come yet.
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
