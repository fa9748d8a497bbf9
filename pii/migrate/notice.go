package migrate

import (
	"context"
	"slices"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// ClearNotice sets to NULL the indexes for purpose p of values that were collected for p
// under the given notice, so that nobody is found by them. It is for a notice that
// [vault.Admin.Suspend] stops: an index column knows no notices, so people are found in it
// until it is cleared. It also sets indexes without a sealed value to NULL. Values stay.
//
// ClearNotice opens nothing, so it runs while p is suspended, and takes the notice that the
// header of a value claims. Run it once every process knows of the suspension, which takes
// [vault.Options.Refresh], and again if the application writes values under the notice
// meanwhile. After [vault.Admin.Resume], [Migration.Reindex] brings the indexes back.
//
// It reports malformed values as [Corrupt]. A malformed or empty notice, and a purpose
// without a scope in [Table.Scopes], is [ErrTable]. Other errors are the errors of
// [Migration.Backfill].
func (m *Migration) ClearNotice(ctx context.Context, p purpose.Purpose, notice string, opts *Options) (*Report, error) {
	const step = "clear notice"
	switch {
	case !purpose.ValidReference(notice):
		return m.newReport(step), &stepError{step, m.table.Name, refuse("malformed notice")}
	case !slices.ContainsFunc(m.table.Scopes, func(s *vault.Scope) bool { return s.Purpose() == p }):
		return m.newReport(step), &stepError{step, m.table.Name, refuse("no scope of that purpose")}
	}
	sel := m.withSealed(true)
	sel.withoutKeys = true
	return m.run(ctx, step, opts, sel, func(_ context.Context, r *rowEdit) error {
		return m.each(r, true, func(i int, v value) error {
			c := &m.columns[i]
			from, collected := v.Provenance(p)
			if !collected || from.Notice != notice {
				return nil
			}
			for _, f := range c.indexes {
				if m.fields[f].purpose == p && r.has(f) {
					r.clear(c, f)
				}
			}
			return nil
		})
	})
}
