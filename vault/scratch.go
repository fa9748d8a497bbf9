package vault

import "sync"

// A scratch is working memory for one operation. It goes back to a pool, since
// buffers handed to a cipher.AEAD are moved to the heap, so release clears
// whatever held plaintext: pooled memory outlives the call.
type scratch struct {
	body  []byte // a value's body, decoded
	text  []byte // a value's text
	aad   []byte // associated data
	plain []byte // plaintext, or what an index is computed of
}

var scratches = sync.Pool{New: func() any {
	// Enough for one e-mail; larger values grow them.
	return &scratch{
		body:  make([]byte, 0, 256),
		text:  make([]byte, 0, 384),
		aad:   make([]byte, 0, 256),
		plain: make([]byte, 0, 384),
	}
}}

func getScratch() *scratch { return scratches.Get().(*scratch) }

func (s *scratch) release() {
	clear(s.plain[:cap(s.plain)])
	s.plain = s.plain[:0]
	scratches.Put(s)
}
