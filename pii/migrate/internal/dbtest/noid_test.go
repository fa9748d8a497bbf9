package dbtest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/migrate"
)

// A row whose id is no id, such as 0, is a finding. It costs no other row, and nobody is
// sealed for that id.
func TestRowWithoutAnID(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.fill(t, 0, 5)
		table := w.described()
		table.Subject = "id"
		m, err := migrate.New(t.Context(), w.db, w.dialect, table)
		require.NoError(t, err)
		report, err := m.Backfill(t.Context(), nil)
		require.NoError(t, err)
		require.EqualValues(t, 5, report.Rows)
		require.EqualValues(t, 4, report.Changed)
		require.NotZero(t, report.Problems[migrate.NoSubject])
		for _, f := range report.Findings {
			require.Equal(t, "0", f.Key)
			require.Equal(t, migrate.NoSubject, f.Problem)
		}
		require.EqualValues(t, 4, w.count(t, "email_sealed IS NOT NULL"))
	})
}
