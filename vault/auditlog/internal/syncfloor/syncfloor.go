// Package syncfloor measures the least that a durable record costs on a disk. Benchmarks let
// it take turns with an audit log.
package syncfloor

import (
	"bytes"
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onlyfor/onlyfor/vault/audit"
)

// A File is an auditor that appends a line of bytes for each event and syncs the file once for
// all callers that wait at that time. It has no tree, no salt, no encoding and no signature.
type File struct {
	file  *os.File
	line  []byte
	kick  chan struct{}
	ended chan struct{}
	took  time.Duration

	mu      sync.Mutex
	next    *batch
	commits atomic.Int64
}

type batch struct {
	lines []byte
	done  chan struct{}
	err   error
}

// Create makes a file whose events have size bytes each. Close ends it.
func Create(name string, size int) (*File, error) {
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	f := &File{
		file: file, line: bytes.Repeat([]byte{'x'}, size),
		kick: make(chan struct{}, 1), ended: make(chan struct{}), next: newBatch(),
	}
	go func() {
		defer close(f.ended)
		for range f.kick {
			f.crowd()
			f.commit()
		}
	}()
	return f, nil
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

// Close waits for the last commit and closes the file. No call of Audit may follow.
func (f *File) Close() error {
	close(f.kick)
	<-f.ended
	return f.file.Close()
}

// Commits returns the number of syncs so far.
func (f *File) Commits() int64 { return f.commits.Load() }

// Audit appends a line and returns when it is on the disk.
func (f *File) Audit(context.Context, audit.Event) error {
	f.mu.Lock()
	b := f.next
	b.lines = append(b.lines, f.line...)
	f.mu.Unlock()
	select {
	case f.kick <- struct{}{}:
	default:
	}
	<-b.done
	return b.err
}

// crowd waits, as the log does, until no further caller comes, and no longer than the last
// commit took.
func (f *File) crowd() {
	for end := time.Now().Add(f.took); ; {
		before := f.waiting()
		runtime.Gosched()
		if f.waiting() == before || !time.Now().Before(end) {
			return
		}
	}
}

func (f *File) waiting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.next.lines)
}

func (f *File) commit() {
	begin := time.Now()
	defer func() { f.took = time.Since(begin) }()
	f.mu.Lock()
	b := f.next
	f.next = newBatch()
	f.mu.Unlock()
	if len(b.lines) == 0 {
		return
	}
	_, err := f.file.Write(b.lines)
	b.err = errors.Join(err, f.file.Sync())
	f.commits.Add(1)
	close(b.done)
}
