package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/sqlstore"
)

// A liar is a database that answers as it is told, where errors_test.go has those
// that say what is wrong.
type liar struct {
	rows func(ctx context.Context, query string) (driver.Rows, error)
	exec func(ctx context.Context) (driver.Result, error)
}

func (l *liar) Connect(context.Context) (driver.Conn, error) { return l, nil }
func (l *liar) Driver() driver.Driver                        { return nil }
func (l *liar) Prepare(string) (driver.Stmt, error)          { return nil, errors.New("secret") }
func (l *liar) Begin() (driver.Tx, error)                    { return nil, errors.New("secret") }
func (l *liar) Close() error                                 { return nil }
func (l *liar) ExecContext(ctx context.Context, _ string, _ []driver.NamedValue) (driver.Result, error) {
	return l.exec(ctx)
}
func (l *liar) QueryContext(ctx context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	return l.rows(ctx, query)
}

// An answered query has the rows of an answer, and what comes after them.
type answered struct {
	columns int
	rows    [][]driver.Value
	end     func() error
}

func (a *answered) Columns() []string { return make([]string, a.columns) }
func (a *answered) Close() error      { return nil }
func (a *answered) Next(to []driver.Value) error {
	if len(a.rows) == 0 {
		return a.end()
	}
	copy(to, a.rows[0])
	a.rows = a.rows[1:]
	return nil
}

func whole() error { return io.EOF }

func cutOff() error { return errors.New("secret: connection reset in the middle") }

type counted struct {
	driver.Result
	n   int64
	err error
}

func (c counted) RowsAffected() (int64, error) { return c.n, c.err }

// honest answers as a table does that holds one record.
func (l *liar) honest() {
	l.rows = func(_ context.Context, query string) (driver.Rows, error) {
		switch {
		case strings.Contains(query, "UNION"):
			return order(), nil
		case strings.Contains(query, "revision"):
			return &answered{3, [][]driver.Value{{"security/keys", int64(1), []byte("x")}}, whole}, nil
		}
		return &answered{1, [][]driver.Value{{"security/keys"}}, whole}, nil
	}
	l.exec = func(context.Context) (driver.Result, error) { return counted{n: 1}, nil }
}

// order is how the names of a table sort.
func order() driver.Rows {
	a := &answered{1, nil, whole}
	for _, name := range []string{"a-b", "a/a", "a/b-c", "a/b/a", "a0", "a10", "a9", "aa", "aab", "b"} {
		a.rows = append(a.rows, []driver.Value{name})
	}
	return a
}

func get(ctx context.Context, s *sqlstore.Store) error {
	records, err := s.Get(ctx, "security/keys")
	if err != nil && records != nil {
		return errors.New("records in spite of an error")
	}
	return err
}

func put(ctx context.Context, s *sqlstore.Store) error {
	_, err := s.Put(ctx, vault.Record{Name: "security/keys", Data: []byte("secret-data"), Revision: 1})
	return err
}

func list(ctx context.Context, s *sqlstore.Store) error {
	for _, err := range s.List(ctx, "", "") {
		if err != nil {
			return err
		}
	}
	return nil
}

// Whatever a database answers, the store's error is the sentinel for it and repeats
// nothing, no connection is kept, no caller is held up, and the next call works.
func TestFaultyAnswers(t *testing.T) {
	records := func(end func() error, rows ...[]driver.Value) func(context.Context, string) (driver.Rows, error) {
		return func(context.Context, string) (driver.Rows, error) { return &answered{3, rows, end}, nil }
	}
	names := func(end func() error, rows ...[]driver.Value) func(context.Context, string) (driver.Rows, error) {
		return func(_ context.Context, query string) (driver.Rows, error) {
			if strings.Contains(query, "UNION") {
				return order(), nil
			}
			return &answered{1, rows, end}, nil
		}
	}
	exec := func(c counted) func(context.Context) (driver.Result, error) {
		return func(context.Context) (driver.Result, error) { return c, nil }
	}
	good := []driver.Value{"security/keys", int64(1), []byte("x")}
	for name, test := range map[string]struct {
		liar liar
		call func(context.Context, *sqlstore.Store) error
		want error
	}{
		"Get: cut off after a record":     {liar{rows: records(cutOff, good)}, get, vault.ErrUnavailable},
		"Get: cut off before":             {liar{rows: records(cutOff)}, get, vault.ErrUnavailable},
		"Get: a record of another name":   {liar{rows: records(whole, []driver.Value{"advertising/keys", int64(1), []byte("x")})}, get, vault.ErrCorrupt},
		"Get: revision 0":                 {liar{rows: records(whole, []driver.Value{"security/keys", int64(0), []byte("x")})}, get, vault.ErrCorrupt},
		"Get: a revision below 0":         {liar{rows: records(whole, []driver.Value{"security/keys", int64(-1), []byte("x")})}, get, vault.ErrCorrupt},
		"Get: a revision that is none":    {liar{rows: records(whole, []driver.Value{"security/keys", "secret", []byte("x")})}, get, vault.ErrUnavailable},
		"Get: no revision":                {liar{rows: records(whole, []driver.Value{"security/keys", nil, []byte("x")})}, get, vault.ErrUnavailable},
		"Get: no name":                    {liar{rows: records(whole, []driver.Value{nil, int64(1), []byte("x")})}, get, vault.ErrUnavailable},
		"Get: no data":                    {liar{rows: records(whole, []driver.Value{"security/keys", int64(1), nil})}, get, vault.ErrCorrupt},
		"Get: empty data":                 {liar{rows: records(whole, []driver.Value{"security/keys", int64(1), []byte{}})}, get, vault.ErrCorrupt},
		"Get: too much data":              {liar{rows: records(whole, []driver.Value{"security/keys", int64(1), make([]byte, vault.MaxRecord+1)})}, get, vault.ErrCorrupt},
		"Get: columns of another query":   {liar{rows: names(whole, []driver.Value{"security/keys"})}, get, vault.ErrUnavailable},
		"List: cut off after a name":      {liar{rows: names(cutOff, []driver.Value{"security/keys"})}, list, vault.ErrUnavailable},
		"List: a name that is none":       {liar{rows: names(whole, []driver.Value{"../secret"})}, list, nil}, // left out
		"List: no name":                   {liar{rows: names(whole, []driver.Value{nil})}, list, vault.ErrUnavailable},
		"List: in disorder":               {liar{rows: names(whole, []driver.Value{"b"}, []driver.Value{"a"})}, list, vault.ErrNoKeys},
		"List: a name twice":              {liar{rows: names(whole, []driver.Value{"a"}, []driver.Value{"a"})}, list, vault.ErrNoKeys},
		"List: columns of another query":  {liar{rows: records(whole, good)}, list, vault.ErrUnavailable},
		"List: sorted in another way":     {liar{rows: func(context.Context, string) (driver.Rows, error) { return &answered{1, nil, whole}, nil }}, list, vault.ErrNoKeys},
		"Put: changed nothing":            {liar{exec: exec(counted{}), rows: records(whole)}, put, vault.ErrConflict},
		"Put: changed nothing, cut off":   {liar{exec: exec(counted{}), rows: records(cutOff, good)}, put, vault.ErrConflict},
		"Put: the row is still there":     {liar{exec: exec(counted{}), rows: records(whole, good)}, put, vault.ErrNoKeys},
		"Put: does not know what changed": {liar{exec: exec(counted{err: errors.New("secret")})}, put, vault.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			l := test.liar
			db := sql.OpenDB(&l)
			defer db.Close()
			db.SetMaxOpenConns(1) // which a connection that is kept would use up
			store, err := sqlstore.New(db, sqlstore.Postgres, nil)
			require.NoError(t, err)
			for range 3 {
				err := test.call(t.Context(), store)
				if test.want == nil {
					require.NoError(t, err)
					continue
				}
				require.ErrorIs(t, err, test.want)
				require.NotContains(t, err.Error(), "secret")
				require.Zero(t, db.Stats().InUse)
			}
			l.honest()
			require.NoError(t, test.call(t.Context(), store))
		})
	}
}

// A database that hangs is left when the caller's time is up, whether it hangs before
// or in the middle of its answer, and the next call works.
func TestHangingAnswers(t *testing.T) {
	hang := func(ctx context.Context) error {
		<-ctx.Done()
		return errors.New("secret: " + ctx.Err().Error())
	}
	hangs := func(l *liar) {
		l.rows = func(ctx context.Context, _ string) (driver.Rows, error) { return nil, hang(ctx) }
		l.exec = func(ctx context.Context) (driver.Result, error) { return nil, hang(ctx) }
	}
	stalls := func(l *liar) {
		l.rows = func(ctx context.Context, query string) (driver.Rows, error) {
			if strings.Contains(query, "revision") {
				return &answered{3, [][]driver.Value{{"security/keys", int64(1), []byte("x")}}, func() error { return hang(ctx) }}, nil
			}
			return &answered{1, [][]driver.Value{{"a-b"}}, func() error { return hang(ctx) }}, nil
		}
		l.exec = func(ctx context.Context) (driver.Result, error) { return nil, hang(ctx) }
	}
	for name, fault := range map[string]func(*liar){"before": hangs, "in the middle": stalls} {
		for op, call := range map[string]func(context.Context, *sqlstore.Store) error{"Get": get, "Put": put, "List": list} {
			t.Run(op+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := new(liar)
					fault(l)
					db := sql.OpenDB(l)
					defer db.Close()
					db.SetMaxOpenConns(1)
					store, err := sqlstore.New(db, sqlstore.Postgres, nil)
					require.NoError(t, err)
					for range 3 {
						ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
						began := time.Now()
						err := call(ctx, store)
						cancel()
						require.LessOrEqual(t, time.Since(began), 3*time.Second)
						require.ErrorIs(t, err, vault.ErrUnavailable)
						require.ErrorIs(t, err, context.DeadlineExceeded)
						require.NotContains(t, err.Error(), "secret")
						synctest.Wait()
						require.Zero(t, db.Stats().InUse)
					}
					l.honest()
					require.NoError(t, call(t.Context(), store))
				})
			})
		}
	}
}
