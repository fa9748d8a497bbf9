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

// Backfill seals values that exist in plaintext only, and computes their indexes.
// It writes a row only if the plaintext is still the one that was read and there
// is still no sealed value, so that neither another writer nor another Backfill
// loses anything. Each batch is one transaction, so that a crash loses nothing
// either.
//
// It reports and does not change values that are [Invalid], [Unreadable], [Quarantined],
// [Expired], [Suspended] or under an [InvalidBasis], of [NoSubject] or of a subject that is
// [Erased], values that a unique constraint refuses as a [Duplicate], and as [Corrupt] the
// values of a subject whose key does not open. It seals the other rows nevertheless. After
// an error, the report covers the rows until then, and another call completes the rest.
//
// Errors are [ErrTable], [ErrClock], [vault.ErrUnavailable] if the database, the store or an
// auditor does not answer or ctx is done, the errors of [vault.Seal], and the
// error of [Options.Pause]. A table without a plaintext column is [ErrTable].
func (m *Migration) Backfill(ctx context.Context, opts *Options) (*Report, error) {
	sel, err := m.withPlaintext(func(c *column) string { return m.present(c.plain) + " AND " + m.absent(c.sealed) })
	if err != nil {
		return m.newReport("backfill"), &stepError{"backfill", m.table.Name, err}
	}
	sel.clock = true
	for _, c := range m.columns {
		done := "1 = 0"
		if c.plain >= 0 {
			done = m.present(c.plain) + " AND " + m.present(c.sealed)
		}
		sel.done = append(sel.done, done)
	}
	return m.run(ctx, "backfill", opts, sel, func(ctx context.Context, r *rowEdit) error {
		for i := range m.columns {
			if c := &m.columns[i]; !r.hasPlain(i) || r.has(c.sealed) {
				continue
			}
			if err := m.sealPlain(ctx, r, i); err != nil {
				return err
			}
		}
		return nil
	})
}

// withPlaintext selects the rows in which a column that has plaintext is in the given
// state. The plaintext and the sealed value are read.
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

// sealPlain seals a column's plaintext, and replaces the content of the sealed column.
func (m *Migration) sealPlain(ctx context.Context, r *rowEdit, i int) error {
	c := &m.columns[i]
	scopes, purposes, err := m.decideValid(r, i)
	if err != nil || len(scopes) == 0 {
		return err
	}
	text := r.plain[i].text
	v, err := c.Kind.seal(ctx, text, scopes)
	if err != nil {
		return m.findError(r, i, err)
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
				return m.findError(r, i, err)
			}
			if bytes, err = index.Value(); err != nil {
				return err
			}
		}
		sets = append(sets, assignment{f, bytes})
	}
	r.sets = append(r.sets, sets...)
	r.ofSubject = m.subjectCol != ""
	r.unchanged(c.plain)
	r.unchanged(c.sealed)
	return nil
}

// decideValid returns the purposes that a column's plaintext was collected for. If
// the plaintext can't be sealed, it adds a finding and returns no scopes.
func (m *Migration) decideValid(r *rowEdit, i int) ([]*vault.Scope, purpose.Set, error) {
	c := &m.columns[i]
	plain := r.plain[i]
	if plain.problem == "" && !c.Kind.valid(plain.text) {
		plain.problem = Invalid
	}
	if plain.problem != "" {
		m.findOrLeave(r, i, plain.problem)
		return nil, purpose.Set{}, nil
	}
	scopes, purposes, p, err := m.decide(r, i)
	if err != nil {
		return nil, purpose.Set{}, err
	}
	if p != "" {
		r.find(c.name, p)
		return nil, purpose.Set{}, nil
	}
	r.decisions = append(r.decisions, decision{i, purposes})
	switch id := r.subject.String; {
	case len(scopes) == 0:
		m.findOrLeave(r, i, Quarantined)
	case m.table.Subject != "" && !vault.ValidSubject(id):
		m.findOrLeave(r, i, NoSubject)
		scopes = nil
	}
	return scopes, purposes, nil
}

// findError turns an error about one value into a finding, and returns other errors.
func (m *Migration) findError(r *rowEdit, i int, err error) error {
	p, err := m.problem(r, i, err)
	if err == nil {
		m.findOrLeave(r, i, p)
	}
	return err
}

// problem returns the problem of a value that an error is about, and other errors.
func (m *Migration) problem(r *rowEdit, i int, err error) (Problem, error) {
	if p, about := problemOf(err); about {
		return p, nil
	}
	return "", fmt.Errorf("row %s: %s: %w", printable(r.keyText), m.columns[i].name, innerError{err})
}

// problemOf returns the problem of a value that an error is about. It reports false
// for errors that are not about one value: the next value would fail as well.
func problemOf(err error) (Problem, bool) {
	switch {
	case errors.Is(err, vault.ErrUnavailable): // as when a refusal could not be recorded
	case errors.Is(err, pii.ErrMalformed):
		return Invalid, true
	case errors.Is(err, purpose.ErrBasis):
		return InvalidBasis, true
	case errors.Is(err, vault.ErrSuspended):
		return Suspended, true
	case errors.Is(err, vault.ErrErased):
		return Erased, true
	case errors.Is(err, vault.ErrExpired):
		return Expired, true
	case errors.Is(err, vault.ErrRetired): // which is ErrCorrupt too
		return Retired, true
	case errors.Is(err, vault.ErrCorrupt):
		return Corrupt, true
	case errors.Is(err, vault.ErrSubject):
		return SubjectMismatch, true
	case errors.Is(err, purpose.ErrMismatch):
		return OtherPurposes, true
	}
	return "", false
}
