package reconcile

import (
	"container/heap"
	"iter"
	"time"
)

// An item is an element of one side of the comparison.
type item struct {
	at time.Time
	// tick is an item that tells the time alone.
	tick bool
	// service is an item of the key service's log.
	service bool
	purpose string
	// unwraps is the number of unwraps of an event.
	unwraps int
	log     int // number of the audit log
	entry   int64
	action  string
	call    *Call   // nil for an event
	damage  *Damage // not nil for a part of a log that can't be read; at is not set
	// late is an item that comes after others whose time is later by more than the
	// horizon.
	late bool
	n    int64 // order of arrival
}

// maxHeld bounds the items that wait for their order.
const maxHeld = 1 << 18

// A waiting is a heap of items by their time.
type waiting []item

func (w waiting) Len() int { return len(w) }
func (w waiting) Less(i, j int) bool {
	if !w[i].at.Equal(w[j].at) {
		return w[i].at.Before(w[j].at)
	}
	return w[i].n < w[j].n
}
func (w waiting) Swap(i, j int) { w[i], w[j] = w[j], w[i] }
func (w *waiting) Push(x any)   { *w = append(*w, x.(item)) }
func (w *waiting) Pop() any {
	last := len(*w) - 1
	x := (*w)[last]
	(*w)[last] = item{}
	*w = (*w)[:last]
	return x
}

// ordered yields the items of in by their time. It holds those of the last horizon, so an
// item may come that much later than its order. An item that comes later still is late,
// and is yielded at once. Damages are yielded at once.
func ordered(in iter.Seq2[item, error], horizon time.Duration) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		var (
			held          waiting
			newest, given time.Time
			n             int64
		)
		give := func() bool {
			x := heap.Pop(&held).(item)
			given = x.at
			return yield(x, nil)
		}
		for x, err := range in {
			if err != nil {
				yield(x, err)
				return
			}
			if x.damage != nil || x.at.Before(given) {
				x.late = x.damage == nil
				if x.tick && x.late {
					continue
				}
				if !yield(x, nil) {
					return
				}
				continue
			}
			n++
			x.n = n
			if heap.Push(&held, x); x.at.After(newest) {
				newest = x.at
			}
			for len(held) > maxHeld || len(held) > 0 && newest.Sub(held[0].at) >= horizon {
				if !give() {
					return
				}
			}
		}
		for len(held) > 0 {
			if !give() {
				return
			}
		}
	}
}

// merged yields the items of all sequences, each of which is in order, by their time.
func merged(all ...iter.Seq2[item, error]) iter.Seq2[item, error] {
	if len(all) == 1 {
		return all[0]
	}
	return func(yield func(item, error) bool) {
		type head struct {
			x    item
			next func() (item, error, bool)
		}
		var heads []head
		for _, seq := range all {
			next, stop := iter.Pull2(seq)
			defer stop()
			x, err, ok := next()
			if err != nil {
				yield(item{}, err)
				return
			}
			if ok {
				heads = append(heads, head{x, next})
			}
		}
		for len(heads) > 0 {
			first := 0
			for i, h := range heads {
				// Items out of order go first, so that they hold up nobody.
				if now := h.x; now.damage != nil || now.late || now.at.Before(heads[first].x.at) {
					if first = i; now.damage != nil || now.late {
						break
					}
				}
			}
			if !yield(heads[first].x, nil) {
				return
			}
			x, err, ok := heads[first].next()
			switch {
			case err != nil:
				yield(item{}, err)
				return
			case ok:
				heads[first].x = x
			default:
				heads = append(heads[:first], heads[first+1:]...)
			}
		}
	}
}

// ticking leaves out ticks that are less than a second after another item.
type ticking struct{ last time.Time }

func (t *ticking) due(at time.Time) bool {
	if d := at.Sub(t.last); d >= 0 && d < time.Second && !t.last.IsZero() {
		return false
	}
	t.last = at
	return true
}
