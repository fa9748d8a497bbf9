package vault

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"slices"
	"strings"
)

func (d *dir) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		l := lister{ctx, d, prefix, after, listPage, yield}
		err := d.check(nil)
		if err == nil {
			_, err = l.walk("")
		}
		if err != nil {
			yield("", err)
		}
	}
}

// listPage is how many entries of a directory are sorted at a time: what
// bounds the memory for a directory with any number of them.
const listPage = 1 << 15

type lister struct {
	ctx           context.Context
	dir           *dir
	prefix, after string
	limit         int // of entries in a page
	yield         func(string, error) bool
}

// walk yields the names that begin with at, which is "" or ends in "/", and
// reports whether to go on.
//
// An entry is sorted as what the names below it begin with: a record as its
// name, a directory with a "/" behind, which sorts after "-". So
// subjects-old/a comes before subjects/a, as the bytes of the names do.
func (l *lister) walk(at string) (more bool, err error) {
	for last := ""; ; {
		page, err := l.page(at, last)
		if err != nil {
			return false, err
		}
		for _, entry := range page {
			if err := l.ctx.Err(); err != nil {
				return false, l.dir.fail(err)
			}
			if !strings.HasSuffix(entry, "/") {
				more = l.yield(at+entry, nil)
			} else if more, err = l.walk(at + entry); err != nil {
				return false, err
			}
			if !more {
				return false, nil
			}
			last = entry
		}
		if len(page) < l.limit {
			return true, nil
		}
	}
}

// page returns the first wanted entries of the directory at after the entry
// last, sorted.
func (l *lister) page(at, last string) ([]string, error) {
	if err := l.ctx.Err(); err != nil {
		return nil, l.dir.fail(err)
	}
	var page []string
	end := "" // the page ends at or before this entry, "" meaning that it is not full
	prefix, after := below(at, l.prefix), below(at, l.after)
	err := l.dir.files.Scan(strings.TrimSuffix(at, "/"), func(base string) bool {
		entry := entryOf(at, base)
		if entry <= last || end != "" && entry > end || !wanted(entry, prefix, after) {
			return true
		}
		page = append(page, entry)
		if len(page) == 2*l.limit {
			page = l.firstOf(page)
			end = page[l.limit-1]
		}
		return l.ctx.Err() == nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // never made, or removed meanwhile
		return nil, l.dir.fail(err)
	}
	return l.firstOf(page), l.dir.fail(l.ctx.Err())
}

func (l *lister) firstOf(page []string) []string {
	slices.Sort(page)
	n := min(len(page), l.limit)
	clear(page[n:])
	return page[:n]
}

// entryOf returns what base is sorted as in the directory at, and "" for what
// is no part of the store. It goes by the name alone. If that of a record is
// not a private file, Get says so, and if that of a directory is not a private
// directory, walk fails: leaving them out would hide records from whoever has
// to erase all of them.
func entryOf(at, base string) string {
	name, isRecord := strings.CutSuffix(base, recordSuffix)
	switch {
	case len(at)+len(name) > maxName || !validName(name):
		return ""
	case isRecord:
		return name
	}
	return base + "/"
}

// below returns the part of a prefix, or of a name to begin after, that matters
// in the directory at, given that walk goes into at.
func below(at, name string) string {
	if rest, ok := strings.CutPrefix(name, at); ok {
		return rest
	}
	return ""
}

// wanted reports whether an entry is, or may lead to, a name asked for.
func wanted(entry, prefix, after string) bool {
	if !strings.HasSuffix(entry, "/") {
		return strings.HasPrefix(entry, prefix) && entry > after
	}
	return (strings.HasPrefix(entry, prefix) || strings.HasPrefix(prefix, entry)) &&
		(entry > after || strings.HasPrefix(after, entry))
}
