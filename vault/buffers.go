package vault

import (
	"sync"

	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A scratch is working memory for one operation. It goes back to a pool, since
// buffers handed to a cipher.AEAD are moved to the heap. Pooled memory outlives the
// call, so release clears the part that held plaintext.
//
// The buffers are arrays, to be sliced and appended to. Plaintext and associated
// data never outgrow them; a longer body or text is allocated. A slice kept here
// instead would cost a write barrier at each use.
type buffers struct {
	plain [max(format.MaxSealed, format.MaxIndexInput, format.MaxPseudonymInput)]byte
	used  int                     // how much of plain to clear
	aad   [format.MaxSlotAAD]byte // associated data
	format.Buffer
	ids idSource
}

var bufferPool = sync.Pool{New: func() any { return new(buffers) }}

func getBuffers() *buffers { return bufferPool.Get().(*buffers) }

// plaintext returns an empty slice for n bytes of plaintext.
func (s *buffers) plaintext(n int) []byte {
	s.used = max(s.used, min(n, len(s.plain)))
	return s.plain[:0]
}

func (s *buffers) release() {
	clear(s.plain[:s.used])
	s.used = 0
	bufferPool.Put(s)
}
