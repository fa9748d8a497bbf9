package migrate

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A rowEdit is a row as it was read, and the changes that a step decided on.
type rowEdit struct {
	key     any
	keyText string
	subject sql.NullString
	read    []sql.NullString
	fields  fieldSet    // that were read
	cells   []cell      // by field; those that were not read are empty
	plain   []plaintext // by column

	// The fields to write, and the content that other fields must still have.
	sets, conditions []assignment
	ofSubject        bool  // the subject must still be the one that was read
	cleared          []int // the fields of sets that are indexes of nobody any more

	written    []assignment // of the fields, once the transaction is committed
	left       []leftValue
	findings   []Finding
	decisions  []decision
	canonicals []columnCanonical
}

// A cell is the content of a field: text, or the bytes of an index.
type cell struct {
	text  sql.NullString
	bytes []byte
}

// An assignment is a value for a field, or the condition that the field has it.
type assignment struct {
	field int
	value any // nil for NULL and, in a condition, for empty text
}

type decision struct {
	column   int
	purposes purpose.Set
}

// has reports whether a field is neither NULL nor empty text.
func (r *rowEdit) has(f int) bool { return r.cells[f].text.String != "" || r.cells[f].bytes != nil }

func (r *rowEdit) text(f int) string { return r.cells[f].text.String }

// set writes v into a field.
func (r *rowEdit) set(f int, v any) { r.sets = append(r.sets, assignment{f, v}) }

// unchanged adds the condition that a field still has the content that was read.
func (r *rowEdit) unchanged(f int) {
	if slices.ContainsFunc(r.conditions, func(c assignment) bool { return c.field == f }) {
		return
	}
	c := assignment{f, nil}
	switch cell := r.cells[f]; {
	case cell.bytes != nil:
		c.value = cell.bytes
	case cell.text.String != "":
		c.value = cell.text.String
	}
	r.conditions = append(r.conditions, c)
}

func (r *rowEdit) find(column string, p Problem) {
	r.findings = append(r.findings, Finding{Key: r.keyText, Column: column, Problem: p})
}

// reset drops the decisions on the row.
func (r *rowEdit) reset() {
	r.sets, r.conditions, r.cleared, r.findings, r.decisions, r.left = nil, nil, nil, nil, nil, nil
	r.ofSubject = false
}

// A selection is the rows that a step goes through, and the fields that it reads.
type selection struct {
	fields      fieldSet
	where       string   // "" for all rows
	withoutKeys bool     // the step neither seals nor opens values
	clock       bool     // the step depends on the clock
	done        []string // conditions of the values that were done before, by column; nil not to count them
}

// A reader reads the rows of one selection.
type reader struct {
	m *Migration
	selection
	columns string
}

func (m *Migration) reader(sel selection) *reader {
	key := m.keyCol
	if m.key == textKey && m.dialect == &postgres {
		key = expr(m.dialect.text, key) // of a UUID as well
	}
	columns := []string{key}
	if m.table.Subject != "" {
		// The key's own name would be ambiguous in ORDER BY.
		columns = append(columns, expr(m.dialect.text, m.dialect.ident(m.table.Subject))+" AS subject_text")
	}
	for i, name := range m.table.Read {
		columns = append(columns, expr(m.dialect.text, m.dialect.ident(name))+" AS read_"+strconv.Itoa(i))
	}
	for i, f := range m.fields {
		if !sel.fields.has(i) {
			continue
		}
		column := m.dialect.ident(f.name)
		if !f.bytes() {
			column = expr(m.dialect.text, column)
		}
		columns = append(columns, column)
	}
	return &reader{m, sel, strings.Join(columns, ", ")}
}

// conditions joins the selection with others.
func (r *reader) conditions(others ...string) string {
	if r.where != "" {
		others = append(others, "("+r.where+")")
	}
	if len(others) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(others, " AND ")
}

// count counts the rows after a key, nil for all.
func (r *reader) count(ctx context.Context, after any) (n int64, err error) {
	query := "SELECT " + r.m.dialect.system + "count(*) FROM " + r.m.from + r.conditions(r.after(after)...)
	err = r.m.withRetries(ctx, func() error { return r.m.db.QueryRowContext(ctx, query, args(after)...).Scan(&n) })
	return n, err
}

// countDone counts the values that were done before the step, in rows that the step does
// not read.
func (r *reader) countDone(ctx context.Context, after any, report *Report) error {
	counts, targets := make([]sql.NullInt64, len(r.done)), make([]any, len(r.done))
	columns := make([]string, len(r.done))
	for i, done := range r.done {
		columns[i], targets[i] = r.m.dialect.system+"sum(CASE WHEN "+done+" THEN 1 ELSE 0 END)", &counts[i]
	}
	query := "SELECT " + strings.Join(columns, ", ") + " FROM " + r.m.from + " WHERE " +
		strings.Join(append(r.after(after), "NOT ("+r.where+")"), " AND ")
	err := r.m.withRetries(ctx, func() error { return r.m.db.QueryRowContext(ctx, query, args(after)...).Scan(targets...) })
	for i, n := range counts {
		report.Columns[i].Skipped += n.Int64
	}
	return err
}

func (r *reader) after(key any) []string {
	if key == nil {
		return nil
	}
	return []string{r.m.keyCol + r.m.keyOperator(">") + r.m.dialect.param(1)}
}

func args(key any) []any {
	if key == nil {
		return nil
	}
	return []any{key}
}

// page reads up to n rows after a key, in the order of keys.
func (r *reader) page(ctx context.Context, after any, n int) ([]*rowEdit, error) {
	// One row more than asked for: if its key is equal to the last one's, the next
	// page would pass over it.
	query := fmt.Sprintf("SELECT %s FROM %s%s ORDER BY %s LIMIT %d",
		r.columns, r.m.from, r.conditions(r.after(after)...), r.m.keyCol, n+1)
	rows, err := r.query(ctx, n+1, query, args(after)...)
	if err != nil {
		return nil, err
	}
	for i := 1; i < len(rows); i++ {
		if rows[i].keyText == rows[i-1].keyText {
			return nil, r.m.notUnique()
		}
	}
	return rows[:min(n, len(rows))], nil
}

// again reads rows again, and returns the rows that are still in the selection. The others
// were deleted, or done by somebody else: nothing is left to do for them.
func (r *reader) again(ctx context.Context, rows []*rowEdit) (there []*rowEdit, err error) {
	for some := range slices.Chunk(rows, readAtOnce) {
		found, err := r.find(ctx, some)
		if err != nil {
			return nil, err
		}
		byKey := make(map[string]*rowEdit, len(found))
		for _, f := range found {
			byKey[f.keyText] = f
		}
		known := 0
		for _, row := range some {
			if byKey[row.keyText] != nil {
				known++
			}
		}
		for _, row := range some {
			f := byKey[row.keyText]
			if f == nil && known < len(found) { // abc may have become ABC, which is equal in the column's collation
				one, err := r.find(ctx, []*rowEdit{row})
				if err != nil {
					return nil, err
				}
				if len(one) == 1 {
					f = one[0]
				}
			}
			if f == nil {
				row.reset()
				row.cells, row.plain = make([]cell, len(r.m.fields)), nil
				continue
			}
			f.written = row.written
			*row = *f
			there = append(there, row)
		}
	}
	return there, nil
}

// find reads the rows of the selection that have the keys of rows.
func (r *reader) find(ctx context.Context, rows []*rowEdit) ([]*rowEdit, error) {
	condition, keys := r.m.keyIn(rows)
	found, err := r.query(ctx, len(rows), "SELECT "+r.columns+" FROM "+r.m.from+r.conditions(condition), keys...)
	if err == nil && len(found) > len(rows) {
		err = r.m.notUnique()
	}
	return found, err
}

func (r *reader) query(ctx context.Context, n int, query string, args ...any) (all []*rowEdit, err error) {
	err = r.m.withRetries(ctx, func() error {
		all = make([]*rowEdit, 0, n)
		rows, err := r.m.db.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		var targets []any
		for rows.Next() {
			next := &rowEdit{fields: r.fields, cells: make([]cell, len(r.m.fields))}
			var number int64
			var text string
			var raw []byte
			targets = targets[:0]
			switch r.m.key {
			case integerKey:
				targets = append(targets, &number)
			case textKey:
				targets = append(targets, &text)
			case bytesKey:
				targets = append(targets, &raw)
			}
			if r.m.table.Subject != "" {
				targets = append(targets, &next.subject)
			}
			next.read = make([]sql.NullString, len(r.m.table.Read))
			for i := range next.read {
				targets = append(targets, &next.read[i])
			}
			for i, f := range r.m.fields {
				switch {
				case !r.fields.has(i):
				case f.bytes():
					targets = append(targets, &next.cells[i].bytes)
				default:
					targets = append(targets, &next.cells[i].text)
				}
			}
			if rows.Scan(targets...) != nil {
				// The driver's error quotes the content.
				return refuse("a row holds data of another type than its columns")
			}
			switch r.m.key {
			case integerKey:
				next.key = number
			case textKey:
				next.key = text
			case bytesKey:
				next.key = raw
			}
			next.keyText = r.m.key.text(next.key)
			all = append(all, next)
		}
		return rows.Err()
	})
	return all, err
}

// narrow returns the scope narrowed to the subject of a row.
func (m *Migration) narrow(r *rowEdit, s *vault.Scope) *vault.Scope {
	if m.table.Subject == "" {
		return s
	}
	return s.For(r.subject.String)
}

// scopesOf returns the scopes of a value's purposes, narrowed to the row.
func (m *Migration) scopesOf(r *rowEdit, purposes purpose.Set) []*vault.Scope {
	var scopes []*vault.Scope
	for _, s := range m.table.Scopes {
		if purposes.Contains(s.Purpose()) {
			scopes = append(scopes, m.narrow(r, s))
		}
	}
	return scopes
}

// noSubject reports whether the row lacks the id of its subject.
func (m *Migration) noSubject(r *rowEdit) bool {
	return m.table.Subject != "" && !vault.ValidSubject(r.subject.String)
}

// opener returns the scope that opens v for the purpose of s, a scope that is narrowed to
// the row. It also reports whether the value is under a key of the purpose, or of a
// collector, in a table with subjects.
func (m *Migration) opener(v value, s *vault.Scope) (scope *vault.Scope, ofPurpose bool) {
	if m.table.Subject == "" || v.OnPrimaryKey(s) && !v.ByCollector(s.Purpose()) {
		return s, false
	}
	return m.table.Scopes[scopeNumber(m.table.Scopes, s.Purpose())], true
}

// decide calls CollectedFor for a column's value. The scopes are narrowed to the
// row. A function that fails is a problem of the row.
func (m *Migration) decide(r *rowEdit, i int) ([]*vault.Scope, purpose.Set, Problem, error) {
	c := &m.columns[i]
	if c.CollectedFor == nil {
		return nil, purpose.Set{}, "", nil
	}
	var decided []*vault.Scope
	if !guarded(func() { decided = c.CollectedFor(Row{m, r}) }) {
		return nil, purpose.Set{}, Failed, nil
	}
	scopes := make([]*vault.Scope, 0, len(decided))
	purposes := make([]purpose.Purpose, 0, len(decided))
	for _, s := range decided {
		if scopeNumber(m.table.Scopes, s.Purpose()) < 0 {
			return nil, purpose.Set{}, "", refuse("CollectedFor of column %s returned a scope that is not in Scopes", c.name)
		}
		scopes, purposes = append(scopes, m.narrow(r, s)), append(purposes, s.Purpose())
	}
	return scopes, purpose.NewSet(purposes...), "", nil
}

// scan parses a column's sealed value. It reports false if there is none or it is
// malformed.
func (m *Migration) scan(r *rowEdit, i int) (value, bool) {
	v, err := m.columns[i].Kind.scan(r.text(m.columns[i].sealed))
	return v, err == nil && !v.IsZero()
}

// indexIs reports whether a field has the index x.
func (r *rowEdit) indexIs(f int, x pii.Index) bool {
	var stored pii.Index
	return stored.Scan(r.cells[f].bytes) == nil && stored.Equal(x)
}
