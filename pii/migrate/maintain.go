package migrate

import (
	"context"
	"errors"
	"strings"

	"github.com/onlyfor/onlyfor/vault"
)

// Reseal moves sealed values to the keys that are primary now, after
// [vault.Vault.Rotate]: those of [Table.Scopes] only, and only where they are on
// another. Provenance stays as it is. Values of subjects need it not:
// [vault.Vault.RewrapSubjects] moves their keys. Once it has nothing to do and
// nothing to report, the old key can be retired.
//
// What a [vault.Collector] sealed is passed over: taking it in is a decision, and
// whoever can write to the table could have put it there.
//
// It reports values that are [Corrupt], [Expired] or [Erased]. Errors are those
// of [Migration.Backfill].
func (m *Migration) Reseal(ctx context.Context, opts *Options) (*Report, error) {
	return m.run(ctx, "reseal", opts, m.withSealed(false), func(ctx context.Context, r *row) error {
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
				return m.finds(r, i, err)
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

// Reindex computes indexes anew, after [vault.Vault.RotateIndex] or for a column
// that was added: each that is not the one that the sealed value has under the
// primary index key. An index of a purpose that the value was not collected for
// becomes NULL, and what a [vault.Collector] sealed gets none before it is taken
// in. Once it has nothing to do and nothing to report, the old key can be retired
// and one index is enough to look for.
//
// It reports values that are [Corrupt], [Expired] or [Erased], and those
// that a unique constraint refuses as a [Duplicate]. Errors are those of
// [Migration.Backfill].
func (m *Migration) Reindex(ctx context.Context, opts *Options) (*Report, error) {
	return m.run(ctx, "reindex", opts, m.withSealed(true), func(ctx context.Context, r *row) error {
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
					return m.finds(r, i, err)
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

// Sweep removes what was kept for its time: from each sealed value the purposes
// whose retention is over, and their indexes with them. A value of which nothing
// is left becomes NULL, and so do indexes of purposes that the value was not
// collected for. It opens nothing and so needs no grant, but the scopes are
// what it knows the indexes by.
//
// A value whose plaintext is still there is left and reported as [Plaintext], for
// Backfill would seal it again; one that is malformed as [Corrupt]. Errors are
// those of [Migration.Backfill].
func (m *Migration) Sweep(ctx context.Context, opts *Options) (*Report, error) {
	sel := m.withSealed(true)
	for _, c := range m.columns {
		if c.plain >= 0 {
			sel.fields = sel.fields.with(c.plain)
		}
	}
	return m.run(ctx, "sweep", opts, sel, func(_ context.Context, r *row) error {
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

// ClearErased sets to NULL the indexes of people who were erased
// ([vault.Vault.Erase]), under each purpose for which they were: the indexes are
// the purpose's, and so outlive the keys of the subject. An application that
// clears the row when it erases has nothing left to do here. Without
// [Table.Subject] it is [ErrTable].
//
// Other processes' erasures are known after [vault.Options.SubjectLifetime].
// It reports values that are [Corrupt] or [Expired]. Errors are those of
// [Migration.Backfill].
func (m *Migration) ClearErased(ctx context.Context, opts *Options) (*Report, error) {
	if m.table.Subject == "" {
		return m.newReport("clear erased"), &stepError{"clear erased", m.table.Name, refuse("no subject column")}
	}
	return m.run(ctx, "clear erased", opts, m.withSealed(true), func(ctx context.Context, r *row) error {
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
					return m.finds(r, i, err)
				}
			}
			return nil
		})
	})
}

// clear makes an index NULL where it and the sealed value are what was read.
func (r *row) clear(c *column, f int) { r.replace(c, f, nil) }

func (r *row) replace(c *column, f int, bytes any) {
	r.set(f, bytes)
	r.unchanged(f)
	r.unchanged(c.sealed)
}

// withSealed selects the rows in which a column has a sealed value, and reads
// these, with the indexes or without.
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

// each calls f for the sealed values of a row. What is none is Corrupt.
func (m *Migration) each(r *row, f func(i int, v value) error) error {
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
