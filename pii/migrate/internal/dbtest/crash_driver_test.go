package dbtest_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io"
	"os"
	"sync/atomic"
)

// A crashing driver is a real one in a process that dies at the nth thing that
// it asks the database for: before it asks, or when it has the answer and nobody
// has been told. Or its connection breaks, and the answer is lost.
type crashing struct {
	driver.Connector
	nth        int64 // 0 for never
	late, lost bool
	calls      *atomic.Int64
}

// openCrashing is sql.Open with that driver. How is "early", "late" or "lost".
func openCrashing(name, source string, nth int, how string) (db *sql.DB, calls *atomic.Int64, err error) {
	plain, err := sql.Open(name, source)
	if err != nil {
		return nil, nil, err
	}
	defer plain.Close()
	var connector driver.Connector = sourceOf{plain.Driver(), source}
	if d, ok := plain.Driver().(driver.DriverContext); ok {
		if connector, err = d.OpenConnector(source); err != nil {
			return nil, nil, err
		}
	}
	c := &crashing{connector, int64(nth), how == "late", how == "lost", new(atomic.Int64)}
	return sql.OpenDB(c), c.calls, nil
}

type sourceOf struct {
	d      driver.Driver
	source string
}

func (s sourceOf) Connect(context.Context) (driver.Conn, error) { return s.d.Open(s.source) }
func (s sourceOf) Driver() driver.Driver                        { return s.d }

// point makes one call, and dies there if its time has come.
func point[T any](c crashingConn, do func() (T, error)) (T, error) {
	now := c.c.calls.Add(1) == c.c.nth
	if now && !c.c.late && !c.c.lost {
		die()
	}
	got, err := do()
	if now && c.c.lost {
		if rows, ok := any(got).(driver.Rows); ok && err == nil {
			rows.Close()
		}
		c.broken.Store(true)
		c.Conn.Close()
		var none T
		return none, io.ErrUnexpectedEOF
	}
	if now {
		die()
	}
	return got, err
}

// die is kill -9: nothing is closed, and no transaction ended.
func die() {
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		self.Kill()
	}
	select {}
}

func (c *crashing) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	return crashingConn{conn, c, new(atomic.Bool)}, err
}

type crashingConn struct {
	driver.Conn
	c      *crashing
	broken *atomic.Bool
}

// IsValid keeps a broken connection out of the pool.
func (c crashingConn) IsValid() bool { return !c.broken.Load() }

func (c crashingConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	return point(c, func() (driver.Tx, error) {
		tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
		return crashingTx{tx, c}, err
	})
}

func (c crashingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	return point(c, func() (driver.Stmt, error) {
		s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
		return crashingStmt{s, c}, err
	})
}

func (c crashingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return point(c, func() (driver.Rows, error) {
		return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
	})
}

// CheckNamedValue leaves to the driver what it takes.
func (c crashingConn) CheckNamedValue(v *driver.NamedValue) error { return check(c.Conn, v) }

type crashingStmt struct {
	driver.Stmt
	c crashingConn
}

func (s crashingStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return point(s.c, func() (driver.Result, error) { return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args) })
}

func (s crashingStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return point(s.c, func() (driver.Rows, error) { return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args) })
}

func (s crashingStmt) CheckNamedValue(v *driver.NamedValue) error { return check(s.Stmt, v) }

func check(of any, v *driver.NamedValue) error {
	if checker, ok := of.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type crashingTx struct {
	driver.Tx
	c crashingConn
}

func (t crashingTx) Commit() error {
	_, err := point(t.c, func() (struct{}, error) { return struct{}{}, t.Tx.Commit() })
	return err
}
