package auditlog

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Witness sees that a log only grows. It cosigns a head that continues the head it
// cosigned before, and no other one, so that a log can't show two histories. Package
// witness, which is a module of its own, has witnesses over HTTP and over a directory.
type Witness interface {
	// Cosign returns cosignatures on the head: signature lines of a note, as C2SP
	// tlog-cosignature has them, each with its newline, or nothing for a witness that keeps
	// heads and signs none. It returns them only if a witness has cosigned the head, or
	// kept it, durably. prove returns the proof of RFC 6962, section 2.1.2, that the head
	// continues the tree of the first old entries of the log. It fails for an old that is
	// below 1 or above the size of the head.
	Cosign(ctx context.Context, head Head, prove func(old int64) (tlog.TreeProof, error)) (cosignatures []byte, err error)
}

const (
	// maxWitnesses bounds a checkpoint with the cosignatures of all witnesses, and
	// maxCosignatures those of one: an ML-DSA-44 signature has 3.3 kB.
	maxWitnesses    = 12
	maxCosignatures = 4 << 10
	// maxWitnessTime is the time that a witness may take.
	maxWitnessTime = 10 * time.Second
)

// errWitness reports a witness whose answer is not a list of cosignatures.
var errWitness = errors.New("malformed cosignatures")

// errWitnessEnded reports a call of a witness that did not return.
var errWitnessEnded = errors.New("witness panicked or ended its goroutine")

// errWitnessBusy reports a witness that still has not answered an earlier call.
var errWitnessBusy = errors.New("witness still has an earlier head")

// A cosigner calls one witness, one call at a time.
type cosigner struct {
	witness Witness
	busy    atomic.Bool
}

// cosign asks the witness for its lines on a head. A call that does not end with its
// context is left behind, and the witness is not called again before it returns.
func (c *cosigner) cosign(ctx context.Context, head Head, prove func(int64) (tlog.TreeProof, error)) ([]byte, error) {
	if !c.busy.CompareAndSwap(false, true) {
		return nil, errWitnessBusy
	}
	type answer struct {
		lines []byte
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		a := answer{err: errWitnessEnded} // if the witness panics, or ends the goroutine
		defer func() {
			recover()
			c.busy.Store(false)
			answers <- a
		}()
		a.lines, a.err = c.witness.Cosign(ctx, head, prove)
	}()
	select {
	case a := <-answers:
		if a.err == nil && len(a.lines) > 0 && !validCosignatures(head, a.lines) {
			a.err = errWitness
		}
		if a.err != nil {
			return nil, a.err
		}
		return a.lines, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// validCosignatures reports whether lines are signature lines of others than the log, so
// that a head is read as before when they stand below it.
func validCosignatures(head Head, lines []byte) bool {
	if len(lines) > maxCosignatures || lines[len(lines)-1] != '\n' {
		return false
	}
	_, err := note.Open([]byte(head.text()+"\n"+string(lines)), note.VerifierList())
	var unverified *note.UnverifiedNoteError
	if !errors.As(err, &unverified) || unverified.Note.Text != head.text() {
		return false
	}
	for _, s := range unverified.Note.UnverifiedSigs {
		if s.Name == head.Origin {
			return false
		}
	}
	return true
}

// cosignaturesOf returns the signature lines of a signed head that are not the log's.
func cosignaturesOf(h Head) (lines []string) {
	_, signatures, _ := strings.Cut(h.signed, "\n\n")
	for line := range strings.Lines(signatures) {
		if !strings.HasPrefix(line, "— "+h.Origin+" ") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// cosignatureTime returns the time of a cosignature, which is between the hash of the key
// and the signature. ok is false for a signature of another kind.
func cosignatureTime(s note.Signature) (at time.Time, ok bool) {
	const hash, timestamp = 4, 8
	b, err := base64.StdEncoding.DecodeString(s.Base64)
	if err != nil || len(b) <= hash+timestamp {
		return at, false
	}
	seconds := binary.BigEndian.Uint64(b[hash:])
	return time.Unix(int64(seconds), 0), seconds != 0 && seconds <= math.MaxInt64
}

// prove returns the proof that the head continues the tree of its first old entries, from
// the tiles of the head, which have to be on the disk.
func prove(head Head, old int64, read func(tile) ([]byte, bool)) (tlog.TreeProof, error) {
	if old < 1 || old > head.Size {
		return nil, fmt.Errorf("auditlog: no tree of %d entries in one of %d: %w", old, head.Size, ErrArgument)
	}
	return tlog.ProveTree(head.Size, old, hashesOf(head, read))
}

// hashesOf returns the hashes of the tree of a head. It checks the tiles that read returns
// against the head.
func hashesOf(head Head, read func(tile) ([]byte, bool)) tlog.HashReader {
	return tlog.TileHashReader(tlog.Tree{N: head.Size, Hash: head.Hash}, tileReader(read))
}

// A tileReader reads tiles for package tlog.
type tileReader func(tile) ([]byte, bool)

func (r tileReader) Height() int { return tileHeight }

func (r tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		b, ok := r(tile{level: t.L, n: t.N, width: t.W})
		if !ok || len(b) != t.W*tlog.HashSize {
			return nil, fmt.Errorf("auditlog: no tile %s", tile{level: t.L, n: t.N, width: t.W}.name())
		}
		data[i] = b
	}
	return data, nil
}

func (r tileReader) SaveTiles([]tlog.Tile, [][]byte) {}

// An unwitnessed is the age of the entries that not every witness has seen.
type unwitnessed struct {
	// first is the oldest head that was published and not cosigned by every witness, and
	// rest stands for those after it. Their times are of the oldest entry that the head
	// before does not have.
	first, rest struct {
		size  int64
		since time.Time
	}
	// since is the time of the oldest entry that no published head has, if there is one.
	since time.Time
}

// committed notes that there is an entry behind the last published head.
func (u *unwitnessed) committed(now time.Time) {
	if u.since.IsZero() {
		u.since = now
	}
}

// published notes a published head.
func (u *unwitnessed) published(size int64) {
	switch since := u.since; {
	case since.IsZero():
		return
	case u.first.size == 0:
		u.first.size, u.first.since = size, since
	case u.rest.size == 0:
		u.rest.size, u.rest.since = size, since
	default:
		u.rest.size = size
	}
	u.since = time.Time{}
}

// witnessed notes a head that every witness has cosigned.
func (u *unwitnessed) witnessed(size int64) {
	if u.first.size != 0 && u.first.size <= size {
		u.first = u.rest
		u.rest.size, u.rest.since = 0, time.Time{}
	}
	if u.first.size != 0 && u.first.size <= size {
		u.first.size, u.first.since = 0, time.Time{}
	}
}

// oldest returns the time of the oldest entry, or the zero time if there is none.
func (u *unwitnessed) oldest() time.Time {
	if u.first.size != 0 {
		return u.first.since
	}
	return u.since
}
