package auditlog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// A predecessor is the log as Open found it.
type predecessor struct {
	head    Head // zero if there was no log
	stopped bool // its last entry is the one of a stop
	torn    int64
}

// recover reads the end of the log that is in the directory, checks it and cuts off an
// incomplete commit.
func (l *Log) recover(ctx context.Context) (predecessor, error) {
	l.pub = newPublisher(l)
	firsts, err := l.segments()
	if err != nil {
		return predecessor{}, err
	}
	published, err := l.readCheckpoint()
	if err != nil {
		return predecessor{}, err
	}
	filled := func(t tile) error { return l.pub.put(t) }
	r := &recovery{log: l, published: published, put: filled}
	if published.Size > 0 {
		r.fromTiles()
	}
	// Without the tiles, all is computed again from the bodies.
	if r.tree == nil {
		r.tree = &edge{}
	}
	r.watch()
	if err := r.read(ctx, firsts); err != nil {
		return predecessor{}, err
	}
	if r.last.Size < published.Size {
		return predecessor{}, l.altered("entries of the published head are missing")
	}
	l.tree, l.head = r.tree, r.last
	l.tree.filled = func(t tile) {
		l.filled++
		l.pub.add(item{tile: t})
	}
	for _, t := range l.tree.partials() {
		l.pub.partials[t.full().name()] = true
	}
	// The head that a process leaves behind is cosigned after its last entry.
	if len(l.opts.Witnesses) > 0 && r.last.Size > 0 {
		l.cosigned(published, false)
	}
	return predecessor{r.last, r.kind == KindStop, r.torn}, nil
}

// segments returns the numbers of the first entries of the files of bodies, in order.
func (l *Log) segments() (firsts []int64, err error) {
	foreign := false
	err = l.dir.Scan(bodies, func(base string) bool {
		first, ok := parseSegmentName(base)
		foreign = foreign || !ok
		firsts = append(firsts, first)
		return ok
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, l.fail(err)
	case foreign:
		return nil, l.altered("a file among the bodies is not the log's")
	}
	slices.Sort(firsts)
	return firsts, nil
}

// readCheckpoint returns the published head, or a zero Head if there is none.
func (l *Log) readCheckpoint() (Head, error) {
	signed, err := l.dir.Read(checkpoint, maxLine)
	if errors.Is(err, fs.ErrNotExist) {
		return Head{}, nil
	}
	if err != nil {
		return Head{}, l.fail(err)
	}
	h, err := l.verifyHead(signed)
	if err != nil {
		return Head{}, l.altered("the published head is not the signer's")
	}
	return h, nil
}

// verifyHead reads a signed head and checks that it is the signer's.
func (l *Log) verifyHead(signed []byte) (Head, error) {
	if v := l.opts.Verifier; v != nil {
		return ParseHead(signed, v)
	}
	h, ok := claimedHead(signed)
	if !ok || h.Origin != l.signer.Name() {
		return Head{}, ErrHead
	}
	again, err := h.sign(l.signer)
	if err != nil {
		return Head{}, err
	}
	// A witness may have added signatures after the log's.
	if !bytes.HasPrefix(signed, []byte(again.signed)) {
		return Head{}, ErrHead
	}
	return h, nil
}

// A recovery reads a log that another process has left.
type recovery struct {
	log       *Log
	published Head
	put       func(tile) error

	tree   *edge
	from   int64 // the size of the tree that the tiles had
	putErr error
	last   Head // the last head that is the one of the entries before it
	kind   string
	torn   int64
}

// fromTiles begins with the tree of the published head, if its tiles are whole.
func (r *recovery) fromTiles() {
	tree, ok := edgeOf(r.published.Size, r.log.pub.readTile)
	if ok && tree.root() == r.published.Hash {
		r.tree, r.from = tree, tree.size
	}
}

// watch has the tiles written that the tree fills.
func (r *recovery) watch() {
	r.tree.filled = func(t tile) {
		if r.putErr == nil {
			r.putErr = r.put(t)
		}
	}
}

// read reads the files of bodies from the one that the tree ends in.
func (r *recovery) read(ctx context.Context, firsts []int64) error {
	if len(firsts) == 0 {
		if r.published.Size > 0 {
			return r.log.altered("the bodies are missing")
		}
		return nil
	}
	at, _ := slices.BinarySearch(firsts, r.from)
	if at == len(firsts) || firsts[at] > r.from || at == len(firsts)-1 && at > 0 {
		at-- // the file before has the entry; the last one may be empty
	}
	if at < 0 || r.from == 0 && firsts[0] != 0 {
		return r.log.altered("the first entries are missing")
	}
	index := firsts[at]
	for ; at < len(firsts); at++ {
		if err := ctx.Err(); err != nil {
			return r.log.fail(err)
		}
		if index != firsts[at] {
			return r.log.altered(fmt.Sprintf("entries before %d are missing", firsts[at]))
		}
		var err error
		if index, err = r.readSegment(index, at == len(firsts)-1); err != nil {
			return err
		}
	}
	if r.last.Size > 0 {
		if _, err := r.log.verifyHead([]byte(r.last.signed)); err != nil {
			return r.log.altered("the last head is not the signer's")
		}
	}
	return r.log.fail(r.putErr)
}

// readSegment reads a file of bodies and returns the number of the entry behind it.
func (r *recovery) readSegment(first int64, isLast bool) (int64, error) {
	name := segmentName(first)
	content, err := r.log.dir.Read(name, maxSegment)
	if err != nil {
		return 0, r.log.fail(err)
	}
	in := newRecords(bytes.NewReader(content))
	index, good := first, int64(0)
	var frame []leafHash
	var kind string
	for {
		rec, err := in.next()
		if err == io.EOF && len(frame) == 0 && good > 0 {
			return index, nil
		}
		if err == nil && rec.head == nil {
			frame = append(frame, rec.leaf)
			kind = kindOf(rec.body)
			continue
		}
		if err == nil && r.accept(index, frame, rec.head) {
			index += int64(len(frame))
			frame, r.kind, good = frame[:0], kind, in.offset
			continue
		}
		// The end of the last file may be a frame that a crash cut short. Nothing can
		// be behind it, because each frame is durable before the next one is written.
		if !isLast || behindFrame(content[good:]) {
			return 0, r.log.altered(fmt.Sprintf("damage behind entry %d", index))
		}
		return index, r.cut(name, content, good)
	}
}

// behindFrame reports whether something follows the first end of a frame in b.
func behindFrame(b []byte) bool {
	i := bytes.Index(b, []byte("\n\n"))
	return i >= 0 && i+2 < len(b)
}

// accept adds the entries of a frame to the tree if its head is theirs.
func (r *recovery) accept(index int64, frame []leafHash, signed []byte) bool {
	h, ok := claimedHead(signed)
	after := index + int64(len(frame))
	if !ok || len(frame) == 0 || h.Size != after || h.Origin != r.log.signer.Name() {
		return false
	}
	if after < r.from {
		return true
	}
	frame = frame[min(max(r.from-index, 0), int64(len(frame))):]
	probe := &edge{size: r.tree.size, peaks: slices.Clone(r.tree.peaks)}
	for _, leaf := range frame {
		probe.appendPeak(tlog.RecordHash(leaf[:]))
	}
	if probe.root() != h.Hash || h.Size == r.published.Size && h.Hash != r.published.Hash {
		return false
	}
	for _, leaf := range frame {
		r.tree.append(leaf)
	}
	r.last = h
	return true
}

// cut removes the bytes behind the last whole frame of the last file.
func (r *recovery) cut(name string, content []byte, good int64) error {
	r.torn = int64(len(content)) - good
	var err error
	if good == 0 {
		err = r.log.lock.Remove(name)
	} else {
		err = r.log.lock.Write(name, content[:good])
	}
	return r.log.fail(err)
}

// kindOf returns the kind of an entry, or "" if its body was removed.
func kindOf(body []byte) string {
	var e struct{ Entry string }
	if json.Unmarshal(body, &e) != nil {
		return ""
	}
	return e.Entry
}
