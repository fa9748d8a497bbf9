package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
)

// Dir returns a store that keeps its records as files below the directory at path.
// It needs no server, serves any number of processes of one user on one machine, and
// is the store to begin with.
//
// The first Put makes the directory. Its parent must exist, because a parent that is made
// where a disk is not mounted would pass for a store without keys, and new keys would be
// made there: make it once, when you install, with mkdir -p. A relative path is
// relative to the working directory at each use. An empty path is [ErrInvalid], as
// it would mean the working directory itself.
//
// The directory, and each directory and file in it, must belong to this process's
// user, must be closed to everybody else, and must not be a symbolic link, and a file
// must not have a second hard link. Dir sets the modes 0700 and 0600, regardless of the
// umask. A directory or file that breaks
// these rules is refused with [ErrNoKeys] and not repaired, because others may have
// read or planted it. A file that Dir did not write is [ErrCorrupt].
//
// Record security/keys is the file security/keys.key: a line with a version, a
// revision and a length, then the data. Each change replaces a whole file. It
// reaches the disk before it is reported, and before any reader is given the new
// content. Writers wait for each other on a lock; readers do not wait for it. A call
// of Get with several names reads one file after the other, so a change may fall
// between two of them.
//
// Dir is made for keysets and for up to some 100,000 subjects. With that many
// subjects, Get took 30 microseconds, a List of all names 0.2 seconds, and the first
// name of a List 0.06 seconds. Each List looks through the whole directory, so
// continue one List instead of asking for page after page. A change waits for the
// disk twice, and a third time if it replaces a record, and only one change is made at a
// time. If that is too slow, keep the
// keys in a database.
//
// A replaced file is overwritten with zeros once the new one is durable, so an erased
// record leaves the disk where the file system writes in place, as ext4 and XFS do.
// Modification times tell the day of a change, at a random time of day.
//
// The path must be on a local file system of a Unix system. On other systems every
// method fails with [errors.ErrUnsupported].
//
// A copy of the directory is a backup of the store. It opens only with the [KEK], so
// keep the two apart.
func Dir(path string) Store {
	return &dir{path, privatefile.New(path)}
}

type dir struct {
	path  string
	files *privatefile.Dir
}

// recordSuffix distinguishes the file of a record from a directory of the same name.
// No segment of a name has a "." in it, so neither is mistaken for the other.
const recordSuffix = ".key"

func (d *dir) Get(ctx context.Context, names ...string) ([]Record, error) {
	if err := d.check(checkGet(names)); err != nil {
		return nil, err
	}
	var records []Record
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		if err := ctx.Err(); err != nil {
			return nil, d.fail(err)
		}
		r, err := d.read(d.files.Read, name)
		if err != nil {
			return nil, err
		}
		if r.Revision != 0 {
			records = append(records, r)
		}
	}
	return records, d.fail(ctx.Err())
}

func (d *dir) Put(ctx context.Context, r Record) (int64, error) {
	if err := d.check(checkPut(r)); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, d.fail(err)
	}
	// The first comparison takes no lock: a caller whose revision is already
	// out of date neither waits nor makes a directory.
	if err := d.compare(d.files.Read, r.Name, r.Revision); err != nil {
		return 0, err
	}
	lock, err := d.files.Lock(ctx)
	if err != nil {
		return 0, d.fail(err)
	}
	defer lock.Unlock()
	if err := d.compare(lock.Read, r.Name, r.Revision); err != nil {
		return 0, err
	}
	revision := newRevision(r.Revision)
	if err := lock.Write(r.Name+recordSuffix, encodeFile(revision, r.Data)); err != nil {
		return 0, d.fail(err)
	}
	return revision, nil
}

type readFunc = func(file string, limit int) ([]byte, error)

func (d *dir) compare(read readFunc, name string, revision int64) error {
	r, err := d.read(read, name)
	if err == nil && r.Revision != revision {
		err = fmt.Errorf("key store %s: record %s: %w", d.path, name, ErrConflict)
	}
	return err
}

// read returns the named record. Its revision is 0 if there is no such record.
func (d *dir) read(read readFunc, name string) (Record, error) {
	b, err := read(name+recordSuffix, fileHeaderSize+MaxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, nil
	}
	if err != nil {
		return Record{}, d.fail(err)
	}
	revision, data, ok := decodeFile(b)
	if !ok {
		return Record{}, fmt.Errorf("key store %s: file %s is malformed: %w", d.path, name+recordSuffix, ErrCorrupt)
	}
	return Record{name, data, revision}, nil
}

// check returns err, the result of a check of arguments. If err is nil, check refuses an
// empty path.
func (d *dir) check(err error) error {
	if err == nil && d.path == "" {
		return fmt.Errorf("key store: empty path: %w", ErrInvalid)
	}
	return err
}

// fail adds the matching sentinel to an error of package privatefile, of the system
// or of a context.
func (d *dir) fail(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("key store %s: %w: %w", d.path, err, fileErrorKind(err))
}

func fileErrorKind(err error) error {
	switch {
	case errors.Is(err, privatefile.ErrTooLarge):
		return ErrCorrupt
	case errors.Is(err, privatefile.ErrRefused), errors.Is(err, fs.ErrPermission), errors.Is(err, errors.ErrUnsupported):
		return ErrNoKeys
	}
	return ErrUnavailable
}

// newRevision returns a random revision other than old. A counter would begin
// again after somebody deleted the record or put back an older one: a process that
// had read the record before could then overwrite the new one.
func newRevision(old int64) int64 {
	for {
		var b [8]byte
		rand.Read(b[:]) // never fails, by its documentation
		if r := int64(binary.BigEndian.Uint64(b[:]) >> 1); r != 0 && r != old {
			return r
		}
	}
}

// The header has a fixed length and lower-case hexadecimal digits, so that every
// record has exactly one encoding. Its length field reveals a file that was cut
// short.
const (
	fileMagic      = "onlyfor-record-1"
	fileHeaderSize = len(fileMagic) + 1 + 16 + 1 + 8 + 1
)

func encodeFile(revision int64, data []byte) []byte {
	return append(appendFileHeader(make([]byte, 0, fileHeaderSize+len(data)), revision, len(data)), data...)
}

func appendFileHeader(b []byte, revision int64, size int) []byte {
	return fmt.Appendf(b, "%s %016x %08x\n", fileMagic, revision, size)
}

// decodeFile returns the revision and the data of the file content b, and false if b
// is malformed. data is a subslice of b.
func decodeFile(b []byte) (revision int64, data []byte, ok bool) {
	if len(b) <= fileHeaderSize {
		return 0, nil, false
	}
	header, data := b[:fileHeaderSize], b[fileHeaderSize:]
	revision, err := strconv.ParseInt(string(header[len(fileMagic)+1:][:16]), 16, 64)
	if err != nil || revision <= 0 || !bytes.Equal(header, appendFileHeader(nil, revision, len(data))) {
		return 0, nil, false
	}
	return revision, data, true
}

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

// listPage is the number of entries of a directory that are sorted at a time. It
// bounds the memory for a directory with any number of entries.
const listPage = 1 << 15

type lister struct {
	ctx           context.Context
	dir           *dir
	prefix, after string
	limit         int // entries in a page
	yield         func(string, error) bool
}

// walk yields the names that begin with at, and reports whether to go on. at is "" or
// ends in "/".
//
// An entry sorts by the beginning of the names that it leads to: a record by its
// name, a directory by its name and a "/". As "/" sorts after "-", subjects-old/a
// comes before subjects/a, which is the byte order of the names.
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

// page returns the first wanted entries of the directory at that sort after the
// entry last, in order.
func (l *lister) page(at, last string) ([]string, error) {
	if err := l.ctx.Err(); err != nil {
		return nil, l.dir.fail(err)
	}
	var page []string
	end := "" // no entry after this one belongs to the page; "" while the page is not full
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

// entryOf returns the entry that base sorts as in the directory at, or "" if base is no
// part of the store. It decides by the name alone. If the name of a record
// belongs to no private file, Get fails; if the name of a directory belongs to no
// private directory, walk fails. To leave them out would hide records from a caller
// that has to erase all of them.
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

// below returns the part of name that matters in the directory at, given that walk
// goes into at. name is a prefix, or a name to begin after.
func below(at, name string) string {
	if rest, ok := strings.CutPrefix(name, at); ok {
		return rest
	}
	return ""
}

// wanted reports whether an entry is a requested name, or may lead to one.
func wanted(entry, prefix, after string) bool {
	if !strings.HasSuffix(entry, "/") {
		return strings.HasPrefix(entry, prefix) && entry > after
	}
	return (strings.HasPrefix(entry, prefix) || strings.HasPrefix(prefix, entry)) &&
		(entry > after || strings.HasPrefix(after, entry))
}
