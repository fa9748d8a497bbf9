package vault

import "sync"

// A scratch is working memory for one operation. It goes back to a pool, since
// buffers handed to a cipher.AEAD are moved to the heap. Pooled memory outlives the
// call, so whatever held plaintext is cleared by release.
//
// The buffers are arrays, to be sliced and appended to: what a longer value needs
// beyond them is allocated, but never for plaintext and associated data, which
// they are large enough for. A slice kept here would cost a write barrier at
// each use.
type scratch struct {
	plain [1280]byte // plaintext, or what an index is computed of
	used  int        // how much of plain to clear
	aad   [640]byte  // associated data
	body  [256]byte  // a value's body, decoded
	text  [384]byte  // a value's text
	ids   idSource
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func getScratch() *scratch { return scratches.Get().(*scratch) }

// plaintext returns an empty slice for n bytes of plaintext.
func (s *scratch) plaintext(n int) []byte {
	s.used = max(s.used, min(n, len(s.plain)))
	return s.plain[:0]
}

func (s *scratch) release() {
	clear(s.plain[:s.used])
	s.used = 0
	scratches.Put(s)
}
