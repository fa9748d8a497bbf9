package main

import (
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"

	"github.com/onlyfor/onlyfor/examples/databases/internal/testdb"
)

// In expands slices of indexes; an index itself, though bytes, is one argument.
func TestIn(t *testing.T) {
	a, b := indexOf(t, "AAAAAAAAAAAAAAAA"), indexOf(t, "BBBBBBBBBBBBBBBB")
	query, args, err := sqlx.In("SELECT 1 WHERE x IN (?) AND x <> ?", []pii.Index{a, b}, a)
	require.NoError(t, err)
	require.Equal(t, "SELECT 1 WHERE x IN (?, ?) AND x <> ?", query)
	require.Len(t, args, 3)
	_, _, err = sqlx.In("SELECT 1 WHERE x IN (?)", []pii.Index{})
	require.Error(t, err, "no condition is left out")

	poisoned, err := pii.IndexEmail(t.Context(), "", nil)
	require.Error(t, err)
	_, _, err = sqlx.In("SELECT 1 WHERE x IN (?) AND x <> ?", []pii.Index{a, b}, poisoned)
	require.ErrorIs(t, err, pii.ErrPoisoned)
}

// MapScan and SliceScan know no types: they return the sealed text, and the bytes
// of an index, which then print.
func TestMapScan(t *testing.T) {
	db := testdb.OpenSQLite(t)
	db.CreateUsers(t)
	x := sqlx.NewDb(db.DB, "sqlite")
	_, err := x.NamedExecContext(t.Context(), insert, User{ID: 1, EmailIndex: indexOf(t, "AAAAAAAAAAAAAAAA")})
	require.NoError(t, err)
	row := map[string]any{}
	require.NoError(t, x.QueryRowxContext(t.Context(), "SELECT * FROM users").MapScan(row))
	require.Equal(t, []byte("AAAAAAAAAAAAAAAA"), row["email_index"])
}

func indexOf(t *testing.T, bytes string) (x pii.Index) {
	t.Helper()
	require.NoError(t, x.Scan([]byte(bytes)))
	return x
}
