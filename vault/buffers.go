package vault

import (
	"sync"

	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A buffers is the working memory of one operation. It comes from a pool, since Go
// moves a buffer that is passed to a cipher.AEAD to the heap. Pooled memory
// outlives the operation, so release clears the part that held plaintext.
//
// The buffers are arrays, to be sliced and appended to. They are large enough for
// every plaintext and all associated data; a longer body or text is allocated. A
// slice in place of an array would cost a write barrier at each use.
type buffers struct {
	plain [max(format.MaxSealed, format.MaxIndexInput, format.MaxPseudonymInput)]byte
	used  int                     // bytes of plain that release clears
	aad   [format.MaxSlotAAD]byte // associated data
	format.Buffer
	ids idSource
}

var bufferPool = sync.Pool{New: func() any { return new(buffers) }}

// getBuffers returns buffers for one operation, which ends with release.
func getBuffers() *buffers { return bufferPool.Get().(*buffers) }

// plaintext returns an empty slice with room for n bytes of plaintext, and has
// release clear these bytes.
func (s *buffers) plaintext(n int) []byte {
	s.used = max(s.used, min(n, len(s.plain)))
	return s.plain[:0]
}

// release clears the plaintext and gives the buffers back.
func (s *buffers) release() {
	clear(s.plain[:s.used])
	s.used = 0
	bufferPool.Put(s)
}
