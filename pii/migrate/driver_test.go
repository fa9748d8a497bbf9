package migrate_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// Errors as drivers have them. All of their texts quote an argument.
const secret = "Kq7vZ.Hxw93Jd@mx4.wyr8bqp.example"

type (
	stateError  string                               // pgx, lib/pq
	numberError struct{ Number uint16 }              // go-sql-driver/mysql
	codeError   int                                  // modernc.org/sqlite
	fieldError  struct{ Code, ExtendedCode errorNo } // mattn/go-sqlite3
	errorNo     int
	otherError  struct{ Number, Code string }
)

func (e stateError) Error() string    { return "duplicate key (email)=(" + secret + ")" }
func (e stateError) SQLState() string { return string(e) }
func (e *numberError) Error() string  { return "Duplicate entry '" + secret + "'" }
func (e codeError) Error() string     { return "constraint failed: " + secret }
func (e codeError) Code() int         { return int(e) }
func (e fieldError) Error() string    { return "constraint failed: " + secret }
func (e otherError) Error() string    { return secret }

// A fake is a database with a table of one person, or of more, in which
// statements fail as they are told to.
type fake struct {
	more, read    int     // people
	query, update []error // what the next ones fail with
	commit        error
	updates       int
	written       map[int64][]driver.Value // the arguments of the last update, by key
}

func next(errs *[]error) (err error) {
	if len(*errs) > 0 {
		err, *errs = (*errs)[0], (*errs)[1:]
	}
	return err
}

func (f *fake) Connect(context.Context) (driver.Conn, error) { return f, nil }
func (f *fake) Driver() driver.Driver                        { return nil }
func (f *fake) Close() error                                 { return nil }
func (f *fake) Begin() (driver.Tx, error)                    { return f, nil }
func (f *fake) Commit() error                                { return f.commit }
func (f *fake) Rollback() error                              { return nil }
func (f *fake) Prepare(string) (driver.Stmt, error)          { return f, nil }
func (f *fake) NumInput() int                                { return -1 }
func (f *fake) Query([]driver.Value) (driver.Rows, error)    { return nil, errors.New(secret) }
func (f *fake) Exec(args []driver.Value) (driver.Result, error) {
	if len(args) == 0 { // SET CONSTRAINTS
		return driver.RowsAffected(0), nil
	}
	f.updates++
	if f.written == nil {
		f.written = make(map[int64][]driver.Value)
	}
	for _, arg := range args {
		if id, ok := arg.(int64); ok {
			f.written[id] = args
		}
	}
	return driver.RowsAffected(1), next(&f.update)
}

func (f *fake) QueryContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	list, _, _ := strings.Cut(strings.TrimPrefix(query, "SELECT "), " FROM ")
	rows := &fakeRows{columns: strings.Split(list, ", ")}
	switch {
	case strings.Contains(query, "stored_"): // reading back
		_, list, _ := strings.Cut(query, " IN (")
		if _, err := fmt.Sscan(strings.Replace(list, ",", " ", 1), &rows.id); err != nil {
			return nil, err
		}
		rows.of, rows.left = f, 1+strings.Count(list, ",")
	case strings.Contains(query, "sum(CASE"):
		rows.left = 1
	case strings.Contains(query, "clock_seconds"):
		rows.columns, rows.left, rows.id = []string{"clock"}, 1, time.Now().Unix()
	case strings.HasSuffix(query, "LIMIT 0"), strings.Contains(query, "IS NULL LIMIT 1"), strings.Contains(query, "AS generated"):
	default:
		if err := next(&f.query); err != nil {
			return nil, err
		}
		rows.left, rows.id = 1, 7
		if _, list, limited := strings.Cut(query, "LIMIT "); limited {
			var limit int
			if _, err := fmt.Sscan(list, &limit); err != nil {
				return nil, err
			}
			if !strings.Contains(query, "`id` > ") && !strings.Contains(query, `"id" > `) {
				f.read = 0
			}
			left := 1 + f.more - f.read
			rows.left, rows.id = min(limit, left), int64(7+f.read)
			f.read += min(limit-1, left)
		}
	}
	return rows, nil
}

type fakeRows struct {
	columns []string
	left    int
	id      int64
	of      *fake // of rows that are read back
}

func (r *fakeRows) Columns() []string { return r.columns }
func (r *fakeRows) Close() error      { return nil }
func (r *fakeRows) ColumnTypeDatabaseTypeName(i int) string {
	switch {
	case strings.Contains(r.columns[i], "id"):
		return "INTEGER"
	case strings.Contains(r.columns[i], "index"):
		return "BLOB"
	}
	return "TEXT"
}

func (r *fakeRows) Next(dest []driver.Value) error {
	if r.left == 0 {
		return io.EOF
	}
	r.left--
	defer func() { r.id++ }()
	for i, column := range r.columns {
		switch {
		case r.of != nil && i > 0 && strings.Contains(column, "sealed"):
			dest[i] = r.of.written[r.id][0]
		case r.of != nil && i > 0 && strings.Contains(column, "index"):
			dest[i] = r.of.written[r.id][1]
		case strings.Contains(column, "clock"), strings.Contains(column, "id"):
			dest[i] = r.id
		case strings.Contains(column, "sum(CASE"):
			dest[i] = int64(0)
		case strings.Contains(column, "index"), strings.Contains(column, "sealed"):
			dest[i] = nil
		default:
			dest[i] = secret
		}
	}
	return nil
}

var forSecurity = purpose.MustParse("security")

func (f *fake) migration(t *testing.T, d migrate.Dialect) *migrate.Migration {
	security := piitest.New(t, forSecurity).Scope(forSecurity)
	db := sql.OpenDB(f)
	t.Cleanup(func() { db.Close() })
	m, err := migrate.New(t.Context(), db, d, migrate.Table{
		Name: "users", Key: "id", Scopes: []*vault.Scope{security},
		Columns: []migrate.Column{{
			Kind: migrate.Email(), Plain: "email", Sealed: "email_sealed",
			Indexes:      map[purpose.Purpose]string{forSecurity: "email_index"},
			CollectedFor: func(migrate.Row) []*vault.Scope { return []*vault.Scope{security} },
		}},
	})
	require.NoError(t, err)
	return m
}

// What drivers say of an error decides what it is, and never gets further.
func TestDriverErrors(t *testing.T) {
	always := func(err error) []error {
		errs := make([]error, 1000)
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	busy := []error{codeError(5), codeError(5 | 2<<8), codeError(6)}
	for _, test := range []struct {
		name    string
		dialect migrate.Dialect
		errs    []error
		want    string // "" for success
		is      error
	}{
		{"PostgreSQL: serialization failure, then a deadlock", migrate.Postgres, []error{stateError("40001"), fmt.Errorf("%s: %w", secret, stateError("40P01"))}, "", nil},
		{"PostgreSQL: outcome unknown", migrate.Postgres, []error{stateError("40003")}, "database error 40003: unavailable", vault.ErrUnavailable},
		{"PostgreSQL: shut down", migrate.Postgres, []error{stateError("57P01")}, "database error 57P01: unavailable", vault.ErrUnavailable},
		{"PostgreSQL: value too long", migrate.Postgres, []error{stateError("22001")}, "database error 22001: table is not as described", migrate.ErrTable},
		{"PostgreSQL: column is gone", migrate.Postgres, []error{stateError("42703")}, "database error 42703: table is not as described", migrate.ErrTable},
		{"PostgreSQL: a state that is none", migrate.Postgres, []error{stateError("secret")}, "database error: unavailable", vault.ErrUnavailable},
		{"MySQL: deadlock", migrate.MySQL, []error{&numberError{1213}, &numberError{1020}}, "", nil},
		{"MySQL: value too long", migrate.MySQL, []error{&numberError{1406}}, "database error 1406: table is not as described", migrate.ErrTable},
		{"MySQL: server is gone", migrate.MySQL, []error{&numberError{2006}}, "database error 2006: unavailable", vault.ErrUnavailable},
		{"MySQL: a number of another type", migrate.MySQL, []error{otherError{Number: secret}}, "database error: unavailable", vault.ErrUnavailable},
		{"MySQL: nil pointer", migrate.MySQL, []error{(*numberError)(nil)}, "database error: unavailable", vault.ErrUnavailable},
		{"SQLite: busy", migrate.SQLite, busy, "", nil},
		{"SQLite: busy, of another driver", migrate.SQLite, []error{fieldError{Code: 5, ExtendedCode: 517}, fieldError{Code: 5}}, "", nil},
		{"SQLite: not null", migrate.SQLite, []error{codeError(1299)}, "database error 1299: table is not as described", migrate.ErrTable},
		{"SQLite: check", migrate.SQLite, []error{fieldError{Code: 19, ExtendedCode: 275}}, "database error 275: table is not as described", migrate.ErrTable},
		{"SQLite: disk is full", migrate.SQLite, always(codeError(13)), "database error 13: unavailable", vault.ErrUnavailable},
		{"PostgreSQL: a cached plan", migrate.Postgres, []error{stateError("0A000"), stateError("0A000")}, "", nil},
		{"PostgreSQL: a prepared statement that is gone", migrate.Postgres, []error{stateError("26000")}, "", nil},
		{"PostgreSQL: a feature that is not there", migrate.Postgres, always(stateError("0A000")), "database error 0A000: table is not as described", migrate.ErrTable},
		{"MySQL: a statement to prepare anew", migrate.MySQL, []error{&numberError{1615}, &numberError{1412}, &numberError{1243}}, "", nil},
		{"SQLite: another schema", migrate.SQLite, []error{codeError(17)}, "", nil},
		{"an error that says nothing", migrate.SQLite, []error{errors.New(secret)}, "database error: unavailable", vault.ErrUnavailable},
		{"a connection that is gone", migrate.SQLite, []error{driver.ErrBadConn, driver.ErrBadConn, driver.ErrBadConn}, "database error: unavailable", vault.ErrUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &fake{}
			m := f.migration(t, test.dialect)
			for where, errs := range map[string]*[]error{"update": &f.update, "query": &f.query} {
				*errs = append([]error(nil), test.errs...)
				_, err := m.Backfill(t.Context(), nil)
				if where == "query" && errors.Is(test.errs[0], driver.ErrBadConn) {
					continue // database/sql has its own way with that
				}
				if test.want == "" {
					require.NoError(t, err, where)
					require.Empty(t, *errs)
					continue
				}
				require.EqualError(t, err, "migrate: backfill users: "+test.want, where)
				require.ErrorIs(t, err, test.is)
				for e := err; e != nil; e = errors.Unwrap(e) {
					require.NotContains(t, fmt.Sprintf("%v %+v %#v", e, e, e), secret)
				}
				*errs = nil
			}
			f.commit = test.errs[len(test.errs)-1]
			if test.want != "" {
				_, err := m.Backfill(t.Context(), nil)
				require.EqualError(t, err, "migrate: backfill users: "+test.want)
			}
		})
	}
}

// A unique constraint refuses one value, and not the table.
func TestUniqueViolation(t *testing.T) {
	for name, test := range map[string]struct {
		dialect migrate.Dialect
		err     error
	}{
		"PostgreSQL":              {migrate.Postgres, stateError("23505")},
		"MySQL":                   {migrate.MySQL, &numberError{1062}},
		"SQLite":                  {migrate.SQLite, codeError(2067)},
		"SQLite, another's field": {migrate.SQLite, fieldError{Code: 19, ExtendedCode: 2067}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{}
			m := f.migration(t, test.dialect)
			f.update = []error{test.err, test.err}
			report, err := m.Backfill(t.Context(), nil)
			require.NoError(t, err)
			require.Equal(t, []migrate.Finding{{Key: "7", Column: "email", Problem: migrate.Duplicate}}, report.Findings)
			require.Zero(t, report.Changed)
			require.Equal(t, 2, f.updates)
		})
	}
}

// Whoever is given up does not go on trying.
func TestRetryEndsWithContext(t *testing.T) {
	f := &fake{}
	m := f.migration(t, migrate.Postgres)
	ctx, cancel := context.WithCancel(t.Context())
	f.update = []error{stateError("40001"), cancelling{cancel}, stateError("40001"), stateError("40001")}
	_, err := m.Backfill(ctx, nil)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, vault.ErrUnavailable)
	require.LessOrEqual(t, f.updates, 2)
}

// A cancelling error cancels the context when its state is asked for.
type cancelling struct{ cancel func() }

func (e cancelling) Error() string { return secret }
func (e cancelling) SQLState() string {
	e.cancel()
	return "40001"
}

// Rows come no faster than they are allowed to.
func TestRowsPerSecond(t *testing.T) {
	for limit, want := range map[int]time.Duration{0: 0, 1: 100 * time.Second, 20: 5 * time.Second, 1000: 100 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{more: 99}
			m := f.migration(t, migrate.SQLite)
			start := time.Now()
			report, err := m.Backfill(t.Context(), &migrate.Options{RowsPerSecond: limit, Batch: 30})
			require.NoError(t, err)
			require.EqualValues(t, 100, report.Changed)
			require.Equal(t, want, time.Since(start))
		})
	}
}

// An error of pii has no second prefix, and the sentinel is the last word.
func TestErrorsHaveOnePrefix(t *testing.T) {
	f := &fake{}
	security := piitest.New(t, forSecurity).Scope(forSecurity)
	db := sql.OpenDB(f)
	defer db.Close()
	m, err := migrate.New(t.Context(), db, migrate.SQLite, migrate.Table{
		Name: "users", Key: "id", Scopes: []*vault.Scope{security},
		Columns: []migrate.Column{{
			Kind: migrate.Email(), Plain: "email", Sealed: "email_sealed",
			CollectedFor: func(migrate.Row) []*vault.Scope { return []*vault.Scope{security, security} },
		}},
	})
	require.NoError(t, err)
	_, err = m.Backfill(t.Context(), nil)
	require.ErrorIs(t, err, vault.ErrInvalid)
	require.Regexp(t, "^migrate: backfill users: row 7: email: sealing email: ", err.Error())

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = m.Backfill(ctx, nil)
	require.EqualError(t, err, "migrate: backfill users: context canceled: unavailable")
}

// Keys that somebody chose don't make lines of their own.
func TestFindingIsOneLine(t *testing.T) {
	f := migrate.Finding{Key: "7\nrow 8", Column: "email", Problem: migrate.Duplicate, Of: "\x1b[2J"}
	require.Equal(t, `row "7\nrow 8": email: duplicate of row "\x1b[2J"`, f.String())
}
