package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/sqlstore"
)

// Errors as drivers have them. All of their texts quote an argument.
type (
	stateError  string                     // pgx, lib/pq
	numberError struct{ Number uint16 }    // go-sql-driver/mysql
	codeError   int                        // modernc.org/sqlite
	fieldError  struct{ Code fieldCode }   // mattn/go-sqlite3
	fieldCode   int                        //
	smallError  uint8                      // ncruces/go-sqlite3
	smallCode   uint8                      //
	otherError  struct{ Code, Number any } // none of these
)

func (e stateError) SQLState() string { return string(e) }
func (e codeError) Code() int         { return int(e) }
func (e smallError) Code() smallCode  { return smallCode(e) }

func (stateError) Error() string   { return "secret" }
func (*numberError) Error() string { return "secret" }
func (codeError) Error() string    { return "secret" }
func (fieldError) Error() string   { return "secret" }
func (*smallError) Error() string  { return "secret" }
func (otherError) Error() string   { return "secret" }

// A faulty is a database whose first statements fail. It stands for the ones
// that tests can't have, or not at the right moment.
type faulty struct {
	errs  []error // of the statements in turn
	asked int
}

func (f *faulty) next() error {
	f.asked++
	if f.asked <= len(f.errs) {
		return f.errs[f.asked-1]
	}
	return nil
}

func (f *faulty) Connect(context.Context) (driver.Conn, error) { return f, nil }
func (f *faulty) Driver() driver.Driver                        { return nil }
func (f *faulty) Prepare(string) (driver.Stmt, error)          { return nil, errors.New("secret") }
func (f *faulty) Begin() (driver.Tx, error)                    { return nil, errors.New("secret") }
func (f *faulty) Close() error                                 { return nil }
func (f *faulty) ExecContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	if strings.HasPrefix(query, "PRAGMA ") { // beside the statements of the store
		return driver.RowsAffected(0), nil
	}
	return driver.RowsAffected(1), f.next()
}
func (f *faulty) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return nil, f.next()
}

func TestDriverErrors(t *testing.T) {
	const many = 1000
	always := func(err error) []error {
		errs := make([]error, many)
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	for _, test := range []struct {
		name    string
		dialect sqlstore.Dialect
		errs    []error
		asked   int
		want    string // "" for success
		is      error
	}{
		{"PostgreSQL: serialization failure, then a deadlock", sqlstore.Postgres, []error{stateError("40001"), stateError("40P01")}, 3, "", nil},
		{"PostgreSQL: wrapped", sqlstore.Postgres, []error{fmt.Errorf("secret: %w", stateError("40001"))}, 2, "", nil},
		{"PostgreSQL: without end", sqlstore.Postgres, always(stateError("40001")), 12, "database error 40001: unavailable", vault.ErrUnavailable},
		{"PostgreSQL: outcome unknown", sqlstore.Postgres, []error{stateError("40003")}, 1, "database error 40003: unavailable", vault.ErrUnavailable},
		{"PostgreSQL: shut down", sqlstore.Postgres, []error{stateError("57P01")}, 1, "database error 57P01: unavailable", vault.ErrUnavailable},
		{"PostgreSQL: denied", sqlstore.Postgres, []error{stateError("42501")}, 1, "access denied, database error 42501: no usable keys", vault.ErrNoKeys},
		{"PostgreSQL: denied, after a deadlock", sqlstore.Postgres, []error{stateError("40P01"), stateError("42501")}, 2, "access denied, database error 42501: no usable keys", vault.ErrNoKeys},
		{"PostgreSQL: unique violation outside of CREATE TABLE", sqlstore.Postgres, []error{stateError("23505")}, 1, "database error 23505: unavailable", vault.ErrUnavailable},
		{"PostgreSQL: a state that is none", sqlstore.Postgres, []error{stateError("secret")}, 1, "database error: unavailable", vault.ErrUnavailable},
		{"PostgreSQL: a state of five bytes that is none", sqlstore.Postgres, []error{stateError("a\nb%s")}, 1, "database error: unavailable", vault.ErrUnavailable},
		{"PostgreSQL: MySQL's number", sqlstore.Postgres, []error{&numberError{1213}}, 1, "database error: unavailable", vault.ErrUnavailable},
		{"MySQL: deadlock, then changed since the snapshot", sqlstore.MySQL, []error{&numberError{1213}, fmt.Errorf("secret: %w", &numberError{1020})}, 3, "", nil},
		{"MySQL: without end", sqlstore.MySQL, always(&numberError{1213}), 12, "database error 1213: unavailable", vault.ErrUnavailable},
		{"MySQL: lock wait timeout, which was a long wait", sqlstore.MySQL, []error{&numberError{1205}}, 1, "database error 1205: unavailable", vault.ErrUnavailable},
		{"MySQL: denied", sqlstore.MySQL, []error{&numberError{1142}}, 1, "access denied, database error 1142: no usable keys", vault.ErrNoKeys},
		{"MySQL: nil pointer", sqlstore.MySQL, []error{(*numberError)(nil)}, 1, "database error: unavailable", vault.ErrUnavailable},
		{"MySQL: a number of another type", sqlstore.MySQL, []error{otherError{Number: "secret"}}, 1, "database error: unavailable", vault.ErrUnavailable},
		{"SQLite: busy, locked", sqlstore.SQLite, []error{codeError(5), codeError(6)}, 3, "", nil},
		{"SQLite: busy, with extended code", sqlstore.SQLite, []error{codeError(5 | 2<<8), fieldError{5 | 1<<8}}, 3, "", nil},
		{"SQLite: busy, from a method with a small result", sqlstore.SQLite, []error{ptr(smallError(5))}, 2, "", nil},
		{"SQLite: without end", sqlstore.SQLite, always(codeError(5)), 12, "database error 5: unavailable", vault.ErrUnavailable},
		{"SQLite: full", sqlstore.SQLite, []error{codeError(13)}, 1, "database error 13: unavailable", vault.ErrUnavailable},
		{"SQLite: read only", sqlstore.SQLite, []error{codeError(8)}, 1, "access denied, database error 8: no usable keys", vault.ErrNoKeys},
		{"SQLite: a code of another type", sqlstore.SQLite, []error{otherError{Code: "secret"}}, 1, "database error: unavailable", vault.ErrUnavailable},
		{"an error that says nothing", sqlstore.SQLite, []error{errors.New("secret")}, 1, "database error: unavailable", vault.ErrUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &faulty{errs: test.errs}
			store, err := sqlstore.New(sql.OpenDB(f), test.dialect, nil)
			require.NoError(t, err)
			_, err = store.Put(t.Context(), vault.Record{Name: "security/keys", Data: []byte("secret"), Revision: 1})
			require.Equal(t, test.asked, f.asked)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, "key store in "+test.dialect.String()+" table onlyfor_keys: "+test.want)
			require.ErrorIs(t, err, test.is)

			f.asked = 0
			_, getErr := store.Get(t.Context(), "security/keys")
			require.EqualError(t, getErr, err.Error())
		})
	}
}

func ptr(e smallError) *smallError { return &e }

// Whoever is given up does not go on trying.
func TestRetryEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	f := &faulty{}
	for range 1000 {
		f.errs = append(f.errs, stateError("40001"))
	}
	f.errs[3] = cancelling{stateError("40001"), cancel}
	store, err := sqlstore.New(sql.OpenDB(f), sqlstore.Postgres, nil)
	require.NoError(t, err)
	_, err = store.Put(ctx, vault.Record{Name: "security/keys", Data: []byte("x")})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, vault.ErrUnavailable)
	require.Equal(t, 4, f.asked)
}

// A cancelling error cancels the context when its state is asked for.
type cancelling struct {
	stateError
	cancel func(error)
}

func (e cancelling) SQLState() string {
	e.cancel(errors.New("secret"))
	return e.stateError.SQLState()
}

// A missing table says how to make one.
func TestMissingTableNamesTheRemedy(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		store := d.noTable(t).store(t)
		_, getErr := store.Get(t.Context(), "security/keys")
		_, putErr := store.Put(t.Context(), vault.Record{Name: "security/keys", Data: []byte("x")})
		for _, err := range []error{getErr, putErr} {
			require.ErrorIs(t, err, vault.ErrUnavailable)
			require.ErrorContains(t, err, "if the table is missing, run CreateTable")
		}
	})
}
