package migrate

import (
	"context"

	"github.com/onlyfor/onlyfor/vault"
)

// Verify reads every row, and changes nothing. It reports
//
//   - plaintext that is [Unsealed], or that can't be sealed,
//   - sealed values that do not open under each scope of their purposes, that differ
//     from the plaintext, or that lack a purpose which [Column.CollectedFor] returns,
//   - indexes that differ from the value's.
//
// After cut-over it checks sealed values and indexes alone, as a check of the
// table's health. Call [Migration.CutOver] when the report is [Report.OK].
//
// It returns the errors of [Migration.Backfill], and the errors of
// [vault.Scope.Reveal] that are not about one value.
func (m *Migration) Verify(ctx context.Context, opts *Options) (*Report, error) {
	return m.compare(ctx, "verify", opts, selection{fields: m.allFields()}, func(ctx context.Context, ref *reference, r *rowEdit) error {
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

// Repair seals [Stale] values again, for the purposes that [Column.CollectedFor]
// returns: some program that does not write both columns changed the plaintext after
// it was sealed. Find that program first. Repair neither changes nor reports other
// problems. It returns the errors of [Migration.Verify].
func (m *Migration) Repair(ctx context.Context, opts *Options) (*Report, error) {
	sel, err := m.withPlaintext(func(c *column) string { return m.present(c.plain) + " AND " + m.present(c.sealed) })
	if err != nil {
		return m.newReport("repair"), &stepError{"repair", m.table.Name, err}
	}
	return m.compare(ctx, "repair", opts, sel, func(ctx context.Context, ref *reference, r *rowEdit) error {
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

// CutOver removes plaintext. It sets the column to NULL in each row where the sealed
// value opens, equals the plaintext and has the right indexes, and where none of them
// has changed since they were read. In other rows it reports the problems that
// Verify would report, and changes nothing. A column of plaintext that refuses NULL
// is [ErrTable].
//
// Afterwards the sealed values are the only copy. Call CutOver when no program reads
// the plaintext any more and the key store has a backup. Drop the column when
// CutOver changes nothing and reports nothing. It returns the errors of
// [Migration.Verify].
func (m *Migration) CutOver(ctx context.Context, opts *Options) (*Report, error) {
	sel, err := m.withPlaintext(func(c *column) string { return m.present(c.plain) })
	if err != nil {
		return m.newReport("cut-over"), &stepError{"cut-over", m.table.Name, err}
	}
	sel.fields = m.allFields()
	return m.compare(ctx, "cut-over", opts, sel, func(ctx context.Context, ref *reference, r *rowEdit) error {
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
			if !r.verified(c) { // verify added the finding
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

// compare runs a step that compares plaintext with sealed values.
func (m *Migration) compare(ctx context.Context, step string, opts *Options, sel selection, work func(context.Context, *reference, *rowEdit) error) (*Report, error) {
	ref, err := newReference(ctx)
	if err != nil {
		return m.newReport(step), &stepError{step, m.table.Name, err}
	}
	defer ref.close()
	return m.run(ctx, step, opts, sel, func(ctx context.Context, r *rowEdit) error { return work(ctx, ref, r) })
}

func (m *Migration) allFields() (all fieldSet) {
	for i := range m.fields {
		all = all.with(i)
	}
	return all
}

// verified reports whether the column has a sealed value and no finding.
func (r *rowEdit) verified(c *column) bool {
	for _, f := range r.findings {
		if f.Column == c.name {
			return false
		}
	}
	return r.has(c.sealed)
}

// verify returns the problem of a column in a row, and "" if there is none or it is
// among the findings already.
func (m *Migration) verify(ctx context.Context, ref *reference, r *rowEdit, i int) (Problem, error) {
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

// verifyValue checks a sealed value, without its indexes.
func (m *Migration) verifyValue(ctx context.Context, ref *reference, r *rowEdit, i int) (Problem, error) {
	c := &m.columns[i]
	v, ok := m.scan(r, i)
	if !ok {
		return Corrupt, nil
	}
	scopes := m.scopesOf(r, v.Purposes())
	if len(scopes) == 0 {
		return OtherPurposes, nil
	}
	if c.plain >= 0 && r.has(c.plain) { // after cut-over, the value alone has the purposes
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

// verifyIndexes checks the indexes of a sealed value that opens.
func (m *Migration) verifyIndexes(ctx context.Context, r *rowEdit, i int) (Problem, error) {
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
func (m *Migration) scopeOfIndex(r *rowEdit, f int) *vault.Scope {
	return m.narrow(r, m.table.Scopes[m.fields[f].scope])
}
