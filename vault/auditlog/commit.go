package auditlog

import (
	"errors"
	"io/fs"
	"runtime"
	"time"
)

// run commits batches until the log is closed.
func (l *Log) run() {
	defer close(l.ended)
	ticker := time.NewTicker(l.opts.Interval)
	defer ticker.Stop()
	for !l.closed {
		select {
		case <-l.kick:
			l.crowd()
			if l.gather() {
				l.commitNext()
			}
		case f := <-l.requests:
			l.commitNext()
			f()
		case <-ticker.C:
			if l.dirty || l.pub.headFailed() {
				l.publish(nil)
			}
		}
		if l.filled >= maxUnsynced {
			l.publish(nil)
		}
	}
}

// crowd lets callers whom the last commit woke up add their next events, as long as some
// do. Otherwise callers split into two groups, each of which waits for the fsync of the
// other one. It takes no longer than the last commit did.
func (l *Log) crowd() {
	for end := time.Now().Add(l.took); ; {
		before := l.waiting()
		runtime.Gosched()
		if l.waiting() == before || !time.Now().Before(end) {
			return
		}
	}
}

// waiting returns the number of events in the next batch.
func (l *Log) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.next.leaves)
}

// gather waits, if events are buffered, until there are enough of them or until their time
// has come. It reports whether to commit.
func (l *Log) gather() bool {
	b := l.opts.Buffered
	if b == nil || b.Delay == 0 {
		return true
	}
	delay := time.NewTimer(b.Delay)
	defer delay.Stop()
	select {
	case <-l.full:
	case <-delay.C:
	case f := <-l.requests:
		l.commitNext()
		f()
		return false
	}
	return true
}

// commitNext commits the batch that has gathered, if it has events.
func (l *Log) commitNext() {
	l.mu.Lock()
	b := l.next
	if len(b.leaves) == 0 {
		l.mu.Unlock()
		return
	}
	l.next = newBatch(l.spare)
	l.spare = batchBuffers{}
	l.mu.Unlock()
	begin := time.Now()
	b.err = l.fail(l.commit(b))
	l.took = time.Since(begin)
	l.mu.Lock()
	l.broken = b.err
	l.mu.Unlock()
	close(b.done)
}

// commit writes a batch under a new head.
func (l *Log) commit(b *batch) error {
	// A frame that could not be written comes first. As long as it can't be, nothing is
	// added to it, so that a broken disk does not fill the memory.
	err := l.flush()
	if err == nil {
		err = l.pub.room()
	}
	switch {
	case err != nil && b.acked:
		l.backlog = b // later batches have no acknowledged events until a commit succeeds
		return err
	case err != nil:
		l.refused += b.callers
		return err
	case l.backlog != nil:
		b = l.backlog.with(b)
		l.backlog = nil
	}
	if l.refused > 0 {
		o := newObject(nil, KindRefused, time.Now()).number("count", l.refused)
		b.addBody(o.end())
		l.refused = 0
	}
	l.mu.Lock()
	for _, body := range l.witnessed {
		b.addBody(body)
	}
	l.witnessed = nil
	l.mu.Unlock()
	l.pending = b.lines
	for _, leaf := range b.leaves {
		l.tree.appendHashed(leaf.leaf, leaf.record)
	}
	if err := l.flush(); err != nil {
		return err
	}
	l.reuse(b)
	return nil
}

// maxSpare is the size of the largest memory that is kept for a later batch.
const maxSpare = 2 << 20

// reuse keeps the memory of a batch whose commit is on the disk. Those who wait for the
// batch read none of it.
func (l *Log) reuse(b *batch) {
	if cap(b.lines) <= maxSpare {
		l.spare = batchBuffers{lines: b.lines[:0], leaves: b.leaves[:0]}
	}
}

// flush writes the pending frame, if there is one, and makes it durable. If it fails, the
// frame stays as it is for the next call.
func (l *Log) flush() error {
	if l.pending == nil {
		return nil
	}
	if l.signed.Size == 0 {
		h, err := (Head{Origin: l.signer.Name(), Size: l.tree.size, Hash: l.tree.root()}).sign(l.signer)
		if err != nil {
			return err
		}
		l.pending = appendHead(l.pending, h)
		l.signed = h
	}
	if err := l.ensureSegment(); err != nil {
		return err
	}
	if err := l.segment.WriteAt(l.pending, l.offset); err != nil {
		return err
	}
	if err := l.segment.Sync(); err != nil {
		return err
	}
	l.offset += int64(len(l.pending))
	l.mu.Lock()
	l.head = l.signed
	l.age.committed(time.Now())
	l.mu.Unlock()
	l.pending, l.signed = nil, Head{}
	l.dirty = true
	if l.offset >= segmentSize {
		l.roll()
	}
	return nil
}

// ensureSegment makes the file of bodies that the pending frame begins, if it begins one.
func (l *Log) ensureSegment() error {
	if l.segment != nil {
		return nil
	}
	l.bodiesMu.Lock()
	defer l.bodiesMu.Unlock()
	name := segmentName(l.Head().Size)
	f, err := l.lock.Create(name)
	if errors.Is(err, fs.ErrExist) {
		// An attempt that failed has left it. It has no entries: they would be in the head.
		if err = l.lock.Remove(name); err == nil {
			f, err = l.lock.Create(name)
		}
	}
	if err != nil {
		return err
	}
	l.segment, l.offset = f, 0
	return nil
}

// roll ends the current file of bodies. All that it has is durable.
func (l *Log) roll() {
	if l.segment != nil {
		l.segment.Close()
		l.segment = nil
	}
}

// publish hands the newest head on, with the partial tiles of its tree.
func (l *Log) publish(result chan<- error) {
	if l.pending != nil { // the tree is ahead of the head
		if result != nil {
			result <- l.fail(errPending)
		}
		return
	}
	l.dirty, l.filled = false, 0
	head := l.Head()
	l.mu.Lock()
	l.age.published(head.Size)
	l.mu.Unlock()
	l.pub.add(item{head: head, tiles: l.tree.partials(), result: result})
}

// stop commits the entry of the stop.
func (l *Log) stop() error {
	b := newBatch(batchBuffers{})
	b.addBody(newObject(nil, KindStop, time.Now()).end())
	return l.fail(l.commit(b))
}
