package migrate

import (
	"context"
	"slices"

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
// it was sealed. Find that program first. Likewise it replaces malformed text in the
// sealed column, such as a value that was cut off, while the plaintext is there; and it
// sets an index that stands without a sealed value to NULL. It neither changes nor
// reports other problems: a well-formed value that does not open may be a trace of an
// attack. It returns the errors of [Migration.Verify].
func (m *Migration) Repair(ctx context.Context, opts *Options) (*Report, error) {
	sel, err := m.withPlaintext(func(c *column) string { return m.present(c.plain) + " AND " + m.present(c.sealed) + m.orWithout(c) })
	if err != nil {
		return m.newReport("repair"), &stepError{"repair", m.table.Name, err}
	}
	sel.clock = true
	sel.fields |= m.indexFields()
	return m.compare(ctx, "repair", opts, sel, func(ctx context.Context, ref *reference, r *rowEdit) error {
		for i := range m.columns {
			c := &m.columns[i]
			if !r.has(c.sealed) {
				r.clearIndexes(c)
			}
			if !r.hasPlain(i) || !r.has(c.sealed) {
				continue
			}
			p := Stale
			if _, malformed := vault.ParseSealed(r.text(c.sealed)); malformed == nil {
				var err error
				if p, err = m.verifyValue(ctx, ref, r, i); err != nil {
					return err
				}
			}
			if p != Stale {
				continue
			}
			if err := m.sealPlain(ctx, r, i); err != nil {
				return err
			}
		}
		return nil
	})
}

// CutOver removes plaintext. It sets the column to NULL, or to its [Column.Rest], in each
// row where the sealed value opens, equals the plaintext and has the right indexes, and
// where none of them has changed since they were read. In other rows it reports the
// problems that Verify would report, and changes nothing; values that [Column.Leave]
// leaves keep their plaintext. A column of plaintext that refuses NULL is [ErrTable], and
// so is a column of JSON without a Rest.
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
	for _, c := range m.columns {
		if c.plain >= 0 && m.fields[c.plain].document && c.Rest == nil {
			return m.newReport("cut-over"), &stepError{"cut-over", m.table.Name, refuse("column %s holds documents, so it needs a Rest", c.name)}
		}
	}
	sel.fields = m.allFields()
	return m.compare(ctx, "cut-over", opts, sel, func(ctx context.Context, ref *reference, r *rowEdit) error {
		for i := range m.columns {
			c := &m.columns[i]
			if !r.hasPlain(i) {
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
			rest, p, err := m.rest(r, i)
			if err != nil {
				return err
			}
			if p != "" {
				r.find(c.name, p)
				continue
			}
			r.set(c.plain, rest)
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
	return r.has(c.sealed) && !r.found(c)
}

// found reports whether the column has a finding.
func (r *rowEdit) found(c *column) bool {
	return slices.ContainsFunc(r.findings, func(f Finding) bool { return f.Column == c.name })
}

// verify returns the problem of a column in a row, and "" if there is none or it is
// among the findings already.
func (m *Migration) verify(ctx context.Context, ref *reference, r *rowEdit, i int) (Problem, error) {
	c := &m.columns[i]
	switch {
	case !r.has(c.sealed):
		if r.hasPlain(i) {
			scopes, _, err := m.decideValid(r, i)
			if err != nil {
				return "", err
			}
			if len(scopes) > 0 {
				m.findOrLeave(r, i, Unsealed)
			}
		}
		if !r.found(c) && slices.ContainsFunc(c.indexes, r.has) {
			return StaleIndex, nil
		}
		return "", nil
	}
	p, err := m.verifyValue(ctx, ref, r, i)
	if err == nil && p == "" {
		p, err = m.verifyIndexes(ctx, r, i)
	}
	return p, err
}

// verifyValue checks a sealed value, without its indexes.
func (m *Migration) verifyValue(ctx context.Context, ref *reference, r *rowEdit, i int) (Problem, error) {
	v, ok := m.scan(r, i)
	if !ok {
		return Corrupt, nil
	}
	scopes := m.scopesOf(r, v.Purposes())
	if len(scopes) == 0 {
		return OtherPurposes, nil
	}
	if m.noSubject(r) {
		return NoSubject, nil
	}
	if r.hasPlain(i) { // after cut-over, the value alone has the purposes
		_, decided, p, err := m.decide(r, i)
		if err != nil || p != "" {
			return p, err
		}
		for p := range decided.All() {
			if !v.Purposes().Contains(p) {
				return OtherPurposes, nil
			}
		}
	}
	mismatch := false
	for _, s := range scopes {
		scope, ofPurpose := m.opener(v, s)
		mismatch = mismatch || ofPurpose
		revealed, err := v.Reveal(ctx, scope)
		if err != nil {
			return m.problem(r, i, err)
		}
		if p, err := m.comparePlain(ctx, ref, r, i, revealed); err != nil || p != "" {
			return p, err
		}
	}
	if mismatch {
		return SubjectMismatch, nil
	}
	return "", nil
}

// comparePlain compares a revealed value with the row's plaintext, if there is any.
func (m *Migration) comparePlain(ctx context.Context, ref *reference, r *rowEdit, i int, revealed string) (Problem, error) {
	if !r.hasPlain(i) {
		return "", nil
	}
	switch r.plain[i].problem {
	case Invalid:
		return Stale, nil
	case Unreadable:
		return Unreadable, nil
	}
	same, err := ref.reveals(ctx, m.columns[i].Kind, r.plain[i].text, revealed)
	if err == nil && !same {
		return Stale, nil
	}
	return "", err
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
