package migrate

import (
	"context"

	"github.com/onlyfor/onlyfor/vault"
)

// Verify reads every row, and changes nothing. It reports plaintext that is
// [Unsealed], or why it can't be sealed; sealed values that do not open under
// each of [Table.Scopes] that they were collected for, or are not the
// plaintext, or lack a purpose that [Column.CollectedFor] says; and indexes
// that are not those of the value. Where there is no plaintext any more it checks
// the sealed value and its indexes alone, which is a check of a table's health. A report that is [Report.OK] is the
// condition of [Migration.CutOver].
//
// Errors are those of [Migration.Backfill], and of [vault.Scope.Reveal] where
// they are not about one value.
func (m *Migration) Verify(ctx context.Context, opts *Options) (*Report, error) {
	return m.compare(ctx, "verify", opts, selection{fields: m.allFields()}, func(ctx context.Context, ref *reference, r *row) error {
		for i := range m.columns {
			p, err := m.verify(ctx, ref, r, i)
			if err != nil {
				return err
			}
			if p != "" {
				r.find(m.columns[i].name, p)
			}
		}
		return nil
	})
}

// Repair seals anew the values that Verify calls [Stale]: the plaintext was
// changed after it was sealed, by something that does not write both. It seals
// them for what [Column.CollectedFor] says. All else it leaves as it is, and to
// Verify to report. Find out first what wrote them. Errors are those of [Migration.Verify].
func (m *Migration) Repair(ctx context.Context, opts *Options) (*Report, error) {
	sel, err := m.withPlaintext(func(c *column) string { return m.present(c.plain) + " AND " + m.present(c.sealed) })
	if err != nil {
		return m.newReport("repair"), &stepError{"repair", m.table.Name, err}
	}
	return m.compare(ctx, "repair", opts, sel, func(ctx context.Context, ref *reference, r *row) error {
		for i := range m.columns {
			c := &m.columns[i]
			if c.plain < 0 || !r.has(c.plain) || !r.has(c.sealed) {
				continue
			}
			p, err := m.verifyValue(ctx, ref, r, i)
			if err == nil && p == Stale {
				err = m.sealPlain(ctx, r, i)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// CutOver removes plaintext: it sets the column to NULL in each row where the
// sealed value opens, is the plaintext and has the indexes that it should, and
// where all of them are still what was looked at when it is written. What Verify
// would report it reports, and leaves as it is. A column of plaintext that
// refuses NULL is [ErrTable].
//
// There is no way back but the sealed values. Call it when nothing reads the
// plaintext any more and the key store has a backup; whoever drops the column
// instead should do so when CutOver has nothing to do and nothing to report.
// Errors are those of [Migration.Verify].
func (m *Migration) CutOver(ctx context.Context, opts *Options) (*Report, error) {
	sel, err := m.withPlaintext(func(c *column) string { return m.present(c.plain) })
	if err != nil {
		return m.newReport("cut-over"), &stepError{"cut-over", m.table.Name, err}
	}
	sel.fields = m.allFields()
	return m.compare(ctx, "cut-over", opts, sel, func(ctx context.Context, ref *reference, r *row) error {
		for i := range m.columns {
			c := &m.columns[i]
			if c.plain < 0 || !r.has(c.plain) {
				continue
			}
			p, err := m.verify(ctx, ref, r, i)
			if err != nil {
				return err
			}
			if p != "" {
				r.find(c.name, p)
				continue
			}
			if !r.verified(c) { // verify found it itself
				continue
			}
			r.set(c.plain, nil)
			r.unchanged(c.plain)
			r.unchanged(c.sealed)
			for _, f := range c.indexes {
				r.unchanged(f)
			}
		}
		return nil
	})
}

// compare runs a step that compares plaintext.
func (m *Migration) compare(ctx context.Context, step string, opts *Options, sel selection, work func(context.Context, *reference, *row) error) (*Report, error) {
	ref, err := newReference(ctx)
	if err != nil {
		return m.newReport(step), &stepError{step, m.table.Name, err}
	}
	defer ref.close()
	return m.run(ctx, step, opts, sel, func(ctx context.Context, r *row) error { return work(ctx, ref, r) })
}

func (m *Migration) allFields() (all fieldSet) {
	for i := range m.fields {
		all = all.with(i)
	}
	return all
}

// verified reports whether there is a sealed value and nothing was found about
// the column.
func (r *row) verified(c *column) bool {
	for _, f := range r.findings {
		if f.Column == c.name {
			return false
		}
	}
	return r.has(c.sealed)
}

// verify returns what is wrong with a column of a row, "" if nothing is or it
// has been found already.
func (m *Migration) verify(ctx context.Context, ref *reference, r *row, i int) (Problem, error) {
	c := &m.columns[i]
	switch {
	case !r.has(c.sealed) && (c.plain < 0 || !r.has(c.plain)):
		for _, f := range c.indexes {
			if r.has(f) {
				return StaleIndex, nil
			}
		}
		return "", nil
	case !r.has(c.sealed):
		scopes, _, err := m.decideValid(r, i)
		if err != nil || len(scopes) == 0 {
			return "", err
		}
		return Unsealed, nil
	}
	p, err := m.verifyValue(ctx, ref, r, i)
	if err == nil && p == "" {
		p, err = m.verifyIndexes(ctx, r, i)
	}
	return p, err
}

// verifyValue looks at the sealed value alone.
func (m *Migration) verifyValue(ctx context.Context, ref *reference, r *row, i int) (Problem, error) {
	c := &m.columns[i]
	v, ok := m.scan(r, i)
	if !ok {
		return Corrupt, nil
	}
	scopes := m.scopesOf(r, v.Purposes())
	if len(scopes) == 0 {
		return OtherPurposes, nil
	}
	if c.plain >= 0 && r.has(c.plain) { // or the value itself says it by now
		_, decided, err := m.decide(r, i)
		if err != nil {
			return "", err
		}
		for p := range decided.All() {
			if !v.Purposes().Contains(p) {
				return OtherPurposes, nil
			}
		}
	}
	for _, s := range scopes {
		revealed, err := v.Reveal(ctx, s)
		if err != nil {
			return m.problem(r, i, err)
		}
		if c.plain < 0 || !r.has(c.plain) {
			continue
		}
		same, err := ref.reveals(ctx, c.Kind, r.text(c.plain), revealed)
		if err != nil {
			return "", err
		}
		if !same {
			return Stale, nil
		}
	}
	return "", nil
}

// verifyIndexes looks at the indexes of a sealed value that opens.
func (m *Migration) verifyIndexes(ctx context.Context, r *row, i int) (Problem, error) {
	c := &m.columns[i]
	v, _ := m.scan(r, i)
	for _, f := range c.indexes {
		if !v.Purposes().Contains(m.fields[f].purpose) {
			if r.has(f) {
				return StaleIndex, nil
			}
			continue
		}
		x, err := v.Index(ctx, m.scopeOfIndex(r, f))
		if err != nil {
			return m.problem(r, i, err)
		}
		if !r.indexIs(f, x) {
			return StaleIndex, nil
		}
	}
	return "", nil
}

// scopeOfIndex returns the scope of an index's purpose, narrowed to the row.
func (m *Migration) scopeOfIndex(r *row, f int) *vault.Scope {
	return m.narrow(r, m.table.Scopes[m.fields[f].scope])
}
