package dbtest_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// BenchmarkBackfill seals (email, phone) of people in a table of each database, beside the
// same batches of updates without cryptography: text of the same length in the
// same columns. Each iteration is one person:
//
//	go test -run '^$' -bench Backfill -benchtime 1000000x
//
// It reports rows per second of both, and the ratio of their times. The indexes
// of the database, without which no column of blind indexes is of use, can be
// made before or after: made before, they are most of the work.
func BenchmarkBackfill(b *testing.B) {
	for _, d := range databases {
		b.Run(d.dialect.String(), func(b *testing.B) {
			b.Run("indexes made after", func(b *testing.B) { benchmarkBackfill(b, d, false) })
			b.Run("indexes made before", func(b *testing.B) { benchmarkBackfill(b, d, true) })
		})
	}
}

func benchmarkBackfill(b *testing.B, d database, indexed bool) {
	const batch = 10_000
	w := newWorld(b, d)
	plain := newWorld(b, d)
	for _, w := range []*world{w, plain} {
		if indexed {
			w.exec(b, "CREATE UNIQUE INDEX "+w.name+"_e ON @table (email_index)")
			w.exec(b, "CREATE INDEX "+w.name+"_p ON @table (phone_index)")
		}
	}
	for from := 0; from < b.N; from += batch {
		to := min(b.N, from+batch)
		w.fill(b, from, to)
		plain.fill(b, from, to)
	}
	described := w.described()
	described.Scopes = unaudited(b)
	m, err := migrate.New(b.Context(), w.db, w.dialect, byEverybody(described))
	require.NoError(b, err)

	var peak uint64
	start := time.Now()
	report, err := m.Backfill(b.Context(), &migrate.Options{Batch: batch, Pause: func(context.Context) error {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		peak = max(peak, stats.HeapInuse)
		return nil
	}})
	sealing := time.Since(start)
	require.NoError(b, err)
	require.EqualValues(b, b.N, report.Changed)
	require.True(b, report.OK())

	start = time.Now()
	plain.update(b, batch)
	updating := time.Since(start)
	require.EqualValues(b, b.N, plain.count(b, "email_sealed IS NOT NULL AND phone_index IS NOT NULL"))

	b.ReportMetric(float64(b.N)/sealing.Seconds(), "rows/s")
	b.ReportMetric(float64(b.N)/updating.Seconds(), "plain-rows/s")
	b.ReportMetric(sealing.Seconds()/updating.Seconds(), "times-plain")
	b.ReportMetric(float64(peak)/1e6, "MB-heap-peak")
	b.ReportMetric(0, "ns/op")
}

// update writes what Backfill writes, but as constant text: pages of rows, each
// updated in one transaction under the same conditions.
func (w *world) update(b *testing.B, batch int) {
	emailText, phoneText := fmt.Sprintf("%0190d", 0), fmt.Sprintf("%0190d", 1)
	after := -1
	for {
		rows, err := w.db.Query(w.query("SELECT id, email, phone FROM @table WHERE id > ? AND email_sealed IS NULL ORDER BY id LIMIT ?"), after, batch)
		require.NoError(b, err)
		type person struct {
			id           int
			email, phone string
		}
		var page []person
		for rows.Next() {
			var p person
			require.NoError(b, rows.Scan(&p.id, &p.email, &p.phone))
			page = append(page, p)
		}
		require.NoError(b, rows.Err())
		if len(page) == 0 {
			return
		}
		tx, err := w.db.Begin()
		require.NoError(b, err)
		statement := prepare(b, tx, w.query(`UPDATE @table SET email_sealed = ?, email_index = ?, email_ads = ?, phone_sealed = ?, phone_index = ?
			WHERE id = ? AND email = ? AND email_sealed IS NULL AND phone = ? AND phone_sealed IS NULL`))
		for _, p := range page {
			index := fmt.Appendf(nil, "%016x", uint64(p.id)*0x9e3779b97f4a7c15)
			_, err := statement.Exec(emailText, index, nil, phoneText, index, p.id, p.email, p.phone)
			require.NoError(b, err)
			after = p.id
		}
		require.NoError(b, tx.Commit())
	}
}

func prepare(b *testing.B, tx *sql.Tx, statement string) *sql.Stmt {
	s, err := tx.Prepare(statement)
	require.NoError(b, err)
	b.Cleanup(func() { s.Close() })
	return s
}

// unaudited returns scopes whose use nobody listens to.
func unaudited(b *testing.B) []*vault.Scope {
	v, err := vault.OpenAdmin(b.Context(), vault.Memory(), vault.LocalKEK(filepath.Join(b.TempDir(), "kek")), nil)
	require.NoError(b, err)
	b.Cleanup(func() { v.Close() })
	require.NoError(b, v.Generate(b.Context(), forSecurity, forAdvertising))
	var scopes []*vault.Scope
	for _, p := range []purpose.Purpose{forSecurity, forAdvertising} {
		s, err := v.Scope(b.Context(), p)
		require.NoError(b, err)
		scopes = append(scopes, s)
	}
	return scopes
}

// byEverybody has all values collected for the first scope's purpose.
func byEverybody(t migrate.Table) migrate.Table {
	for i := range t.Columns {
		t.Columns[i].CollectedFor = func(migrate.Row) []*vault.Scope { return t.Scopes[:1] }
	}
	return t
}
