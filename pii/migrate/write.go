package migrate

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
)

// A shape is the fields in a statement. Rows of one shape share a prepared
// statement.
type shape struct {
	set, equal, absent fieldSet
	ofSubject          bool
}

func (r *rowEdit) shape() (s shape) {
	for _, a := range r.sets {
		s.set = s.set.with(a.field)
	}
	for _, c := range r.conditions {
		if c.value == nil {
			s.absent = s.absent.with(c.field)
		} else {
			s.equal = s.equal.with(c.field)
		}
	}
	s.ofSubject = r.ofSubject
	return s
}

// update returns the statement that writes one row of a shape. A row is written only if
// it still meets the conditions.
func (m *Migration) update(s shape) string {
	sets, conditions := m.clauses(s, func(i int) string { return m.dialect.param(i + 1) })
	return "UPDATE " + m.from + " SET " + strings.Join(sets, ", ") + " WHERE " + strings.Join(conditions, " AND ")
}

// clauses returns the clauses of a statement that writes rows of a shape, given an
// expression for each argument of [Migration.args]. The arguments are the fields to set in
// the order of their numbers, the key, the subject, and the conditions in the same order of
// fields.
func (m *Migration) clauses(s shape, arg func(i int) string) (sets, conditions []string) {
	n := 0
	next := func() string {
		n++
		return arg(n - 1)
	}
	for i, f := range m.fields {
		if s.set.has(i) {
			sets = append(sets, m.dialect.ident(f.name)+" = "+next())
		}
	}
	conditions = append(conditions, m.keyCol+m.keyOperator("=")+next())
	if s.ofSubject {
		conditions = append(conditions, expr(m.dialect.exact, m.subjectCol)+m.dialect.operator("=")+expr(m.dialect.exactParam, next()))
	}
	for i, f := range m.fields {
		switch {
		case s.absent.has(i):
			conditions = append(conditions, m.absent(i))
		case !s.equal.has(i):
		case f.bytes():
			conditions = append(conditions, m.dialect.ident(f.name)+m.dialect.operator("=")+next())
		default:
			conditions = append(conditions, expr(m.dialect.exact, m.dialect.ident(f.name))+m.dialect.operator("=")+expr(m.dialect.exactParam, next()))
		}
	}
	return sets, conditions
}

// keyOperator returns an operator on keys, between blanks. A key of a type that an extension
// brings, such as citext, has its operators in the schema of that extension.
func (m *Migration) keyOperator(name string) string {
	if strings.HasPrefix(m.types[m.table.Key], "pg_catalog.") {
		return m.dialect.operator(name)
	}
	return " " + name + " "
}

// absent returns the condition that a field is NULL or empty text.
func (m *Migration) absent(f int) string {
	column := m.dialect.ident(m.fields[f].name)
	if m.fields[f].bytes() {
		return column + " IS NULL"
	}
	return "(" + column + " IS NULL OR " + expr(m.dialect.exact, column) + m.dialect.operator("=") + "'')"
}

// present returns the opposite condition.
func (m *Migration) present(f int) string {
	column := m.dialect.ident(m.fields[f].name)
	if m.fields[f].bytes() {
		return column + " IS NOT NULL"
	}
	return "(" + column + " IS NOT NULL AND " + expr(m.dialect.exact, column) + m.dialect.operator("<>") + "'')"
}

func (m *Migration) args(r *rowEdit) []any {
	args := make([]any, 0, len(r.sets)+1+len(r.conditions))
	add := func(from []assignment, nulls bool) {
		for i := range m.fields {
			for _, a := range from {
				if a.field == i && (nulls || a.value != nil) {
					args = append(args, a.value)
				}
			}
		}
	}
	add(r.sets, true)
	args = append(args, r.key)
	if r.ofSubject {
		args = append(args, r.subject.String)
	}
	add(r.conditions, false)
	return args
}

// writeAll writes rows in one transaction, and returns the rows that did not meet
// their conditions any more. It adds a finding for each row that a unique constraint or a
// trigger refuses or that the database alters, and writes the others without it.
func (m *Migration) writeAll(ctx context.Context, rows []*rowEdit) (lost []*rowEdit, err error) {
	if len(rows) == 0 {
		return nil, nil
	}
	out, err := m.transaction(ctx, rows)
	switch {
	case err == nil && !out.rolledBack():
		lost := setOf(out.lost)
		for _, r := range rows {
			if !lost[r] {
				r.written = append(r.written, r.sets...)
			}
		}
		return out.lost, nil
	case err == nil: // nothing is written yet
		kept := setOf(out.altered, out.moved)
		rest := slices.DeleteFunc(slices.Clone(rows), func(r *rowEdit) bool { return kept[r] })
		if lost, err = m.writeAll(ctx, rest); err != nil {
			return nil, err
		}
		lost = append(lost, out.moved...)
		for _, r := range out.altered {
			more, err := m.writeApart(ctx, r)
			if err != nil {
				return nil, err
			}
			lost = append(lost, more...)
		}
		return lost, nil
	case refusalOf(err) == noRefusal:
		return nil, err
	}
	if len(rows) == 1 {
		return m.writeApart(ctx, rows[0])
	}
	// The error does not name the row. Halving finds it.
	half := len(rows) / 2
	lost, err = m.writeAll(ctx, rows[:half])
	if err != nil {
		return nil, err
	}
	more, err := m.writeAll(ctx, rows[half:])
	return append(lost, more...), err
}

func setOf(lists ...[]*rowEdit) map[*rowEdit]bool {
	set := make(map[*rowEdit]bool)
	for _, list := range lists {
		for _, r := range list {
			set[r] = true
		}
	}
	return set
}

// writeApart writes the columns of a refused or altered row one by one, and adds a
// finding for each that is refused or altered again.
func (m *Migration) writeApart(ctx context.Context, r *rowEdit) (lost []*rowEdit, err error) {
	for i, c := range m.columns {
		part := &rowEdit{key: r.key, keyText: r.keyText, subject: r.subject, ofSubject: r.ofSubject, read: r.read, fields: r.fields, cells: r.cellsNow(m)}
		of := func(a assignment) bool { return m.fields[a.field].column != i }
		part.sets = slices.DeleteFunc(slices.Clone(r.sets), of)
		part.conditions = slices.DeleteFunc(slices.Clone(r.conditions), of)
		if len(part.sets) == 0 {
			continue
		}
		out, err := m.transaction(ctx, []*rowEdit{part})
		switch {
		case refusalOf(err) == byUnique:
			m.findOrLeave(r, i, Duplicate)
		case refusalOf(err) == byTrigger:
			r.find(c.name, Contended)
		case err != nil:
			return nil, err
		case len(out.altered) > 0:
			r.find(c.name, Altered)
		case len(out.lost)+len(out.moved) > 0:
			lost = []*rowEdit{r}
		default:
			r.written = append(r.written, part.sets...)
		}
	}
	return lost, nil
}

// cellsNow returns the content of fields as it was read, or as it was written since.
func (r *rowEdit) cellsNow(m *Migration) []cell {
	cells := slices.Clone(r.cells)
	for _, a := range r.written {
		switch value := a.value.(type) {
		case nil:
			cells[a.field] = cell{}
		case []byte:
			cells[a.field] = cell{bytes: value}
		case string:
			cells[a.field] = cell{text: sql.NullString{String: value, Valid: true}}
		}
	}
	return cells
}

// A manner is how a transaction writes its rows.
type manner int

const (
	together manner = iota // a statement for each set
	locked                 // likewise, for those rows that meet their conditions and are locked
	apart                  // a statement for each row
)

// transaction writes rows in one transaction.
//
// MySQL does not say which rows of a set did not meet their conditions. If there are any,
// the transaction is rolled back, and another one locks the others and writes them. If one
// of these is not changed either, as under some triggers, or if the database refuses the
// statement for a set, as PostgreSQL does for a table with some rules, the rows are written
// one by one. An error is then the error of a row.
func (m *Migration) transaction(ctx context.Context, rows []*rowEdit) (outcome, error) {
	if len(rows) == 1 || !m.writesSets() {
		return m.transactionIn(ctx, apart, rows)
	}
	out, err := m.transactionIn(ctx, together, rows)
	if out.passedOver {
		out, err = m.transactionIn(ctx, locked, rows)
	}
	var failed *dbError
	if !out.passedOver && !(out.setFailed && errors.As(err, &failed) && failed.code != "" && failed.refusal == noRefusal) {
		return out, err
	}
	if out, err = m.transactionIn(ctx, apart, rows); err == nil && failed != nil && errors.Is(failed, ErrTable) {
		m.setsRefused.Store(true)
	}
	return out, err
}

func (m *Migration) transactionIn(ctx context.Context, how manner, rows []*rowEdit) (out outcome, err error) {
	err = m.withRetries(ctx, func() error {
		out = outcome{}
		return m.transact(ctx, how, rows, &out)
	})
	return out, err
}

// rolledBack reports whether the transaction has written nothing.
func (o outcome) rolledBack() bool { return len(o.altered)+len(o.moved) > 0 }

func (m *Migration) transact(ctx context.Context, how manner, rows []*rowEdit, out *outcome) error {
	tx, err := m.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var written []*rowEdit
	if how == apart {
		written, err = m.writeEach(ctx, tx, rows, out)
	} else {
		written, err = m.writeSets(ctx, tx, how, rows, out)
	}
	if err != nil || out.passedOver {
		return err
	}
	if err := m.readBack(ctx, tx, written, out); err != nil || out.rolledBack() {
		return err
	}
	return tx.Commit()
}

// writeEach writes rows one by one, and returns those that met their conditions.
func (m *Migration) writeEach(ctx context.Context, tx *sql.Tx, rows []*rowEdit, out *outcome) ([]*rowEdit, error) {
	statements, written := make(map[shape]*sql.Stmt), make([]*rowEdit, 0, len(rows))
	defer func() {
		for _, statement := range statements {
			statement.Close()
		}
	}()
	for _, r := range rows {
		s := r.shape()
		statement := statements[s]
		if statement == nil {
			var err error
			if statement, err = tx.PrepareContext(ctx, m.update(s)); err != nil {
				return nil, err
			}
			statements[s] = statement
		}
		result, err := statement.ExecContext(ctx, m.args(r)...)
		if err != nil {
			return nil, err
		}
		switch n, err := result.RowsAffected(); {
		case err != nil:
			return nil, err
		case n == 0:
			out.lost = append(out.lost, r)
		case n > 1:
			return nil, m.notUnique()
		default:
			written = append(written, r)
		}
	}
	return written, nil
}

// writeSets writes rows in sets, and returns those that met their conditions.
func (m *Migration) writeSets(ctx context.Context, tx *sql.Tx, how manner, rows []*rowEdit, out *outcome) ([]*rowEdit, error) {
	all := make([]*rowEdit, 0, len(rows))
	for _, s := range m.setsOf(rows) {
		written, lost, err := m.writeSet(ctx, tx, how, s)
		switch {
		case err == errPassedOver:
			out.passedOver = true
			return nil, nil
		case err != nil:
			out.setFailed = true
			return nil, err
		}
		all, out.lost = append(all, written...), append(out.lost, lost...)
	}
	return all, nil
}

func (m *Migration) notUnique() error { return refuse("key %s is not unique", m.table.Key) }
