package dbtest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/migrate"
)

// Values that are sealed are found where they stand beside the table, by column and
// number of rows, and nobody else's are.
func TestLeftovers(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.fill(t, 1, 4)
		w.insert(t, 4, "2fa", nil, "+44 7400 123456")
		blob := map[migrate.Dialect]string{migrate.SQLite: "BLOB", migrate.Postgres: "BYTEA", migrate.MySQL: "LONGBLOB"}[d.dialect]
		json := map[migrate.Dialect]string{migrate.SQLite: "TEXT", migrate.Postgres: "JSONB", migrate.MySQL: "JSON"}[d.dialect]
		log := w.name + "_log"
		w.exec(t, "CREATE TABLE "+log+" (n INTEGER, line "+d.text+", payload "+json+", dump "+blob+", clean "+d.text+")")
		t.Cleanup(func() { w.exec(t, "DROP TABLE "+log) })
		add := func(line, payload string, dump []byte, clean string) {
			w.exec(t, "INSERT INTO "+log+" (n, line, payload, dump, clean) VALUES (1, ?, ?, ?, ?)", line, payload, dump, clean)
		}
		const other = "somebody.else@example.com, +1 415 555 9999 and 2019-03-04 10:11:12, order 20190304101112"
		add("login of Person.1@EXAMPLE.com.", `{"user":{"email":"Person.2@example.com","age":7}}`, []byte("\x00\xffPerson.3@Example.com\xfe"), other)
		add("mail to 'Person.2@example.com'", `{"tel":"14155550001"}`, []byte("tel:+44-7400-123456"), "pii1.email.security.x")
		add("?q=Person.1%40example.com&p=2", `{"note":"call (1) 415 555-0002 now"}`, nil, "")
		add("00447400123456", `[]`, []byte{}, strings.Repeat("@", 2000))
		add("nothing here", `{"n":1}`, []byte{0}, "Person.1@example.company and xPerson.1@example.com and 114155550001 and 1415555000")

		m := w.migration(t)
		requireStep(t, m.Backfill, 4)
		mine := func(r *migrate.LeftoverReport) (found []string) {
			for _, l := range r.Found {
				if name, ok := strings.CutPrefix(l.Table, w.name); ok {
					found = append(found, fmt.Sprintf("%s.%s: %d", name, l.Column, l.Rows))
				}
			}
			return found
		}
		before, err := m.Leftovers(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, []string{".email: 3", ".phone: 4", "_log.line: 4", "_log.payload: 3", "_log.dump: 2"}, mine(before))
		requireStep(t, m.CutOver, 4)
		report, err := m.Leftovers(t.Context(), nil)
		require.NoError(t, err)
		require.EqualValues(t, 7, report.Values)
		require.Equal(t, []string{"_log.line: 4", "_log.payload: 3", "_log.dump: 2"}, mine(report))
		require.False(t, report.OK())
		require.Zero(t, report.Unopened)
		require.Contains(t, report.String(), log+".line: 4 rows")
		require.NotContains(t, strings.ToLower(report.String()), "person")

		w.exec(t, "DELETE FROM "+log)
		report, err = m.Leftovers(t.Context(), nil)
		require.NoError(t, err)
		require.Empty(t, mine(report))
		if d.dialect == migrate.SQLite {
			require.True(t, report.OK(), report.String())
			require.EqualValues(t, 2, report.Tables)
			require.EqualValues(t, 4, report.Rows)
		}
		// A value that does not open was not searched for.
		w.exec(t, "UPDATE @table SET email_sealed = 'pii1.email.security.x' WHERE id = 1")
		report, err = m.Leftovers(t.Context(), nil)
		require.NoError(t, err)
		require.EqualValues(t, 1, report.Unopened)
		require.False(t, report.OK())
	})
}

// Columns that can't be searched are named, with the reason, and the others of the table
// are searched.
func TestLeftoversThatCanNotBeRead(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.fill(t, 1, 2)
		m := w.migration(t)
		requireStep(t, m.Backfill, 1)
		requireStep(t, m.CutOver, 1)
		large := map[migrate.Dialect]string{migrate.SQLite: "TEXT", migrate.Postgres: "TEXT", migrate.MySQL: "LONGTEXT"}[d.dialect]
		make := func(name, columns string) string {
			name = w.name + name
			w.exec(t, "CREATE TABLE "+name+" ("+columns+")")
			t.Cleanup(func() { w.exec(t, "DROP TABLE "+name) })
			return name
		}
		mails := make("_mails", "body "+large+", line "+large)
		for _, size := range []int{8 << 20, 8<<20 + 1, 9 << 20} {
			w.exec(t, "INSERT INTO "+mails+" (body, line) VALUES (?, ?)", strings.Repeat(" ", size-20)+"Person.1@example.com", "to Person.1@example.com")
		}
		want := []string{mails + ".body: 2 cells above 8 MB"}
		db := w.db
		switch {
		case d.dialect == migrate.Postgres:
			docs := make("_docs", "parts BYTEA[], tags VARCHAR(60)[], lexemes TSVECTOR, n INTEGER[]")
			w.exec(t, "INSERT INTO "+docs+" VALUES ('{a}', '{x,Person.1@example.com}', to_tsvector('simple', 'to Person.1@example.com'), '{1}')")
			denied := make("_denied", "line TEXT")
			role := w.name + "_reader"
			w.exec(t, "CREATE ROLE "+role)
			t.Cleanup(func() { w.exec(t, "DROP OWNED BY "+role); w.exec(t, "DROP ROLE "+role) })
			w.exec(t, "GRANT SELECT ON @table, "+mails+", "+docs+" TO "+role)
			db = w.open(t)
			db.SetMaxOpenConns(1)
			_, err := db.Exec("SET ROLE " + role)
			require.NoError(t, err)
			want = append([]string{docs + ".parts: array of bytes", denied + ": not readable"}, want...)
		case d.dialect == migrate.MySQL && strings.Contains(w.version(t), "MariaDB"):
			history := make("_old", "line TEXT, tag TEXT")
			w.exec(t, "ALTER TABLE "+history+" ADD SYSTEM VERSIONING")
			w.exec(t, "INSERT INTO "+history+" (line, tag) VALUES ('Person.1@example.com', 'x')")
			want = append([]string{history + ".line: history of rows", history + ".tag: history of rows"}, want...)
		}
		m, err := migrate.New(t.Context(), db, w.dialect, w.described())
		require.NoError(t, err)
		report, err := m.Leftovers(t.Context(), nil)
		require.NoError(t, err)
		mine := func(lines []string) (mine []string) {
			for _, line := range lines {
				if strings.HasPrefix(line, w.name) {
					mine = append(mine, line)
				}
			}
			return mine
		}
		require.Equal(t, want, mine(report.Unread))
		require.False(t, report.OK())
		require.Contains(t, report.String(), "  not searched: "+mails+".body: 2 cells above 8 MB\n")
		var found []string
		for _, l := range report.Found {
			found = append(found, l.String())
		}
		wantFound := []string{mails + ".body: 1 rows", mails + ".line: 3 rows"}
		switch {
		case d.dialect == migrate.Postgres:
			wantFound = append([]string{w.name + "_docs.tags: 1 rows", w.name + "_docs.lexemes: 1 rows"}, wantFound...)
		case len(want) == 3:
			wantFound = append(wantFound, w.name+"_old.line: 1 rows")
		}
		require.Equal(t, wantFound, mine(found))
	})
}

// Leftovers reads each table by one statement, whatever the number of its rows and of the
// values that are sought.
func TestLeftoversReadsEachTableOnce(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.fill(t, 1, 40)
		requireStep(t, w.migration(t).Backfill, 39)
		var tables []string
		for _, suffix := range []string{"_a", "_b"} {
			name := w.name + suffix
			w.exec(t, "CREATE TABLE "+name+" (line "+d.text+", other "+d.text+")")
			t.Cleanup(func() { w.exec(t, "DROP TABLE "+name) })
			for range 30 {
				w.exec(t, "INSERT INTO "+name+" VALUES ('Person.1@example.com', 'Person.2@example.com')")
			}
			tables = append(tables, name)
		}
		db, statements := w.recorded(t)
		m, err := migrate.New(t.Context(), db, w.dialect, w.described())
		require.NoError(t, err)
		_, err = m.Leftovers(t.Context(), &migrate.Options{Batch: 5})
		require.NoError(t, err)
		for _, name := range tables {
			require.Equal(t, 1, statements.about(name), name)
		}
	})
}
