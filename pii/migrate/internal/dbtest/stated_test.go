package dbtest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// CollectedFor states when a row's value was collected. A row whose time can't be
// stated, or whose retention is over, costs no other row.
func TestStatedTimes(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		moment := map[migrate.Dialect]string{migrate.Postgres: "TIMESTAMPTZ", migrate.MySQL: "DATETIME(6)", migrate.SQLite: "TEXT"}[d.dialect]
		w.exec(t, "ALTER TABLE @table ADD COLUMN created_at "+moment)
		w.exec(t, "ALTER TABLE @table ADD COLUMN born DATE")
		w.fill(t, 1, 8)
		year := time.Now().Year()
		at := time.Date(year-2, 3, 4, 5, 6, 7, 890_000_000, time.UTC)
		future := time.Now().AddDate(0, 0, 3)
		for id, created := range map[int]any{
			1: at, 2: nil, 3: future, 4: time.Date(year-7, 1, 1, 0, 0, 0, 0, time.UTC), 5: time.Unix(0, 0).UTC(),
		} {
			if d.dialect == migrate.SQLite && id != 1 && created != nil {
				created = created.(time.Time).Format(time.RFC3339Nano)
			}
			w.exec(t, "UPDATE @table SET created_at = ? WHERE id = ?", created, id)
		}
		w.exec(t, "UPDATE @table SET born = '2001-02-03' WHERE id = 6")

		table := w.described()
		table.Read = append(table.Read, "created_at", "born")
		stated := func(r migrate.Row) []*vault.Scope {
			basis := purpose.Basis{Notice: "2fa-v3", Retain: 5 * 365 * 24 * time.Hour}
			basis.Collected, _ = r.Time("created_at")
			if born, ok := r.Time("born"); ok {
				basis = purpose.Basis{Collected: born}
			}
			return []*vault.Scope{w.security.Under(basis)}
		}
		table.Columns = table.Columns[:1]
		table.Columns[0].CollectedFor = stated
		m, err := migrate.New(t.Context(), w.db, w.dialect, table)
		require.NoError(t, err)
		report, err := m.Plan(t.Context(), nil) // people decide on these rows before the first write
		require.NoError(t, err)
		requireFindings(t, report, "row 3: email: invalid basis", "row 4: email: expired", "row 5: email: invalid basis")
		report, err = m.Backfill(t.Context(), nil)
		require.NoError(t, err)
		requireFindings(t, report, "row 3: email: invalid basis", "row 4: email: expired", "row 5: email: invalid basis")
		require.Equal(t, int64(4), report.Changed)

		day := at.Truncate(24 * time.Hour)
		require.Equal(t, purpose.Provenance{
			Collected: day, Stated: true, Notice: "2fa-v3", Expires: at.AddDate(0, 0, 5*365+1).Truncate(24 * time.Hour),
		}, w.provenance(t, 1, forSecurity))
		for _, id := range []int{2, 7} {
			p := w.provenance(t, id, forSecurity)
			require.False(t, p.Stated)
			require.WithinRange(t, p.Collected, time.Now().AddDate(0, 0, -2), time.Now())
		}
		require.Equal(t, purpose.Provenance{Collected: time.Date(2001, 2, 3, 0, 0, 0, 0, time.UTC), Stated: true}, w.provenance(t, 6, forSecurity))
		report, err = m.Verify(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, map[migrate.Problem]int64{migrate.Unsealed: 3}, report.Problems)
	})
}

// Times as databases and drivers write them.
func TestRowTime(t *testing.T) {
	w := newWorld(t, databases[0])
	w.exec(t, "ALTER TABLE @table ADD COLUMN moment TEXT")
	at := time.Date(2019, 3, 4, 5, 6, 7, 0, time.UTC)
	want := map[string]time.Time{}
	texts := []string{
		"2019-03-04 05:06:07", "2019-03-04 05:06:07+00", "2019-03-04 10:36:07+05:30", "2019-03-04T05:06:07Z", "2019-03-04T05:06:07",
		"2019-03-04 05:06:07 +0000 UTC", "2019-03-04 05:06:07.000000",
		"2019-03-04", "", "1551675967", "0000-00-00 00:00:00", "infinity", "2019-02-30", "yesterday", "2019-03-04 05:06:07 BC",
		"2019-03-04 05:06:07." + string(make([]byte, 100)),
	}
	for i, text := range texts {
		switch {
		case i < 7:
			want[text] = at
		case i == 7:
			want[text] = at.Truncate(24 * time.Hour)
		}
		w.exec(t, "INSERT INTO @table (id, moment, email) VALUES (?, ?, 'alice@example.com')", i+1, text)
	}
	table := w.described()
	table.Read = []string{"moment"}
	table.Columns = table.Columns[:1]
	seen := 0
	table.Columns[0].CollectedFor = func(r migrate.Row) []*vault.Scope {
		got, ok := r.Time("moment")
		expect, isTime := want[r.Text("moment")]
		require.Equal(t, isTime, ok, r.Text("moment"))
		require.True(t, expect.Equal(got), r.Text("moment"))
		seen++
		return nil
	}
	m, err := migrate.New(t.Context(), w.db, w.dialect, table)
	require.NoError(t, err)
	_, err = m.Backfill(t.Context(), &migrate.Options{Workers: 1})
	require.NoError(t, err)
	require.Equal(t, len(texts), seen)
}
