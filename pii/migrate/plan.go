package migrate

import (
	"context"

	"github.com/onlyfor/onlyfor/vault"
)

// Plan reads every row, and changes nothing. It counts plaintext and sealed values,
// and the answers of [Column.CollectedFor] for plaintext that is not sealed yet. It
// reports values that Backfill will not seal, and duplicates: values whose
// canonical form an earlier row has as well. People put these right before the
// first write.
//
// It uses no key. It reads the table a second time if there are duplicates. Beyond 8
// million values it reads the table two or three times in any case: three times for 280
// million. It takes 64 MB of memory to find duplicates among 8 million values, 420 MB among
// 280 million, and never more than 870 MB, beside some 150 bytes for each value that is
// really there twice. It returns the errors of [Migration.Backfill].
func (m *Migration) Plan(ctx context.Context, opts *Options) (*Report, error) {
	report := m.newReport("plan")
	sel, err := m.withPlaintext(func(c *column) string { return m.present(c.plain) + " OR " + m.present(c.sealed) })
	if err != nil {
		return report, &stepError{"plan", m.table.Name, err}
	}
	sel.withoutKeys = true
	rows, err := m.reader(sel).count(ctx, nil)
	if err != nil {
		return report, &stepError{"plan", m.table.Name, err}
	}
	ref, err := newReference(ctx)
	if err != nil {
		return report, &stepError{"plan", m.table.Name, err}
	}
	defer ref.close()
	d := newDuplicates(uint64(rows)*uint64(len(m.columns)), planLimits)
	for pass := 0; d.pass(pass); pass++ {
		into, work := report, func(ctx context.Context, r *rowEdit) error { return m.planRow(ctx, ref, r) }
		if pass > 0 {
			into, work = m.newReport("plan"), func(ctx context.Context, r *rowEdit) error { return m.hashRow(ctx, ref, r) }
		}
		add := func(r *rowEdit) {
			for _, c := range r.canonicals {
				d.add(c)
			}
		}
		if err := m.runInto(ctx, into, opts, sel, work, add); err != nil {
			return report, err
		}
	}
	if !d.any() {
		return report, nil
	}
	again := m.newReport("plan, duplicates")
	again.Problems, again.Findings = report.Problems, report.Findings
	first := make(map[columnCanonical]string) // the key of the first row
	err = m.runInto(ctx, again, opts, sel, func(ctx context.Context, r *rowEdit) error { return m.hashRow(ctx, ref, r) },
		func(r *rowEdit) { m.nameDuplicates(r, d, first) })
	report.Findings = again.Findings
	for i := range report.Columns {
		report.Columns[i].merge(&again.Columns[i])
	}
	return report, err
}

type columnCanonical struct {
	column    int
	canonical [vault.IndexSize]byte
}

// planRow decides on the values of a row, and hashes them.
func (m *Migration) planRow(ctx context.Context, ref *reference, r *rowEdit) error {
	for i := range m.columns {
		if c := &m.columns[i]; r.hasPlain(i) && !r.has(c.sealed) {
			scopes, _, err := m.decideValid(r, i)
			if err != nil {
				return err
			}
			if err := m.planScopes(r, i, scopes); err != nil {
				return err
			}
		}
	}
	return m.hashRow(ctx, ref, r)
}

// planScopes adds a finding for a value that Backfill could not seal with these scopes,
// as their basis is invalid or its retention is over.
func (m *Migration) planScopes(r *rowEdit, i int, scopes []*vault.Scope) error {
	for _, s := range scopes {
		if err := s.Check(); err != nil {
			return m.findError(r, i, err)
		}
	}
	return nil
}

// hashRow computes the canonical forms of a row's plaintexts.
func (m *Migration) hashRow(ctx context.Context, ref *reference, r *rowEdit) error {
	for i := range m.columns {
		c := &m.columns[i]
		plain := r.plain[i]
		if !r.hasPlain(i) || plain.problem != "" || !c.Kind.valid(plain.text) {
			continue
		}
		canonical, err := ref.canonical(ctx, c.Kind, plain.text)
		if err != nil {
			return err
		}
		r.canonicals = append(r.canonicals, columnCanonical{i, canonical})
	}
	return nil
}

// nameDuplicates adds a finding for each duplicate in a row.
func (m *Migration) nameDuplicates(r *rowEdit, d *duplicates, first map[columnCanonical]string) {
	r.findings, r.left = nil, nil
	for _, c := range r.canonicals {
		if !d.may(c) {
			continue
		}
		if of, known := first[c]; known {
			if !m.leave(r, c.column, Duplicate) {
				r.findings = append(r.findings, Finding{r.keyText, m.columns[c.column].name, Duplicate, of})
			}
		} else {
			first[c] = r.keyText
		}
	}
}
