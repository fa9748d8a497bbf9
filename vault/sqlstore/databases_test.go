package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/onlyfor/onlyfor/vault/sqlstore"
)

// A database is one that the tests run on. Tests on SQLite make a file; tests
// on others use tables of their own in the database that a variable names.
type database struct {
	dialect  sqlstore.Dialect
	driver   string
	variable string // of the environment, with the driver's data source name, a URL
	options  string // to add to that
}

var databases = []database{
	{sqlstore.SQLite, "sqlite", "", "_pragma=journal_mode(WAL)"},
	{sqlstore.Postgres, "pgx", "ONLYFOR_POSTGRES", ""},
	{sqlstore.MySQL, "mysql", "ONLYFOR_MYSQL", ""},
}

func onEachDatabase(t *testing.T, test func(t *testing.T, d database)) { on(t, databases, test) }

func onEachServer(t *testing.T, test func(t *testing.T, d database)) { on(t, databases[1:], test) }

func on(t *testing.T, databases []database, test func(t *testing.T, d database)) {
	for _, d := range databases {
		t.Run(d.dialect.String(), func(t *testing.T) {
			d.source(t) // skips before the test begins
			test(t, d)
		})
	}
}

// source returns a data source name, of a new file for SQLite.
func (d database) source(t testing.TB) string {
	t.Helper()
	if d.variable == "" {
		return "file:" + filepath.Join(t.TempDir(), "keys.db") + "?_pragma=busy_timeout(10000)&" + d.options
	}
	source := os.Getenv(d.variable)
	if source == "" {
		t.Skipf("%s is not set to the data source name of a database for %s", d.variable, d.driver)
	}
	switch {
	case d.options == "":
		return source
	case strings.Contains(source, "?"):
		return source + "&" + d.options
	}
	return source + "?" + d.options
}

// A table is a table that one test uses.
type table struct {
	database
	from string // the data source name
	name string
	db   *sql.DB
}

// table makes an empty table that goes with the test.
func (d database) table(t testing.TB) *table {
	t.Helper()
	tab := d.noTable(t)
	require.NoError(t, tab.store(t).CreateTable(context.Background()))
	return tab
}

// noTable returns a table that is not there yet.
func (d database) noTable(t testing.TB) *table {
	t.Helper()
	tab := &table{database: d, from: d.source(t), name: fmt.Sprintf("onlyfor_test_%016x", rand.Uint64())}
	tab.db = tab.open(t)
	t.Cleanup(func() { tab.db.Exec("DROP TABLE IF EXISTS " + tab.name) })
	return tab
}

// open returns a pool of connections of its own.
func (tab *table) open(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open(tab.driver, tab.from)
	require.NoError(t, err)
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	t.Cleanup(func() { db.Close() })
	return db
}

func (tab *table) store(t testing.TB) *sqlstore.Store {
	t.Helper()
	return tab.over(t, tab.db)
}

func (tab *table) over(t testing.TB, db *sql.DB) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.New(db, tab.dialect, &sqlstore.Options{Table: tab.name})
	require.NoError(t, err)
	return s
}

func (tab *table) exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	_, err := tab.db.Exec(fmt.Sprintf(statement, tab.name), args...)
	require.NoError(t, err)
}

// hex returns a literal of binary data.
func (tab *table) hex(data string) string {
	if tab.dialect == sqlstore.Postgres {
		return fmt.Sprintf(`'\x%x'`, data)
	}
	return fmt.Sprintf("x'%x'", data)
}
