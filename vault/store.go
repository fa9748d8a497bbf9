package vault

import (
	"context"
	"fmt"
	"iter"
)

// MaxRecord is the size of the largest record, in bytes.
const MaxRecord = 1 << 20

// A Record is one entry of a [Store].
type Record struct {
	// Name is one or more segments joined by "/", such as "security/keys".
	// A segment begins with a-z or 0-9, and continues with a-z, 0-9 and "-". A name
	// has at most 200 bytes. If a store has the name "a/b", it has no name that
	// begins with "a/b/".
	Name string
	// Data is the content: 1 to [MaxRecord] bytes.
	Data []byte
	// Revision identifies this content of this name. The store chooses it. It is
	// positive, and never used again for the name. Revision 0 means that there is no
	// such record. A random revision also differs from the earlier ones after somebody
	// put back an older state of the store.
	Revision int64
}

// A Store keeps the wrapped keys of a vault. It is trusted with their availability,
// not with their secrecy. Its records open only with the [KEK], and a record that
// was swapped or edited does not open at all.
//
// [Dir] and [Memory] are stores. Package storetest checks other implementations.
// Methods are called from many goroutines at once, and several processes may share
// the storage behind a Store.
//
// An error is [ErrConflict] where a method says so below, [ErrNoKeys] when access is
// denied, and [ErrInvalid] for a name or a size that is out of bounds. A panic, and
// an error that is no sentinel of this package, counts as [ErrUnavailable], and its
// text is never repeated. After an error other than ErrConflict the change may or
// may not have been made: read the record to find out. Methods return an error
// promptly once ctx is done: of the calls that never return, a vault leaves a fixed
// number behind and then refuses further ones. Methods neither change nor keep the
// slices that they are given, and the slices that they return belong to the caller
// alone.
type Store interface {
	// Get returns the named records that exist, each once, in any order. One call
	// is one read of the store for any number of names, but the records need not
	// all be as of one moment.
	Get(ctx context.Context, names ...string) ([]Record, error)

	// Put writes r.Data under r.Name if the current revision of the record is still
	// r.Revision, and returns the new revision. Revision 0 means that there is no
	// record yet. If the current revision differs, Put changes nothing and returns
	// [ErrConflict]. The record is durable when Put returns. A reader sees either the
	// whole old record or the whole new one, even if the process dies halfway.
	Put(ctx context.Context, r Record) (revision int64, err error)

	// List yields the names that begin with prefix and sort after the name after,
	// in ascending byte order. An empty prefix or after excludes no name. List need
	// not see records that are added meanwhile. It yields an error at most once, as
	// its last element.
	List(ctx context.Context, prefix, after string) iter.Seq2[string, error]
}

// A BatchReplacer is a [Store] that replaces many records with one call. It is optional:
// [Admin.RewrapSubjects] calls Put for each record of another store. Implement it where a
// call is a round trip over a network. [Memory] and package sqlstore do.
type BatchReplacer interface {
	Store

	// Replace puts each record under the conditions of Put, and returns the new revisions in the
	// order of the records. The revision 0 means that Replace did not write this record,
	// because its current revision was another, because the record does not exist, or
	// because somebody may have replaced it since: the caller reads it again. One such
	// record does not keep Replace from writing the others. Each record is written
	// whole or not at all; the records need not be written at one moment.
	//
	// A record of revision 0, two records of one name and arguments that Put refuses are
	// [ErrInvalid], and nothing is written. After another error, each of the records may
	// or may not have been written.
	Replace(ctx context.Context, records ...Record) (revisions []int64, err error)
}

const maxName = 200

// validName reports whether name is a valid [Record.Name]. A valid name is also a
// safe path: no segment of it is empty, begins with "." or "-", or holds a character
// that a file system, a shell or an SQL pattern treats specially.
func validName(name string) bool {
	if len(name) > maxName {
		return false
	}
	first := true // at the first byte of a segment
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			first = false
		case c == '-' && !first:
		case c == '/' && !first:
			first = true
		default:
			return false
		}
	}
	return !first
}

// Dir and Memory share the following checks of arguments. Their errors do not repeat
// the name that they refuse.

func checkGet(names []string) error {
	for _, name := range names {
		if !validName(name) {
			return errName
		}
	}
	return nil
}

func checkPut(r Record) error {
	switch {
	case !validName(r.Name):
		return errName
	case len(r.Data) == 0:
		return fmt.Errorf("key store: record without data: %w", ErrInvalid)
	case len(r.Data) > MaxRecord:
		return fmt.Errorf("key store: record too large: %w", ErrInvalid)
	case r.Revision < 0:
		return errRevision
	}
	return nil
}

func checkReplace(records []Record) error {
	seen := make(map[string]bool, len(records))
	for _, r := range records {
		if err := checkPut(r); err != nil {
			return err
		}
		if r.Revision == 0 || seen[r.Name] {
			return errReplace
		}
		seen[r.Name] = true
	}
	return nil
}

var (
	errReplace  = fmt.Errorf("key store: not one record of each name to replace: %w", ErrInvalid)
	errName     = fmt.Errorf("key store: malformed record name: %w", ErrInvalid)
	errRevision = fmt.Errorf("key store: not a revision: %w", ErrInvalid)
)
