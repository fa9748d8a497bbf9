package migrate

import (
	"context"
	"errors"
	"strings"

	"github.com/onlyfor/onlyfor/vault"
)

// Reseal moves sealed values to the present primary keys of [Table.Scopes], after
// [vault.Admin.Rotate]. Provenance does not change. Values of subjects do not need
// it: [vault.Admin.RewrapSubjects] moves their keys. Once Reseal changes nothing
// and reports nothing, the old key can be retired.
//
// It passes over values that a [vault.Collector] sealed: everybody who can write to
// the table could have put them there, so a person decides to take them in.
//
// It reports values that are [Corrupt], [Expired] or [Erased]. It returns the
// errors of [Migration.Backfill].
func (m *Migration) Reseal(ctx context.Context, opts *Options) (*Report, error) {
	return m.run(ctx, "reseal", opts, m.withSealed(false), func(ctx context.Context, r *rowEdit) error {
		return m.each(r, func(i int, v value) error {
			var old []*vault.Scope
			for _, s := range m.scopesOf(r, v.Purposes()) {
				if !v.OnPrimaryKey(s) && !v.ByCollector(s.Purpose()) {
					old = append(old, s)
				}
			}
			if len(old) == 0 {
				return nil
			}
			v, err := v.reseal(ctx, old)
			if err != nil {
				return m.findError(r, i, err)
			}
			column, err := v.Value()
			if err != nil {
				return err
			}
			r.set(m.columns[i].sealed, column)
			r.unchanged(m.columns[i].sealed)
			return nil
		})
	})
}

// Reindex replaces each index that is missing, or differs from the sealed value's
// index under the primary index key: after [vault.Admin.Rotate], or when a
// column was added. An index of a purpose that the value was not collected for
// becomes NULL. A value that a [vault.Collector] sealed gets no index before it is
// taken in. Once Reindex changes nothing and reports nothing, the old key can be
// retired, and a search needs one index only.
//
// It reports values that are [Corrupt], [Expired] or [Erased], and indexes that a
// unique constraint refuses as a [Duplicate]. It returns the errors of
// [Migration.Backfill].
func (m *Migration) Reindex(ctx context.Context, opts *Options) (*Report, error) {
	return m.run(ctx, "reindex", opts, m.withSealed(true), func(ctx context.Context, r *rowEdit) error {
		return m.each(r, func(i int, v value) error {
			c := &m.columns[i]
			for _, f := range c.indexes {
				if !v.Purposes().Contains(m.fields[f].purpose) {
					if r.has(f) {
						r.clear(c, f)
					}
					continue
				}
				if v.ByCollector(m.fields[f].purpose) {
					continue // not taken in yet
				}
				x, err := v.Index(ctx, m.scopeOfIndex(r, f))
				if err != nil {
					return m.findError(r, i, err)
				}
				if r.indexIs(f, x) {
					continue
				}
				bytes, err := x.Value()
				if err != nil {
					return err
				}
				r.replace(c, f, bytes)
			}
			return nil
		})
	})
}

// Sweep removes from each sealed value the purposes whose retention is over, and
// their indexes. A value without any purpose left becomes NULL, and so do indexes
// of purposes that the value was not collected for. Sweep opens nothing, so it
// needs no grant; it takes the names of index columns from the scopes.
//
// A value whose plaintext is still there is reported as [Plaintext] and not changed,
// because Backfill would seal it again. A malformed value is reported as [Corrupt].
// Sweep returns the errors of [Migration.Backfill].
func (m *Migration) Sweep(ctx context.Context, opts *Options) (*Report, error) {
	sel := m.withSealed(true)
	for _, c := range m.columns {
		if c.plain >= 0 {
			sel.fields = sel.fields.with(c.plain)
		}
	}
	return m.run(ctx, "sweep", opts, sel, func(_ context.Context, r *rowEdit) error {
		return m.each(r, func(i int, v value) error {
			c := &m.columns[i]
			kept := v.withoutExpired()
			expired := kept.Purposes() != v.Purposes()
			if expired && c.plain >= 0 && r.has(c.plain) {
				r.find(c.name, Plaintext)
				return nil
			}
			if expired {
				column, err := kept.Value()
				if err != nil {
					return err
				}
				r.set(c.sealed, column)
				r.unchanged(c.sealed)
				if c.plain >= 0 {
					r.unchanged(c.plain)
				}
			}
			for _, f := range c.indexes {
				if r.has(f) && !kept.Purposes().Contains(m.fields[f].purpose) {
					r.clear(c, f)
				}
			}
			return nil
		})
	})
}

// ClearErased sets to NULL the indexes of people who were erased by
// [vault.Vault.Erase], for each purpose that they were erased for. An index is
// computed with the purpose's key, so it outlives the keys of the subject. An
// application that clears the row when it erases does not need ClearErased. Without
// [Table.Subject] it is [ErrTable].
//
// Erasures by other processes are known after [vault.Options.SubjectLifetime].
// ClearErased reports values that are [Corrupt] or [Expired]. It returns the errors
// of [Migration.Backfill].
func (m *Migration) ClearErased(ctx context.Context, opts *Options) (*Report, error) {
	if m.table.Subject == "" {
		return m.newReport("clear erased"), &stepError{"clear erased", m.table.Name, refuse("no subject column")}
	}
	return m.run(ctx, "clear erased", opts, m.withSealed(true), func(ctx context.Context, r *rowEdit) error {
		return m.each(r, func(i int, v value) error {
			c := &m.columns[i]
			for _, f := range c.indexes {
				if !r.has(f) || !v.Purposes().Contains(m.fields[f].purpose) {
					continue
				}
				switch _, err := v.Index(ctx, m.scopeOfIndex(r, f)); {
				case errors.Is(err, vault.ErrErased) && !errors.Is(err, vault.ErrUnavailable):
					r.clear(c, f)
				case err != nil:
					return m.findError(r, i, err)
				}
			}
			return nil
		})
	})
}

// clear sets an index to NULL, if the index and the sealed value have not changed
// since.
func (r *rowEdit) clear(c *column, f int) { r.replace(c, f, nil) }

func (r *rowEdit) replace(c *column, f int, bytes any) {
	r.set(f, bytes)
	r.unchanged(f)
	r.unchanged(c.sealed)
}

// withSealed selects the rows that have a sealed value in any column. The sealed
// values are read, and the indexes if the caller wants them.
func (m *Migration) withSealed(indexes bool) (sel selection) {
	var states []string
	for _, c := range m.columns {
		sel.fields = sel.fields.with(c.sealed)
		states = append(states, m.present(c.sealed))
		for _, f := range c.indexes {
			if indexes {
				sel.fields = sel.fields.with(f)
			}
		}
	}
	sel.where = strings.Join(states, " OR ")
	return sel
}

// each calls f for the sealed values of a row. A malformed one is Corrupt.
func (m *Migration) each(r *rowEdit, f func(i int, v value) error) error {
	for i := range m.columns {
		c := &m.columns[i]
		if !r.has(c.sealed) {
			continue
		}
		v, ok := m.scan(r, i)
		if !ok {
			r.find(c.name, Corrupt)
			continue
		}
		if err := f(i, v); err != nil {
			return err
		}
	}
	return nil
}
