package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// Backfill seals the values that are there in plaintext alone, and computes their
// indexes. Each row is written only where the plaintext is still what was read
// and there is still no sealed value, so that neither other writers nor another
// Backfill lose anything; each batch is one transaction, so that a crash doesn't
// either.
//
// It reports, and leaves as they are, values that are [Invalid], [Quarantined],
// of [NoSubject] or of a subject that is [Erased], and those that a unique
// constraint refuses as a [Duplicate]. Other rows are done all the same. With
// an error, the report is as far as it got; calling again completes the rest.
//
// Errors are [ErrTable], [vault.ErrUnavailable] if the database, the store or an
// auditor does not answer or ctx is done, those of [vault.Seal], and what
// [Options.Pause] returns. A table that has no plaintext column is [ErrTable].
func (m *Migration) Backfill(ctx context.Context, opts *Options) (*Report, error) {
	sel, err := m.withPlaintext(func(c *column) string { return m.present(c.plain) + " AND " + m.absent(c.sealed) })
	if err != nil {
		return m.newReport("backfill"), &stepError{"backfill", m.table.Name, err}
	}
	return m.run(ctx, "backfill", opts, sel, func(ctx context.Context, r *row) error {
		for i := range m.columns {
			if c := &m.columns[i]; c.plain < 0 || !r.has(c.plain) || r.has(c.sealed) {
				continue
			}
			if err := m.sealPlain(ctx, r, i); err != nil {
				return err
			}
		}
		return nil
	})
}

// withPlaintext selects the rows in which one of the columns that have plaintext
// is in some state. The plaintext and the sealed value are read.
func (m *Migration) withPlaintext(state func(*column) string) (selection, error) {
	var sel selection
	var states []string
	for i := range m.columns {
		c := &m.columns[i]
		if c.plain < 0 {
			continue
		}
		sel.fields = sel.fields.with(c.plain).with(c.sealed)
		states = append(states, "("+state(c)+")")
	}
	if states == nil {
		return sel, refuse("no column has plaintext")
	}
	sel.where = strings.Join(states, " OR ")
	return sel, nil
}

// sealPlain seals a column's plaintext in place of what is in the sealed column.
func (m *Migration) sealPlain(ctx context.Context, r *row, i int) error {
	c := &m.columns[i]
	text := r.text(c.plain)
	scopes, purposes, err := m.decideValid(r, i)
	if err != nil || len(scopes) == 0 {
		return err
	}
	v, err := c.Kind.seal(ctx, text, scopes)
	if err != nil {
		return m.finds(r, i, err)
	}
	column, err := v.Value()
	if err != nil {
		return err
	}
	sets := []assignment{{c.sealed, column}}
	for _, f := range c.indexes {
		var bytes any // NULL for a purpose that the value was not collected for
		if p := m.fields[f].purpose; purposes.Contains(p) {
			index, err := c.Kind.index(ctx, text, m.narrow(r, m.table.Scopes[m.fields[f].scope]))
			if err != nil {
				return m.finds(r, i, err)
			}
			if bytes, err = index.Value(); err != nil {
				return err
			}
		}
		sets = append(sets, assignment{f, bytes})
	}
	r.sets = append(r.sets, sets...)
	r.unchanged(c.plain)
	r.unchanged(c.sealed)
	return nil
}

// decideValid decides what a column's plaintext was collected for. It returns no
// scopes, and has found why, if it can't be sealed.
func (m *Migration) decideValid(r *row, i int) ([]*vault.Scope, purpose.Set, error) {
	c := &m.columns[i]
	if !c.Kind.valid(r.text(c.plain)) {
		r.find(c.name, Invalid)
		return nil, purpose.Set{}, nil
	}
	scopes, purposes, err := m.decide(r, i)
	if err != nil {
		return nil, purpose.Set{}, err
	}
	r.decisions = append(r.decisions, decision{i, purposes})
	switch id := r.subject.String; {
	case len(scopes) == 0:
		r.find(c.name, Quarantined)
	case m.table.Subject != "" && (id == "" || len(id) > maxSubject):
		r.find(c.name, NoSubject)
		scopes = nil
	}
	return scopes, purposes, nil
}

// finds takes an error about one value as a finding. Any other it returns.
func (m *Migration) finds(r *row, i int, err error) error {
	p, err := m.problem(r, i, err)
	if err == nil {
		r.find(m.columns[i].name, p)
	}
	return err
}

// problem takes an error about one value as a problem of it.
func (m *Migration) problem(r *row, i int, err error) (Problem, error) {
	if p, about := problemOf(err); about {
		return p, nil
	}
	return "", fmt.Errorf("row %s: %s: %w", printable(r.keyText), m.columns[i].name, err)
}

// problemOf returns what an error says of the value. It reports false if it
// is about something else, which concerns the next value as well.
func problemOf(err error) (Problem, bool) {
	switch {
	case errors.Is(err, vault.ErrUnavailable): // also if a refusal could not be recorded
	case errors.Is(err, pii.ErrMalformed):
		return Invalid, true
	case errors.Is(err, vault.ErrErased):
		return Erased, true
	case errors.Is(err, vault.ErrExpired):
		return Expired, true
	case errors.Is(err, vault.ErrCorrupt), errors.Is(err, vault.ErrSubject):
		return Corrupt, true
	case errors.Is(err, purpose.ErrMismatch):
		return OtherPurposes, true
	}
	return "", false
}
