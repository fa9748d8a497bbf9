package dbtest_test

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/vault"
)

// What the table is not is said before the first write.
func TestRefusedTables(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*migrate.Table)
		want   string // in the message
	}{
		"no such table":           {func(t *migrate.Table) { t.Name += "x" }, "no such table"},
		"no such key":             {func(t *migrate.Table) { t.Key = "nope" }, "no such column, or no access to it: nope"},
		"no such plain column":    {func(t *migrate.Table) { t.Columns[0].Plain = "nope" }, "no access to it: nope"},
		"no such sealed column":   {func(t *migrate.Table) { t.Columns[1].Sealed = "nope" }, "no access to it: nope"},
		"no such index column":    {func(t *migrate.Table) { t.Columns[1].Indexes[forSecurity] = "nope" }, "no access to it: nope"},
		"no such subject":         {func(t *migrate.Table) { t.Subject = "nope" }, "no access to it: nope"},
		"no such column to read":  {func(t *migrate.Table) { t.Read = []string{"source", "nope"} }, "no access to it: nope"},
		"index in a text column":  {func(t *migrate.Table) { t.Columns[0].Indexes[forSecurity] = "spare_text" }, "spare_text is no column of bytes"},
		"sealed in bytes":         {func(t *migrate.Table) { t.Columns[0].Sealed = "spare_bytes" }, "spare_bytes is no column of text"},
		"sealed in a number":      {func(t *migrate.Table) { t.Columns[0].Sealed = "spare_number" }, "spare_number is no column of text"},
		"plain is a number":       {func(t *migrate.Table) { t.Columns[1].Plain = "spare_number" }, "spare_number is no column of text"},
		"key is a real":           {func(t *migrate.Table) { t.Key = "spare_real" }, "key spare_real is of a type that keys can't be"},
		"one column twice":        {func(t *migrate.Table) { t.Columns[1].Sealed = "EMAIL_sealed" }, "named twice"},
		"the key is sealed":       {func(t *migrate.Table) { t.Key = "email" }, "column email is named twice"},
		"plaintext is read":       {func(t *migrate.Table) { t.Read = []string{"email"} }, "column email is named twice"},
		"a name that is SQL":      {func(t *migrate.Table) { t.Columns[0].Plain = `email" = '' --` }, "malformed name of a column (plain)"},
		"a table that is SQL":     {func(t *migrate.Table) { t.Name = "users`; DROP TABLE x" }, "malformed name of a table"},
		"no name":                 {func(t *migrate.Table) { t.Columns[0].Sealed = "" }, "malformed name of a column (sealed)"},
		"no columns":              {func(t *migrate.Table) { t.Columns = nil }, "no columns"},
		"no kind":                 {func(t *migrate.Table) { t.Columns[0].Kind = nil }, "of no kind"},
		"no scopes":               {func(t *migrate.Table) { t.Scopes = nil }, "no scopes"},
		"nil scope":               {func(t *migrate.Table) { t.Scopes[1] = nil }, "scope 1 is nil"},
		"two scopes of a purpose": {func(t *migrate.Table) { t.Scopes[1] = t.Scopes[0] }, "two scopes for security"},
		"index without scope":     {func(t *migrate.Table) { t.Scopes = t.Scopes[:1] }, "an index for a purpose that is not in Scopes"},
	} {
		t.Run(name, func(t *testing.T) {
			onEachDatabase(t, func(t *testing.T, d database) {
				w := newWorld(t, d)
				for _, column := range []string{"spare_text " + d.text, "spare_bytes " + d.bytes, "spare_number INTEGER", "spare_real REAL"} {
					w.exec(t, "ALTER TABLE @table ADD COLUMN "+column)
				}
				w.fill(t, 1, 2)
				before := w.dump(t)
				table := w.described()
				test.change(&table)
				m, err := migrate.New(t.Context(), w.db, w.dialect, table)
				require.Nil(t, m)
				require.ErrorIs(t, err, migrate.ErrTable)
				require.NotErrorIs(t, err, vault.ErrUnavailable)
				require.ErrorContains(t, err, test.want)
				require.True(t, strings.HasPrefix(err.Error(), "migrate: describing "), err.Error())
				require.Equal(t, before, w.dump(t))
			})
		})
	}
}

// CollectedFor can't bring in a purpose through the back door.
func TestScopeOutsideTable(t *testing.T) {
	w := newWorld(t, databases[0])
	w.fill(t, 1, 2)
	table := w.described()
	table.Scopes = table.Scopes[:1]
	delete(table.Columns[0].Indexes, forAdvertising)
	for _, scope := range []*vault.Scope{w.advertising, nil} {
		table.Columns[0].CollectedFor = func(migrate.Row) []*vault.Scope { return []*vault.Scope{scope} }
		m, err := migrate.New(t.Context(), w.db, w.dialect, table)
		require.NoError(t, err)
		before := w.dump(t)
		_, err = m.Backfill(t.Context(), nil)
		require.ErrorIs(t, err, migrate.ErrTable)
		require.Equal(t, before, w.dump(t))
	}
	// And nothing is decided by default.
	table.Columns[0].CollectedFor, table.Columns[1].CollectedFor = nil, nil
	m, err := migrate.New(t.Context(), w.db, w.dialect, table)
	require.NoError(t, err)
	report, err := m.Backfill(t.Context(), nil)
	require.NoError(t, err)
	require.Zero(t, report.Changed)
	requireFindings(t, report, "row 1: email: quarantined", "row 1: phone: quarantined")
}

// keyTypes are the types of keys by dialect and name.
var keyTypes = map[migrate.Dialect]map[string]string{
	migrate.SQLite:   {"text": "TEXT PRIMARY KEY", "bytes": "BLOB PRIMARY KEY", "uuid": "UUID PRIMARY KEY", "int": "BIGINT PRIMARY KEY"},
	migrate.Postgres: {"text": "VARCHAR(40) PRIMARY KEY", "bytes": "BYTEA PRIMARY KEY", "uuid": "UUID PRIMARY KEY", "int": "SMALLINT PRIMARY KEY"},
	migrate.MySQL:    {"text": "VARCHAR(40) PRIMARY KEY", "bytes": "BINARY(16) PRIMARY KEY", "uuid": "CHAR(36) PRIMARY KEY", "int": "INT UNSIGNED PRIMARY KEY"},
}

// keys return a row's key, and its text in reports, by the names of their types.
var keys = map[string]func(i int) (any, string){
	"text": func(i int) (any, string) { s := string(rune('a'+i)) + "'%\\\"{},;--ß"; return s, s },
	"uuid": func(i int) (any, string) {
		s := fmt.Sprintf("%08x-0000-4000-8000-%012d", i*0x00fedcba, i)
		return s, s
	},
	"int": func(i int) (any, string) { return i * 1000, fmt.Sprint(i * 1000) },
	"bytes": func(i int) (any, string) {
		b := []byte(fmt.Sprintf("%c\x00\xff345678901234\"", 'A'+i))
		return b, hex.EncodeToString(b)
	},
}

// Keys of all types order the rows, and are what reports and cursors show.
func TestKeys(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		for name, key := range keys {
			t.Run(name, func(t *testing.T) {
				d.key = keyTypes[d.dialect][name]
				w := newWorld(t, d)
				const people = 6
				var want []string
				for i := range people {
					id, text := key(i)
					email := address(i)
					if i == 4 {
						email = "not an address"
					}
					w.exec(t, "INSERT INTO @table (id, source, email) VALUES (?, '2fa', ?)", id, email)
					want = append(want, text)
				}
				var last []string
				m := w.migration(t)
				report, err := m.Backfill(t.Context(), &migrate.Options{Batch: 1, Progress: func(p migrate.Progress) {
					require.EqualValues(t, people, p.Total)
					if !p.Finished {
						last = append(last, p.Last)
					}
				}})
				require.NoError(t, err)
				require.Equal(t, want, last)
				requireFindings(t, report, migrate.Finding{Key: want[4], Column: "email", Problem: migrate.Invalid}.String())
				require.EqualValues(t, people-1, w.count(t, "email_sealed IS NOT NULL"))

				report, err = m.Verify(t.Context(), &migrate.Options{After: want[3], Batch: 2})
				require.NoError(t, err)
				require.EqualValues(t, 2, report.Rows)
				require.Equal(t, want[5], report.Last)

				table := w.described()
				table.Subject = "id"
				_, err = migrate.New(t.Context(), w.db, w.dialect, table)
				require.NoError(t, err)
			})
		}
		d.key = keyTypes[d.dialect]["int"]
		w := newWorld(t, d)
		_, err := w.migration(t).Verify(t.Context(), &migrate.Options{After: "no number"})
		require.ErrorIs(t, err, vault.ErrInvalid)
		require.NotContains(t, err.Error(), "no number")
	})
}

// A column that is not a key at all would have rows passed over.
func TestKeyIsUnique(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		d.key = "INTEGER"
		w := newWorld(t, d)
		for i := range 5 {
			w.insert(t, i/2, "2fa", address(i), nil)
		}
		for batch := 1; batch < 6; batch++ {
			before := w.dump(t)
			_, err := w.migration(t).Backfill(t.Context(), &migrate.Options{Batch: batch})
			require.ErrorIs(t, err, migrate.ErrTable, batch)
			require.Equal(t, before, w.dump(t))
		}
		w.exec(t, "UPDATE @table SET id = NULL")
		_, err := migrate.New(t.Context(), w.db, w.dialect, w.described())
		require.ErrorContains(t, err, "key id is NULL in a row")
	})
}

// Plaintext whose column compares without case is still told apart.
func TestCollation(t *testing.T) {
	insensitive := map[migrate.Dialect]string{
		migrate.SQLite:   "TEXT COLLATE NOCASE",
		migrate.Postgres: `VARCHAR(60) COLLATE "onlyfor_test_ci"`,
		migrate.MySQL:    "VARCHAR(200) CHARACTER SET latin1 COLLATE latin1_swedish_ci",
	}
	onEachDatabase(t, func(t *testing.T, d database) {
		d.text = insensitive[d.dialect]
		if d.dialect == migrate.Postgres {
			d.collation(t)
		}
		w := &world{users: d.table(t, "id @key, source VARCHAR(20), email @text, email_sealed TEXT, email_index "+d.bytes+", email_ads "+d.bytes+
			", phone VARCHAR(40), phone_sealed TEXT, phone_index "+d.bytes)}
		w.kit = newKit(t)
		w.security, w.advertising = w.kit.Scope(forSecurity), w.kit.Scope(forAdvertising)
		w.fill(t, 1, 3)
		w.insert(t, 3, "2fa", "müller@example.com", nil)
		w.insert(t, 4, "2fa", "info@müller.example", nil)
		m, err := migrate.New(t.Context(), w.db, w.dialect, w.onRow("2", func() {
			w.exec(t, "UPDATE @table SET email = 'PERSON.2@example.com' WHERE id = 2")
		}))
		require.NoError(t, err)
		report, err := m.Backfill(t.Context(), nil)
		require.NoError(t, err)
		requireFindings(t, report, "row 3: email: invalid")
		w.requireSealed(t, 2, "PERSON.2@example.com", "+14155550002")
		revealed, err := w.row(t, 4).email.Reveal(t.Context(), w.security)
		require.NoError(t, err)
		require.Equal(t, "info@xn--mller-kva.example", revealed)
		cut, err := m.CutOver(t.Context(), nil)
		require.NoError(t, err)
		require.EqualValues(t, 3, cut.Changed)
		require.EqualValues(t, 1, w.count(t, "email IS NOT NULL"))
	})
}

// collation makes one that takes no notice of case, of which PostgreSQL has
// none.
func (d database) collation(t *testing.T) {
	db, err := sql.Open(d.driver, d.source(t))
	require.NoError(t, err)
	t.Cleanup(func() { // after the table is gone
		_, _ = db.Exec(`DROP COLLATION IF EXISTS "onlyfor_test_ci"`)
		db.Close()
	})
	if _, err := db.Exec(`CREATE COLLATION IF NOT EXISTS "onlyfor_test_ci" (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`); err != nil {
		t.Skip("this PostgreSQL is built without ICU")
	}
}

// Columns of fixed length are padded, which is no part of the address.
func TestFixedLength(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		d.text = "CHAR(60)"
		w := &world{users: d.table(t, "id @key, source VARCHAR(20), email @text, email_sealed TEXT, email_index "+d.bytes+", email_ads "+d.bytes+
			", phone @text, phone_sealed TEXT, phone_index "+d.bytes), kit: newKit(t)}
		w.security, w.advertising = w.kit.Scope(forSecurity), w.kit.Scope(forAdvertising)
		w.fill(t, 1, 3)
		m := w.migration(t)
		requireStep(t, m.Backfill, 2)
		w.requireSealed(t, 2, "Person.2@example.com", "+14155550002")
		requireStep(t, m.CutOver, 2)
	})
}

// Two rows of one person can't both be in a unique index. One is sealed, and
// all others are.
func TestUniqueIndex(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.exec(t, "CREATE UNIQUE INDEX "+w.name+"_email ON @table (email_index)")
		w.fill(t, 0, 300)
		for _, id := range []int{17, 130, 299} {
			w.exec(t, "UPDATE @table SET email = ? WHERE id = ?", " PERSON.5@example.com", id)
		}
		m := w.migration(t)
		plan, err := m.Plan(t.Context(), &migrate.Options{Batch: 100})
		require.NoError(t, err)
		want := []string{"row 17: email: duplicate of row 5", "row 130: email: duplicate of row 5", "row 299: email: duplicate of row 5"}
		requireFindings(t, plan, want...)
		report, err := m.Backfill(t.Context(), &migrate.Options{Batch: 100})
		require.NoError(t, err)
		require.EqualValues(t, 3, report.Problems[migrate.Duplicate])
		require.EqualValues(t, 300, report.Changed) // for all of them have a phone
		require.EqualValues(t, 297, w.count(t, "email_sealed IS NOT NULL"))
		require.EqualValues(t, 300, w.count(t, "phone_sealed IS NOT NULL"))
		report, err = m.Backfill(t.Context(), &migrate.Options{Batch: 100})
		require.NoError(t, err)
		require.EqualValues(t, 3, report.Problems[migrate.Duplicate])
		require.Zero(t, report.Changed)
		verify, err := m.Verify(t.Context(), nil)
		require.NoError(t, err)
		require.Positive(t, verify.Problems[migrate.Unsealed])
	})
}

// A column that refuses NULL is the table's fault, and no retry will mend it.
func TestPlaintextRefusesNull(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := &world{users: d.table(t, strings.Replace(schema, "email @text", "email VARCHAR(100) NOT NULL", 1)), kit: newKit(t)}
		w.security, w.advertising = w.kit.Scope(forSecurity), w.kit.Scope(forAdvertising)
		w.fill(t, 0, 3)
		m := w.migration(t)
		_, err := m.Backfill(t.Context(), nil)
		require.NoError(t, err)
		_, err = m.CutOver(t.Context(), nil)
		require.ErrorIs(t, err, migrate.ErrTable)
		require.NotErrorIs(t, err, vault.ErrUnavailable)
		require.EqualValues(t, 3, w.count(t, "phone IS NOT NULL"))
		for _, part := range []string{"erson", "415", "pii1"} {
			require.NotContains(t, err.Error(), part)
		}
	})
}

// Only what was given to the step can hold it up, and it does.
func TestOptions(t *testing.T) {
	w := newWorld(t, databases[0])
	w.fill(t, 0, 10)
	m := w.migration(t)
	for _, bad := range []struct {
		option string
		migrate.Options
	}{
		{"Batch", migrate.Options{Batch: -1}}, {"Batch", migrate.Options{Batch: 1e6}},
		{"RowsPerSecond", migrate.Options{RowsPerSecond: -1}}, {"Workers", migrate.Options{Workers: -1}},
	} {
		_, err := m.Backfill(t.Context(), &bad.Options)
		require.ErrorIs(t, err, vault.ErrInvalid)
		require.ErrorContains(t, err, bad.option)
	}
	enough := fmt.Errorf("enough")
	pauses := 0
	report, err := m.Backfill(t.Context(), &migrate.Options{Batch: 3, Pause: func(context.Context) error {
		if pauses++; pauses == 2 {
			return enough
		}
		return nil
	}})
	require.ErrorIs(t, err, enough)
	require.EqualValues(t, 6, report.Changed)
	require.Equal(t, "5", report.Last)

	// At 100 rows a second, four rows more are due 40 ms after the start.
	ctx, cancel := context.WithCancel(t.Context())
	var slow int
	report, err = m.Backfill(ctx, &migrate.Options{Batch: 2, RowsPerSecond: 1, Found: nil, Progress: func(p migrate.Progress) {
		if slow++; slow == 1 {
			cancel() // or it would wait for a second
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	require.EqualValues(t, 1, report.Changed)

	var all []migrate.Finding
	w.exec(t, "UPDATE @table SET source = 'import', email_sealed = NULL")
	report, err = m.Backfill(t.Context(), &migrate.Options{Found: func(f migrate.Finding) { all = append(all, f) }})
	require.NoError(t, err)
	require.Equal(t, report.Findings, all)
	require.EqualValues(t, 10, report.Problems[migrate.Quarantined]-3)
}

// Columns that would not keep a value as it is written are refused before the first
// write, by name.
func TestColumnsThatChangeValues(t *testing.T) {
	type refused struct {
		column, definition, want string
		change                   func(*migrate.Table, string)
	}
	sealed := func(t *migrate.Table, name string) { t.Columns[0].Sealed = name }
	index := func(t *migrate.Table, name string) { t.Columns[0].Indexes[forSecurity] = name }
	plain := func(t *migrate.Table, name string) { t.Columns[0].Plain = name }
	subject := func(t *migrate.Table, name string) { t.Columns[0].Sealed, t.Subject = name, "id" }
	const short = " is shorter than any sealed value: make it TEXT"
	for dialect, cases := range map[migrate.Dialect][]refused{
		migrate.SQLite: {
			{"lowered", "TEXT GENERATED ALWAYS AS (lower(source)) VIRTUAL", "column lowered is generated by the database", plain},
			{"upper_", "TEXT AS (upper(source))", "column upper_ is generated by the database", sealed},
			{"good_one", "VARCHAR(140)", "", sealed},
		},
		migrate.Postgres: {
			{"lowered", "TEXT GENERATED ALWAYS AS (lower(source || 'x')) STORED", "column lowered is generated from lower((source || 'x'::text)): seal that", plain},
			{"narrow", "VARCHAR(139)", "column narrow" + short, sealed},
			{"exact", "VARCHAR(140)", "", sealed},
			{"of_subject", "VARCHAR(133)", "column of_subject" + short, subject},
			{"of_subject_exact", "VARCHAR(134)", "", subject},
			{"padded", "CHAR(500)", "column padded pads values: make it TEXT", sealed},
			{"domained", "onlyfor_short_text", "column domained" + short, sealed},
		},
		migrate.MySQL: {
			{"lowered", "VARCHAR(200) GENERATED ALWAYS AS (lower(source)) VIRTUAL", "column lowered is generated from ", plain},
			{"narrow", "VARCHAR(139)", "column narrow" + short, sealed},
			{"tiny", "VARCHAR(64)", "column TINY" + short, func(t *migrate.Table, _ string) { t.Columns[0].Sealed = "TINY" }},
			{"exact", "VARCHAR(140)", "", sealed},
			{"padded", "CHAR(255)", "column padded pads values: make it TEXT", sealed},
			{"index_padded", "BINARY(32)", "column index_padded pads indexes: make it VARBINARY(16)", index},
			{"index_short", "VARBINARY(8)", "column index_short is shorter than an index", index},
			{"index_exact", "BINARY(16)", "", index},
		},
	} {
		for _, c := range cases {
			t.Run(dialect.String()+"/"+c.column, func(t *testing.T) {
				d := databases[slices.IndexFunc(databases, func(d database) bool { return d.dialect == dialect })]
				w := newWorld(t, d)
				if strings.HasPrefix(c.definition, "onlyfor_") {
					w.exec(t, "DROP DOMAIN IF EXISTS onlyfor_short_text CASCADE")
					w.exec(t, "CREATE DOMAIN onlyfor_short_text AS VARCHAR(100)")
					t.Cleanup(func() { w.exec(t, "DROP DOMAIN onlyfor_short_text CASCADE") })
				}
				w.exec(t, "ALTER TABLE @table ADD COLUMN "+c.column+" "+c.definition)
				table := w.described()
				c.change(&table, c.column)
				m, err := migrate.New(t.Context(), w.db, w.dialect, table)
				if c.want == "" {
					require.NoError(t, err)
					return
				}
				require.Nil(t, m)
				require.ErrorIs(t, err, migrate.ErrTable)
				require.NotErrorIs(t, err, vault.ErrUnavailable)
				require.ErrorContains(t, err, c.want)
			})
		}
	}
}

// A value that is longer than a column of bounded width is no loss: the database refuses
// it, and the error names the column. MySQL cuts values off in a session that is not
// strict, which New refuses.
func TestColumnTooShortForAValue(t *testing.T) {
	for _, d := range databases[1:] {
		t.Run(d.dialect.String(), func(t *testing.T) {
			w := newWorld(t, d)
			w.exec(t, "ALTER TABLE @table ADD COLUMN narrow VARCHAR(140)")
			w.fill(t, 1, 2)
			table := w.described()
			table.Columns[0].Sealed = "narrow"
			m, err := migrate.New(t.Context(), w.db, w.dialect, table)
			require.NoError(t, err)
			_, err = m.Backfill(t.Context(), nil)
			require.ErrorIs(t, err, migrate.ErrTable)
			require.ErrorContains(t, err, "too short for a value, make it TEXT: narrow: table is not as described")
			require.Zero(t, w.count(t, "narrow IS NOT NULL"))
			if d.dialect != migrate.MySQL {
				return
			}
			mode := "sql_mode=''"
			if strings.Contains(w.from, "?") {
				mode = "&" + mode
			} else {
				mode = "?" + mode
			}
			loose, err := sql.Open(w.driver, w.from+mode)
			require.NoError(t, err)
			defer loose.Close()
			_, err = migrate.New(t.Context(), loose, w.dialect, table)
			require.ErrorIs(t, err, migrate.ErrTable)
			require.ErrorContains(t, err, "the session is not strict, so that column narrow cuts long values off")
			_, err = migrate.New(t.Context(), loose, w.dialect, w.described())
			require.NoError(t, err, "TEXT has room")
		})
	}
}

// The shortest value has the length that New asks for.
func TestShortestValue(t *testing.T) {
	kit := newKit(t)
	security := kit.Scope(forSecurity)
	for _, c := range []struct {
		scope *vault.Scope
		want  int
	}{{security, 140}, {security.For("1"), 134}} {
		e, err := pii.SealEmail(t.Context(), "a@b.co", c.scope)
		require.NoError(t, err)
		text, err := e.MarshalText()
		require.NoError(t, err)
		require.Len(t, text, c.want)
	}
}
