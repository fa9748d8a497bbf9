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
// It reports values that are [Corrupt], [Retired], [Expired] or [Erased]. It returns the
// errors of [Migration.Backfill].
func (m *Migration) Reseal(ctx context.Context, opts *Options) (*Report, error) {
	return m.run(ctx, "reseal", opts, m.withSealed(false), func(ctx context.Context, r *rowEdit) error {
		return m.each(r, false, func(i int, v value) error {
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
// becomes NULL, and so does an index without a sealed value. A value that a
// [vault.Collector] sealed gets no index before it is taken in. Once Reindex changes
// nothing and reports nothing, the old key can be retired, and a search needs one index
// only.
//
// It reports values that are [Corrupt], [Retired], [Expired] or [Erased], and indexes that a
// unique constraint refuses as a [Duplicate]. It returns the errors of
// [Migration.Backfill].
func (m *Migration) Reindex(ctx context.Context, opts *Options) (*Report, error) {
	return m.run(ctx, "reindex", opts, m.withSealed(true), func(ctx context.Context, r *rowEdit) error {
		return m.each(r, true, func(i int, v value) error {
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
// of purposes that the value was not collected for, and indexes without a value. Sweep
// opens nothing, so it needs no grant; it takes the names of index columns from the
// scopes.
//
// A value whose plaintext is still there is reported as [Plaintext] and not changed,
// because Backfill would seal it again. A malformed value is reported as [Corrupt].
// Before it writes a batch, Sweep compares the clock with the database's: if they differ
// by more than five minutes, it ends with [ErrClock]. SQLite has no clock of its own.
// Sweep returns the errors of [Migration.Backfill].
func (m *Migration) Sweep(ctx context.Context, opts *Options) (*Report, error) {
	sel := m.withSealed(true)
	sel.withoutKeys, sel.clock = true, true
	for _, c := range m.columns {
		if c.plain >= 0 {
			sel.fields = sel.fields.with(c.plain)
		}
	}
	return m.run(ctx, "sweep", opts, sel, func(_ context.Context, r *rowEdit) error {
		return m.each(r, true, func(i int, v value) error {
			c := &m.columns[i]
			kept := v.withoutExpired()
			expired := kept.Purposes() != v.Purposes()
			if expired && r.hasPlain(i) {
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
// application that clears the row when it erases does not need ClearErased. It also
// sets indexes without a sealed value to NULL. Without [Table.Subject] it is [ErrTable].
//
// Erasures by other processes are known after [vault.Options.SubjectLifetime].
// ClearErased reports values that are [Corrupt], [Retired] or [Expired]. It returns the errors
// of [Migration.Backfill].
func (m *Migration) ClearErased(ctx context.Context, opts *Options) (*Report, error) {
	if m.table.Subject == "" {
		return m.newReport("clear erased"), &stepError{"clear erased", m.table.Name, refuse("no subject column")}
	}
	return m.run(ctx, "clear erased", opts, m.withSealed(true), func(ctx context.Context, r *rowEdit) error {
		return m.each(r, true, func(i int, v value) error {
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

// clearIndexes sets the indexes of a column without a sealed value to NULL.
func (r *rowEdit) clearIndexes(c *column) {
	for _, f := range c.indexes {
		if r.has(f) {
			r.clear(c, f)
		}
	}
}

// orWithout returns the further condition that an index stands without a sealed value.
func (m *Migration) orWithout(c *column) (or string) {
	for _, f := range c.indexes {
		or += " OR " + m.absent(c.sealed) + " AND " + m.present(f)
	}
	return or
}

func (m *Migration) indexFields() (all fieldSet) {
	for _, c := range m.columns {
		for _, f := range c.indexes {
			all = all.with(f)
		}
	}
	return all
}

// withSealed selects the rows that have a sealed value in any column. The sealed
// values are read. If the caller wants indexes, these are read too, and rows are selected
// that have an index without a value.
func (m *Migration) withSealed(indexes bool) (sel selection) {
	var states []string
	for i := range m.columns {
		c := &m.columns[i]
		sel.fields = sel.fields.with(c.sealed)
		states = append(states, m.present(c.sealed))
		if indexes {
			states[i] += m.orWithout(c)
		}
	}
	if indexes {
		sel.fields |= m.indexFields()
	}
	sel.where = strings.Join(states, " OR ")
	return sel
}

// each calls f for the sealed values of a row. A malformed one is Corrupt. If the step
// changes indexes, those without a sealed value become NULL.
func (m *Migration) each(r *rowEdit, indexes bool, f func(i int, v value) error) error {
	for i := range m.columns {
		c := &m.columns[i]
		if !r.has(c.sealed) {
			if indexes {
				r.clearIndexes(c)
			}
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
