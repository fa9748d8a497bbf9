package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/onlyfor/onlyfor/vault"
)

// DefaultTable is the name of the table if [Options.Table] is empty.
const DefaultTable = "onlyfor_keys"

// Options are the optional settings of [New]. Nil is the same as Options{}.
type Options struct {
	// Table is the name of the table or of an updatable view, [DefaultTable]
	// if empty. It is one identifier, or a schema and an identifier joined by
	// ".". An identifier is a-z or "_", then any of a-z, 0-9 and "_",
	// with at most 63 bytes.
	Table string
	// View is the name of an updatable view of the table that Put writes through, in
	// the syntax of Table. Put writes to the table if it is empty. [Grants] makes such views.
	View string
}

// A Store is a [vault.Store] in a table of an SQL database. It may be used by
// many goroutines at once. Make one with [New]; the zero Store is not usable.
type Store struct {
	db      *sql.DB
	dialect *dialect
	name    string // for errors
	table   string // quoted
	written string // table or view that Put writes through, quoted

	inOrder atomic.Bool // checkOrder has found that names sort by their bytes
}

var _ vault.Store = (*Store)(nil)

// New returns the store in the given database. It does not connect: with a table
// that is missing, the first use of the store is [vault.ErrUnavailable].
//
// The caller sets the limits of the database's pool and closes it. A nil db, an
// unknown dialect and a malformed name of a table are [vault.ErrInvalid].
func New(db *sql.DB, dialect Dialect, opts *Options) (*Store, error) {
	if opts == nil {
		opts = &Options{}
	}
	table := opts.Table
	if table == "" {
		table = DefaultTable
	}
	view := opts.View
	if view == "" {
		view = table
	}
	d := dialect.dialect()
	switch {
	case db == nil:
		return nil, fmt.Errorf("key store: no database: %w", vault.ErrInvalid)
	case d == nil:
		return nil, fmt.Errorf("key store: unknown dialect: %w", vault.ErrInvalid)
	case !validTable(table) || !validTable(view):
		return nil, errTable
	}
	return &Store{
		db:      db,
		dialect: d,
		name:    "key store in " + dialect.String() + " table " + table,
		table:   d.quoteTable(table),
		written: d.quoteTable(view),
	}, nil
}

// CreateTable makes the table if there is none. Several processes may do so at
// once. It needs the right to create tables. To withhold that right, make the
// table by hand: see the package documentation.
//
// It does not change a table that exists. A table whose names do not sort by their
// bytes is [vault.ErrNoKeys].
func (s *Store) CreateTable(ctx context.Context) error {
	err := s.withRetries(ctx, s.dialect.retryCreate, func() error {
		_, err := s.db.ExecContext(ctx, fmt.Sprintf(s.dialect.create, s.table))
		return err
	})
	if err != nil {
		return err
	}
	return s.checkOrder(ctx)
}

// namesPerQuery bounds the parameters of a statement. SQLite allowed 999 until
// version 3.32, and from 1000 on MariaDB plans a query in another way.
const namesPerQuery = 512

// Get returns the named records that exist, in the order of their names. It reads
// 512 names in one query, as of one moment. Between the queries for more names a
// change may happen.
func (s *Store) Get(ctx context.Context, names ...string) ([]vault.Record, error) {
	for _, name := range names {
		if !validName(name) {
			return nil, errName
		}
	}
	var records []vault.Record
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	for some := range slices.Chunk(names, namesPerQuery) {
		var page []vault.Record
		err := s.withRetries(ctx, nil, func() (err error) {
			page, err = s.get(ctx, some)
			return err
		})
		if err != nil {
			return nil, err
		}
		records = append(records, page...)
	}
	for _, r := range records {
		if _, found := slices.BinarySearch(names, r.Name); !found || r.Revision <= 0 || len(r.Data) == 0 || len(r.Data) > vault.MaxRecord {
			return nil, fmt.Errorf("%s: malformed row: %w", s.name, vault.ErrCorrupt)
		}
	}
	slices.SortFunc(records, func(a, b vault.Record) int { return strings.Compare(a.Name, b.Name) })
	return records, nil
}

func (s *Store) get(ctx context.Context, names []string) ([]vault.Record, error) {
	// Asking for the last name several times rounds the number of parameters up to
	// a power of two: a driver keeps 10 prepared statements instead of 512.
	args := make([]any, 1<<bits.Len(uint(len(names)-1)))
	params := make([]string, len(args))
	for i := range args {
		args[i] = names[min(i, len(names)-1)]
		params[i] = s.dialect.param(i + 1)
	}
	// Data beyond the limit, which no Put wrote, is not fetched.
	query := fmt.Sprintf("SELECT name, revision, CASE WHEN length(data) <= %d THEN data END FROM %s WHERE name IN (%s)",
		vault.MaxRecord, s.table, strings.Join(params, ", "))
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var records []vault.Record
	for rows.Next() {
		var r vault.Record
		if err := rows.Scan(&r.Name, &r.Revision, &r.Data); err != nil { // copies r.Data
			return nil, err
		}
		records = append(records, r)
	}
	return records, rows.Err()
}

// Put writes r.Data if the record's current revision is still r.Revision, 0
// meaning that there is none, and returns the new revision. Otherwise it is
// [vault.ErrConflict]. A record that the account may not write is [vault.ErrNoKeys].
//
// On SQLite, Put turns secure_delete on for its connection, and empties the write-ahead
// log after it has replaced a record. Otherwise the key of an erased person would stay in
// the files. Another reader can keep Put from emptying the log; the next Put tries again.
// On other databases the former content stays until the database reuses the space: see
// README.md.
func (s *Store) Put(ctx context.Context, r vault.Record) (int64, error) {
	if err := checkPut(r); err != nil {
		return 0, err
	}
	revision := newRevision(r.Revision)
	if r.Revision == 0 {
		return revision, s.change(ctx, r.Name, s.dialect.inserted, s.dialect.insert, r.Name, revision, r.Data)
	}
	err := s.change(ctx, r.Name, affected,
		"UPDATE %s SET revision = %s, data = %s WHERE name = %s AND revision = %s", revision, r.Data, r.Name, r.Revision)
	if errors.Is(err, vault.ErrConflict) {
		err = s.conflict(ctx, r, err)
	}
	return revision, err
}

// checkPut is [vault.ErrInvalid] for a record that Put refuses.
func checkPut(r vault.Record) error {
	switch {
	case !validName(r.Name):
		return errName
	case len(r.Data) == 0:
		return fmt.Errorf("key store: record without data: %w", vault.ErrInvalid)
	case len(r.Data) > vault.MaxRecord:
		return fmt.Errorf("key store: record too large: %w", vault.ErrInvalid)
	case r.Revision < 0:
		return errRevision
	}
	return nil
}

// conflict returns the error of an update that found no row. A row with the revision that
// was asked for is hidden from writing, by row-level security or by the view. A caller that
// took this for a conflict would try again without end.
func (s *Store) conflict(ctx context.Context, r vault.Record, conflict error) error {
	now, err := s.Get(ctx, r.Name)
	if err == nil && len(now) == 1 && now[0].Revision == r.Revision {
		return fmt.Errorf("%s: access denied to record %s: %w", s.name, r.Name, vault.ErrNoKeys)
	}
	return conflict
}

// change runs one statement, which is a transaction of its own, with the table
// and the parameters filled in. done reports whether it changed anything.
func (s *Store) change(ctx context.Context, name string, done func(sql.Result) (bool, error), format string, args ...any) error {
	fill := []any{s.written}
	for i := range args {
		fill = append(fill, s.dialect.param(i+1))
	}
	query := fmt.Sprintf(format, fill...)
	var changed bool
	err := s.withRetries(ctx, nil, func() error {
		result, err := s.dialect.exec(ctx, s.db, query, args...)
		if err != nil {
			return err
		}
		changed, err = done(result)
		return err
	})
	if err == nil && !changed {
		err = fmt.Errorf("%s: record %s: %w", s.name, name, vault.ErrConflict)
	}
	return err
}

// newRevision returns a random revision that is not old. A counter would begin
// again after somebody deleted the row or put back an older one: a process that had
// read the record before could then overwrite the new one.
func newRevision(old int64) int64 {
	for {
		var b [8]byte
		rand.Read(b[:]) // never fails, by its documentation
		if r := int64(binary.BigEndian.Uint64(b[:]) >> 1); r != 0 && r != old {
			return r
		}
	}
}
