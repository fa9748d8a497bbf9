package dbtest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/pii/phonenumber"
	"github.com/onlyfor/onlyfor/vault"
)

// of returns the description of one column alone, of the given plaintext.
func (w *world) of(column int, plain string) migrate.Table {
	table := w.described()
	table.Columns = table.Columns[column : column+1]
	table.Columns[0].Plain = plain
	return table
}

// requireAll runs all steps of a migration, each of which has to be OK.
func requireAll(t *testing.T, w *world, table migrate.Table, rows int64) {
	t.Helper()
	m, err := migrate.New(t.Context(), w.db, w.dialect, table)
	require.NoError(t, err)
	report, err := m.Plan(t.Context(), nil)
	require.NoError(t, err)
	require.True(t, report.OK(), report.String())
	require.Equal(t, rows, report.Columns[0].Plain, "rows without a value do not count")
	requireStep(t, m.Backfill, rows)
	requireStep(t, m.Backfill, 0)
	requireStep(t, m.Verify, 0)
	requireStep(t, m.Repair, 0)
	requireStep(t, m.CutOver, rows)
	requireStep(t, m.CutOver, 0)
	requireStep(t, m.Verify, 0)
}

// Numbers that were stored without the plus.
func TestDigitsWithoutPlus(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.insert(t, 1, "2fa", nil, "14155550001")
		w.insert(t, 2, "2fa", nil, "+447400123456")
		table := w.of(1, "phone")
		table.Columns[0].Plaintext = func(_ migrate.Row, raw []byte) (string, error) {
			return "+" + strings.TrimPrefix(string(raw), "+"), nil
		}
		requireAll(t, w, table, 2)
		for id, want := range map[int]string{1: "+14155550001", 2: "+447400123456"} {
			number, err := w.row(t, id).phone.Reveal(t.Context(), w.security)
			require.NoError(t, err)
			require.Equal(t, want, number)
		}
	})
}

func emailIn(_ migrate.Row, raw []byte) (string, error) {
	var meta struct{ Email string }
	err := json.Unmarshal(raw, &meta)
	return meta.Email, err
}

func withoutEmail(_ migrate.Row, raw []byte) ([]byte, error) {
	var meta map[string]json.RawMessage
	if err := json.Unmarshal(raw, &meta); err != nil {
		return nil, err
	}
	delete(meta, "email")
	return json.Marshal(meta)
}

// An address inside a document is sealed beside it, and taken out of it.
func TestAddressInADocument(t *testing.T) {
	types := map[migrate.Dialect][]string{migrate.SQLite: {"TEXT", "JSON", "BLOB"}, migrate.Postgres: {"JSON", "JSONB", "TEXT", "BYTEA"}, migrate.MySQL: {"JSON", "TEXT", "BLOB"}}
	onEachDatabase(t, func(t *testing.T, d database) {
		for _, typ := range types[d.dialect] {
			t.Run(typ, func(t *testing.T) {
				w := newWorld(t, d)
				w.exec(t, "ALTER TABLE @table ADD COLUMN meta "+typ)
				for id, meta := range []any{nil, `{"email":"Person.1@Example.com","age":7}`, `{"email": "Person.2@Example.com", "note": "prefers ☎"}`, `{"age":9}`, nil} {
					if id == 0 {
						continue
					}
					if text, ok := meta.(string); ok && (typ == "BYTEA" || typ == "BLOB") {
						meta = []byte(text)
					}
					w.insert(t, id, "2fa", nil, nil)
					w.exec(t, "UPDATE @table SET meta = ? WHERE id = ?", meta, id)
				}
				table := w.of(0, "meta")
				table.Columns[0].Plaintext, table.Columns[0].Rest = emailIn, withoutEmail
				requireAll(t, w, table, 2)
				var meta []byte
				for id, want := range map[int]string{1: `{"age":7}`, 2: `{"note":"prefers ☎"}`, 3: `{"age":9}`} {
					require.NoError(t, w.db.QueryRow(w.query("SELECT meta FROM @table WHERE id = ?"), id).Scan(&meta))
					require.JSONEq(t, want, string(meta))
				}
				address, err := w.row(t, 2).email.Reveal(t.Context(), w.security)
				require.NoError(t, err)
				require.Equal(t, "Person.2@example.com", address)
			})
		}
	})
}

// A document that changes while CutOver looks at it keeps the change, and a Rest that
// leaves the value in, fails or panics, costs its row alone.
func TestDocumentsThatStay(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.exec(t, "ALTER TABLE @table ADD COLUMN meta "+d.text)
		for id := 1; id <= 5; id++ {
			w.insert(t, id, "2fa", nil, nil)
			w.exec(t, "UPDATE @table SET meta = ? WHERE id = ?", fmt.Sprintf(`{"email":"%s","age":7}`, address(id)), id)
		}
		var changed atomic.Bool
		table := w.of(0, "meta")
		table.Columns[0].Plaintext = emailIn
		table.Columns[0].Rest = func(r migrate.Row, raw []byte) ([]byte, error) {
			switch r.Key() {
			case "1":
				return raw, nil
			case "2":
				return nil, errors.New(string(raw))
			case "3":
				panic(string(raw))
			case "4":
				if !changed.Swap(true) {
					w.exec(t, "UPDATE @table SET meta = ? WHERE id = 4", fmt.Sprintf(`{"email":"%s","age":8}`, address(4)))
				}
			}
			return withoutEmail(r, raw)
		}
		m, err := migrate.New(t.Context(), w.db, w.dialect, table)
		require.NoError(t, err)
		requireStep(t, m.Backfill, 5)
		report, err := m.CutOver(t.Context(), nil)
		require.NoError(t, err)
		requireFindings(t, report, "row 1: meta: plaintext", "row 2: meta: unreadable", "row 3: meta: unreadable")
		require.EqualValues(t, 2, report.Changed)
		require.EqualValues(t, 1, w.count(t, `id = 4 AND meta = '{"age":8}'`))
		require.EqualValues(t, 3, w.count(t, "meta LIKE '%Example.com%'"))
	})
}

// A column of JSON is never set to NULL: CutOver asks for a Rest.
func TestDocumentsNeedARest(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		if d.dialect == migrate.MySQL && strings.Contains(w.version(t), "MariaDB") {
			t.Skip("MariaDB has no type for JSON")
		}
		w.exec(t, "ALTER TABLE @table ADD COLUMN meta JSON")
		table := w.of(0, "meta")
		_, err := migrate.New(t.Context(), w.db, w.dialect, table)
		require.ErrorIs(t, err, migrate.ErrTable)
		table.Columns[0].Rest = withoutEmail
		_, err = migrate.New(t.Context(), w.db, w.dialect, table)
		require.ErrorContains(t, err, "has a Rest and no Plaintext")
		table.Columns[0].Plaintext, table.Columns[0].Rest = emailIn, nil
		m, err := migrate.New(t.Context(), w.db, w.dialect, table)
		require.NoError(t, err)
		_, err = m.CutOver(t.Context(), nil)
		require.ErrorIs(t, err, migrate.ErrTable)
		require.ErrorContains(t, err, "column meta holds documents, so it needs a Rest")
	})
}

func (w *world) version(t *testing.T) (version string) {
	require.NoError(t, w.db.QueryRow("SELECT VERSION()").Scan(&version))
	return version
}

// Ciphertext that an application made with Tink, bound to the row's id.
func TestCiphertextOfTink(t *testing.T) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	require.NoError(t, err)
	old, err := aead.New(handle)
	require.NoError(t, err)
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		typ := map[migrate.Dialect]string{migrate.SQLite: "BLOB", migrate.Postgres: "BYTEA", migrate.MySQL: "VARBINARY(500)"}[d.dialect]
		w.exec(t, "ALTER TABLE @table ADD COLUMN encrypted "+typ)
		for id := 1; id <= 3; id++ {
			bound := id
			if id == 3 {
				bound = 2 // another person's
			}
			ciphertext, err := old.Encrypt([]byte(address(bound)), fmt.Append(nil, bound))
			require.NoError(t, err)
			w.insert(t, id, "2fa", nil, nil)
			w.exec(t, "UPDATE @table SET encrypted = ? WHERE id = ?", ciphertext, id)
		}
		table := w.of(0, "encrypted")
		_, err := migrate.New(t.Context(), w.db, w.dialect, table)
		require.ErrorContains(t, err, "encrypted is no column of text", "without a hook")
		table.Columns[0].Plaintext = func(r migrate.Row, raw []byte) (string, error) {
			plain, err := old.Decrypt(raw, []byte(r.Key()))
			clear(raw) // it may
			return string(plain), err
		}
		m, err := migrate.New(t.Context(), w.db, w.dialect, table)
		require.NoError(t, err)
		for _, step := range []struct {
			run     func() (*migrate.Report, error)
			changed int64
		}{
			{func() (*migrate.Report, error) { return m.Plan(t.Context(), nil) }, 0},
			{func() (*migrate.Report, error) { return m.Backfill(t.Context(), nil) }, 2},
			{func() (*migrate.Report, error) { return m.Verify(t.Context(), nil) }, 0},
			{func() (*migrate.Report, error) { return m.CutOver(t.Context(), nil) }, 2},
		} {
			report, err := step.run()
			require.NoError(t, err)
			requireFindings(t, report, "row 3: encrypted: unreadable")
			require.Equal(t, step.changed, report.Changed, report.Step)
		}
		require.EqualValues(t, 1, w.count(t, "encrypted IS NOT NULL"))
	})
}

// A hook that fails, panics or returns another person's text costs that row alone, and
// nothing that it says is repeated. A service that does not answer ends the step.
func TestHooksThatFail(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.fill(t, 1, 9)
		var down, confused atomic.Bool
		confused.Store(true)
		table := w.of(0, "email")
		table.Columns[0].Plaintext = func(r migrate.Row, raw []byte) (string, error) {
			switch r.Key() {
			case "2":
				return "", errors.New("can't read " + string(raw))
			case "3":
				panic("can't read " + string(raw))
			case "4":
				return "no address: " + string(raw), nil
			case "5":
				_, err := phonenumber.Parse("12", "")
				return "", fmt.Errorf("%s: %w", raw, err)
			case "6":
				if confused.Load() {
					return address(1), nil
				}
			case "7":
				if down.Load() {
					return "", fmt.Errorf("key of %s: %w", raw, vault.ErrUnavailable)
				}
			case "8":
				return "", nil
			}
			return string(raw), nil
		}
		m, err := migrate.New(t.Context(), w.db, w.dialect, table)
		require.NoError(t, err)
		down.Store(true)
		report, err := m.Backfill(t.Context(), &migrate.Options{Batch: 1})
		require.ErrorIs(t, err, vault.ErrUnavailable)
		require.EqualError(t, err, "migrate: backfill "+w.name+": row 7: reading email: unavailable")
		require.Equal(t, "6", report.Last)
		down.Store(false)

		failed := []string{"row 2: email: unreadable", "row 3: email: unreadable", "row 4: email: invalid", "row 5: email: invalid"}
		report, err = m.Backfill(t.Context(), nil)
		require.NoError(t, err)
		requireFindings(t, report, failed...)
		require.NotContains(t, report.String(), "Example")
		confused.Store(false)
		report, err = m.Verify(t.Context(), nil)
		require.NoError(t, err)
		requireFindings(t, report, append(failed, "row 6: email: stale")...)
		report, err = m.CutOver(t.Context(), nil)
		require.NoError(t, err)
		requireFindings(t, report, append(failed, "row 6: email: stale")...)
		require.EqualValues(t, 2, report.Changed)
		requireStep(t, m.Repair, 1)
		address6, err := w.row(t, 6).email.Reveal(t.Context(), w.security)
		require.NoError(t, err)
		require.Equal(t, "Person.6@example.com", address6)
		require.Equal(t, pii.Email{}, w.row(t, 8).email)
	})
}
