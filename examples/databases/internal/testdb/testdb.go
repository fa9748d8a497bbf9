// Package testdb gives each test an empty database of its own on every available
// server, and keeps the logs of the libraries that use it.
package testdb

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jackc/pgx/v5/tracelog"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/examples/databases/internal/schema"
)

// A Dialect is the SQL of one of the databases.
type Dialect string

// The dialects. MySQL is MariaDB too.
const (
	Postgres Dialect = "postgres"
	MySQL    Dialect = "mysql"
	SQLite   Dialect = "sqlite"
)

// A DB is an empty database that is removed when its test ends.
type DB struct {
	*sql.DB
	Dialect Dialect
	// Log is for the debug log of the library under test.
	Log *Log
	// Trace keeps the statements that pgx sends to PostgreSQL.
	Trace *Log
	// Config connects with pgx itself. It is nil on other databases.
	Config *pgx.ConnConfig
	// File is the file of SQLite, empty on other databases.
	File string
}

// Each runs a test on SQLite, on PostgreSQL and on MySQL or MariaDB. It skips the
// servers unless ONLYFOR_POSTGRES and ONLYFOR_MYSQL have their addresses.
//
// The test's package imports the driver of SQLite, because there are two drivers that
// can't be linked together.
func Each(t *testing.T, test func(*testing.T, *DB)) {
	t.Helper()
	t.Run(string(SQLite), func(t *testing.T) { test(t, OpenSQLite(t)) })
	t.Run(string(Postgres), func(t *testing.T) { test(t, OpenPostgres(t)) })
	t.Run(string(MySQL), func(t *testing.T) { test(t, OpenMySQL(t)) })
}

// OpenSQLite opens a new file.
func OpenSQLite(t testing.TB) *DB {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users.db")
	db, err := sql.Open("sqlite", file+"?_pragma=foreign_keys(1)") // ent requires it
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return &DB{DB: db, Dialect: SQLite, Log: &Log{}, Trace: &Log{}, File: file}
}

// OpenPostgres makes a schema in the database that ONLYFOR_POSTGRES names.
func OpenPostgres(t testing.TB) *DB {
	t.Helper()
	config, err := pgx.ParseConfig(variable(t, "ONLYFOR_POSTGRES"))
	require.NoError(t, err)
	name := freshName()
	admin := stdlib.OpenDB(*config)
	exec(t, admin, "CREATE SCHEMA "+name)
	t.Cleanup(func() {
		exec(t, admin, "DROP SCHEMA "+name+" CASCADE")
		require.NoError(t, admin.Close())
	})
	trace := &Log{}
	config.RuntimeParams["search_path"] = name
	config.Tracer = &tracelog.TraceLog{LogLevel: tracelog.LogLevelTrace, Logger: trace}
	db := stdlib.OpenDB(*config)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return &DB{DB: db, Dialect: Postgres, Log: &Log{}, Trace: trace, Config: config}
}

// OpenMySQL makes a database on the server that ONLYFOR_MYSQL names. The user in it
// needs the right to do so.
func OpenMySQL(t testing.TB, options ...func(*mysql.Config)) *DB {
	t.Helper()
	config, err := mysql.ParseDSN(variable(t, "ONLYFOR_MYSQL"))
	require.NoError(t, err)
	for _, option := range options {
		option(config)
	}
	name := freshName()
	admin := openMySQL(t, config)
	exec(t, admin, "CREATE DATABASE "+name)
	t.Cleanup(func() { exec(t, admin, "DROP DATABASE "+name) })
	own := config.Clone()
	own.DBName = name
	return &DB{DB: openMySQL(t, own), Dialect: MySQL, Log: &Log{}, Trace: &Log{}}
}

func openMySQL(t testing.TB, config *mysql.Config) *sql.DB {
	t.Helper()
	connector, err := mysql.NewConnector(config)
	require.NoError(t, err)
	db := sql.OpenDB(connector)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func variable(t testing.TB, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Skipf("%s is not set to the data source name of a database", name)
	}
	return value
}

func freshName() string { return "onlyfor_" + strings.ToLower(rand.Text()) }

// exec does not use the test's context, which is done when cleanups run.
func exec(t testing.TB, db *sql.DB, query string) {
	t.Helper()
	_, err := db.ExecContext(context.Background(), query)
	require.NoError(t, err)
}

// CreateUsers makes the table of package schema.
func (db *DB) CreateUsers(t testing.TB) {
	t.Helper()
	exec(t, db.DB, map[Dialect]string{
		Postgres: schema.Postgres, MySQL: schema.MySQL, SQLite: schema.SQLite,
	}[db.Dialect])
}

// DropChecks lets any text into the table of users, as in tables from before sealed
// columns.
func (db *DB) DropChecks(t testing.TB) {
	t.Helper()
	switch db.Dialect {
	case SQLite:
		db.SetMaxOpenConns(1) // the setting is for one connection
		exec(t, db.DB, "PRAGMA ignore_check_constraints = 1")
	case MySQL:
		db.SetMaxOpenConns(1)
		exec(t, db.DB, "SET SESSION check_constraint_checks = 0")
	case Postgres:
		rows, err := db.QueryContext(t.Context(), "SELECT conname FROM pg_constraint WHERE contype = 'c' AND conrelid = 'users'::regclass")
		require.NoError(t, err)
		var names []string
		for rows.Next() {
			var name string
			require.NoError(t, rows.Scan(&name))
			names = append(names, name)
		}
		require.NoError(t, rows.Err())
		for _, name := range names {
			exec(t, db.DB, "ALTER TABLE users DROP CONSTRAINT "+name)
		}
	}
}

// Dump returns the whole table of users, and SQLite's file with it.
func (db *DB) Dump(t testing.TB) string {
	t.Helper()
	var all bytes.Buffer
	rows, err := db.QueryContext(t.Context(), "SELECT * FROM users")
	require.NoError(t, err)
	columns, err := rows.Columns()
	require.NoError(t, err)
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(sql.RawBytes)
		}
		require.NoError(t, rows.Scan(values...))
		for _, v := range values {
			all.Write(*v.(*sql.RawBytes))
			all.WriteByte('\n')
		}
	}
	require.NoError(t, rows.Err())
	if db.File != "" {
		file, err := os.ReadFile(db.File)
		require.NoError(t, err)
		all.Write(file)
	}
	return all.String()
}

// A Log keeps the output of loggers.
type Log struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements [io.Writer].
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// Log implements pgx's tracelog.Logger.
func (l *Log) Log(_ context.Context, level tracelog.LogLevel, msg string, data map[string]any) {
	fmt.Fprintln(l, level, msg, data)
}

// String returns all output.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
