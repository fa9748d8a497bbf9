package auditlog

import "golang.org/x/mod/sumdb/tlog"

// A batch is a group of events that one commit writes.
type batch struct {
	batchBuffers
	callers int64 // the number of calls of Audit
	acked   bool  // the callers of some events were told that they are recorded
	done    chan struct{}
	err     error
}

// batchBuffers are the memory of a batch, which later batches use again.
type batchBuffers struct {
	lines  []byte
	leaves []hashedLeaf
}

// A hashedLeaf is a leaf with its hash as a record of the tree.
type hashedLeaf struct{ leaf, record tlog.Hash }

func newBatch(buffers batchBuffers) *batch {
	return &batch{batchBuffers: buffers, done: make(chan struct{})}
}

func (b *batch) add(s *salted) {
	b.lines = s.appendTo(b.lines)
	b.leaves = append(b.leaves, hashedLeaf{s.leaf, s.record})
}

// addBody adds an entry of the log's own.
func (b *batch) addBody(body []byte) {
	s := salt(body)
	b.add(&s)
}

// with returns the events of b and after.
func (b *batch) with(after *batch) *batch {
	after.lines = append(b.lines, after.lines...)
	after.leaves = append(b.leaves, after.leaves...)
	return after
}
