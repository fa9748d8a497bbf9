package migrate

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/onlyfor/onlyfor/vault"
)

// Plan reads every row, and changes nothing. It counts plaintext and sealed values,
// and the answers of [Column.CollectedFor] for plaintext that is not sealed yet. It
// reports values that Backfill will not seal, and duplicates: values whose
// canonical form an earlier row has as well. People put these right before the
// first write.
//
// It uses no scope. It reads the table a second time if there are duplicates, and
// more often if there are many millions of rows. Its memory grows with the number
// of duplicates, and not with the number of values. It returns the errors of
// [Migration.Backfill].
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
	d := &duplicates{m: m, ref: ref, passes: uint64(rows)*uint64(len(m.columns))/hashesAtOnce + 1}
	for d.pass = range d.passes {
		pass, work := report, d.hash
		if d.pass == 0 {
			work = func(ctx context.Context, r *rowEdit) error { return d.plan(ctx, r) }
		} else {
			pass = m.newReport("plan")
		}
		if err := m.runInto(ctx, pass, opts, sel, work, d.add); err != nil {
			return report, err
		}
		d.settle()
	}
	if len(d.twice) == 0 {
		return report, nil
	}
	again := m.newReport("plan, duplicates")
	again.Problems, again.Findings = report.Problems, report.Findings
	err = m.runInto(ctx, again, opts, sel, d.hash, d.name)
	report.Findings = again.Findings
	for i := range report.Columns {
		report.Columns[i].merge(&again.Columns[i])
	}
	return report, err
}

// hashesAtOnce bounds the number of hashes in memory: 64 MB.
const hashesAtOnce = 8 << 20

// duplicates finds values that occur twice: first by short hashes, a part of them in
// each pass over the table, and then by their canonical forms.
type duplicates struct {
	m            *Migration
	ref          *reference
	pass, passes uint64
	hashes       []columnHash
	// twice has the hashes that occur twice. first has, for each canonical form with
	// such a hash, the key of the first row.
	twice map[columnHash]bool
	first map[columnCanonical]string
}

type columnHash uint64

type columnCanonical struct {
	column    int
	canonical [vault.IndexSize]byte
}

// short returns the hash of a value in its column. It is keyed, because the canonical
// form is.
func (c columnCanonical) short() columnHash {
	return columnHash(binary.LittleEndian.Uint64(c.canonical[:])) ^ columnHash(uint64(c.column)*0x9e3779b97f4a7c15)
}

// plan decides on the values of a row, and hashes them.
func (d *duplicates) plan(ctx context.Context, r *rowEdit) error {
	for i := range d.m.columns {
		if c := &d.m.columns[i]; r.hasPlain(i) && !r.has(c.sealed) {
			if _, _, err := d.m.decideValid(r, i); err != nil {
				return err
			}
		}
	}
	return d.hash(ctx, r)
}

// hash computes the canonical forms of a row's plaintexts.
func (d *duplicates) hash(ctx context.Context, r *rowEdit) error {
	for i := range d.m.columns {
		c := &d.m.columns[i]
		plain := r.plain[i]
		if !r.hasPlain(i) || plain.problem != "" || !c.Kind.valid(plain.text) {
			continue
		}
		canonical, err := d.ref.canonical(ctx, c.Kind, plain.text)
		if err != nil {
			return err
		}
		r.canonicals = append(r.canonicals, columnCanonical{i, canonical})
	}
	return nil
}

// add keeps the hashes of a row that belong to this pass.
func (d *duplicates) add(r *rowEdit) {
	for _, c := range r.canonicals {
		if h := c.short(); uint64(h)%d.passes == d.pass {
			d.hashes = append(d.hashes, h)
		}
	}
}

// settle ends a pass: it finds the hashes that occur twice.
func (d *duplicates) settle() {
	slices.Sort(d.hashes)
	for i := 1; i < len(d.hashes); i++ {
		if d.hashes[i] == d.hashes[i-1] {
			if d.twice == nil {
				d.twice, d.first = make(map[columnHash]bool), make(map[columnCanonical]string)
			}
			d.twice[d.hashes[i]] = true
		}
	}
	d.hashes = d.hashes[:0]
}

// name adds a finding for each duplicate in a row.
func (d *duplicates) name(r *rowEdit) {
	r.findings, r.left = nil, nil
	for _, c := range r.canonicals {
		if !d.twice[c.short()] {
			continue
		}
		if of, known := d.first[c]; known {
			if !d.m.leave(r, c.column, Duplicate) {
				r.findings = append(r.findings, Finding{r.keyText, d.m.columns[c.column].name, Duplicate, of})
			}
		} else {
			d.first[c] = r.keyText
		}
	}
}
