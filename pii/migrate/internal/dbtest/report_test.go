package dbtest_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/pii/report"
	"github.com/onlyfor/onlyfor/vault"
)

func (w *world) reported() report.Table {
	return report.Table{Name: w.name, Key: "id", Subject: "id", Columns: []string{"email_sealed", "phone_sealed"}}
}

// A report counts the values that a backfill has written, whatever database they are in.
func TestReport(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.fill(t, 1, 101)
		w.insert(t, 200, "ads-opt-in", "opted@example.com", nil)
		w.insert(t, 300, nil, "nobody-knows@example.com", nil) // stays in plaintext
		_, err := w.migration(t).Backfill(t.Context(), nil)
		require.NoError(t, err)
		w.insert(t, 400, nil, nil, nil)
		w.exec(t, "UPDATE @table SET phone_sealed = 'no value' WHERE id = 400")

		keys := map[string]bool{}
		r, err := report.Affected(t.Context(), report.Query{}, &report.Options{Row: func(table, key string) error {
			require.Equal(t, w.name, table)
			require.False(t, keys[key], "once a row")
			keys[key] = true
			return nil
		}}, report.Values(t.Context(), w.db, w.dialect, w.reported()))
		require.NoError(t, err)
		require.Equal(t, [3]int64{101, 201, 1}, [3]int64{r.Total.People, r.Total.Values, r.Unreadable})
		require.Len(t, keys, 101)
		require.True(t, keys["1"] && keys["100"] && keys["200"])
		under, err := report.Affected(t.Context(), report.Query{Notice: "2fa-v3"}, nil, report.Values(t.Context(), w.db, w.dialect, w.reported()))
		require.NoError(t, err)
		require.Equal(t, [2]int64{100, 200}, [2]int64{under.Total.People, under.Total.Values})
	})
}

// A table that is not as described, and a database that fails, are errors without the text
// of the database.
func TestReportFaults(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.fill(t, 1, 2)
		stopped, stop := context.WithCancel(t.Context())
		stop()
		for name, test := range map[string]struct {
			ctx     context.Context
			dialect migrate.Dialect
			change  func(*report.Table)
			want    error
		}{
			"no dialect":         {t.Context(), 0, func(*report.Table) {}, migrate.ErrTable},
			"no name":            {t.Context(), w.dialect, func(t *report.Table) { t.Name = "" }, migrate.ErrTable},
			"no columns":         {t.Context(), w.dialect, func(t *report.Table) { t.Columns = nil }, migrate.ErrTable},
			"an empty column":    {t.Context(), w.dialect, func(t *report.Table) { t.Columns[1] = "" }, migrate.ErrTable},
			"no such column":     {t.Context(), w.dialect, func(t *report.Table) { t.Columns[0] += "x" }, vault.ErrUnavailable},
			"no such table":      {t.Context(), w.dialect, func(t *report.Table) { t.Name += "x" }, vault.ErrUnavailable},
			"a name that is SQL": {t.Context(), w.dialect, func(t *report.Table) { t.Key = "id\" FROM x; DROP TABLE y -- `" }, vault.ErrUnavailable},
			"a ctx that is done": {stopped, w.dialect, func(*report.Table) {}, context.Canceled},
		} {
			t.Run(name, func(t *testing.T) {
				table := w.reported()
				test.change(&table)
				_, err := report.Affected(t.Context(), report.Query{}, nil, report.Values(test.ctx, w.db, test.dialect, table))
				require.ErrorIs(t, err, test.want)
				require.NotContains(t, err.Error(), "syntax")
				require.NotContains(t, err.Error(), "no such")
			})
		}
	})
}

// countByHand counts people and values by purpose and notice, and no more, in the shortest
// program: in one goroutine, with all people in memory.
func countByHand(b *testing.B, w *world) time.Duration {
	start := time.Now()
	rows, err := w.db.Query(w.query("SELECT id, email_sealed, phone_sealed FROM @table WHERE email_sealed IS NOT NULL OR phone_sealed IS NOT NULL"))
	require.NoError(b, err)
	defer rows.Close()
	type group struct{ purpose, notice string }
	people, values := map[string]bool{}, map[group]int{}
	var id sql.RawBytes
	var cells [2]sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&id, &cells[0], &cells[1]); err != nil {
			b.Fatal(err)
		}
		people[string(id)] = true
		for _, cell := range cells {
			v, err := vault.ParseSealed(string(cell))
			if err != nil {
				b.Fatal(err)
			}
			for p := range v.Purposes().All() {
				of, _ := v.Provenance(p)
				values[group{p.String(), of.Notice}]++
			}
		}
	}
	require.NoError(b, rows.Err())
	require.Len(b, people, max(b.N, 100))
	return time.Since(start)
}

// BenchmarkReport counts the people and values of a table, beside a SELECT of the same
// columns and a program that counts by hand. Each iteration is one row with two values:
//
//	go test -run '^$' -bench Report -benchtime 1000000x
func BenchmarkReport(b *testing.B) {
	for _, d := range databases {
		b.Run(d.dialect.String(), func(b *testing.B) {
			w := newWorld(b, d)
			w.fill(b, 0, 100)
			described := w.described()
			described.Scopes = unaudited(b)
			m, err := migrate.New(b.Context(), w.db, w.dialect, byEverybody(described))
			require.NoError(b, err)
			_, err = m.Backfill(b.Context(), nil)
			require.NoError(b, err)
			for n := 100; n < b.N; n *= 2 { // the same values in other rows
				w.exec(b, fmt.Sprintf("INSERT INTO @table (id, email_sealed, phone_sealed) SELECT id + %d, email_sealed, phone_sealed FROM @table WHERE id < %d", n, min(n, b.N-n)))
			}
			read := func() time.Duration {
				start := time.Now()
				rows, err := w.db.Query(w.query("SELECT id, email_sealed, phone_sealed FROM @table WHERE email_sealed IS NOT NULL OR phone_sealed IS NOT NULL"))
				require.NoError(b, err)
				defer rows.Close()
				var cells [3]sql.RawBytes
				for rows.Next() {
					if err := rows.Scan(&cells[0], &cells[1], &cells[2]); err != nil {
						b.Fatal(err)
					}
				}
				require.NoError(b, rows.Err())
				return time.Since(start)
			}
			count := func() time.Duration {
				start := time.Now()
				r, err := report.Affected(b.Context(), report.Query{}, nil, report.Values(b.Context(), w.db, w.dialect, w.reported()))
				require.NoError(b, err)
				require.EqualValues(b, max(b.N, 100), r.Total.People)
				return time.Since(start)
			}
			best := func(before time.Duration, f func() time.Duration) time.Duration {
				if took := f(); before == 0 || took < before {
					return took
				}
				return before
			}
			read()
			b.ResetTimer()
			var plain, byHand, counted time.Duration
			for range 5 { // the best of five, since other work of the machine only adds to each
				plain, byHand, counted = best(plain, read), best(byHand, func() time.Duration { return countByHand(b, w) }), best(counted, count)
			}
			b.StopTimer()
			b.ReportMetric(float64(counted)/float64(plain), "×SELECT")
			b.ReportMetric(float64(byHand)/float64(plain), "by-hand×SELECT")
		})
	}
}
