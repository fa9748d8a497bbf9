package dbtest_test

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

	"github.com/onlyfor/onlyfor/pii/migrate"
)

// A database is one that the tests run on. Tests on SQLite make a file; tests
// on others use tables of their own in the database that a variable names.
type database struct {
	dialect  migrate.Dialect
	driver   string
	variable string // of the environment, with the driver's data source name
	key      string // type of a column
	text     string
	bytes    string
}

var databases = []database{
	{migrate.SQLite, "sqlite", "", "INTEGER PRIMARY KEY", "TEXT", "BLOB"},
	{migrate.Postgres, "pgx", "ONLYFOR_POSTGRES", "BIGINT PRIMARY KEY", "TEXT", "BYTEA"},
	{migrate.MySQL, "mysql", "ONLYFOR_MYSQL", "BIGINT PRIMARY KEY", "TEXT", "VARBINARY(16)"},
}

func onEachDatabase(t *testing.T, test func(t *testing.T, d database)) {
	for _, d := range databases {
		t.Run(d.dialect.String(), func(t *testing.T) {
			d.source(t) // skips before the test begins
			test(t, d)
		})
	}
}

// source returns a data source name, of a new file for SQLite. SQLite has no queue of
// writers, so one of many writers can wait for a long time on a busy machine.
func (d database) source(t testing.TB) string {
	t.Helper()
	if d.variable == "" {
		return "file:" + filepath.Join(t.TempDir(), "users.db") + "?_pragma=busy_timeout(60000)&_pragma=journal_mode(WAL)"
	}
	source := os.Getenv(d.variable)
	if source == "" {
		t.Skipf("%s is not set to the data source name of a database for %s", d.variable, d.driver)
	}
	return source
}

// users is a table that one test uses.
type users struct {
	database
	from string // the data source name
	name string
	db   *sql.DB
}

// schema has the columns of a table of users: @key, @text and @bytes are types.
const schema = `id @key, source @text, email @text, email_sealed @text, email_index @bytes, email_ads @bytes,
	phone @text, phone_sealed @text, phone_index @bytes`

// table makes a table that goes with the test.
func (d database) table(t testing.TB, schema string) *users {
	t.Helper()
	u := &users{database: d, from: d.source(t), name: freshName()}
	u.db = u.open(t)
	t.Cleanup(func() { u.db.Exec("DROP TABLE IF EXISTS " + u.name) })
	u.exec(t, "CREATE TABLE @table ("+strings.NewReplacer("@key", d.key, "@text", d.text, "@bytes", d.bytes).Replace(schema)+")")
	return u
}

// freshName returns a name that no other table has. It is in errors and reports,
// which are searched for parts of numbers and names, so it is of neither digits
// nor vowels.
func freshName() string {
	name := []byte("onlyfor_users_")
	for range 20 {
		const letters = "bdfghjkmqvwxyz"
		name = append(name, letters[rand.IntN(len(letters))])
	}
	return string(name)
}

// open returns a pool of connections of its own.
func (u *users) open(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open(u.driver, u.from)
	require.NoError(t, err)
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	t.Cleanup(func() { db.Close() })
	return db
}

// query puts the table's name and the dialect's parameters into a statement.
func (u *users) query(statement string) string {
	statement = strings.ReplaceAll(statement, "@table", u.name)
	for i := 1; u.dialect == migrate.Postgres && strings.Contains(statement, "?"); i++ {
		statement = strings.Replace(statement, "?", fmt.Sprintf("$%d", i), 1)
	}
	return statement
}

// exec runs a statement. SQLite checks the columns of ALTER TABLE against the schema
// that the connection has in memory, which another connection's ALTER makes old;
// a query makes it new.
func (u *users) exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	ctx := context.Background()
	conn, err := u.db.Conn(ctx)
	require.NoError(t, err)
	defer conn.Close()
	if u.dialect == migrate.SQLite {
		var n int
		require.NoError(t, conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_master").Scan(&n))
	}
	_, err = conn.ExecContext(ctx, u.query(statement), args...)
	require.NoError(t, err)
}

// count returns how many rows there are under a condition.
func (u *users) count(t testing.TB, condition string, args ...any) (n int64) {
	t.Helper()
	require.NoError(t, u.db.QueryRow(u.query("SELECT COUNT(*) FROM @table WHERE "+condition), args...).Scan(&n))
	return n
}

// dump returns all that is in the table, row by row.
func (u *users) dump(t testing.TB) []string {
	t.Helper()
	rows, err := u.db.Query(u.query("SELECT * FROM @table ORDER BY id"))
	require.NoError(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(t, err)
	var all []string
	for rows.Next() {
		cells := make([]sql.RawBytes, len(columns))
		targets := make([]any, len(columns))
		for i := range cells {
			targets[i] = &cells[i]
		}
		require.NoError(t, rows.Scan(targets...))
		all = append(all, fmt.Sprintf("%q", cells))
	}
	require.NoError(t, rows.Err())
	return all
}
