package pii_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A leakDB is a database with one table of one person, in which statements fail
// as they are told to.
type leakDB struct {
	plain, sealed string
	index         []byte
	query, exec   error
	written       []driver.Value // the arguments of the last update
}

func (d *leakDB) Connect(context.Context) (driver.Conn, error) { return d, nil }
func (d *leakDB) Driver() driver.Driver                        { return nil }
func (d *leakDB) Close() error                                 { return nil }
func (d *leakDB) Begin() (driver.Tx, error)                    { return d, nil }
func (d *leakDB) Commit() error                                { return nil }
func (d *leakDB) Rollback() error                              { return nil }
func (d *leakDB) Prepare(string) (driver.Stmt, error)          { return d, nil }
func (d *leakDB) NumInput() int                                { return -1 }
func (d *leakDB) Query([]driver.Value) (driver.Rows, error)    { return nil, d.query }

func (d *leakDB) Exec(args []driver.Value) (driver.Result, error) {
	d.written = args
	return driver.RowsAffected(1), d.exec
}

func (d *leakDB) QueryContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	list, _, _ := strings.Cut(strings.TrimPrefix(query, "SELECT "), " FROM ")
	rows := &leakDBRows{of: d, columns: strings.Split(list, ", ")}
	switch {
	case strings.HasSuffix(query, "LIMIT 0"), strings.Contains(query, "IS NULL LIMIT 1"), strings.Contains(query, "AS generated"):
	case strings.Contains(query, "clock_seconds"):
		rows.left, rows.columns = 1, []string{"clock"}
	case strings.HasPrefix(query, "SELECT sum("):
		rows.left = 1
	case strings.Contains(query, "stored_"): // reading back
		rows.left, rows.back = 1, true
	case d.query != nil:
		return nil, d.query
	case !strings.Contains(query, "`id` > "): // the first page
		rows.left = 1
	}
	return rows, nil
}

type leakDBRows struct {
	of      *leakDB
	columns []string
	left    int
	back    bool
}

func (r *leakDBRows) Columns() []string { return r.columns }
func (r *leakDBRows) Close() error      { return nil }
func (r *leakDBRows) ColumnTypeDatabaseTypeName(i int) string {
	switch {
	case strings.Contains(r.columns[i], "id"):
		return "INTEGER"
	case strings.Contains(r.columns[i], "index"):
		return "BLOB"
	}
	return "TEXT"
}

func (r *leakDBRows) Next(dest []driver.Value) error {
	if r.left == 0 {
		return io.EOF
	}
	r.left--
	for i, column := range r.columns {
		switch {
		case strings.Contains(column, "clock"):
			dest[i] = time.Now().Unix()
		case r.back && strings.Contains(column, "sealed") && len(r.of.written) > 2:
			dest[i] = r.of.written[0]
		case r.back && strings.Contains(column, "index") && len(r.of.written) > 2:
			dest[i] = r.of.written[1]
		case strings.Contains(column, "count("), strings.Contains(column, "sum("), strings.Contains(column, "id"):
			dest[i] = int64(1)
		case strings.Contains(column, "index"):
			dest[i] = r.of.index
		case strings.Contains(column, "sealed"):
			dest[i] = r.of.sealed
		default:
			dest[i] = r.of.plain
		}
	}
	return nil
}

// A driverError quotes what it is about, and says by a code what it is.
type driverError struct {
	error
	code int
}

func (e driverError) Code() int { return e.code }

// quotingDriver quotes what it is about in its fields too, as pgx does.
type quotingDriver struct {
	Detail, Code string
	of           error
}

func (e *quotingDriver) Error() string    { return e.of.Error() }
func (e *quotingDriver) SQLState() string { return e.Code }

// migration describes the table, whose plaintext column is also who the person
// is, for some do that.
func (w *leakWorld) migration(d *leakDB, subject string) *migrate.Migration {
	w.Helper()
	db := sql.OpenDB(d)
	w.Cleanup(func() { db.Close() })
	m, err := migrate.New(ctx, db, migrate.SQLite, migrate.Table{
		Name: "users", Key: "id", Subject: subject, Read: []string{"source"}, Scopes: []*vault.Scope{w.security},
		Columns: []migrate.Column{{
			Kind: migrate.Email(), Plain: "email", Sealed: "email_sealed",
			Indexes: map[purpose.Purpose]string{forSecurity: "email_index"},
			Leave: func(r migrate.Row, p migrate.Problem) string {
				return map[bool]string{true: r.Text("source")}[p == migrate.Invalid]
			},
			CollectedFor: func(r migrate.Row) []*vault.Scope {
				w.shown(r.Key(), r.Bool("source"))
				at, isTime := r.Time("source")
				w.shown(at.String(), isTime)
				if r.Text("source") == "" {
					return nil
				}
				w.panics(func() { r.Text(w.contact.Address) })
				w.panics(func() { r.Time(w.contact.Address) })
				return []*vault.Scope{w.security}
			},
		}},
	})
	require.NoError(w, err)
	return m
}

var migrateRows = []leakRow{
	{"migrate.New migrate.Email migrate.Phone migrate.KindOf migrate.Dialect.String migrate.Migration.Plan migrate.Migration.Backfill " +
		"migrate.Migration.Verify migrate.Migration.Repair migrate.Migration.Reindex migrate.Migration.Reseal migrate.Migration.CutOver " +
		"migrate.Migration.Sweep migrate.Migration.ClearErased migrate.Migration.ClearNotice migrate.Report.OK migrate.Report.String migrate.Finding.String " +
		"migrate.Progress.String migrate.Leftover.String migrate.LeftoverReport.OK migrate.LeftoverReport.String migrate.Migration.Leftovers migrate.Row.Bool migrate.Row.Key migrate.Row.Text migrate.Row.Time migrate.dbError.Error migrate.dbError.Unwrap " +
		"migrate.stepError.Error migrate.stepError.Unwrap migrate.innerError.Error migrate.innerError.Unwrap", func(w *leakWorld) {
		gone, _ := w.seal(w.security.For("gone@example.com"))
		_, err := w.vault.Erase(ctx, "gone@example.com", forSecurity)
		require.NoError(w, err)
		index := indexBytes(w, w.index)
		databases := []*leakDB{
			{plain: w.contact.Address}, {plain: w.contact.Address, sealed: textOf(w, w.email), index: index},
			{plain: w.contact.Number}, {plain: w.contact.Address, sealed: textOf(w, w.phone), index: index[:9]},
			{sealed: textOf(w, w.email), index: []byte(w.contact.Address)[:16]}, {plain: "gone@example.com", sealed: textOf(w, gone), index: index},
		}
		for _, text := range w.mistyped()[:3] {
			databases = append(databases, &leakDB{plain: text, sealed: text})
		}
		hostile := w.hostile()
		for _, err := range []error{
			hostile, driverError{hostile, 1299}, driverError{hostile, 2067}, driverError{hostile, 13}, errors.Join(hostile, io.EOF),
			&quotingDriver{Detail: hostile.Error(), Code: w.contact.Number[:5], of: hostile},
		} {
			databases = append(databases, &leakDB{plain: w.contact.Address, query: err},
				&leakDB{plain: w.contact.Address, exec: err}, &leakDB{sealed: textOf(w, w.email), exec: err})
		}
		opts := &migrate.Options{
			Progress: func(p migrate.Progress) { fmt.Fprintln(w, p.String()) },
			Found:    func(f migrate.Finding) { fmt.Fprintln(w, f.String()); w.shown(f) },
		}
		for _, d := range databases {
			for _, subject := range []string{"", "who"} {
				m := w.migration(d, subject)
				for _, c := range append(w.refusedContexts()[:1], ctx) {
					if c != ctx && d != databases[0] {
						continue
					}
					for _, step := range []func(context.Context, *migrate.Options) (*migrate.Report, error){
						m.Plan, m.Backfill, m.Verify, m.Repair, m.Reindex, m.Reseal, m.Sweep, m.ClearErased, m.CutOver,
						func(c context.Context, o *migrate.Options) (*migrate.Report, error) {
							return m.ClearNotice(c, forSecurity, w.contact.Address, o)
						},
						func(c context.Context, o *migrate.Options) (*migrate.Report, error) {
							return m.ClearNotice(c, forSecurity, "n-1", o)
						},
					} {
						report, err := step(c, opts)
						require.NotNil(w, report)
						w.tried(err)
						fmt.Fprintf(w, "%v %+v %#v %s %v", report, *report, *report, report.String(), report.OK())
					}
					left, err := m.Leftovers(c, opts)
					w.tried(err)
					fmt.Fprintf(w, "%v %+v %#v %s %v", left, *left, *left, left.String(), left.OK())
				}
			}
		}
		m := w.migration(databases[0], "")
		_, err = m.Backfill(ctx, &migrate.Options{After: w.contact.Address})
		w.failed(err, vault.ErrInvalid)
		for _, text := range w.mistyped() {
			_, err := migrate.New(ctx, nil, migrate.SQLite, migrate.Table{Name: text, Key: "id"})
			w.failed(err, migrate.ErrTable)
			_, err = migrate.New(ctx, nil, 0, migrate.Table{Name: "users", Key: text, Columns: []migrate.Column{{Kind: migrate.Phone()}, {Kind: migrate.KindOf[taxID]()}}})
			w.failed(err, migrate.ErrTable)
		}
		w.shown(migrate.Leftover{Table: "log", Column: "line", Rows: 2}.String())
		w.shown(migrate.SQLite.String(), migrate.Dialect(9).String())
	}},
}

// What a fake of a database is worth: it has to make every step work.
func TestLeakDBWorks(t *testing.T) {
	leakTest(t, func(w *leakWorld) {
		report, err := w.migration(&leakDB{plain: w.contact.Address}, "").Backfill(ctx, nil)
		require.NoError(w, err)
		require.EqualValues(w, 1, report.Changed)
		report, err = w.migration(&leakDB{plain: w.mistyped()[0]}, "").Backfill(ctx, nil)
		require.NoError(w, err)
		// Leave returns text of the row, which is no reason.
		require.Equal(w, map[migrate.Problem]int64{migrate.Failed: 1}, report.Problems)
		w.shown(report.String())
	})
}
