package sqlstore_test

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/sqlstore"
)

// What is waited for comes sooner; a test that hangs ends at last.
const (
	deadline = time.Minute
	tick     = 10 * time.Millisecond
)

// A network is a way to a server that can be cut.
type network struct {
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func (n *network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut {
		return nil, errors.New("secret-of-the-driver: no route to host")
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		n.conns = append(n.conns, conn)
	}
	return conn, err
}

func (n *network) set(cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = cut
	if cut {
		for _, conn := range n.conns {
			conn.Close()
		}
		n.conns = nil
	}
}

// through returns a pool that connects through n.
func (tab *table) through(t *testing.T, n *network) *sql.DB {
	t.Helper()
	var db *sql.DB
	switch tab.dialect {
	case sqlstore.Postgres:
		config, err := pgx.ParseConfig(tab.from)
		require.NoError(t, err)
		config.DialFunc = n.dial
		db = stdlib.OpenDB(*config)
	case sqlstore.MySQL:
		config, err := mysql.ParseDSN(tab.from)
		require.NoError(t, err)
		config.DialFunc = n.dial
		config.Logger = &mysql.NopLogger{}
		connector, err := mysql.NewConnector(config)
		require.NoError(t, err)
		db = sql.OpenDB(connector)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// unavailable requires that all methods fail in the way that a caller may retry.
func unavailable(t *testing.T, store vault.Store) {
	t.Helper()
	_, getErr := store.Get(t.Context(), "security/keys")
	_, createErr := store.Put(t.Context(), vault.Record{Name: "security/new", Data: []byte("secret-of-the-record")})
	_, putErr := store.Put(t.Context(), vault.Record{Name: "security/keys", Data: []byte("secret-of-the-record"), Revision: 1})
	errs := []error{getErr, createErr, putErr}
	for _, err := range store.List(t.Context(), "", "") {
		errs = append(errs, err)
	}
	require.Len(t, errs, 4)
	for _, err := range errs {
		require.ErrorIs(t, err, vault.ErrUnavailable)
		require.NotContains(t, err.Error(), "secret")
	}
}

// SQLite has no network; see TestSQLiteFile.
func TestServerGoesAway(t *testing.T) {
	onEachServer(t, func(t *testing.T, d database) {
		tab := d.table(t)
		n := new(network)
		store := tab.over(t, tab.through(t, n))

		// Writers are in the middle of their work.
		var wg sync.WaitGroup
		started, errs := make(chan struct{}, 4), make([]error, 4)
		for i := range errs {
			wg.Go(func() {
				name := "security/" + string('a'+byte(i))
				for first := true; errs[i] == nil; first = false {
					if errs[i] = increment(t.Context(), store, name); first {
						started <- struct{}{}
					}
				}
			})
		}
		for range errs {
			<-started
		}
		n.set(true)
		wg.Wait()
		for _, err := range errs {
			require.ErrorIs(t, err, vault.ErrUnavailable)
			require.NotContains(t, err.Error(), "secret")
		}
		unavailable(t, store)

		n.set(false)
		require.NoError(t, increment(t.Context(), store, "security/a"), "the same store after the database is back")
	})
}

func TestClosedPool(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		tab := d.table(t)
		db := tab.open(t)
		store := tab.over(t, db)
		require.NoError(t, db.Close())
		unavailable(t, store)
	})
}

func TestSQLiteFile(t *testing.T) {
	open := func(t *testing.T, options string) (store *sqlstore.Store, db *sql.DB, path string) {
		path = filepath.Join(t.TempDir(), "keys.db")
		db, err := sql.Open("sqlite", "file:"+path+options)
		require.NoError(t, err)
		t.Cleanup(func() { db.Close() })
		store, err = sqlstore.New(db, sqlstore.SQLite, nil)
		require.NoError(t, err)
		require.NoError(t, store.CreateTable(t.Context()))
		_, err = store.Put(t.Context(), vault.Record{Name: "security/keys", Data: []byte("x")})
		require.NoError(t, err)
		return store, db, path
	}
	t.Run("locked by another", func(t *testing.T) {
		store, _, path := open(t, "")
		other, err := sql.Open("sqlite", "file:"+path)
		require.NoError(t, err)
		defer other.Close()
		conn, err := other.Conn(t.Context())
		require.NoError(t, err)
		_, err = conn.ExecContext(t.Context(), "BEGIN EXCLUSIVE")
		require.NoError(t, err)
		unavailable(t, store)
		_, err = conn.ExecContext(t.Context(), "ROLLBACK")
		require.NoError(t, err)
		require.NoError(t, increment(t.Context(), store, "security/count"))
	})
	t.Run("locked for a moment", func(t *testing.T) {
		// No busy_timeout, so that it is this package that tries again.
		_, db, path := open(t, "")
		other, err := sql.Open("sqlite", "file:"+path)
		require.NoError(t, err)
		defer other.Close()
		conn, err := other.Conn(t.Context())
		require.NoError(t, err)
		defer conn.Close()
		found := 0
		watched := sql.OpenDB(watchedSQLite{db.Driver(), "file:" + path, func() {
			found++
			_, err := conn.ExecContext(t.Context(), "COMMIT")
			assert.NoError(t, err)
		}})
		defer watched.Close()
		store, err := sqlstore.New(watched, sqlstore.SQLite, nil)
		require.NoError(t, err)
		for n, use := range []func() error{
			func() error {
				_, err := store.Put(t.Context(), vault.Record{Name: "security/count", Data: []byte("x")})
				return err
			},
			func() error { _, err := store.Get(t.Context(), "security/count"); return err },
			func() error { return list(t.Context(), store) },
		} {
			_, err = conn.ExecContext(t.Context(), "BEGIN EXCLUSIVE")
			require.NoError(t, err)
			require.NoError(t, use())
			require.Equal(t, n+1, found, "how often it found the file locked")
		}
	})
	t.Run("overwritten", func(t *testing.T) {
		store, db, path := open(t, "")
		db.SetMaxIdleConns(0) // no connection that remembers the file
		require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte("secret-of-the-file"), 1000), 0o600))
		unavailable(t, store)
	})
	t.Run("full", func(t *testing.T) {
		store, db, _ := open(t, "")
		db.SetMaxOpenConns(1) // the limit is the connection's
		_, err := db.Exec("PRAGMA max_page_count = 1")
		require.NoError(t, err)
		large := vault.Record{Name: "security/new", Data: bytes.Repeat([]byte("secret-of-the-record"), 10_000)}
		_, err = store.Put(t.Context(), large)
		require.ErrorIs(t, err, vault.ErrUnavailable)
		require.NotContains(t, err.Error(), "secret")
		records, err := store.Get(t.Context(), "security/keys", "security/new")
		require.NoError(t, err)
		require.Len(t, records, 1, "what was there is there, and nothing by halves")
		_, err = db.Exec("PRAGMA max_page_count = 1000000")
		require.NoError(t, err)
		_, err = store.Put(t.Context(), large)
		require.NoError(t, err, "the same store once there is room")
	})
	t.Run("read only", func(t *testing.T) {
		_, _, path := open(t, "")
		db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
		require.NoError(t, err)
		defer db.Close()
		store, err := sqlstore.New(db, sqlstore.SQLite, nil)
		require.NoError(t, err)
		records, err := store.Get(t.Context(), "security/keys")
		require.NoError(t, err)
		require.Len(t, records, 1)
		_, err = store.Put(t.Context(), vault.Record{Name: "security/new", Data: []byte("x")})
		require.ErrorIs(t, err, vault.ErrNoKeys)
	})
}

// A watchedSQLite tells of each statement that fails.
type watchedSQLite struct {
	driver driver.Driver
	from   string
	failed func()
}

func (w watchedSQLite) Driver() driver.Driver { return w.driver }

func (w watchedSQLite) Connect(context.Context) (driver.Conn, error) {
	conn, err := w.driver.Open(w.from)
	return watchedConn{conn, w.failed}, err
}

type watchedConn struct {
	driver.Conn
	failed func()
}

func (c watchedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
	if err != nil {
		c.failed()
	}
	return result, err
}

func (c watchedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
	if err != nil {
		c.failed()
	}
	return rows, err
}
