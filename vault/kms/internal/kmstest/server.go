// Package kmstest tests the clients of key services. It has a server that can fail in
// all the ways of key services and of proxies before them, keys for the server, and
// the cases that every client has to pass. Package kektest has the cases that every
// KEK has to pass.
package kmstest

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Fault is one kind of failure of a [Server].
type Fault string

// The faults. The handler of the service makes [Throttle] and [Internal], which are
// answers in its own protocol.
const (
	Up         Fault = ""                             // none
	Hang       Fault = "hangs"                        // never answers
	Cut        Fault = "cuts the connection"          // without a word
	Garbage    Fault = "answers garbage"              // of the right content type
	HTML       Fault = "answers 200 with HTML"        // as the login page of a proxy does
	Forbidden  Fault = "is behind a proxy's 403"      // which is no decision of the key service
	BadGateway Fault = "is behind a proxy's 502"      // while the service restarts
	Redirect   Fault = "redirects"                    // to where a data key has no business
	Throttle   Fault = "throttles"                    // in its own protocol
	Internal   Fault = "reports an internal error"    // in its own protocol
	Empty      Fault = "answers 200 without anything" // a well-formed answer that lacks all fields

	Stall Fault = "hangs in the middle of its answer"
	Half  Fault = "cuts the connection in the middle of its answer"
	Reset Fault = "resets the connection"
	Flood Fault = "answers without end"      // well-formed as far as it goes
	Busy  Fault = "is behind a proxy's 503"  // that says to come back tomorrow
	Limit Fault = "is behind a proxy's 429"  // that says to come back tomorrow
	Slow  Fault = "takes its time to answer" // and then does
)

// MaxFlood is far more than a client may read of an answer.
const MaxFlood = 32 << 20

// Leak is in every answer of a faulty server. No error may repeat it.
const Leak = "sEcReT"

// A Server is a key service over TLS, with HTTP/1.1 and HTTP/2.
type Server struct {
	*httptest.Server
	// ContentType is the content type of garbage.
	ContentType string

	handler http.Handler
	fault   atomic.Pointer[Fault]
	calls   atomic.Int64
	strayed atomic.Int64
	flooded atomic.Int64
	hung    chan struct{} // gets one for each call that hangs
	left    chan struct{} // gets one for each such call that the client gave up

	mu      sync.Mutex
	release chan struct{} // closed when calls need not hang any longer
}

// NewServer starts a server that ends with the test.
func NewServer(t testing.TB, contentType string, h http.Handler) *Server {
	s := &Server{
		ContentType: contentType,
		handler:     h,
		hung:        make(chan struct{}, 1024),
		left:        make(chan struct{}, 1024),
		release:     make(chan struct{}),
	}
	s.SetFault(Up)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Config.ErrorLog = quiet
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(func() {
		s.SetFault(Up)
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// SetFault makes the server fail in the way of f from now on. Calls that hang go on as
// if they came now.
func (s *Server) SetFault(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault.Store(&f)
	close(s.release)
	s.release = make(chan struct{})
}

// Fault returns the present fault.
func (s *Server) Fault() Fault { return *s.fault.Load() }

// Calls returns the number of calls so far.
func (s *Server) Calls() int { return int(s.calls.Load()) }

// Strayed returns the number of calls that followed a redirect.
func (s *Server) Strayed() int { return int(s.strayed.Load()) }

// Flooded returns the number of bytes that were sent in answers without end.
func (s *Server) Flooded() int { return int(s.flooded.Load()) }

// Hung gets a value for each call that hangs, and Left for each of these calls that its
// client gave up.
func (s *Server) Hung() <-chan struct{} { return s.hung }
func (s *Server) Left() <-chan struct{} { return s.left }

const elsewherePath = "/elsewhere"

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.calls.Add(1)
	if r.URL.Path == elsewherePath {
		s.strayed.Add(1)
	}
	s.answer(w, r)
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	fault, release := s.Fault(), s.release
	s.mu.Unlock()
	page := func(status int) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		w.Write([]byte("<html><body>Please log in. " + Leak + "</body></html>"))
	}
	// A call that hangs has read the body, so that the server notices when the client
	// leaves.
	switch fault {
	case Stall:
		r = new(replay).of(r)
		s.begin(w)
		s.hung <- struct{}{}
		select {
		case <-release:
			panic(http.ErrAbortHandler) // the beginning of its answer leads nowhere
		case <-r.Context().Done():
			s.left <- struct{}{}
		}
	case Half:
		s.begin(w)
		panic(http.ErrAbortHandler)
	case Reset:
		s.reset(w)
	case Flood:
		r = new(replay).of(r)
		s.flood(w, r, release)
	case Busy, Limit:
		w.Header().Set("Retry-After", "86400")
		page(map[Fault]int{Busy: http.StatusServiceUnavailable, Limit: http.StatusTooManyRequests}[fault])
	case Slow:
		r = new(replay).of(r)
		select {
		case <-time.After(slowness):
			s.handler.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	case Hang:
		r = new(replay).of(r)
		s.hung <- struct{}{}
		select {
		case <-release:
			s.answer(w, r)
		case <-r.Context().Done():
			s.left <- struct{}{}
		}
	case Cut:
		panic(http.ErrAbortHandler)
	case Garbage:
		w.Header().Set("Content-Type", s.ContentType)
		w.Write([]byte("\x00\x00\x00\x00\x09" + Leak + "}}}{{"))
	case HTML:
		page(http.StatusOK)
	case Forbidden:
		page(http.StatusForbidden)
	case Redirect:
		http.Redirect(w, r, s.URL+elsewherePath, http.StatusTemporaryRedirect)
	case BadGateway:
		page(http.StatusBadGateway)
	default:
		s.handler.ServeHTTP(w, r)
	}
}

// slowness is the time that a slow answer takes.
const slowness = 50 * time.Millisecond

// begin sends the beginning of an answer.
func (s *Server) begin(w http.ResponseWriter) {
	w.Header().Set("Content-Type", s.ContentType)
	if s.ContentType == "application/grpc" {
		w.Write([]byte("\x00\x7f\xff\xff\xff\x0a")) // of a message of 2 GB
	} else {
		w.Write([]byte(`{"` + Leak + `":"`))
	}
	http.NewResponseController(w).Flush()
}

// flood goes on with an answer until the client leaves, or has read far too much.
func (s *Server) flood(w http.ResponseWriter, r *http.Request, release <-chan struct{}) {
	s.begin(w)
	more := bytes.Repeat([]byte("A"), 1<<16)
	for s.flooded.Load() <= 2*MaxFlood && r.Context().Err() == nil {
		select {
		case <-release:
			panic(http.ErrAbortHandler)
		default:
		}
		n, err := w.Write(more)
		s.flooded.Add(int64(n))
		if err != nil {
			return
		}
	}
	panic(http.ErrAbortHandler)
}

// reset ends the connection as the kernel does after a process died.
func (s *Server) reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil { // with HTTP/2 there is only a stream to reset
		panic(http.ErrAbortHandler)
	}
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}
