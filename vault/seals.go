package vault

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"
	"weak"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A key that draws random nonces must not seal more than 2^32 times, so the seals of each
// key are counted across processes. Each process adds its seals to a record of the
// purpose once in [Options.Refresh] and when the vault is closed. A process that is
// killed loses the seals since then. The count is authenticated with the pseudonym key,
// which outlives all other keys.

// maxSeals is the number of seals after which a key has to be replaced. At half of it,
// an event is recorded.
const maxSeals = 1 << 32

var errSeals = fmt.Errorf("malformed count of seals: %w", ErrCorrupt)

// sealsName returns the name of the record that counts the seals under p.
func sealsName(p purpose.Purpose) string { return p.String() + "/seals" }

// A sealCount counts the seals of one key.
type sealCount struct {
	here    counter // by this vault
	written uint64  // of these, the ones that the record includes
	known   uint64  // the count of the record, as far as this vault knows it
}

// sealCounts are the counts of one purpose in this vault, by key id. They hold no keys.
type sealCounts struct {
	mu   sync.Mutex
	byID map[uint32]*sealCount
}

// of returns the counter of a key.
func (c *sealCounts) of(id uint32) *sealCount {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.byID[id]
	if n == nil {
		n = &sealCount{}
		c.byID[id] = n
	}
	return n
}

// total returns the count of the record with the seals since the last write.
func (c *sealCounts) total(id uint32) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.byID[id]
	if n == nil {
		return 0
	}
	since := n.here.load() - n.written
	return n.known + min(since, math.MaxUint64-n.known)
}

// added returns the seals since the last write, by key id.
func (c *sealCounts) added() map[uint32]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	added := make(map[uint32]uint64)
	for id, n := range c.byID {
		if here := n.here.load(); here > n.written {
			added[id] = here - n.written
		}
	}
	return added
}

// onto returns the counts of a record after the given seals are added to it. A count
// below the known one is of an older copy of the record.
func (c *sealCounts) onto(stored, added map[uint32]uint64) map[uint32]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := maps.Clone(stored)
	for id, n := range c.byID {
		sum[id] = max(sum[id], n.known)
	}
	for id, n := range added {
		sum[id] += min(n, math.MaxUint64-sum[id])
	}
	maps.DeleteFunc(sum, func(_ uint32, n uint64) bool { return n == 0 })
	return sum
}

// wrote notes that the record has the counts sum, which include the seals added.
func (c *sealCounts) wrote(sum, added map[uint32]uint64) {
	for id, n := range sum {
		count := c.of(id)
		c.mu.Lock()
		count.known = max(count.known, n)
		count.written += added[id]
		c.mu.Unlock()
	}
}

// sealCounts returns the counts of p in this vault.
func (b *backend) sealCounts(p purpose.Purpose) *sealCounts {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.seals[p]
	if c == nil {
		c = &sealCounts{byID: make(map[uint32]*sealCount)}
		b.seals[p] = c
	}
	return c
}

// countSoon has the seals of this vault written after [Options.Refresh], whether or not
// the keys are in use then. The timer holds the keys weakly: a vault that is dropped is
// collected.
func (pk *purposeKeys) countSoon() {
	if !pk.counting.CompareAndSwap(false, true) {
		return
	}
	w := weak.Make(pk)
	time.AfterFunc(pk.backend.opts.Refresh, func() {
		if pk := w.Value(); pk != nil {
			pk.countNow()
		}
	})
}

// countNow writes the seals of this vault. One goroutine does so at a time.
func (pk *purposeKeys) countNow() {
	if !pk.writing.CompareAndSwap(false, true) {
		pk.counting.Store(false)
		return
	}
	defer pk.writing.Store(false)
	pk.counting.Store(false) // seals from here on are for the next time
	err := pk.writeSeals(context.Background())
	if err != nil && err != errClosed {
		pk.countSoon()
	}
	pk.report(audit.Count, err)
}

// writeSeals adds the seals of this vault to the record.
func (pk *purposeKeys) writeSeals(ctx context.Context) error {
	counts := pk.backend.sealCounts(pk.id.purpose)
	if len(counts.added()) == 0 {
		return nil
	}
	var due bool
	err := pk.backend.exclusive(ctx, actionSeals, pk.id.purpose, func(ctx context.Context) (err error) {
		due, err = pk.addSeals(ctx, counts)
		return err
	})
	if err == nil && due {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pk.backend.opts.Timeout)
		defer cancel()
		pk.backend.audit(ctx, audit.Event{Action: audit.Due, Purpose: pk.id.purpose, Role: string(RoleSeal)}, nil)
	}
	return err
}

// addSeals is writeSeals in its call. It reports in due whether a key has come to half of
// its seals by this write, which one process alone is told.
func (pk *purposeKeys) addSeals(ctx context.Context, counts *sealCounts) (due bool, err error) {
	name := sealsName(pk.id.purpose)
	for {
		if ctx.Err() != nil {
			return false, ctxError(ctx)
		}
		k := pk.current.Load()
		if k == nil {
			return false, errClosed
		}
		records, err := pk.backend.get(ctx, name)
		if err != nil {
			return false, err
		}
		stored, err := decodeSeals(k, pk.id.purpose, records[0].Data)
		if err != nil {
			return false, err
		}
		added := counts.added()
		before, sum := counts.onto(stored, nil), counts.onto(stored, added)
		data, err := encodeSeals(k, pk.id.purpose, sum)
		if err != nil {
			return false, err
		}
		_, err = pk.backend.store.Put(ctx, Record{Name: name, Data: data, Revision: records[0].Revision})
		switch {
		case errors.Is(err, ErrConflict):
			continue
		case err != nil:
			return false, storeError(err)
		}
		counts.wrote(sum, added)
		for id, n := range sum {
			due = due || before[id] < maxSeals/2 && n >= maxSeals/2
		}
		return due, nil
	}
}

// sealed returns the counts of a record of p and of this vault together.
func (b *backend) sealed(k *keys, p purpose.Purpose, data []byte) (map[uint32]uint64, error) {
	stored, err := decodeSeals(k, p, data)
	if err != nil {
		return nil, err
	}
	counts := b.sealCounts(p)
	return counts.onto(stored, counts.added()), nil
}

// sealEntrySize is the size of a key id and its count, in bytes.
const sealEntrySize = 4 + 8

// encodeSeals returns the record of the given counts, by key id.
func encodeSeals(k *keys, p purpose.Purpose, counts map[uint32]uint64) ([]byte, error) {
	data := []byte(format.SealsMagic)
	for _, id := range slices.Sorted(maps.Keys(counts)) {
		data = binary.BigEndian.AppendUint32(data, id)
		data = binary.BigEndian.AppendUint64(data, counts[id])
	}
	tag, err := k.pseudonym.compute(format.AppendSealsInput(nil, p.String(), k.vault, data[len(format.SealsMagic):]))
	if err != nil {
		return nil, err
	}
	return append(data, tag[:]...), nil
}

// decodeSeals is the reverse of encodeSeals. No data has no counts: nothing was sealed
// yet. A record that is malformed or was altered is errSeals.
func decodeSeals(k *keys, p purpose.Purpose, data []byte) (map[uint32]uint64, error) {
	counts := make(map[uint32]uint64)
	if data == nil {
		return counts, nil
	}
	const fixed = len(format.SealsMagic) + IndexSize
	if len(data) < fixed || (len(data)-fixed)%sealEntrySize != 0 || len(data) > MaxRecord {
		return nil, errSeals
	}
	for entries := data[len(format.SealsMagic) : len(data)-IndexSize]; len(entries) > 0; entries = entries[sealEntrySize:] {
		n := binary.BigEndian.Uint64(entries[4:])
		if n == 0 {
			return nil, errSeals
		}
		counts[binary.BigEndian.Uint32(entries)] = n
	}
	want, err := encodeSeals(k, p, counts) // in the one order
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(data, want) != 1 {
		return nil, errSeals
	}
	return counts, nil
}
