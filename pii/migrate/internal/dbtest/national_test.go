package dbtest_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/pii/phonenumber"
)

// Spellings of one number as tables have them, by id, with the person's country.
var spelled = []struct{ phone, country string }{
	1:  {"+44 7400 123456", "GB"},
	2:  {"+44 07400 123456", "GB"},
	3:  {"07400 123456", "GB"},
	4:  {"447400123456", "GB"},
	5:  {"0044 7400 123456", "GB"},
	6:  {"+44 (0)7400 123456", "GB"},
	7:  {"\u202a+44 7400 123456\u202c", "GB"},
	8:  {"+44\u00a07400\u00a0123456", "GB"},
	9:  {"+44 7400 123456 ", "GB"},
	10: {"'+447400123456", "GB"},
	11: {"07400 123456 x12", "GB"},
	12: {"7400123456", "GB"},
	13: {"4.474E+11", "GB"},
	14: {"011 44 7400 123456", "US"},
	15: {"(415) 555-2671", "US"},
	16: {"07400 123456", ""}, // nobody knows the country
	17: {"49 151 23456789", "DE"},
}

// A column of numbers as people typed them, each in a country of its own, is sealed in
// one form, and can be emptied of all that is a number.
func TestNumbersAsPeopleTypeThem(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.exec(t, "ALTER TABLE @table ADD COLUMN country "+d.text)
		for id, row := range spelled {
			if id > 0 {
				w.exec(t, "INSERT INTO @table (id, source, phone, country) VALUES (?, ?, ?, ?)", id, "2fa", row.phone, row.country)
			}
		}
		table := w.described()
		table.Columns = table.Columns[1:]
		table.Read = append(table.Read, "country")

		// International numbers in ordinary form are all that package pii takes.
		m, err := migrate.New(t.Context(), w.db, w.dialect, table)
		require.NoError(t, err)
		report, err := m.Plan(t.Context(), nil)
		require.NoError(t, err)
		for _, f := range report.Findings {
			require.NotEqual(t, "1", f.Key)
			if f.Key == "2" {
				require.Equal(t, migrate.Invalid, f.Problem)
			}
		}
		require.GreaterOrEqual(t, report.Problems[migrate.Invalid], int64(12))

		table.Columns[0].Plaintext = func(r migrate.Row, raw []byte) (string, error) {
			return phonenumber.Parse(string(raw), r.Text("country"))
		}
		if m, err = migrate.New(t.Context(), w.db, w.dialect, table); err != nil {
			t.Fatal(err)
		}
		report, err = m.Plan(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, map[migrate.Problem]int64{migrate.Invalid: 5, migrate.Duplicate: 10}, report.Problems)
		for _, step := range []func() (*migrate.Report, error){
			func() (*migrate.Report, error) { return m.Backfill(t.Context(), nil) },
			func() (*migrate.Report, error) { return m.Verify(t.Context(), nil) },
			func() (*migrate.Report, error) { return m.Repair(t.Context(), nil) },
			func() (*migrate.Report, error) { return m.CutOver(t.Context(), nil) },
		} {
			report, err = step()
			require.NoError(t, err)
			require.Zero(t, report.Problems[migrate.Stale], report.Step)
		}
		require.Equal(t, int64(12), report.Changed)
		requireFindings(t, report, "row 10: phone: invalid", "row 11: phone: invalid", "row 13: phone: invalid", "row 16: phone: invalid", "row 17: phone: invalid")
		for id, row := range spelled {
			switch id {
			case 0:
				continue
			case 10, 11, 13, 16, 17:
				s := w.row(t, id)
				require.Equal(t, row.phone, s.plainPhone.String)
				require.True(t, s.phone.IsZero())
				continue
			}
			want := "+447400123456"
			if id == 15 {
				want = "+14155552671"
			}
			s := w.row(t, id)
			require.False(t, s.plainPhone.Valid, fmt.Sprint(id))
			number, err := s.phone.Reveal(t.Context(), w.security)
			require.NoError(t, err)
			require.Equal(t, want, number)
			index, err := pii.IndexPhone(t.Context(), want, w.security)
			require.NoError(t, err)
			require.True(t, index.Equal(s.phoneX))
		}
	})
}

// A plaintext that changed after it was sealed is stale, also if it is no number any more.
func TestNormalFormsThatChange(t *testing.T) {
	w := newWorld(t, databases[0])
	w.exec(t, "INSERT INTO @table (id, source, phone) VALUES (1, '2fa', '07400 123456'), (2, '2fa', '07400 123457')")
	table := w.described()
	table.Columns = table.Columns[1:]
	table.Columns[0].Plaintext = func(_ migrate.Row, raw []byte) (string, error) {
		return phonenumber.Parse(string(raw), "GB")
	}
	m, err := migrate.New(t.Context(), w.db, w.dialect, table)
	require.NoError(t, err)
	report, err := m.Backfill(t.Context(), nil)
	require.NoError(t, err)
	require.True(t, report.OK())
	w.exec(t, "UPDATE @table SET phone = '07400 123999' WHERE id = 1")
	w.exec(t, "UPDATE @table SET phone = 'ask her' WHERE id = 2")
	report, err = m.Verify(t.Context(), nil)
	require.NoError(t, err)
	requireFindings(t, report, "row 1: phone: stale", "row 2: phone: stale")
	report, err = m.Repair(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, int64(1), report.Changed)
	requireFindings(t, report, "row 2: phone: invalid")
	number, err := w.row(t, 1).phone.Reveal(t.Context(), w.security)
	require.NoError(t, err)
	require.Equal(t, "+447400123999", number)
}
