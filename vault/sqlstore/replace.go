package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/vault"
)

var _ vault.BatchReplacer = (*Store)(nil)

// A replacement is a record and the revision that it is to have.
type replacement struct {
	vault.Record
	revision int64
}

// The bounds of one statement of Replace.
const (
	recordsPerReplace = 256
	bytesPerReplace   = 1 << 20 // or one record
)

// Replace replaces many records as Put replaces one, see [vault.BatchReplacer]. On
// PostgreSQL and MySQL it sends one statement for 256 records, and reads them back if the
// statement changed fewer rows. On SQLite it is one transaction, and each record is removed
// from the files as Put removes it.
//
// A record that the account may not write has the revision 0 in the result, as if it were
// another by now: Put tells the two apart.
func (s *Store) Replace(ctx context.Context, records ...vault.Record) ([]int64, error) {
	rows := make([]replacement, len(records))
	names := make(map[string]bool, len(records))
	for i, r := range records {
		if err := checkPut(r); err != nil {
			return nil, err
		}
		if r.Revision == 0 || names[r.Name] {
			return nil, fmt.Errorf("key store: not one record of each name to replace: %w", vault.ErrInvalid)
		}
		names[r.Name] = true
		rows[i] = replacement{r, newRevision(r.Revision)}
	}
	// In one order everywhere, so that two callers wait for each other and do not lock
	// each other's rows.
	sorted := slices.SortedFunc(slices.Values(rows), func(a, b replacement) int { return strings.Compare(a.Name, b.Name) })
	written := make(map[string]int64, len(rows))
	for len(sorted) > 0 {
		n, size := 0, 0
		for n < len(sorted) && n < recordsPerReplace && (n == 0 || size+len(sorted[n].Data) <= bytesPerReplace) {
			size += len(sorted[n].Data)
			n++
		}
		if err := s.replace(ctx, sorted[:n], written); err != nil {
			return nil, err
		}
		sorted = sorted[n:]
	}
	revisions := make([]int64, len(rows))
	for i, r := range rows {
		revisions[i] = written[r.Name]
	}
	return revisions, nil
}

// replace replaces the rows in one statement or transaction, and adds the revisions of those
// that it wrote.
func (s *Store) replace(ctx context.Context, rows []replacement, written map[string]int64) error {
	var changed int64
	err := s.withRetries(ctx, nil, func() (err error) {
		changed, err = s.dialect.replace(ctx, s.db, s.written, rows)
		return err
	})
	if err != nil {
		return err
	}
	if changed == int64(len(rows)) {
		for _, r := range rows {
			written[r.Name] = r.revision
		}
		return nil
	}
	if changed == 0 {
		return nil
	}
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = r.Name
	}
	now, err := s.Get(ctx, names...)
	if err != nil {
		return err
	}
	current := make(map[string]int64, len(now))
	for _, r := range now {
		current[r.Name] = r.Revision
	}
	for _, r := range rows {
		if current[r.Name] == r.revision { // random, so nobody else's
			written[r.Name] = r.revision
		}
	}
	return nil
}

// padded returns rows with the last one repeated up to a power of two, so that a driver
// keeps 9 prepared statements instead of 256. A repeated row is changed once.
func padded(rows []replacement) []replacement {
	for len(rows) < 1<<bits.Len(uint(len(rows)-1)) {
		rows = append(rows[:len(rows):len(rows)], rows[len(rows)-1])
	}
	return rows
}

func replacePostgres(ctx context.Context, db *sql.DB, table string, rows []replacement) (int64, error) {
	var query strings.Builder
	query.WriteString("UPDATE " + table + " AS t SET revision = n.revision, data = n.data FROM (VALUES ")
	var args []any
	for i, r := range padded(rows) {
		format := ", ($%d, $%d, $%d, $%d)"
		if i == 0 {
			format = "($%d::text, $%d::bigint, $%d::bytea, $%d::bigint)"
		}
		fmt.Fprintf(&query, format, 4*i+1, 4*i+2, 4*i+3, 4*i+4)
		args = append(args, r.Name, r.revision, r.Data, r.Revision)
	}
	query.WriteString(") AS n (name, revision, data, old) WHERE t.name = n.name AND t.revision = n.old")
	return rowsOf(db.ExecContext(ctx, query.String(), args...))
}

// replaceMySQL names each row in three lists: MySQL has no statement that updates from
// values and knows their types. Assignments are made from left to right, and name does not
// change.
func replaceMySQL(ctx context.Context, db *sql.DB, table string, rows []replacement) (int64, error) {
	rows = padded(rows)
	n := len(rows)
	var args []any
	for _, r := range rows {
		args = append(args, r.Name, r.Data)
	}
	for _, r := range rows {
		args = append(args, r.Name, r.revision)
	}
	for _, r := range rows {
		args = append(args, r.Name, r.Revision)
	}
	query := "UPDATE " + table + " SET data = CASE name" + strings.Repeat(" WHEN ? THEN CAST(? AS BINARY)", n) +
		" END, revision = CASE name" + strings.Repeat(" WHEN ? THEN CAST(? AS SIGNED)", n) +
		" END WHERE (name, revision) IN ((?, ?)" + strings.Repeat(", (?, ?)", n-1) + ")"
	return rowsOf(db.ExecContext(ctx, query, args...))
}

// replaceSQLite runs the statements of Put in one transaction, which waits for the disk
// once.
func replaceSQLite(ctx context.Context, db *sql.DB, table string, rows []replacement) (changed int64, err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "PRAGMA secure_delete = ON"); err != nil {
		return 0, err
	}
	// IMMEDIATE, as a transaction that begins with a read can't be tried again at its first
	// write.
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			// ctx may be done, and the connection goes back to the pool.
			conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		}
	}()
	query := "UPDATE " + table + " SET revision = ?1, data = ?2 WHERE name = ?3 AND revision = ?4"
	for _, r := range rows {
		n, err := rowsOf(conn.ExecContext(ctx, query, r.revision, r.Data, r.Name, r.Revision))
		if err != nil {
			return 0, err
		}
		changed += n
	}
	if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
		return 0, err
	}
	conn.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)") // as in execSQLite
	return changed, nil
}

func rowsOf(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}
