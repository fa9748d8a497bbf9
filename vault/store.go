package vault

import (
	"context"
	"iter"
)

// MaxRecord is the size of the largest record, in bytes.
const MaxRecord = 1 << 20

// A Record is one entry of a [Store].
type Record struct {
	// Name is one or more segments joined by "/", such as "security/keys".
	// A segment is a-z or 0-9, then any of a-z, 0-9 and "-". A name has at most
	// 200 bytes. No name is another name's prefix up to a "/".
	Name string
	// Data is the content: 1 to [MaxRecord] bytes.
	Data []byte
	// Revision stands for this content of this name: positive, chosen by the
	// store, and never used again for the same name. A random one also differs from
	// the earlier ones after somebody put back an older state of the store. 0 says
	// that there is no such record.
	Revision int64
}

// A Store keeps a vault's wrapped keys. It is trusted with their availability,
// not with their secrecy: what it holds opens only with the [KEK], and
// whatever was swapped or edited does not open at all.
//
// [Dir] and [Memory] are stores; package storetest checks others. Methods are
// called from many goroutines at once, and several processes may share what is
// behind a Store.
//
// An error is [ErrConflict] where it says so below, [ErrNoKeys] when access is
// denied, and [ErrInvalid] for a name or size that is out of bounds; one that is
// no sentinel of this package, and a panic, is taken for [ErrUnavailable], and its text
// never repeated. After an error that is not ErrConflict a change may have been made or
// not, and reading tells. Methods return promptly once ctx is done, with an
// error. They neither change nor keep the slices that they are given, and nobody
// else holds those that they return.
type Store interface {
	// Get returns those of the named records that exist, each once, in any order.
	// One call is one read of the store, however many names it has, but need not
	// show all of them as of one moment.
	Get(ctx context.Context, names ...string) ([]Record, error)

	// Put writes r.Data under r.Name if the record's current revision is still
	// r.Revision, 0 meaning that there is none, and returns the new revision.
	// Otherwise it changes nothing and returns [ErrConflict]. The record is
	// durable when Put returns, and a reader sees either all of the old
	// or all of the new one, even if the process dies halfway.
	Put(ctx context.Context, r Record) (revision int64, err error)

	// List yields, in ascending byte order, the names that begin with prefix
	// and sort after the name after ("" for all). It need not see records that
	// come meanwhile. It yields an error at most once, as the last thing.
	List(ctx context.Context, prefix, after string) iter.Seq2[string, error]
}
