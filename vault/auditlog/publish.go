package auditlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
)

const checkpoint = "checkpoint"

// errPending reports that entries could not be written, so that their head can't be
// published.
var errPending = errors.New("entries are not on the disk yet")

// errBusy reports a head that was passed over.
var errBusy = errors.New("an earlier head is still being kept")

// errKeepEnded reports an Options.Keep that did not return.
var errKeepEnded = errors.New("keeping a head: function panicked or ended its goroutine")

const (
	// maxItems is the number of tiles that may wait for the disk.
	maxItems = 128
	// maxUnsynced is the number of tiles after which a head is published.
	maxUnsynced = 512
)

// An item is a full tile that is to be written, or a head that is to be published with its
// partial tiles.
type item struct {
	tile   tile
	head   Head
	tiles  []tile
	result chan<- error // gets the result of publishing, if not nil
	// cosigned says that the head is one that was published, with cosignatures now.
	cosigned bool
}

// A publisher writes tiles and checkpoints in the order in which it gets them. All that it
// writes can be computed from the bodies, so commits don't wait for it.
type publisher struct {
	dir  *privatefile.Dir
	lock *privatefile.Lock
	fail func(error) error
	keep func(context.Context, Head) error
	// keepTime is the time that keep may take.
	keepTime  time.Duration
	cosigners []*cosigner
	cosigned  func(h Head, every bool)

	mu      sync.Mutex
	change  *sync.Cond
	items   []item
	err     error // of the item that is first
	headErr error // of the last head
	witErr  error // of the witnesses, about the last head that they were asked about
	stopped bool
	ended   chan struct{}
	wake    chan struct{}

	keeping sync.Mutex     // held while keep runs
	keeps   sync.WaitGroup // of the goroutines that run keep or wait for it

	// The goroutine has these alone.
	current  int64           // the size of the published head
	unsynced []string        // tiles that are not durable yet
	partials map[string]bool // full names of tiles of which there are partial ones
	ctx      context.Context
	cancel   context.CancelFunc
}

func newPublisher(l *Log) *publisher {
	p := &publisher{
		dir: l.dir, lock: l.lock, fail: l.fail, keep: l.opts.Keep, keepTime: l.opts.Interval, partials: map[string]bool{}, cosigned: l.cosigned,
		ended: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	p.change = sync.NewCond(&p.mu)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	for _, w := range l.opts.Witnesses {
		p.cosigners = append(p.cosigners, &cosigner{witness: w})
	}
	return p
}

// add queues an item.
func (p *publisher) add(it item) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		if it.result != nil {
			it.result <- p.fail(ErrStopped)
		}
		return
	}
	p.items = append(p.items, it)
	if p.err != nil {
		signal(p.wake)
	}
	p.change.Broadcast()
}

// room waits until the queue has room, and fails if it has none because tiles can't be
// written.
func (p *publisher) room() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.items) > maxItems {
		if p.err != nil {
			signal(p.wake)
			return p.err
		}
		p.change.Wait()
	}
	return nil
}

// run writes the queued heads and tiles until stop.
func (p *publisher) run() {
	defer close(p.ended)
	for {
		p.mu.Lock()
		for len(p.items) == 0 && !p.stopped {
			p.change.Wait()
		}
		if p.stopped {
			p.failHeads(ErrStopped)
			p.mu.Unlock()
			return
		}
		it := p.items[0]
		p.mu.Unlock()
		switch {
		case it.cosigned:
			it.result <- p.putCosigned(it.head)
			p.done(nil)
			continue
		case it.head.Size > 0:
			p.publish(it)
			p.done(nil)
			continue
		}
		err := p.put(it.tile)
		p.done(err)
		if err != nil {
			select {
			case <-p.wake:
			case <-time.After(time.Second):
			}
		}
	}
}

// done removes the first item. If err is set the item is a tile, which is tried again, and
// heads behind it fail: nobody waits for a disk that may be broken for long.
func (p *publisher) done(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
	if err == nil {
		p.items[0] = item{}
		p.items = p.items[1:]
	} else {
		p.failHeads(err)
	}
	p.change.Broadcast()
}

// failHeads removes the heads that are to be published. The caller holds mu.
func (p *publisher) failHeads(err error) {
	p.items = slices.DeleteFunc(p.items, func(it item) bool {
		if it.head.Size == 0 {
			return false
		}
		if !it.cosigned {
			p.headErr = err
		}
		if it.result != nil {
			it.result <- p.fail(err)
		}
		return true
	})
}

// headFailed reports whether the last head was not published or not kept.
func (p *publisher) headFailed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.headErr != nil
}

// published notes the result of publishing a head.
func (p *publisher) published(it item, err error) {
	p.mu.Lock()
	p.headErr = err
	p.mu.Unlock()
	if it.result != nil {
		it.result <- p.fail(err)
	}
}

// stop ends run after the item that it is at.
func (p *publisher) stop() {
	p.mu.Lock()
	p.stopped = true
	p.change.Broadcast()
	p.mu.Unlock()
	p.cancel()
	signal(p.wake)
	<-p.ended
	p.keeps.Wait()
}

// publish writes a head with its partial tiles, and has it kept.
func (p *publisher) publish(it item) {
	if err := p.write(it); err != nil {
		p.published(it, err)
		return
	}
	if p.keep == nil && len(p.cosigners) == 0 {
		p.published(it, nil)
		return
	}
	// Tiles must not wait for another machine. So that goroutines do not pile up, a head
	// that nobody waits for is passed over while an earlier one is being kept.
	if it.result == nil && !p.keeping.TryLock() {
		p.published(it, errBusy)
		return
	}
	p.keeps.Go(func() {
		if it.result != nil {
			p.keeping.Lock()
		}
		defer p.keeping.Unlock()
		var kept error
		var keeping sync.WaitGroup
		keeping.Go(func() { kept = p.keepHead(it.head) })
		witnessed := p.witness(it.head)
		keeping.Wait()
		p.published(it, errors.Join(kept, witnessed))
	})
}

// keepHead calls keep, if there is one.
func (p *publisher) keepHead(h Head) error {
	if p.keep == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.keepTime)
	defer cancel()
	result := make(chan error, 1)
	go func() {
		err := errKeepEnded // if the function panics, or ends the goroutine
		defer func() {
			recover()
			result <- err
		}()
		if err = p.keep(ctx, h); err != nil {
			err = fmt.Errorf("keeping a head: %w", err)
		}
	}()
	return <-result
}

// witness asks all witnesses at once, and has their cosignatures put below the head.
func (p *publisher) witness(h Head) error {
	if len(p.cosigners) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(p.ctx, min(p.keepTime, maxWitnessTime))
	defer cancel()
	prove := func(old int64) (tlog.TreeProof, error) { return prove(h, old, p.readTile) }
	lines, errs := make([][]byte, len(p.cosigners)), make([]error, len(p.cosigners))
	var asking sync.WaitGroup
	for i, c := range p.cosigners {
		asking.Go(func() {
			if lines[i], errs[i] = c.cosign(ctx, h, prove); errs[i] != nil {
				errs[i] = fmt.Errorf("witness %d: %w", i+1, errs[i])
			}
		})
	}
	asking.Wait()
	err := errors.Join(errs...)
	if all := bytes.Join(lines, nil); len(all) > 0 {
		h.signed += string(all)
		written := make(chan error, 1)
		p.add(item{head: h, cosigned: true, result: written})
		p.cosigned(h, err == nil)
		err = errors.Join(err, <-written)
	} else if err == nil {
		p.cosigned(h, true)
	}
	p.mu.Lock()
	p.witErr = err
	p.mu.Unlock()
	return err
}

// witnessError returns the last error of a witness.
func (p *publisher) witnessError() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fail(p.witErr)
}

// putCosigned puts the cosignatures below the published head, unless a later head has
// taken its place.
func (p *publisher) putCosigned(h Head) error {
	if h.Size != p.current {
		return nil
	}
	return p.lock.Write(checkpoint, []byte(h.signed))
}

func (p *publisher) write(it item) error {
	for _, t := range it.tiles {
		if err := p.put(t); err != nil {
			return err
		}
		p.partials[t.full().name()] = true
	}
	if err := p.lock.Sync(p.unsynced...); err != nil {
		return err
	}
	if err := p.lock.Write(checkpoint, []byte(it.head.signed)); err != nil {
		return err
	}
	p.current = it.head.Size
	written := p.unsynced
	p.unsynced = nil
	for _, name := range written {
		if p.partials[name] { // it was partial once, and is full now
			delete(p.partials, name)
			p.removePartials(name)
		}
	}
	return nil
}

// put writes a tile, not durably.
func (p *publisher) put(t tile) error {
	name := t.name()
	if err := p.lock.Put(name, t.data); err != nil {
		return err
	}
	p.unsynced = append(p.unsynced, name)
	return nil
}

// removePartials removes the partial tiles of a full tile. If they stay, they are in
// nobody's way.
func (p *publisher) removePartials(full string) {
	dir := full + ".p"
	var names []string
	if err := p.dir.Scan(dir, func(base string) bool { names = append(names, dir+"/"+base); return true }); err != nil {
		return
	}
	for _, name := range names {
		p.lock.Remove(name)
	}
	p.lock.Remove(dir)
}

// readTile returns the content of a tile that is on the disk.
func (p *publisher) readTile(t tile) ([]byte, bool) {
	b, err := p.dir.Read(t.name(), tileWidth*entrySize)
	if errors.Is(err, fs.ErrNotExist) && t.width < tileWidth {
		// The full tile begins with the partial one.
		if b, err = p.dir.Read(t.full().name(), tileWidth*entrySize); err == nil && len(b)%tileWidth == 0 {
			b = b[:len(b)/tileWidth*t.width]
		}
	}
	return b, err == nil
}
