package auditlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
)

// Options are the options of [Open]. A nil *Options has the defaults.
type Options struct {
	// Service names the program in the entry of its start.
	Service string
	// Granted are the purposes whose keys the process may open, and Shut the purposes
	// whose keys it proved that it can't open (see vault.Vault.CheckDenied). The entry
	// of its start states both.
	Granted, Shut purpose.Set
	// Verifier verifies the signer's signatures. Open has to check the last head in the
	// directory before the log signs another one. Without a Verifier, Open signs the text
	// of that head again and compares, which is enough for Ed25519. It fails for a signer
	// whose signatures differ each time.
	Verifier note.Verifier
	// Buffered, if not nil, lets Audit return before the event is on the disk.
	Buffered *Buffered
	// Interval is the longest time between an entry and the head that covers it in the
	// file checkpoint. 0 is a minute.
	Interval time.Duration
	// Keep, if not nil, is called with each head that was written to the file checkpoint,
	// one at a time. It sends the head to a place that the log's operators can't change.
	// If it fails, it is called again with the newest head after Interval, which is also
	// the time that it may take. [Log.Close] waits for it.
	Keep func(context.Context, Head) error
	// Witnesses cosign each head that was written to the file checkpoint, which then has
	// their cosignatures, too. An entry "witnessed" keeps them in the log. All witnesses
	// are asked at once. An answer may take Interval, and ten seconds at most. No event
	// waits for it, and [Log.Close] waits for the last one. If one witness fails, all are
	// asked again about the newest head after Interval. At most 12 witnesses.
	Witnesses []Witness
}

// Buffered bounds the events that a crash can lose: those of the last Delay, and at most
// Events. The entry of the start states both.
type Buffered struct {
	Events int
	Delay  time.Duration
}

// A Log is an [audit.Auditor] that appends events to a Merkle tree on the disk. It has its
// directory alone. Its methods may be called from many goroutines at once.
type Log struct {
	opts   Options
	signer note.Signer
	path   string
	dir    *privatefile.Dir
	lock   *privatefile.Lock
	pub    *publisher

	kick     chan struct{} // the batch has an event
	full     chan struct{} // the batch has as many events as may be buffered
	requests chan func()   // run between commits
	ended    chan struct{} // closed when the committer has returned

	mu      sync.Mutex
	next    *batch
	closing bool
	broken  error // of the last commit
	head    Head
	// witnessed are bodies of entries about heads that were cosigned. They are written
	// with the next event: a log without events does not grow.
	witnessed [][]byte
	age       unwitnessed

	removing sync.Mutex // held while bodies are removed

	// bodiesMu is held while files of bodies are made or replaced.
	bodiesMu sync.Mutex

	// The committer has these alone.
	tree    *edge
	segment *privatefile.File
	offset  int64 // of the end of the last commit in segment
	// pending is the frame that is to be written at offset, nil if there is none. A frame
	// whose commit failed stays: a head for its entries may be signed already, and the log
	// must not sign another one of that size.
	pending []byte
	signed  Head // the head at the end of pending, zero if it is not signed yet
	// backlog is a batch with acknowledged events that came while an earlier commit failed.
	backlog *batch
	// spare is the memory of the last batch, for the batch after the next one.
	spare   batchBuffers
	refused int64         // events since the last commit
	took    time.Duration // by the last commit
	filled  int           // tiles since the last publication
	dirty   bool          // there are entries after the last publication
	closed  bool
}

// Open opens the log in the directory dir, and makes the directory if it is missing; its
// parent must exist. The signer's name is the origin of the log, and no other log may have
// it. The directory and all that is in it must belong to this process's user and be closed
// to everybody else.
//
// Open continues a log that is there. It checks the log's end: that the last head is the
// signer's and is the head of the entries. It cuts off a commit that a crash left
// incomplete. Open fails with [ErrInUse] if another Log has the directory, with
// [ErrAltered] if the log is not as one left it, with [ErrArgument] for arguments that
// can't be used, and with [errors.ErrUnsupported] on a system without POSIX modes and
// flock. Its first entry is on the disk when Open returns.
func Open(ctx context.Context, dir string, signer note.Signer, opts *Options) (*Log, error) {
	l := &Log{
		signer: signer, path: dir, next: newBatch(batchBuffers{}),
		kick: make(chan struct{}, 1), full: make(chan struct{}, 1),
		requests: make(chan func()), ended: make(chan struct{}),
	}
	if opts != nil {
		l.opts = *opts
	}
	if err := l.checkArguments(); err != nil {
		return nil, err
	}
	l.dir = privatefile.New(dir)
	var err error
	if l.lock, err = l.dir.TryLock(); err != nil {
		return nil, l.fail(err)
	}
	before, err := l.recover(ctx)
	if err != nil {
		l.lock.Unlock()
		return nil, err
	}
	go l.pub.run()
	go l.run()
	if err := l.start(ctx, before); err != nil {
		if ctx.Err() != nil {
			go l.abandon() // a signer or a disk that hangs has the directory until it answers
		} else {
			l.abandon()
		}
		return nil, err
	}
	return l, nil
}

func (l *Log) checkArguments() error {
	fact := ""
	switch o := &l.opts; {
	case l.path == "":
		fact = "empty path"
	case l.signer == nil:
		fact = "no signer"
	case o.Verifier != nil && (o.Verifier.Name() != l.signer.Name() || o.Verifier.KeyHash() != l.signer.KeyHash()):
		fact = "verifier of another key than the signer's"
	case o.Buffered != nil && (o.Buffered.Events <= 0 || o.Buffered.Delay < 0):
		fact = "buffer without events or with a negative delay"
	case o.Interval < 0:
		fact = "negative interval"
	case len(o.Witnesses) > maxWitnesses || slices.Contains(o.Witnesses, nil):
		fact = "too many witnesses, or a nil one"
	}
	if fact != "" {
		return fmt.Errorf("auditlog: %s: %w", fact, ErrArgument)
	}
	if l.opts.Interval == 0 {
		l.opts.Interval = time.Minute
	}
	// A name that no note can have.
	if _, err := (Head{Origin: l.signer.Name()}).sign(l.signer); err != nil {
		return err
	}
	return nil
}

// start writes the entries of the start.
func (l *Log) start(ctx context.Context, before predecessor) error {
	b := [][]byte{startBody(&l.opts, before)}
	if before.torn > 0 {
		o := newObject(nil, KindCut, time.Now())
		o = o.number("bytes", before.torn)
		b = append(b, o.end())
	}
	return l.append(ctx, b...)
}

// Audit records e. It returns nil when e is on the disk under a signed head, or, with
// [Options.Buffered], when it is in the buffer. It fails if e can't be written, and once
// ctx is done. Texts are cut off after 1024 bytes. An event that takes more than 64 KiB even
// so, which no vault makes, is [ErrArgument]. An event whose Audit failed may be in the log nevertheless.
func (l *Log) Audit(ctx context.Context, e audit.Event) error {
	var buffer [512]byte
	entry := saltedOf(appendEvent(newSalt(buffer[:0]), e))
	if l.opts.Buffered != nil {
		return l.buffer(ctx, entry)
	}
	return l.appendSalted(ctx, entry)
}

// append adds bodies to one batch and waits until they are durable.
func (l *Log) append(ctx context.Context, bodies ...[]byte) error {
	var entries []salted
	for _, body := range bodies {
		entries = append(entries, salt(body))
	}
	return l.appendSalted(ctx, entries...)
}

func (l *Log) appendSalted(ctx context.Context, entries ...salted) error {
	b, err := l.add(ctx, entries...)
	if err != nil {
		return err
	}
	if l.opts.Buffered != nil {
		signal(l.full)
	}
	return l.wait(ctx, b)
}

func (l *Log) wait(ctx context.Context, b *batch) error {
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return l.fail(ctx.Err())
	}
}

// buffer adds an entry, and waits for the disk only if the buffer is full or if the last
// commit failed.
func (l *Log) buffer(ctx context.Context, entry salted) error {
	b, err := l.add(ctx, entry)
	if err != nil {
		return err
	}
	l.mu.Lock()
	// A batch that is not the next one any more is with the committer.
	wait := l.broken != nil || l.next == b && len(b.leaves) >= l.opts.Buffered.Events
	if !wait && l.next == b {
		b.acked = true
	}
	wait = wait || l.next != b
	l.mu.Unlock()
	if !wait {
		return nil
	}
	signal(l.full)
	return l.wait(ctx, b)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// add adds entries to the next batch, when it has room. It refuses an entry that no reader
// of the log could read: the log would be damaged there for good.
func (l *Log) add(ctx context.Context, entries ...salted) (*batch, error) {
	for i := range entries {
		if entries[i].lineSize() > maxLine {
			return nil, fmt.Errorf("auditlog: log %s: entry is too long: %w", l.path, ErrArgument)
		}
	}
	for {
		l.mu.Lock()
		b := l.next
		if l.closing {
			l.mu.Unlock()
			return nil, l.fail(ErrStopped)
		}
		if len(b.lines) < maxBatch {
			first := len(b.leaves) == 0
			for i := range entries {
				b.add(&entries[i])
			}
			b.callers++
			l.mu.Unlock()
			if first {
				signal(l.kick)
			}
			return b, nil
		}
		l.mu.Unlock()
		select {
		case <-b.done:
		case <-ctx.Done():
			return nil, l.fail(ctx.Err())
		}
	}
}

// Head returns the newest head that is on the disk.
func (l *Log) Head() Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

// Format prints the name of the log, "auditlog.Log(example.com/audit/mailer)", for every verb.
func (l *Log) Format(f fmt.State, _ rune) {
	name := "<nil>"
	if l != nil && l.signer != nil {
		name = l.signer.Name()
	}
	fmt.Fprintf(f, "auditlog.Log(%s)", name)
}

// Publish writes the newest head to the file checkpoint now, with the tiles of its tree,
// and calls Options.Keep with it, whose error it returns.
func (l *Log) Publish(ctx context.Context) error {
	result := make(chan error, 1)
	if err := l.request(ctx, func() { l.publish(result) }); err != nil {
		return err
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return l.fail(ctx.Err())
	}
}

// Unwitnessed returns the age of the oldest entry that some witness in the options has not
// cosigned, and the last error of a witness, or nil if the last head has all cosignatures.
// Whoever has the log's key can still write these entries anew. The age is 0 if there are
// no such entries, and without witnesses. Entries of an earlier process count from Open on.
func (l *Log) Unwitnessed() (time.Duration, error) {
	if len(l.opts.Witnesses) == 0 {
		return 0, nil
	}
	err := l.pub.witnessError()
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := l.age.oldest()
	if oldest.IsZero() {
		return 0, err
	}
	return max(time.Since(oldest), 0), err
}

// cosigned notes a head that witnesses have cosigned, and all of them if every is set.
func (l *Log) cosigned(h Head, every bool) {
	const most = 16
	lines := cosignaturesOf(h)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(lines) > 0 && len(l.witnessed) < most {
		l.witnessed = append(l.witnessed, witnessedBody(h, lines))
	}
	if every {
		l.age.witnessed(h.Size)
	}
}

// request has the committer run f between commits.
func (l *Log) request(ctx context.Context, f func()) error {
	select {
	case l.requests <- f:
		return nil
	case <-l.ended:
		return l.fail(ErrStopped)
	case <-ctx.Done():
		return l.fail(ctx.Err())
	}
}

// Close writes the entry of the stop and the last head, and gives the directory back.
// Events are refused from then on. If Close fails, the successor of this log says that it
// did not stop in order. Only the first Close does something.
func (l *Log) Close() error {
	l.mu.Lock()
	first := !l.closing
	l.closing = true
	l.mu.Unlock()
	if !first {
		<-l.ended
		return nil
	}
	result := make(chan error, 1)
	var commit error
	err := l.request(context.Background(), func() {
		commit = l.stop()
		l.publish(result)
		l.closed = true
	})
	if err == nil {
		err = errors.Join(commit, <-result)
	}
	l.release()
	return err
}

// abandon gives the directory back without an entry.
func (l *Log) abandon() {
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	l.request(context.Background(), func() { l.closed = true })
	l.release()
}

func (l *Log) release() {
	<-l.ended
	l.pub.stop()
	if l.segment != nil {
		l.segment.Close()
	}
	l.lock.Unlock()
}

// fail adds the directory and, where one fits, a sentinel to an error.
func (l *Log) fail(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, privatefile.ErrLocked):
		return fmt.Errorf("auditlog: log %s: %w", l.path, ErrInUse)
	case errors.Is(err, privatefile.ErrRefused), errors.Is(err, privatefile.ErrTooLarge):
		return fmt.Errorf("auditlog: log %s: %w: %w", l.path, err, ErrAltered)
	}
	return fmt.Errorf("auditlog: log %s: %w", l.path, err)
}

// altered returns an ErrAltered with a fact.
func (l *Log) altered(fact string) error {
	return fmt.Errorf("auditlog: log %s: %s: %w", l.path, fact, ErrAltered)
}
