package vault

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
)

// Dir returns the store that keeps its records as files below the directory at
// path. It needs no server, serves any number of processes of one user on one
// machine, and is the one to begin with.
//
// The directory is made by the first Put; the one above it must exist. A
// relative path is relative to the working directory at each use. An empty path
// is [ErrInvalid], as it would stand for the working directory itself.
//
// What is in it must belong to this process's user, be closed to everybody else
// (modes 0700 and 0600, which Dir sets whatever the umask), and must not be a
// symbolic link. Otherwise it is refused with [ErrNoKeys] rather than repaired:
// others may have read or planted it. A file that Dir did not write is
// [ErrCorrupt].
//
// Record security/keys is the file security/keys.key: a line with a version, a
// revision and a length, then the data. Each change replaces a whole file and
// reaches the disk before it is reported, and before anybody is told what it
// says. Changes wait for each other on a lock; reads do not wait for it. A call
// of Get with several names reads one file after the other, so a change may fall
// between them.
//
// It is made for keysets and for up to some 100,000 subjects. Among as many,
// Get took 30 microseconds, a List of all 0.2 seconds, and the first name of a
// List 0.06, as each looks through the whole directory: go on with one rather
// than asking for page after page. A change takes two waits for the disk, one
// change at a time. Where that is too slow, keep the keys in a database.
//
// The file system must be a local one of a Unix system. On other systems
// every method fails with [errors.ErrUnsupported].
//
// Copying the directory is a backup of the store. It opens with the [KEK] only,
// so keep the two apart.
func Dir(path string) Store {
	return &dir{path, privatefile.New(path)}
}

type dir struct {
	path  string
	files *privatefile.Dir
}

// recordSuffix tells the file of a record from a directory of the same name.
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
	// Once without the lock: a caller that is late anyway neither waits nor makes
	// a directory.
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
	if err := lock.Write(r.Name+recordSuffix, encodeRecord(revision, r.Data)); err != nil {
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

// read returns the record, of revision 0 if there is none.
func (d *dir) read(read readFunc, name string) (Record, error) {
	b, err := read(name+recordSuffix, headerSize+MaxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, nil
	}
	if err != nil {
		return Record{}, d.fail(err)
	}
	revision, data, ok := decodeRecord(b)
	if !ok {
		return Record{}, fmt.Errorf("key store %s: file %s is malformed: %w", d.path, name+recordSuffix, ErrCorrupt)
	}
	return Record{name, data, revision}, nil
}

// check refuses an empty path along with malformed arguments.
func (d *dir) check(err error) error {
	if err == nil && d.path == "" {
		return fmt.Errorf("key store: empty path: %w", ErrInvalid)
	}
	return err
}

// fail tells the errors of files, the system's and the context's apart.
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

// newRevision returns a random revision that is not old. A counter would begin
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
