package egress

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// reseal puts the sealed texts in place of the plaintexts in a response, those of its body
// as it is read. It takes a share of s, which the end of the body releases.
func reseal(resp *http.Response, s *shared) {
	resp.Status = s.echoes.replace(resp.Status)
	resealHeader(resp.Header, s)
	resp.Header.Del("Content-Length")
	resp.ContentLength = -1
	s.take()
	r := &resealer{resp: resp, shared: s}
	body := resp.Body
	r.src.Store(&body)
	if !readable(resp.Header) {
		r.err = fmt.Errorf("egress: reading the response: %w", ErrResponse)
		r.eof = true
	} else {
		r.buf = make([]byte, windowSize+s.echoes.most)
	}
	resp.Body = r
}

func resealHeader(h http.Header, s *shared) {
	for name, values := range h {
		for i := range values {
			values[i] = s.echoes.replace(values[i])
		}
		if clean := s.echoes.replace(name); clean != name {
			delete(h, name)
			h[clean] = values
		}
	}
}

// readable reports whether an echo in a body is found: the body is not compressed, and its
// character set has the bytes of ASCII.
func readable(h http.Header) bool {
	for _, coding := range h.Values("Content-Encoding") {
		if !strings.EqualFold(coding, "identity") {
			return false
		}
	}
	for _, t := range h.Values("Content-Type") {
		_, params, _ := mime.ParseMediaType(t)
		charset := strings.ToLower(params["charset"])
		if charset != "" && charset != "utf-8" && charset != "utf8" && charset != "us-ascii" && !strings.HasPrefix(charset, "iso-8859-") && !strings.HasPrefix(charset, "windows-125") {
			return false
		}
	}
	return true
}

const windowSize = 4 << 10

// A resealer reads a response body. It holds bytes back only while they may be the
// beginning of a plaintext.
type resealer struct {
	src atomic.Pointer[io.ReadCloser] // nil once closed: the body of package net/http leads to its buffers

	mu      sync.Mutex // Close may be called while a Read waits for src
	resp    *http.Response
	shared  *shared // nil once released
	buf     []byte  // has the bytes r to w of src
	r, w    int
	literal int    // bytes from r that are no part of a plaintext
	sealed  []byte // goes out before them
	eof     bool   // src has returned err
	err     error
}

// Read returns bytes of the body. An error of package net/http is [ErrSend], but for
// [io.EOF].
func (r *resealer) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	for r.shared != nil {
		switch {
		case len(r.sealed) > 0:
			n := copy(p, r.sealed)
			r.sealed = r.sealed[n:]
			return n, nil
		case r.literal > 0:
			n := copy(p, r.buf[r.r:r.r+r.literal])
			clear(r.buf[r.r : r.r+n])
			r.r, r.literal = r.r+n, r.literal-n
			return n, nil
		}
		before, size, sealed := r.shared.echoes.next(r.buf[r.r:r.w], r.eof)
		switch {
		case before > 0:
			r.literal = before
			continue
		case size > 0:
			clear(r.buf[r.r : r.r+size])
			r.r, r.sealed = r.r+size, sealed
			continue
		case r.eof:
			r.release()
			r.closeSource()
			continue
		}
		r.fill()
	}
	return 0, r.err
}

// Close closes the body of package net/http.
func (r *resealer) Close() error {
	err := r.closeSource() // which ends a Read
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.release(); r.err == nil {
		r.err = http.ErrBodyReadAfterClose
	}
	if err != nil {
		return sendErr(err)
	}
	return nil
}

// fill reads more bytes of the body.
func (r *resealer) fill() {
	n := copy(r.buf, r.buf[r.r:r.w])
	clear(r.buf[n:r.w])
	r.r, r.w = 0, n
	err := error(http.ErrBodyReadAfterClose)
	if src := r.src.Load(); src != nil {
		n, err = (*src).Read(r.buf[r.w:])
		r.w += n
	}
	if err == nil {
		return
	}
	r.eof = true
	if r.err = err; err == io.EOF {
		resealHeader(r.resp.Trailer, r.shared)
		return
	}
	r.err = sendErr(err)
	// An echo that the broken connection cut off does not go out.
	for at := r.r; at < r.w; {
		before, size, _ := r.shared.echoes.next(r.buf[at:r.w], false)
		if size == 0 {
			r.w = at + before
		}
		at += before + size
	}
}

func (r *resealer) closeSource() error {
	if src := r.src.Swap(nil); src != nil {
		return (*src).Close()
	}
	return nil
}

// release clears the buffer and the share of the plaintexts.
func (r *resealer) release() {
	clear(r.buf)
	r.r, r.w, r.literal, r.sealed = 0, 0, 0, nil
	if s := r.shared; s != nil {
		r.shared = nil
		s.release()
	}
}
