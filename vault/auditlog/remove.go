package auditlog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"time"
	"unicode/utf8"
)

// Remove removes the bodies of the events for which drop returns true, such as those that
// are older than their retention, and returns their number. Each removal is an entry of
// the log with the name of the rule. The log verifies as before, and the report of
// [Verify] has the number of bodies removed under each rule. Entries that are not events,
// such as starts, can't be removed.
//
// A removed body is overwritten on the disk as a replaced record of vault.Dir is. Nothing
// that stays tells its content: the tree has a hash of it with a random salt, and the salt
// is removed, too.
//
// Remove reads all bodies, one after the other. The log can be used meanwhile, but not be
// verified. If Remove fails, some bodies may be removed; call it again.
func (l *Log) Remove(ctx context.Context, rule string, drop func(Entry) bool) (int64, error) {
	if rule == "" || len(rule) > maxText || !utf8.ValidString(rule) || drop == nil {
		return 0, fmt.Errorf("auditlog: no rule or no function: %w", ErrArgument)
	}
	l.removing.Lock()
	defer l.removing.Unlock()
	size, err := l.endSegment(ctx)
	if err != nil {
		return 0, err
	}
	firsts, err := l.segments()
	if err != nil {
		return 0, err
	}
	total := int64(0)
	for _, first := range firsts {
		if first >= size {
			break
		}
		if err := ctx.Err(); err != nil {
			return total, l.fail(err)
		}
		n, err := l.removeFrom(ctx, first, rule, drop)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// endSegment ends the current file of bodies, so that no commit changes it any more. It
// returns the number of entries.
func (l *Log) endSegment(ctx context.Context) (size int64, err error) {
	type end struct {
		size int64
		err  error
	}
	result := make(chan end, 1)
	err = l.request(ctx, func() {
		if l.pending != nil {
			result <- end{0, l.fail(errPending)}
			return
		}
		l.roll()
		result <- end{l.tree.size, nil}
	})
	if err != nil {
		return 0, err
	}
	r := <-result
	return r.size, r.err
}

func (l *Log) removeFrom(ctx context.Context, first int64, rule string, drop func(Entry) bool) (int64, error) {
	name := segmentName(first)
	content, err := l.dir.Read(name, maxSegment)
	if err != nil {
		return 0, l.fail(err)
	}
	kept, set, n, ok := removeBodies(content, first, drop)
	switch {
	case !ok:
		return 0, l.altered(name + " is damaged")
	case n == 0:
		return 0, nil
	}
	o := newObject(nil, KindRemove, time.Now()).text("rule", rule)
	o = o.number("first", first).number("count", n).number("removed", set.count).text("digest", set.digest())
	if err := l.append(ctx, o.end()); err != nil {
		return 0, err
	}
	l.bodiesMu.Lock()
	defer l.bodiesMu.Unlock()
	if err := l.lock.Write(name, kept); err != nil {
		return 0, l.fail(err)
	}
	return n, nil
}

// removeBodies returns the content of a file without the bodies that are dropped, the set
// of all entries in it that have no body, and the number of those removed now.
func removeBodies(content []byte, first int64, drop func(Entry) bool) (kept []byte, set *removedSet, n int64, ok bool) {
	in := newRecords(bytes.NewReader(content))
	kept = make([]byte, 0, len(content))
	set = &removedSet{hash: sha256.New()}
	for index := first; ; {
		begin := in.offset
		rec, err := in.next()
		if err == io.EOF {
			return kept, set, n, true
		}
		if err != nil {
			return nil, nil, 0, false
		}
		line := content[begin:in.offset]
		if rec.head != nil {
			kept = append(kept, line...)
			continue
		}
		dropped := bytes.HasPrefix(rec.body, eventPrefix) && drop(Entry{index, slices.Clone(rec.body)})
		switch {
		case dropped:
			n++
			set.add(index)
			kept = appendRemoved(kept, rec.leaf)
		case rec.body == nil:
			set.add(index)
			kept = append(kept, line...)
		default:
			kept = append(kept, line...)
		}
		index++
	}
}
