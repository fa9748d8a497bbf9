package migrate

import (
	"bytes"
	"context"
	"database/sql"
	"strconv"
	"strings"
)

// readAtOnce is the largest number of rows that one statement reads back.
const readAtOnce = 1000

// An outcome has the rows that a transaction could not write.
type outcome struct {
	lost    []*rowEdit // did not meet their conditions
	altered []*rowEdit // were not kept as they were written
	// A field of moved rows that was not written differs from the content that was read:
	// somebody else wrote it, or a trigger did.
	moved []*rowEdit

	setFailed  bool // the error is the error of a statement for a set
	passedOver bool // nothing is written, since the database does not say which rows it passed over
}

// readBack reads rows that the transaction has written. Rows are altered in which a
// field differs from the content that the step wrote, or from the content that the
// conditions demanded of it: a trigger, a rule, a domain or the type of the column
// changed it. The caller rolls back if there are altered or moved rows.
func (m *Migration) readBack(ctx context.Context, tx *sql.Tx, rows []*rowEdit, out *outcome) error {
	if len(rows) == 0 {
		return nil
	}
	if m.dialect == &postgres { // triggers that wait for the commit run now
		if _, err := tx.ExecContext(ctx, "SET CONSTRAINTS ALL IMMEDIATE"); err != nil {
			return err
		}
	}
	var fields fieldSet
	for _, r := range rows {
		s := r.shape()
		fields |= s.set | s.equal | s.absent | r.fields
	}
	for from := 0; from < len(rows); from += readAtOnce {
		some := rows[from:min(from+readAtOnce, len(rows))]
		byKey, read := make(map[string]*rowEdit, len(some)), make(map[*rowEdit]bool, len(some))
		for _, r := range some {
			byKey[r.keyText] = r
		}
		if err := m.stored(ctx, tx, fields, some, func(key string, cells []sql.RawBytes) error {
			r := byKey[key]
			switch {
			case r == nil:
				return nil
			case read[r]:
				return m.notUnique()
			case !m.holds(r, cells):
				out.altered = append(out.altered, r)
			case !m.others(r, cells):
				out.moved = append(out.moved, r)
			}
			read[r] = true
			return nil
		}); err != nil {
			return err
		}
		for _, r := range some {
			if !read[r] { // deleted, or under another key
				out.altered = append(out.altered, r)
			}
		}
	}
	return nil
}

// others reports whether the fields that were read, and neither written nor part of the
// conditions, are as they were.
func (m *Migration) others(r *rowEdit, cells []sql.RawBytes) bool {
	s := r.shape()
	for i, f := range m.fields {
		if !r.fields.has(i) || (s.set | s.equal | s.absent).has(i) {
			continue
		}
		was := r.text(i)
		if f.bytes() {
			was = string(r.cells[i].bytes)
		}
		if was != string(cells[i]) { // database/sql may give empty text as NULL
			return false
		}
	}
	return true
}

// stored calls f with the key and the fields of rows, as an application reads them. The
// cells are valid until f returns. An error of f ends the reading.
func (m *Migration) stored(ctx context.Context, tx *sql.Tx, fields fieldSet, rows []*rowEdit, f func(key string, cells []sql.RawBytes) error) error {
	key := m.keyCol
	if m.key == textKey && m.dialect == &postgres {
		key = expr(m.dialect.text, key)
	}
	cells := make([]sql.RawBytes, len(m.fields))
	var number int64
	var text string
	var raw []byte
	columns, targets := []string{key}, []any{map[keyType]any{integerKey: &number, textKey: &text, bytesKey: &raw}[m.key]}
	for i, f := range m.fields {
		if !fields.has(i) {
			continue
		}
		column := m.dialect.ident(f.name)
		if f.role == plainText && !f.raw { // the form in which plaintext was read
			column = expr(m.dialect.text, column)
		}
		columns, targets = append(columns, column+" AS stored_"+strconv.Itoa(i)), append(targets, &cells[i])
	}
	condition, keys := m.keyIn(rows)
	found, err := tx.QueryContext(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM "+m.from+" WHERE "+condition, keys...)
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		if found.Scan(targets...) != nil {
			return refuse("a row holds data of another type than its columns")
		}
		switch m.key {
		case integerKey:
			text = m.key.text(number)
		case bytesKey:
			text = m.key.text(raw)
		}
		if err := f(text, cells); err != nil {
			return err
		}
	}
	return found.Err()
}

// holds reports whether the cells have the content that the row's changes and conditions
// say.
func (m *Migration) holds(r *rowEdit, cells []sql.RawBytes) bool {
	var set fieldSet
	for _, a := range r.sets {
		set = set.with(a.field)
		if !m.holdsSet(r, a, cells[a.field]) {
			return false
		}
	}
	for _, c := range r.conditions {
		cell := cells[c.field]
		switch {
		case set.has(c.field):
		case c.value == nil && (len(cell) > 0 || cell != nil && m.fields[c.field].bytes()),
			c.value != nil && !same(c.value, cell):
			return false
		}
	}
	return true
}

// holdsSet reports whether a cell has the content that was written.
func (m *Migration) holdsSet(r *rowEdit, a assignment, cell []byte) bool {
	f := m.fields[a.field]
	switch {
	case a.value == nil:
		return cell == nil
	case f.document && cell != nil: // which the database may write in another form
		text, p, err := m.call(r, f.column, m.columns[f.column].Plaintext, bytes.Clone(cell))
		return err == nil && p == "" && text == ""
	}
	return same(a.value, cell)
}

// same reports whether a cell has the bytes of a value.
func same(value any, cell []byte) bool {
	switch value := value.(type) {
	case string:
		return cell != nil && value == string(cell)
	case []byte:
		return cell != nil && bytes.Equal(value, cell)
	}
	return false
}
