package migrate

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// Reseal moves sealed values to the present primary keys of [Table.Scopes], after
// [vault.Admin.Rotate]. Provenance does not change. Once Reseal changes nothing and reports
// nothing, the old key can be retired.
//
// It passes over values that a [vault.Collector] sealed: everybody who can write to
// the table could have put them there, so a person decides to take them in.
//
// It reports values that are [Corrupt], [Retired], [Expired] or [Erased], and in a table
// with a [Table.Subject] values that are [Suspended]. It returns the
// errors of [Migration.Backfill].
//
// # Values of no single person
//
// In a table with a [Table.Subject], Reseal brings each value that was sealed without
// [vault.Scope.For] under the key of the row's person. Such a value does not say whose it
// is. The row decides, so Reseal compares the value with the rest of the row first: it
// changes no value that differs from plaintext that is still there, which is [Stale], nor
// from an index that is there, which is [StaleIndex]. The statement that writes the row has
// the condition that the subject, the index and the plaintext are still the same.
//
// A value comes under the key of the person with all of its purposes at once. If
// Table.Scopes lacks one of them, or a collector sealed for one, it is a
// [SubjectMismatch]. A row without an id is [NoSubject].
//
// Values that are under the key of a person already need no other one:
// [vault.Admin.RewrapSubjects] moves the keys of persons. Reseal opens them nevertheless,
// and reports the value of another person as Corrupt; it never takes one over.
func (m *Migration) Reseal(ctx context.Context, opts *Options) (*Report, error) {
	if m.table.Subject != "" {
		return m.resealForSubjects(ctx, opts)
	}
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
			return m.setSealed(r, i, v)
		})
	})
}

// setSealed replaces a sealed value that has not changed since.
func (m *Migration) setSealed(r *rowEdit, i int, v value) error {
	column, err := v.Value()
	if err != nil {
		return err
	}
	r.set(m.columns[i].sealed, column)
	r.unchanged(m.columns[i].sealed)
	return nil
}

// resealForSubjects is Reseal in a table with subjects.
func (m *Migration) resealForSubjects(ctx context.Context, opts *Options) (*Report, error) {
	sel := m.withSealed(false)
	for _, c := range m.columns {
		if c.plain >= 0 {
			sel.fields = sel.fields.with(c.plain)
		}
	}
	return m.compare(ctx, "reseal", opts, sel, func(ctx context.Context, ref *reference, r *rowEdit) error {
		return m.each(r, false, func(i int, v value) error { return m.resealForSubject(ctx, ref, r, i, v) })
	})
}

// resealForSubject brings a value under the key of the row's person.
func (m *Migration) resealForSubject(ctx context.Context, ref *reference, r *rowEdit, i int, v value) error {
	c := &m.columns[i]
	scopes := m.scopesOf(r, v.Purposes())
	whole := len(scopes) == v.Purposes().Len()
	var own, others []*vault.Scope // of slots that are under the person's key, and under the purpose's
	for _, s := range scopes {
		switch {
		case v.ByCollector(s.Purpose()):
			whole = false
		case v.OnPrimaryKey(s):
			own = append(own, s)
		default:
			others = append(others, s)
		}
	}
	switch {
	case len(own)+len(others) == 0:
		return nil
	case m.noSubject(r):
		r.find(c.name, NoSubject)
		return nil
	case len(others) == 0:
		return m.checkSubject(ctx, r, i, v, own)
	case !whole:
		r.find(c.name, SubjectMismatch)
		return nil
	}
	resealed, err := v.reseal(ctx, scopes)
	if err != nil {
		return m.findError(r, i, err)
	}
	p, err := m.contradicts(ctx, ref, r, i, resealed, scopes)
	if err != nil {
		return err
	}
	if p != "" {
		r.find(c.name, p)
		return nil
	}
	r.ofSubject = m.subjectCol != ""
	for _, f := range c.indexes {
		r.unchanged(f)
	}
	if c.plain >= 0 {
		r.unchanged(c.plain)
	}
	return m.setSealed(r, i, resealed)
}

// checkSubject reports the value of another person than the row's. Values of the row's
// person that don't open for another reason are no matter of Reseal.
func (m *Migration) checkSubject(ctx context.Context, r *rowEdit, i int, v value, scopes []*vault.Scope) error {
	for _, s := range scopes {
		if _, err := v.Reveal(ctx, s); err != nil {
			p, err := m.problem(r, i, err)
			if p == Corrupt {
				r.find(m.columns[i].name, Corrupt)
			}
			if err != nil || p == Corrupt {
				return err
			}
		}
	}
	return nil
}

// contradicts compares a value with the row that it is to be bound to: with the plaintext,
// and with each index that is there, which may be of an earlier key.
func (m *Migration) contradicts(ctx context.Context, ref *reference, r *rowEdit, i int, v value, scopes []*vault.Scope) (Problem, error) {
	c := &m.columns[i]
	for _, s := range scopes {
		revealed, err := v.Reveal(ctx, s)
		if err != nil {
			return m.problem(r, i, err)
		}
		if p, err := m.comparePlain(ctx, ref, r, i, revealed); err != nil || p != "" {
			return p, err
		}
		for _, f := range c.indexes {
			if m.fields[f].purpose != s.Purpose() || !r.has(f) {
				continue
			}
			all, err := c.Kind.indexes(ctx, revealed, s)
			if err != nil {
				return m.problem(r, i, err)
			}
			if !slices.ContainsFunc(all, func(x pii.Index) bool { return r.indexIs(f, x) }) {
				return StaleIndex, nil
			}
		}
	}
	return "", nil
}

// Reindex replaces each index that is missing, or differs from the sealed value's
// index under the primary index key: after [vault.Admin.Rotate], or when a
// column was added. An index of a purpose that the value was not collected for
// becomes NULL, and so does an index without a sealed value. A value that a
// [vault.Collector] sealed gets no index before it is taken in. Once Reindex changes
// nothing and reports nothing, the old key can be retired, and a search needs one index
// only.
//
// It reports values that are [Corrupt], [Retired], [Expired], [Erased] or [Suspended], whose
// indexes stay as they are, of [NoSubject] or a [SubjectMismatch], and indexes that a unique
// constraint refuses as a [Duplicate]. It returns the errors of [Migration.Backfill].
func (m *Migration) Reindex(ctx context.Context, opts *Options) (*Report, error) {
	return m.run(ctx, "reindex", opts, m.withSealed(true), func(ctx context.Context, r *rowEdit) error {
		return m.each(r, true, func(i int, v value) error {
			c := &m.columns[i]
			if m.noSubject(r) {
				r.find(c.name, NoSubject)
				return nil
			}
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
// Before each batch is written, the auditor of the first scope gets an event for each
// purpose that is removed.
// Sweep returns the errors of [Migration.Backfill].
func (m *Migration) Sweep(ctx context.Context, opts *Options) (*Report, error) {
	sel := m.withSealed(true)
	sel.withoutKeys, sel.clock = true, true
	for _, c := range m.columns {
		if c.plain >= 0 {
			sel.fields = sel.fields.with(c.plain)
		}
	}
	return m.run(ctx, "sweep", opts, sel, func(ctx context.Context, r *rowEdit) error {
		return m.each(r, true, func(i int, v value) error {
			c := &m.columns[i]
			kept := v.withoutExpired().Purposes()
			swept := kept != v.Purposes()
			if swept && r.hasPlain(i) {
				r.find(c.name, Plaintext)
				return nil
			}
			if swept {
				was, err := vault.ParseSealed(r.text(c.sealed))
				if err != nil {
					return err
				}
				now, err := was.Sweep(ctx, m.table.Scopes[0])
				if err != nil {
					return err
				}
				kept = now.Purposes()
				r.set(c.sealed, textOf(now))
				r.unchanged(c.sealed)
				if c.plain >= 0 {
					r.unchanged(c.plain)
				}
			}
			for _, f := range c.indexes {
				p := m.fields[f].purpose
				switch {
				case !r.has(f) || kept.Contains(p):
				case v.Purposes().Contains(p): // which the event of the sweep says
					r.replace(c, f, nil)
				default:
					r.clear(c, f)
				}
			}
			return nil
		})
	})
}

// textOf returns the content of a sealed column, nil for the absence of a value.
func textOf(v vault.Sealed) any {
	text, _ := v.AppendText(nil)
	if len(text) == 0 {
		return nil
	}
	return string(text)
}

// ClearErased sets to NULL the indexes of people who were erased by
// [vault.Vault.Erase], for each purpose that they were erased for. An index is
// computed with the purpose's key, so it outlives the keys of the subject. An
// application that clears the row when it erases does not need ClearErased. It also
// sets indexes without a sealed value to NULL. Without [Table.Subject] it is [ErrTable].
//
// Erasures by other processes are known after [vault.Options.SubjectLifetime].
// ClearErased reports values that are [Corrupt], [Retired], [Expired] or [Suspended], of [NoSubject] or a
// [SubjectMismatch]. It returns the errors of [Migration.Backfill].
func (m *Migration) ClearErased(ctx context.Context, opts *Options) (*Report, error) {
	if m.table.Subject == "" {
		return m.newReport("clear erased"), &stepError{"clear erased", m.table.Name, refuse("no subject column")}
	}
	return m.run(ctx, "clear erased", opts, m.withSealed(true), func(ctx context.Context, r *rowEdit) error {
		return m.each(r, true, func(i int, v value) error {
			c := &m.columns[i]
			if m.noSubject(r) {
				r.find(c.name, NoSubject)
				return nil
			}
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
// since, and has that recorded.
func (r *rowEdit) clear(c *column, f int) {
	r.replace(c, f, nil)
	r.cleared = append(r.cleared, f)
}

// recordCleared records the indexes that are to be removed from a row.
func (m *Migration) recordCleared(ctx context.Context, r *rowEdit) error {
	for _, f := range r.cleared {
		// Malformed text has no id to record, and counts as no value.
		v, _ := vault.ParseSealed(r.text(m.columns[m.fields[f].column].sealed)) //piivet:allow discard the step reports a malformed value
		if err := v.RecordClear(ctx, m.fields[f].purpose, m.table.Scopes[m.fields[f].scope]); err != nil {
			return err
		}
	}
	return nil
}

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
