package main

import (
	"encoding/hex"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"

	"github.com/onlyfor/onlyfor/examples/databases/internal/testdb"
)

var security = purpose.MustParse("security")

func sealed(t *testing.T) pii.Email {
	t.Helper()
	kit := piitest.New(t, security)
	return kit.Email(kit.Scope(security))
}

// PostgreSQL's details name the row that failed. Error leaves them out; whoever
// logs Detail logs an index, or the plaintext that a CHECK has just refused.
func TestDetailOfAnError(t *testing.T) {
	db := testdb.OpenPostgres(t)
	db.CreateUsers(t)
	conn := connect(t, db, pgx.QueryExecModeCacheStatement)
	x := indexOf(t, "AAAAAAAAAAAAAAAA")
	_, err := conn.Exec(t.Context(), insert, 1, sealed(t), x, nil, nil)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), insert, 2, sealed(t), x, nil, nil)
	var known *pgconn.PgError
	require.True(t, errors.As(err, &known))
	require.Contains(t, known.Detail, hex.EncodeToString([]byte("AAAAAAAAAAAAAAAA")))
	require.NotContains(t, err.Error(), "4141")

	_, err = conn.Exec(t.Context(), insert, 2, "quokka@example.com", x, nil, nil)
	require.True(t, errors.As(err, &known))
	require.Contains(t, known.Detail, "quokka")
	require.NotContains(t, err.Error(), "quokka")
}

// Through database/sql, too, pgx traces labels.
func TestTraceThroughDatabaseSQL(t *testing.T) {
	db := testdb.OpenPostgres(t)
	db.CreateUsers(t)
	_, err := db.ExecContext(t.Context(), "SELECT FROM users WHERE email_index = $1", indexOf(t, "AAAAAAAAAAAAAAAA"))
	require.NoError(t, err)
	require.Contains(t, db.Trace.String(), "args:[pii.Index]")
	require.NotContains(t, db.Trace.String(), hex.EncodeToString([]byte("AAAAAAAAAAAAAAAA")))
}

// Where the server is not asked for types, pgx has to be told that a slice of
// indexes is an array. Until then it refuses, and closes nothing.
func TestArraysHaveToBeRegistered(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			config := testdb.OpenPostgres(t).Config
			config.DefaultQueryExecMode = mode
			conn, err := pgx.ConnectConfig(t.Context(), config)
			require.NoError(t, err)
			defer conn.Close(t.Context())
			asked := mode != pgx.QueryExecModeExec && mode != pgx.QueryExecModeSimpleProtocol
			email := sealed(t)
			for query, slice := range map[string]any{
				"SELECT 'x'::bytea = ANY($1::bytea[])": []pii.Index{indexOf(t, "AAAAAAAAAAAAAAAA")},
				"SELECT 'x'::bytea = ANY($1)":          []pii.Index{indexOf(t, "AAAAAAAAAAAAAAAA")},
				"SELECT 'x' = ANY($1::text[])":         []pii.Email{email},
			} {
				var found bool
				err = conn.QueryRow(t.Context(), query, slice).Scan(&found)
				require.Equal(t, asked, err == nil, query)
			}
			registerArrays(conn.TypeMap())
			for query, slice := range map[string]any{
				"SELECT 'AAAAAAAAAAAAAAAA'::bytea = ANY($1::bytea[])": []pii.Index{indexOf(t, "AAAAAAAAAAAAAAAA")},
				"SELECT 'AAAAAAAAAAAAAAAA'::bytea = ANY($1)":          []pii.Index{indexOf(t, "AAAAAAAAAAAAAAAA")},
				"SELECT 'pii1.email' = left(($1::text[])[1], 10)":     []pii.Email{email},
			} {
				var found bool
				require.NoError(t, conn.QueryRow(t.Context(), query, slice).Scan(&found), query)
				require.True(t, found, query)
			}
		})
	}
}

// pgx gives up the connection when an argument of a batch can't be encoded, and
// a pool opens another.
func TestPoisonedIndexInABatch(t *testing.T) {
	config := testdb.OpenPostgres(t).Config
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	poisoned, err := pii.IndexEmail(t.Context(), "", nil)
	require.Error(t, err)
	var batch pgx.Batch
	batch.Queue("SELECT $1::bytea", pii.Index{}) // on its way when the next one fails
	batch.Queue("SELECT $1::bytea", poisoned)
	require.ErrorIs(t, conn.SendBatch(t.Context(), &batch).Close(), pii.ErrPoisoned)
	require.Error(t, conn.Ping(t.Context()))
}

// COPY ends without a row, with an error that went to the server and came back:
// errors.Is does not know it.
func TestPoisonedIndexInCopy(t *testing.T) {
	db := testdb.OpenPostgres(t)
	db.CreateUsers(t)
	pool := connect(t, db, pgx.QueryExecModeCacheStatement)
	poisoned, err := pii.IndexEmail(t.Context(), "", nil)
	require.Error(t, err)
	_, err = pool.CopyFrom(t.Context(), pgx.Identifier{"users"}, columns, pgx.CopyFromRows([][]any{
		{1, nil, nil, nil, nil}, {2, nil, poisoned, nil, nil},
	}))
	require.ErrorContains(t, err, pii.ErrPoisoned.Error())
	require.NotErrorIs(t, err, pii.ErrPoisoned)
	var count int
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM users").Scan(&count))
	require.Zero(t, count)
}

// A column of JSON takes neither: sealed text is no JSON, and an index refuses to
// be written as text.
func TestJSONColumn(t *testing.T) {
	db := testdb.OpenPostgres(t)
	conn := connect(t, db, pgx.QueryExecModeCacheStatement)
	_, err := conn.Exec(t.Context(), "CREATE TABLE documents (doc jsonb)")
	require.NoError(t, err)
	type document struct {
		Email pii.Email
		Index pii.Index `json:"-"`
	}
	want := document{sealed(t), indexOf(t, "AAAAAAAAAAAAAAAA")}
	_, err = conn.Exec(t.Context(), "INSERT INTO documents VALUES ($1)", want)
	require.NoError(t, err)
	var got document
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT doc FROM documents").Scan(&got))
	require.Equal(t, want.Email, got.Email)
	require.True(t, got.Index.IsZero())

	_, err = conn.Exec(t.Context(), "INSERT INTO documents VALUES ($1)", struct{ Index pii.Index }{want.Index})
	require.ErrorIs(t, err, pii.ErrNoText)
}

// In a column of text an index is not the 16 bytes it has to be, in no mode.
func TestIndexInTextColumn(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			db := testdb.OpenPostgres(t)
			conn := connect(t, db, mode)
			_, err := conn.Exec(t.Context(), "CREATE TABLE typed (email_index text)")
			require.NoError(t, err)
			_, err = conn.Exec(t.Context(), "INSERT INTO typed VALUES ($1)", indexOf(t, "\xff\x00AAAAAAAAAAAAAA"))
			if err == nil { // it is there as text of hex
				var got pii.Index
				err = conn.QueryRow(t.Context(), "SELECT email_index FROM typed").Scan(&got)
				require.ErrorIs(t, err, vault.ErrCorrupt)
			}
			require.Error(t, err)
		})
	}
}
