package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/batch"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/vault"

	"github.com/onlyfor/onlyfor/examples/databases/internal/testdb"
)

const (
	people = 3_000 // users, of whom every third is on the list
	chunk  = 500   // indexes of one query with IN
)

// A listed is a table of people, and the indexes of a list with a third of them and as many
// strangers. The index key rotated after half of the rows were written, so each entry of the
// list has two indexes.
type listed struct {
	*testdb.DB
	wanted   []pii.Index
	poisoned pii.Index
	found    []int64 // ids of the people on the list
}

func newListed(t *testing.T, db *testdb.DB) *listed {
	kit := piitest.New(t, security)
	scope := kit.Scope(security)
	address := func(i int) string { return fmt.Sprintf("user-%d@example.com", i) }
	exec(t, db, "CREATE TABLE people (id INTEGER PRIMARY KEY, email_index "+
		map[testdb.Dialect]string{testdb.Postgres: "bytea", testdb.MySQL: "varbinary(16)", testdb.SQLite: "blob"}[db.Dialect]+" UNIQUE)")
	exec(t, db, "INSERT INTO people VALUES (0, NULL)")
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	l := &listed{DB: db}
	insert := "INSERT INTO people VALUES (?, ?)"
	if db.Dialect == testdb.Postgres {
		insert = "INSERT INTO people VALUES ($1, $2)"
	}
	var list []string
	for i := 1; i <= people; i++ {
		if i == people/2 {
			kit.Rotate(security, vault.RoleIndex)
		}
		index, err := pii.IndexEmail(t.Context(), address(i), scope)
		require.NoError(t, err)
		_, err = tx.ExecContext(t.Context(), insert, i, index)
		require.NoError(t, err)
		if i%3 == 0 {
			list = append(list, strings.ToUpper(address(i)), address(i+people))
			l.found = append(l.found, int64(i))
		}
	}
	require.NoError(t, tx.Commit())
	for indexes, err := range batch.IndexesEmail(t.Context(), slices.Values(list), scope) {
		require.NoError(t, err)
		require.Len(t, indexes, 2)
		l.wanted = append(l.wanted, indexes...)
	}
	l.poisoned, err = pii.IndexEmail(t.Context(), "", scope)
	require.Error(t, err)
	return l
}

// ids returns the ids that a query finds, in order.
func ids(t *testing.T, db interface {
	Query(string, ...any) (*sql.Rows, error)
}, query string, args ...any) (all []int64) {
	t.Helper()
	rows, err := db.Query(query, args...)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var id int64
		require.NoError(t, rows.Scan(&id))
		all = append(all, id)
	}
	require.NoError(t, rows.Err())
	slices.Sort(all)
	return all
}

// A list of indexes finds the people on it, and nobody else, while the index key rotates.
// Each database has its way.
func TestListsOfIndexes(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		l := newListed(t, db)
		t.Run("IN", func(t *testing.T) {
			var all []int64
			for some := range slices.Chunk(l.wanted, chunk) {
				marks := make([]string, len(some))
				for i := range marks {
					if marks[i] = "?"; db.Dialect == testdb.Postgres {
						marks[i] = fmt.Sprint("$", i+1)
					}
				}
				all = append(all, ids(t, db, "SELECT id FROM people WHERE email_index IN ("+strings.Join(marks, ", ")+")", pii.Args(some)...)...)
			}
			slices.Sort(all)
			require.Equal(t, l.found, all)
		})
		t.Run("temporary table", l.joins)
		t.Run("one argument", func(t *testing.T) {
			if db.Dialect == testdb.Postgres {
				l.arrays(t)
				return
			}
			_, err := db.QueryContext(t.Context(), "SELECT id FROM people WHERE email_index IN (?)", l.wanted)
			require.ErrorContains(t, err, "pii.Index", "the driver has no arrays")
			_, err = json.Marshal(l.wanted)
			require.ErrorIs(t, err, pii.ErrNoText, "so JSON_TABLE and json_each have nothing to read")
		})
	})
}

// joins fills a temporary table on a connection of its own, and joins it.
func (l *listed) joins(t *testing.T) {
	tx, err := l.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	column, insert := "blob", "INSERT INTO list VALUES (?)"
	switch l.Dialect {
	case testdb.Postgres:
		column, insert = "bytea", "INSERT INTO list VALUES ($1)"
	case testdb.MySQL:
		column = "varbinary(16)"
	}
	_, err = tx.ExecContext(t.Context(), "CREATE TEMPORARY TABLE list (email_index "+column+")")
	require.NoError(t, err)
	for _, x := range append([]pii.Index{{}}, l.wanted...) { // NULL joins nobody
		_, err = tx.ExecContext(t.Context(), insert, x)
		require.NoError(t, err)
	}
	_, err = tx.ExecContext(t.Context(), insert, l.poisoned)
	require.ErrorIs(t, err, pii.ErrPoisoned)
	require.Equal(t, l.found, ids(t, tx, "SELECT p.id FROM people p JOIN list l ON l.email_index = p.email_index"))
}

// arrays passes all indexes as one argument to pgx, below database/sql. A zero index is NULL
// in the array, which is equal to nothing, and no index at all finds nobody.
func (l *listed) arrays(t *testing.T) {
	const anyOf, unnest = "SELECT id FROM people WHERE email_index = ANY($1)", "SELECT p.id FROM unnest($1::bytea[]) AS list(x) JOIN people p ON p.email_index = list.x"
	cached := l.Config.Copy()
	cached.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	described := stdlib.OpenDB(*cached)
	defer described.Close()
	for name, db := range map[string]*sql.DB{"prepared": l.DB.DB, "described": described} {
		for _, query := range []string{anyOf, unnest} {
			require.Equal(t, l.found, ids(t, db, query, l.wanted), name)
			require.Equal(t, l.found, ids(t, db, query, append([]pii.Index{{}}, l.wanted...)), name)
			require.Empty(t, ids(t, db, query, []pii.Index{{}}), name)
			require.Empty(t, ids(t, db, query, []pii.Index{}), name)
			require.Empty(t, ids(t, db, query, []pii.Index(nil)), name)
			_, err := db.QueryContext(t.Context(), query, []pii.Index{l.wanted[0], l.poisoned})
			require.ErrorContains(t, err, pii.ErrPoisoned.Error(), "the query was run")
		}
	}
}
