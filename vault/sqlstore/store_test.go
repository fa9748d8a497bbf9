package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"modernc.org/sqlite"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/sqlstore"
	"github.com/onlyfor/onlyfor/vault/storetest"
)

func TestStore(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		storetest.Run(t, func(t *testing.T) func() vault.Store {
			tab := d.table(t)
			return func() vault.Store { return tab.over(t, tab.open(t)) }
		})
	})
}

// What a driver may be told to do differently must not change who wins.
func TestStoreUnderDriverOptions(t *testing.T) {
	for _, o := range []struct {
		dialect sqlstore.Dialect
		option  string
	}{
		{sqlstore.Postgres, "default_query_exec_mode=exec"},
		{sqlstore.Postgres, "default_query_exec_mode=simple_protocol"},
		{sqlstore.Postgres, "default_transaction_isolation=serializable"},
		{sqlstore.Postgres, "default_transaction_isolation=repeatable%20read"},
		{sqlstore.MySQL, "clientFoundRows=true"},
		{sqlstore.MySQL, "interpolateParams=true&clientFoundRows=true"},
		{sqlstore.MySQL, "tx_isolation=%27SERIALIZABLE%27"},
		{sqlstore.MySQL, "tx_isolation=%27READ-COMMITTED%27"},
		{sqlstore.SQLite, "_pragma=journal_mode(DELETE)"},
	} {
		d := databases[slices.IndexFunc(databases, func(d database) bool { return d.dialect == o.dialect })]
		t.Run(d.dialect.String()+" "+o.option, func(t *testing.T) {
			d.options = o.option
			if strings.HasPrefix(o.option, "tx_isolation") {
				// MariaDB's name for it, and MySQL's until version 5.7.
				plain := databases[2].noTable(t)
				if _, err := plain.db.Exec("SELECT @@tx_isolation"); err != nil {
					d.options = strings.Replace(o.option, "tx_isolation", "transaction_isolation", 1)
				}
			}
			tab := d.table(t)
			store := tab.store(t)

			first, err := store.Put(t.Context(), vault.Record{Name: "a/keys", Data: []byte{0, 'x', 0xff}})
			require.NoError(t, err)
			_, err = store.Put(t.Context(), vault.Record{Name: "a/keys", Data: []byte("other")})
			require.ErrorIs(t, err, vault.ErrConflict, "made twice")
			second, err := store.Put(t.Context(), vault.Record{Name: "a/keys", Data: []byte{0, 'x', 0xff}, Revision: first})
			require.NoError(t, err, "the same data again")
			_, err = store.Put(t.Context(), vault.Record{Name: "a/keys", Data: []byte("stale"), Revision: first})
			require.ErrorIs(t, err, vault.ErrConflict)
			records, err := store.Get(t.Context(), "a/keys", "b/keys")
			require.NoError(t, err)
			require.Equal(t, []vault.Record{{Name: "a/keys", Data: []byte{0, 'x', 0xff}, Revision: second}}, records)
			require.Equal(t, []string{"a/keys"}, names(t, store, "a/", ""))

			count(t, store, tab.over(t, tab.open(t)), 8, 5)
			raceToCreate(t, store, tab.over(t, tab.open(t)))
		})
	}
}

// count increments a record from many goroutines over two handles.
func count(t *testing.T, a, b *sqlstore.Store, goroutines, each int) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, goroutines)
	for i := range goroutines {
		wg.Go(func() {
			for range each {
				if err := increment(t.Context(), []*sqlstore.Store{a, b}[i%2], "count"); err != nil {
					errs[i] = err
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	records, err := a.Get(t.Context(), "count")
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(goroutines*each), string(records[0].Data))
}

func raceToCreate(t *testing.T, a, b *sqlstore.Store) {
	t.Helper()
	for round := range 10 {
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() {
				_, errs[i] = []*sqlstore.Store{a, b}[i%2].Put(t.Context(), vault.Record{Name: fmt.Sprintf("race/%d", round), Data: []byte{'x'}})
			})
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else {
				require.ErrorIs(t, err, vault.ErrConflict)
			}
		}
		require.Equal(t, 1, won)
	}
}

func TestNewRefuses(t *testing.T) {
	db := new(sql.DB)
	_, err := sqlstore.New(nil, sqlstore.Postgres, nil)
	require.ErrorIs(t, err, vault.ErrInvalid)
	for _, d := range []sqlstore.Dialect{0, -1, 4} {
		_, err = sqlstore.New(db, d, nil)
		require.ErrorIs(t, err, vault.ErrInvalid)
	}
	for _, name := range []string{
		" ", "a b", "a-b", "A", "1a", "a;b", `a"`, "a`", "a'", "a\x00", "é", ".", ".a", "a.", "a.b.c", "a..b", "a%s", "a%", strings.Repeat("a", 64), "a." + strings.Repeat("a", 64),
	} {
		_, err = sqlstore.New(db, sqlstore.Postgres, &sqlstore.Options{Table: name})
		require.ErrorIs(t, err, vault.ErrInvalid, "%q", name)
		require.EqualError(t, err, "key store: malformed name of a table: invalid argument")
	}
	for _, name := range []string{"", "a", "_a", "a1", "select", "keys.onlyfor_keys", strings.Repeat("a", 63)} {
		_, err = sqlstore.New(db, sqlstore.Postgres, &sqlstore.Options{Table: name})
		require.NoError(t, err, "%q", name)
	}
}

// Arguments are refused before anything is asked of the database, here one
// that is closed.
func TestInvalidArguments(t *testing.T) {
	db, err := sql.Open("sqlite", "file::memory:")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	store, err := sqlstore.New(db, sqlstore.SQLite, nil)
	require.NoError(t, err)

	for _, name := range []string{"", "A", "a//b", "-a", "a/-b", "a/", "/a", "a b", "a'b", "a\x00", "\xff", "\u212a", strings.Repeat("a", 201)} {
		_, err := store.Get(t.Context(), "good", name)
		require.EqualError(t, err, "key store: malformed record name: invalid argument")
		_, err = store.Put(t.Context(), vault.Record{Name: name, Data: []byte("x")})
		require.EqualError(t, err, "key store: malformed record name: invalid argument")
	}
	for _, r := range []vault.Record{{Name: "a"}, {Name: "a", Data: make([]byte, vault.MaxRecord+1)}, {Name: "a", Data: []byte("x"), Revision: -1}} {
		_, err := store.Put(t.Context(), r)
		require.ErrorIs(t, err, vault.ErrInvalid)
	}

	_, err = store.Get(t.Context(), "a")
	require.ErrorIs(t, err, vault.ErrUnavailable)
}

// A reserved word and a table in another schema are tables as any other.
func TestTableNames(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		tab := d.noTable(t)
		schema := map[sqlstore.Dialect]string{sqlstore.SQLite: "main", sqlstore.Postgres: "public"}[d.dialect]
		if d.dialect == sqlstore.MySQL {
			require.NoError(t, tab.db.QueryRow("SELECT DATABASE()").Scan(&schema))
		}
		tab.name = schema + "." + tab.name
		store := tab.store(t)
		require.NoError(t, store.CreateTable(t.Context()))
		_, err := store.Put(t.Context(), vault.Record{Name: "a", Data: []byte("x")})
		require.NoError(t, err)
		require.Equal(t, []string{"a"}, names(t, store, "", ""))
	})
	t.Run("reserved word", func(t *testing.T) {
		tab := databases[0].noTable(t)
		tab.name = "select"
		store := tab.store(t)
		require.NoError(t, store.CreateTable(t.Context()))
		require.Empty(t, names(t, store, "", ""))
	})
}

func TestCreateTable(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		t.Run("again", func(t *testing.T) {
			store := d.table(t).store(t)
			_, err := store.Put(t.Context(), vault.Record{Name: "a", Data: []byte("x")})
			require.NoError(t, err)
			require.NoError(t, store.CreateTable(t.Context()))
			require.Equal(t, []string{"a"}, names(t, store, "", ""))
		})
		t.Run("by several at once", func(t *testing.T) {
			for range 5 {
				tab := d.noTable(t)
				var wg sync.WaitGroup
				errs := make([]error, 6)
				for i := range errs {
					store := tab.over(t, tab.open(t))
					wg.Go(func() { errs[i] = store.CreateTable(t.Context()) })
				}
				wg.Wait()
				for _, err := range errs {
					require.NoError(t, err)
				}
			}
		})
		t.Run("never", func(t *testing.T) {
			store := d.noTable(t).store(t)
			_, err := store.Get(t.Context(), "a")
			require.ErrorIs(t, err, vault.ErrUnavailable)
			_, err = store.Put(t.Context(), vault.Record{Name: "a", Data: []byte("x")})
			require.ErrorIs(t, err, vault.ErrUnavailable)
			for _, err := range store.List(t.Context(), "", "") {
				require.ErrorIs(t, err, vault.ErrUnavailable)
			}
		})
	})
}

func TestGetOfMoreNamesThanAQueryTakes(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		tab := d.table(t)
		var all []string
		var rows []string
		for i := range 1500 {
			name := fmt.Sprintf("many/%04d", i)
			all = append(all, name)
			rows = append(rows, fmt.Sprintf("('%s', %d, %s)", name, i+1, tab.hex(name)))
		}
		tab.exec(t, "INSERT INTO %s (name, revision, data) VALUES "+strings.Join(rows, ", "))
		store := tab.store(t)
		for _, n := range []int{1, 2, 3, 511, 512, 513, 1024, 1500} {
			asked := append(slices.Clone(all[:n]), "none/a", "none/z", all[0])
			slices.Reverse(asked)
			records, err := store.Get(t.Context(), asked...)
			require.NoError(t, err)
			require.Len(t, records, n)
			for i, r := range records {
				require.Equal(t, vault.Record{Name: all[i], Data: []byte(all[i]), Revision: int64(i) + 1}, r)
			}
		}
	})
}

// More names than List reads at a time, rows between them that are no records,
// and a page that consists of such rows alone.
func TestListOfManyPages(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		tab := d.table(t)
		var want, rows []string
		row := func(name string) { rows = append(rows, fmt.Sprintf("('%s', 1, %s)", name, tab.hex("x"))) }
		for i := range 2000 {
			name := fmt.Sprintf("many/%04d", i)
			want = append(want, name)
			row(name)
		}
		for i := range 1200 {
			row(fmt.Sprintf("many/0500_%04d", i))
		}
		row("many/1234 ")
		row("README")
		tab.exec(t, "INSERT INTO %s (name, revision, data) VALUES "+strings.Join(rows, ", "))
		store := tab.store(t)
		require.Equal(t, want, names(t, store, "", ""))
		require.Equal(t, want, names(t, store, "many/", ""))
		require.Equal(t, want[1000:], names(t, store, "many/", want[999]))
		require.Equal(t, want[500:600], names(t, store, "many/05", ""))

		tab.db.SetMaxOpenConns(1)
		for name, err := range store.List(t.Context(), "", "many/0998") {
			require.NoError(t, err)
			_, err := store.Get(t.Context(), name) // needs the only connection
			require.NoError(t, err)
		}
	})
}

func names(t *testing.T, store vault.Store, prefix, after string) []string {
	t.Helper()
	var names []string
	for name, err := range store.List(t.Context(), prefix, after) {
		require.NoError(t, err)
		names = append(names, name)
	}
	return names
}

func TestMalformedRows(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		tab := d.table(t)
		for name, row := range map[string]string{
			"empty":    "1, " + tab.hex(""),
			"zero":     "0, " + tab.hex("x"),
			"negative": "-1, " + tab.hex("x"),
			"large":    "1, " + tab.hex(strings.Repeat("x", vault.MaxRecord+1)),
		} {
			tab.exec(t, "INSERT INTO %s (name, revision, data) VALUES ('"+name+"', "+row+")")
			_, err := tab.store(t).Get(t.Context(), name)
			require.ErrorIs(t, err, vault.ErrCorrupt, name)
			_, err = tab.store(t).Get(t.Context(), "none", name)
			require.ErrorIs(t, err, vault.ErrCorrupt, name)
		}
	})
}

func init() {
	sqlite.MustRegisterCollationUtf8("nopunctuation", func(a, b string) int {
		r := strings.NewReplacer("-", "", "/", "")
		return strings.Compare(r.Replace(a), r.Replace(b))
	})
}

// A table whose names sort in another way would make List leave out some.
func TestOtherOrderIsRefused(t *testing.T) {
	check := func(t *testing.T, tab *table) {
		store := tab.store(t)
		for range 2 {
			require.ErrorIs(t, store.CreateTable(t.Context()), vault.ErrNoKeys)
			n := 0
			for name, err := range store.List(t.Context(), "", "") {
				require.Empty(t, name)
				require.EqualError(t, err, fmt.Sprintf("key store in %v table %s: refused, as names do not sort by their bytes: no usable keys", tab.dialect, tab.name))
				n++
			}
			require.Equal(t, 1, n)
		}
	}
	t.Run("SQLite", func(t *testing.T) {
		tab := databases[0].noTable(t)
		tab.exec(t, "CREATE TABLE %s (name TEXT COLLATE nopunctuation PRIMARY KEY, revision INTEGER, data BLOB)")
		check(t, tab)
	})
	for _, locale := range []string{"und-u-ka-shifted", "en-u-kn", "en-u-kr-latn-digit"} {
		t.Run("PostgreSQL "+locale, func(t *testing.T) {
			tab := databases[1].noTable(t)
			collation := tab.name + "_collation"
			if _, err := tab.db.Exec(fmt.Sprintf("CREATE COLLATION %s (provider = icu, locale = '%s')", collation, locale)); err != nil {
				t.Skip("this PostgreSQL has no ICU collations, or they may not be made")
			}
			t.Cleanup(func() { tab.db.Exec("DROP COLLATION " + collation) })
			tab.exec(t, "CREATE TABLE %s (name text COLLATE "+collation+" PRIMARY KEY, revision bigint, data bytea)")
			t.Cleanup(func() { tab.db.Exec("DROP TABLE " + tab.name) }) // before the collation
			check(t, tab)
		})
	}
}

// The queries that run for every scope and for every person are answered from
// the primary key.
func TestQueriesUseTheIndex(t *testing.T) {
	explain := func(t *testing.T, tab *table, query string, args ...any) string {
		rows, err := tab.db.Query("EXPLAIN "+fmt.Sprintf(query, tab.name), args...)
		require.NoError(t, err)
		defer rows.Close()
		columns, err := rows.Columns()
		require.NoError(t, err)
		var plan strings.Builder
		for rows.Next() {
			cells := make([]any, len(columns))
			for i := range cells {
				cells[i] = new(sql.NullString)
			}
			require.NoError(t, rows.Scan(cells...))
			for _, c := range cells {
				plan.WriteString(c.(*sql.NullString).String + " ")
			}
			plan.WriteByte('\n')
		}
		require.NoError(t, rows.Err())
		return plan.String()
	}
	fill := func(t *testing.T, tab *table) {
		var rows []string
		for i := range 5000 {
			rows = append(rows, fmt.Sprintf("('p%d/subjects/%04d', 1, %s)", i%50, i, tab.hex("x")))
		}
		tab.exec(t, "INSERT INTO %s (name, revision, data) VALUES "+strings.Join(rows, ", "))
		tab.exec(t, map[sqlstore.Dialect]string{sqlstore.MySQL: "ANALYZE TABLE %s"}[tab.dialect]+map[sqlstore.Dialect]string{sqlstore.Postgres: "ANALYZE %s"}[tab.dialect])
	}
	t.Run("PostgreSQL", func(t *testing.T) {
		tab := databases[1].table(t)
		fill(t, tab)
		require.Contains(t, explain(t, tab, "SELECT name FROM %s WHERE name >= $1 AND name > $2 AND name < $3 ORDER BY name LIMIT 1000", "p7/", "p7/subjects/0101", "p70"), "Index")
		require.Contains(t, explain(t, tab, "SELECT data FROM %s WHERE name IN ($1, $2)", "p7/keys", "p8/keys"), "Index")
	})
	t.Run("MySQL", func(t *testing.T) {
		tab := databases[2].table(t)
		fill(t, tab)
		plan := explain(t, tab, "SELECT name FROM %s WHERE name >= ? AND name > ? AND name < ? ORDER BY name LIMIT 1000", "p7/", "p7/subjects/0101", "p70")
		require.Contains(t, plan, "range PRIMARY")
		require.NotContains(t, plan, "filesort")
		require.Contains(t, explain(t, tab, "SELECT data FROM %s WHERE name IN (?, ?)", "p7/keys", "p8/keys"), "range PRIMARY")
	})
}

func TestErrorsNameContextAndTable(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		tab := d.table(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := tab.store(t).Get(ctx, "security/keys")
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, vault.ErrUnavailable)
		require.EqualError(t, err, fmt.Sprintf("key store in %v table %s: context canceled: unavailable", d.dialect, tab.name))
		_, err = tab.store(t).Put(t.Context(), vault.Record{Name: "security/keys", Data: []byte("x"), Revision: 1})
		require.EqualError(t, err, fmt.Sprintf("key store in %v table %s: record security/keys: changed by another process", d.dialect, tab.name))
	})
}
