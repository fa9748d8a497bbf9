package dbtest_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A recording has the statements that a pool of connections has sent.
type recording struct {
	begin   func()              // before each transaction, or nil
	rewrite func(string) string // returns the statement that is sent in place of another one, or nil

	mu  sync.Mutex
	all []string
}

// about counts the statements about a table.
func (r *recording) about(table string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.all {
		if strings.Contains(s, table) && !strings.Contains(s, table+"_") {
			n++
		}
	}
	return n
}

// recorded returns a pool of connections that records queries.
func (u *users) recorded(t *testing.T) (*sql.DB, *recording) {
	t.Helper()
	var connector driver.Connector = sourceOf{u.db.Driver(), u.from}
	if d, ok := u.db.Driver().(driver.DriverContext); ok {
		var err error
		connector, err = d.OpenConnector(u.from)
		require.NoError(t, err)
	}
	r := new(recording)
	db := sql.OpenDB(recordingConnector{connector, r})
	t.Cleanup(func() { db.Close() })
	return db, r
}

type recordingConnector struct {
	driver.Connector
	r *recording
}

func (c recordingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	return recordingConn{conn, c.r}, err
}

type recordingConn struct {
	driver.Conn
	r *recording
}

func (c recordingConn) add(query string) {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.all = append(c.r.all, query)
}

// sent returns the statement that is sent for a query.
func (c recordingConn) sent(query string) string {
	if c.r.rewrite != nil {
		return c.r.rewrite(query)
	}
	return query
}

func (c recordingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	query = c.sent(query)
	rows, err := c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
	if err != driver.ErrSkip {
		c.add(query)
	}
	return rows, err
}

func (c recordingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	query = c.sent(query)
	c.add(query)
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
}

func (c recordingConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if c.r.begin != nil {
		c.r.begin()
	}
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
}

func (c recordingConn) CheckNamedValue(v *driver.NamedValue) error { return check(c.Conn, v) }
