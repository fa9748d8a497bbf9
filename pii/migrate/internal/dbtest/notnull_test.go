package dbtest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/migrate"
)

// dropNotNull are the statements of ADOPTING.md that allow NULL in a column of plaintext.
var dropNotNull = map[migrate.Dialect][]string{
	migrate.Postgres: {"ALTER TABLE users ALTER COLUMN email DROP NOT NULL"},
	migrate.MySQL:    {"ALTER TABLE users MODIFY email VARCHAR(254) NULL"},
	migrate.SQLite: {
		"ALTER TABLE users ADD COLUMN email_null TEXT",
		"UPDATE users SET email_null = email",
		"ALTER TABLE users DROP COLUMN email",
		"ALTER TABLE users RENAME COLUMN email_null TO email",
	},
}

// A column of plaintext that refuses NULL stays as it is until the recipe of ADOPTING.md
// has been followed. Leftovers works when the column is gone.
func TestNotNullColumn(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "ADOPTING.md"))
	require.NoError(t, err)
	onEachDatabase(t, func(t *testing.T, d database) {
		w := &world{users: d.table(t, strings.Replace(schema, " email @text,", " email VARCHAR(254) NOT NULL UNIQUE,", 1)), kit: newKit(t)}
		w.security, w.advertising = w.kit.Scope(forSecurity), w.kit.Scope(forAdvertising)
		if d.dialect == migrate.SQLite { // DROP COLUMN refuses a column with a constraint in the table
			w.exec(t, "DROP TABLE @table")
			w.exec(t, "CREATE TABLE @table ("+strings.NewReplacer("@key", d.key, "@text", d.text, "@bytes", d.bytes, " email @text,", " email TEXT NOT NULL,").Replace(schema)+")")
		}
		w.fill(t, 1, 4)
		m := w.migration(t)
		requireStep(t, m.Backfill, 3)
		before := w.dump(t)
		_, err := m.CutOver(t.Context(), nil)
		require.ErrorIs(t, err, migrate.ErrTable)
		require.Equal(t, before, w.dump(t))

		for _, statement := range dropNotNull[d.dialect] {
			require.Contains(t, string(page), statement)
			w.exec(t, strings.Replace(statement, " users ", " @table ", 1))
		}
		m = w.migration(t)
		requireStep(t, m.Verify, 0)
		requireStep(t, m.CutOver, 3)

		w.exec(t, "CREATE TABLE "+w.name+"_log (line "+d.text+")")
		t.Cleanup(func() { w.exec(t, "DROP TABLE "+w.name+"_log") })
		w.exec(t, "INSERT INTO "+w.name+"_log (line) VALUES ('mail to person.2@example.com')")
		w.exec(t, "ALTER TABLE @table DROP COLUMN email")
		w.exec(t, "ALTER TABLE @table DROP COLUMN phone")
		table := w.described()
		for i := range table.Columns {
			table.Columns[i].Plain = ""
		}
		m, err = migrate.New(t.Context(), w.db, w.dialect, table)
		require.NoError(t, err)
		report, err := m.Leftovers(t.Context(), nil)
		require.NoError(t, err)
		require.EqualValues(t, 6, report.Values)
		require.Contains(t, report.String(), w.name+"_log.line: 1 row")
	})
}
