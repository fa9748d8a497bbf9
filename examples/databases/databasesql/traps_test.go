package main

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"

	"github.com/onlyfor/onlyfor/examples/databases/internal/testdb"
)

var security = purpose.MustParse("security")

func indexOf(t *testing.T, bytes string) (x pii.Index) {
	t.Helper()
	require.NoError(t, x.Scan([]byte(bytes)))
	return x
}

// The collations that databases start out with take no notice of case or of
// trailing blanks, and so make two people's indexes one.
func TestTextColumnMergesTwoIndexes(t *testing.T) {
	a, b := indexOf(t, "AAAAAAAAAAAAAAAA"), indexOf(t, "aaaaaaaaaaaaaaaa")
	for column, merges := range map[string]bool{
		"varchar(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci": true,
		"varbinary(16)": false,
		"binary(16)":    false,
	} {
		t.Run(column, func(t *testing.T) {
			db := testdb.OpenMySQL(t)
			exec(t, db, "CREATE TABLE merged (email_index "+column+" UNIQUE)")
			exec(t, db, "INSERT INTO merged VALUES (?)", a)
			var found int
			require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM merged WHERE email_index = ?", b).Scan(&found))
			require.Equal(t, merges, found == 1)
			_, err := db.ExecContext(t.Context(), "INSERT INTO merged VALUES (?)", b)
			require.Equal(t, merges, err != nil)
		})
	}
}

// PostgreSQL and SQLite store bytes as they are, or not at all.
func TestIndexInTextColumn(t *testing.T) {
	x := indexOf(t, "\xff\x00AAAAAAAAAAAAAA")
	t.Run("postgres", func(t *testing.T) {
		db := testdb.OpenPostgres(t)
		exec(t, db, "CREATE TABLE typed (email_index text)")
		_, err := db.ExecContext(t.Context(), "INSERT INTO typed VALUES ($1)", x)
		require.Error(t, err)
		// The simple protocol has no types, so bytes arrive as text of their hex.
		exec(t, db, fmt.Sprintf(`INSERT INTO typed VALUES ('\x%x')`, "AAAAAAAAAAAAAAAA"))
		var got pii.Index
		require.ErrorIs(t, db.QueryRowContext(t.Context(), "SELECT email_index FROM typed").Scan(&got), vault.ErrCorrupt)
	})
	t.Run("sqlite", func(t *testing.T) {
		db := testdb.OpenSQLite(t)
		exec(t, db, "CREATE TABLE typed (email_index text)")
		exec(t, db, "INSERT INTO typed VALUES (?)", x)
		var got pii.Index
		require.NoError(t, db.QueryRowContext(t.Context(), "SELECT email_index FROM typed").Scan(&got))
		require.True(t, got.Equal(x))
		exec(t, db, "CREATE TABLE strict (email_index text) STRICT")
		_, err := db.ExecContext(t.Context(), "INSERT INTO strict VALUES (?)", x)
		require.Error(t, err)
	})
}

// MariaDB and MySQL quote the entry: bytes of an index, in an error that will be
// logged. Ask for the number, and log your own words.
func TestDuplicateEntryQuotesTheIndex(t *testing.T) {
	db := testdb.OpenMySQL(t)
	db.CreateUsers(t)
	x := indexOf(t, "AAAAAAAAAAAAAAAA")
	exec(t, db, "INSERT INTO users (id, email_index) VALUES (1, ?)", x)
	_, err := db.ExecContext(t.Context(), "INSERT INTO users (id, email_index) VALUES (2, ?)", x)
	require.ErrorContains(t, err, "AAAAAAAAAAAAAAAA")

	const duplicateEntry = 1062
	var known *mysql.MySQLError
	require.True(t, errors.As(err, &known) && known.Number == duplicateEntry)
}

// The server's own log has what it was sent: seals and indexes.
func TestGeneralLog(t *testing.T) {
	db := testdb.OpenMySQL(t)
	db.CreateUsers(t)
	var on, output string
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT @@GLOBAL.general_log, @@GLOBAL.log_output").Scan(&on, &output))
	if _, err := db.ExecContext(t.Context(), "SET GLOBAL log_output = 'TABLE'"); err != nil {
		t.Skip("this user may not turn on the server's general log")
	}
	defer exec(t, db, fmt.Sprintf("SET GLOBAL log_output = '%s'", output))
	exec(t, db, "SET GLOBAL general_log = 1")
	defer exec(t, db, "SET GLOBAL general_log = "+on)

	kit := piitest.New(t, security)
	scope := kit.Scope(security)
	email, err := pii.SealEmail(t.Context(), "Quokka@example.com", scope)
	require.NoError(t, err)
	index, err := pii.IndexEmail(t.Context(), "Quokka@example.com", scope)
	require.NoError(t, err)
	exec(t, db, "INSERT INTO users (id, email, email_index) VALUES (1, ?, ?)", email, index)
	var found pii.Email
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT email FROM users WHERE email_index = ?", index).Scan(&found))

	var log strings.Builder
	rows, err := db.QueryContext(t.Context(), `SELECT argument FROM mysql.general_log
		WHERE thread_id IN (SELECT id FROM information_schema.processlist WHERE db = DATABASE())`)
	require.NoError(t, err)
	for rows.Next() {
		var line sql.RawBytes
		require.NoError(t, rows.Scan(&line))
		log.Write(line)
	}
	require.NoError(t, rows.Err())
	require.Contains(t, log.String(), "pii1.email.security.")
	require.NotContains(t, strings.ToLower(log.String()), "quokka@")
}

// lib/pq has arrays of its own. pq.Array writes an index as text, which is no array of bytea,
// and the server refuses it. pq.ByteaArray takes the bytes of indexes.
func TestArraysOfLibPQ(t *testing.T) {
	testdb.OpenPostgres(t) // or skip
	db, err := sql.Open("postgres", os.Getenv("ONLYFOR_POSTGRES"))
	require.NoError(t, err)
	defer db.Close()
	a, b := indexOf(t, "\xff\x00AAAAAAAAAAAAAA"), indexOf(t, "BBBBBBBBBBBBBBBB")
	const query = "SELECT $1 = ANY($2::bytea[])"
	var found bool
	err = db.QueryRowContext(t.Context(), query, a, pq.Array([]pii.Index{a, b})).Scan(&found)
	require.ErrorContains(t, err, "invalid byte sequence", "which names one byte of the index")

	indexes, err := bytesOf([]pii.Index{a, b})
	require.NoError(t, err)
	require.NoError(t, db.QueryRowContext(t.Context(), query, a, indexes).Scan(&found))
	require.True(t, found)
	require.NoError(t, db.QueryRowContext(t.Context(), query, indexOf(t, "CCCCCCCCCCCCCCCC"), indexes).Scan(&found))
	require.False(t, found)
	poisoned, err := pii.IndexEmail(t.Context(), "", nil)
	require.Error(t, err)
	_, err = bytesOf([]pii.Index{a, poisoned})
	require.ErrorIs(t, err, pii.ErrPoisoned)

	// Sealed values are text, of which pq.Array makes an array.
	kit := piitest.New(t, security)
	email := kit.Email(kit.Scope(security))
	var back []pii.Email
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT $1::text[]", pq.Array([]pii.Email{email})).Scan(pq.Array(&back)))
	require.Equal(t, []pii.Email{email}, back)
}

// bytesOf returns indexes as lib/pq writes them into an array of bytea.
func bytesOf(indexes []pii.Index) (pq.ByteaArray, error) {
	array := make(pq.ByteaArray, len(indexes))
	for i, x := range indexes {
		v, err := x.Value()
		if err != nil {
			return nil, err
		}
		array[i], _ = v.([]byte) // nil, which is NULL, for the zero index
	}
	return array, nil
}

func exec(t *testing.T, db *testdb.DB, query string, args ...any) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), query, args...)
	require.NoError(t, err)
}
