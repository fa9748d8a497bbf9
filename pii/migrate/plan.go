package migrate

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/onlyfor/onlyfor/vault"
)

// Plan reads every row, and changes nothing. It counts plaintext and sealed
// values and, of the plaintext that is not sealed yet, what
// [Column.CollectedFor] says; it reports what Backfill will not seal, and
// duplicates: values whose canonical form an earlier row has as well. That is all
// to know, and to put right, before the first write.
//
// It uses no scope. To find duplicates it reads the table a second time if there
// are any, and more often if it has many millions of rows: its memory grows with
// how many values are there twice, and not with how many there are. Errors are those of [Migration.Backfill].
func (m *Migration) Plan(ctx context.Context, opts *Options) (*Report, error) {
	report := m.newReport("plan")
	sel, err := m.withPlaintext(func(c *column) string { return m.present(c.plain) + " OR " + m.present(c.sealed) })
	if err != nil {
		return report, &stepError{"plan", m.table.Name, err}
	}
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
			work = func(ctx context.Context, r *row) error { return d.plan(ctx, r) }
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
	report.Problems, report.Findings = again.Problems, again.Findings
	return report, err
}

// hashesAtOnce bounds how many values' hashes are held: 64 MB.
const hashesAtOnce = 8 << 20

// duplicates finds out which values occur twice: first from short hashes, of
// which a part is taken in each pass over the table, and then by name.
type duplicates struct {
	m            *Migration
	ref          *reference
	pass, passes uint64
	hashes       []columnHash
	// twice are the hashes that occur twice, and first the keys of the rows in
	// which their canonical forms come first.
	twice map[columnHash]bool
	first map[columnCanonical]string
}

type columnHash uint64

type columnCanonical struct {
	column    int
	canonical [vault.IndexSize]byte
}

// short is the hash of a value in its column. It is keyed, as the canonical
// form is.
func (c columnCanonical) short() columnHash {
	return columnHash(binary.LittleEndian.Uint64(c.canonical[:])) ^ columnHash(uint64(c.column)*0x9e3779b97f4a7c15)
}

// plan decides on the values of a row, and hashes them.
func (d *duplicates) plan(ctx context.Context, r *row) error {
	for i := range d.m.columns {
		if c := &d.m.columns[i]; c.plain >= 0 && r.has(c.plain) && !r.has(c.sealed) {
			if _, _, err := d.m.decideValid(r, i); err != nil {
				return err
			}
		}
	}
	return d.hash(ctx, r)
}

// hash brings the plaintexts of a row into their canonical form.
func (d *duplicates) hash(ctx context.Context, r *row) error {
	for i := range d.m.columns {
		c := &d.m.columns[i]
		if c.plain < 0 || !r.has(c.plain) || !c.Kind.valid(r.text(c.plain)) {
			continue
		}
		canonical, err := d.ref.canonical(ctx, c.Kind, r.text(c.plain))
		if err != nil {
			return err
		}
		r.canonicals = append(r.canonicals, columnCanonical{i, canonical})
	}
	return nil
}

// add takes a row's hashes that belong to this pass.
func (d *duplicates) add(r *row) {
	for _, c := range r.canonicals {
		if h := c.short(); uint64(h)%d.passes == d.pass {
			d.hashes = append(d.hashes, h)
		}
	}
}

// settle ends a pass.
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

// name finds a row's duplicates.
func (d *duplicates) name(r *row) {
	r.findings = nil
	for _, c := range r.canonicals {
		if !d.twice[c.short()] {
			continue
		}
		if of, known := d.first[c]; known {
			r.findings = append(r.findings, Finding{r.keyText, d.m.columns[c.column].name, Duplicate, of})
		} else {
			d.first[c] = r.keyText
		}
	}
}
