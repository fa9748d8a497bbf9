package dbtest_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// Matching under a suspended notice ends when the index column is cleared, and comes back
// with Reindex. Values under other notices, and indexes of other purposes, stay.
func TestClearNotice(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		ctx := t.Context()
		const notice, people = "2fa-v3", 12
		w.fill(t, 0, people)
		m := w.migration(t)
		_, err := m.Backfill(ctx, nil)
		require.NoError(t, err)
		_, err = m.CutOver(ctx, nil)
		require.NoError(t, err)
		noticed := 0 // values
		var first int
		for id := range people {
			for _, v := range []interface {
				Provenance(purpose.Purpose) (purpose.Provenance, bool)
			}{w.row(t, id).email, w.row(t, id).phone} {
				if p, _ := v.Provenance(forSecurity); p.Notice == notice {
					if noticed++; noticed == 1 {
						first = id
					}
				}
			}
		}
		require.Positive(t, noticed)
		indexes := func() int64 { return w.count(t, "email_index IS NOT NULL") + w.count(t, "phone_index IS NOT NULL") }
		ads := w.count(t, "email_ads IS NOT NULL")
		all := indexes()
		matches := func() int64 {
			x, err := pii.IndexEmail(ctx, address(first), w.security)
			require.NoError(t, err)
			var n int64
			require.NoError(t, w.db.QueryRowContext(ctx, w.query("SELECT COUNT(*) FROM @table WHERE email_index = ?"), x).Scan(&n))
			return n
		}

		require.NoError(t, w.kit.Admin.Suspend(ctx, forSecurity, vault.Suspension{Notice: notice}))
		require.EqualValues(t, 1, matches(), "an index column knows no notices")
		clear := func(ctx context.Context, opts *migrate.Options) (*migrate.Report, error) {
			return m.ClearNotice(ctx, forSecurity, notice, opts)
		}
		report, err := clear(ctx, nil)
		require.NoError(t, err)
		require.True(t, report.OK())
		require.Positive(t, report.Changed)
		require.Zero(t, matches())
		require.Equal(t, all-int64(noticed), indexes())
		require.Equal(t, ads, w.count(t, "email_ads IS NOT NULL"))
		requireStep(t, clear, 0)

		// Reindex passes over the values, and counts them. A rotation goes on.
		report, err = m.Reindex(ctx, nil)
		require.NoError(t, err)
		require.False(t, report.OK())
		require.EqualValues(t, noticed, report.Problems[migrate.Suspended])
		require.Equal(t, all-int64(noticed), indexes())
		w.kit.Rotate(forSecurity, vault.RoleSeal)
		report, err = m.Reseal(ctx, nil)
		require.NoError(t, err)
		require.True(t, report.OK(), "%v", report)
		require.Positive(t, report.Changed)
		report, err = m.Verify(ctx, nil)
		require.NoError(t, err)
		require.EqualValues(t, noticed, report.Problems[migrate.Suspended])

		require.NoError(t, w.kit.Admin.Resume(ctx, forSecurity, notice))
		report, err = m.Reindex(ctx, nil)
		require.NoError(t, err)
		require.True(t, report.OK(), "%v", report)
		require.Equal(t, all, indexes())
		require.EqualValues(t, 1, matches())
		report, err = m.Verify(ctx, nil)
		require.NoError(t, err)
		require.True(t, report.OK(), "%v", report)

		for _, bad := range []string{"", "two words"} {
			_, err = m.ClearNotice(ctx, forSecurity, bad, nil)
			require.ErrorIs(t, err, migrate.ErrTable)
		}
		_, err = m.ClearNotice(ctx, purpose.MustParse("billing"), notice, nil)
		require.ErrorIs(t, err, migrate.ErrTable)
		// It needs no key, so it runs in whatever state the vault is.
		require.NoError(t, w.kit.Vault.Close())
		_, err = m.ClearNotice(ctx, forSecurity, notice, nil)
		require.NoError(t, err)
		require.Zero(t, func() int64 { return indexes() - all + int64(noticed) }())
	})
}
