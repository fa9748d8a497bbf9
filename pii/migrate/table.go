package migrate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A Table says which columns of which table are sealed, and what for.
type Table struct {
	// Name is the table's name, which may be qualified as in "app.users".
	Name string
	// Key is the primary key, or another column that is unique, not null and has
	// an index: of integers, text, UUIDs or bytes. Keys are what reports and
	// cursors are made of, so it must not be personal data itself.
	Key string
	// Subject is the column with the id under which [vault.Scope.For] knows the
	// person, as text (an integer in decimal). It may be Key. Where it is empty,
	// values are sealed for no single subject; a row where the id is missing is not
	// sealed.
	Subject string
	// Read are the columns, apart from those, that decide what a value was
	// collected for: see [Row.Text].
	Read []string
	// Scopes are all that may be used, one for each purpose: nothing is ever sealed
	// for a purpose that is not among them.
	Scopes []*vault.Scope
	// Columns are what is sealed, in one pass.
	Columns []Column
}

// A Column is a column of plaintext with the columns that take its place.
type Column struct {
	// Kind is what the values are.
	Kind Kind
	// Plain is the column of plaintext: text of any type. It may be empty when it
	// was dropped, for [Migration.Reseal] and all that comes after cut-over.
	Plain string
	// Sealed is the column that the sealed values go to: text, NULL where there
	// is no value.
	Sealed string
	// Indexes are the columns of blind indexes, by purpose: bytes, NULL where there
	// is no value or it was not collected for the purpose.
	Indexes map[purpose.Purpose]string
	// CollectedFor decides what the value in a row was collected for, by returning
	// scopes of these purposes, which may be under the basis that was told then
	// ([vault.Scope.Under]). For a row of which that is not known, return none: the
	// value goes to quarantine, which is to say that it is reported and stays as it
	// is. Return the scope of a purpose made for the case to have it sealed all
	// the same. A nil function knows it of no row.
	//
	// It may be called from several goroutines at once.
	CollectedFor func(Row) []*vault.Scope
}

// A Row is what [Column.CollectedFor] decides on: one row without its personal
// data.
type Row struct {
	m *Migration
	r *row
}

// Key returns the row's key as reports show it.
func (r Row) Key() string { return r.r.keyText }

// Text returns the content of one of the columns of [Table.Read] as the database
// writes it as text, "" for NULL. It panics for any other column.
func (r Row) Text(column string) string {
	i := slices.Index(r.m.table.Read, column)
	if i < 0 {
		panic("migrate: Row.Text of a column that is not in Table.Read")
	}
	return r.r.read[i].String
}

// Bool reports whether the content of a column is true, or a number other than
// 0. It panics as Text does.
func (r Row) Bool(column string) bool {
	switch text := r.Text(column); text {
	case "", "0", "f", "false", "FALSE":
		return false
	default:
		return true
	}
}

// The roles of a field.
type role int

const (
	plainText role = iota
	sealedText
	indexBytes
)

// A field is a column of the database that belongs to a Column.
type dbField struct {
	name    string
	role    role
	column  int
	purpose purpose.Purpose // of an index
	scope   int             // its number
}

// fieldSet is a set of fields, by number.
type fieldSet uint64

func (s fieldSet) has(i int) bool      { return s&(1<<i) != 0 }
func (s fieldSet) with(i int) fieldSet { return s | 1<<i }

const maxFields = 64

// column is a Column with the numbers of its fields, -1 for none.
type column struct {
	Column
	name          string // in reports
	plain, sealed int
	indexes       []int
}

func refuse(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrTable)...)
}

// take checks t without looking at the database.
func (m *Migration) take(t Table) error {
	for _, part := range strings.Split(t.Name, ".") {
		if !validName(part) {
			return refuse("malformed name of a table")
		}
	}
	seen := make(map[string]bool)
	claim := func(name, what string) error {
		switch {
		case !validName(name):
			return refuse("malformed name of a column (%s)", what)
		case seen[strings.ToLower(name)]:
			return refuse("column %s has two parts to play", name)
		}
		seen[strings.ToLower(name)] = true
		return nil
	}
	if err := claim(t.Key, "key"); err != nil {
		return err
	}
	for _, name := range t.Read {
		if name != t.Key && name != t.Subject {
			if err := claim(name, "to read"); err != nil {
				return err
			}
		}
	}
	if t.Subject != "" && t.Subject != t.Key {
		if err := claim(t.Subject, "subject"); err != nil {
			return err
		}
	}
	if len(t.Scopes) == 0 {
		return refuse("no scopes")
	}
	for i, s := range t.Scopes {
		if s.Purpose().IsZero() {
			return refuse("scope %d is nil", i)
		}
		if m.scopeOf(t.Scopes[:i], s.Purpose()) >= 0 {
			return refuse("two scopes for %v", s.Purpose())
		}
	}
	if len(t.Columns) == 0 {
		return refuse("no columns to seal")
	}
	m.table = t
	m.table.Read, m.table.Scopes = slices.Clone(t.Read), slices.Clone(t.Scopes)
	m.table.Columns = nil // m.columns has them
	for i, c := range t.Columns {
		if c.Kind == nil {
			return refuse("column %d is of no kind", i)
		}
		taken := column{Column: c, name: c.Plain, plain: -1}
		add := func(name, what string, f dbField) (int, error) {
			if err := claim(name, what); err != nil {
				return 0, err
			}
			f.name, f.column = name, i
			m.fields = append(m.fields, f)
			return len(m.fields) - 1, nil
		}
		var err error
		if c.Plain != "" {
			if taken.plain, err = add(c.Plain, "plain", dbField{role: plainText}); err != nil {
				return err
			}
		} else {
			taken.name = c.Sealed
		}
		if taken.sealed, err = add(c.Sealed, "sealed", dbField{role: sealedText}); err != nil {
			return err
		}
		for n, s := range t.Scopes { // in an order that is always the same
			name, ok := c.Indexes[s.Purpose()]
			if !ok {
				continue
			}
			f, err := add(name, "index", dbField{role: indexBytes, purpose: s.Purpose(), scope: n})
			if err != nil {
				return err
			}
			taken.indexes = append(taken.indexes, f)
		}
		if len(taken.indexes) != len(c.Indexes) {
			return refuse("column %s has an index for a purpose that is not in Scopes", taken.name)
		}
		m.columns = append(m.columns, taken)
	}
	if len(m.fields) > maxFields {
		return refuse("more than %d columns", maxFields)
	}
	return nil
}

// scopeOf returns the number of the scope for p, -1 if there is none.
func (m *Migration) scopeOf(scopes []*vault.Scope, p purpose.Purpose) int {
	return slices.IndexFunc(scopes, func(s *vault.Scope) bool { return s.Purpose() == p })
}
