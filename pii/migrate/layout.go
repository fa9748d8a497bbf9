package migrate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A layout is a [Table] that was found valid, with its fields numbered.
type layout struct {
	table   Table // without Columns
	columns []column
	fields  []dbField
}

// A column is a [Column] with the numbers of its fields, -1 for none.
type column struct {
	Column
	name          string // in reports
	plain, sealed int
	indexes       []int
}

// A dbField is a column of the database that belongs to a [Column].
type dbField struct {
	name    string
	role    role
	column  int
	purpose purpose.Purpose // of an index
	scope   int             // the number of the scope for that purpose

	raw      bool // plaintext in a column of bytes
	document bool // plaintext in a column of JSON
}

// bytes reports whether the field is read and compared as bytes.
func (f dbField) bytes() bool { return f.role == indexBytes || f.raw }

// A role is the use of a field.
type role int

const (
	plainText role = iota
	sealedText
	indexBytes
)

// A fieldSet is a set of fields, by number.
type fieldSet uint64

func (s fieldSet) has(i int) bool      { return s&(1<<i) != 0 }
func (s fieldSet) with(i int) fieldSet { return s | 1<<i }

const maxFields = 64

func refuse(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrTable)...)
}

// newLayout validates t, without asking the database.
func newLayout(t Table) (layout, error) {
	b := layoutBuilder{claimed: make(map[string]bool)}
	b.table = t
	b.table.Read, b.table.Scopes = slices.Clone(t.Read), slices.Clone(t.Scopes)
	b.table.Columns = nil // b.columns has them
	for _, part := range strings.Split(t.Name, ".") {
		if !validName(part) {
			return b.layout, refuse("malformed name of a table")
		}
	}
	if err := b.claimOthers(); err != nil {
		return b.layout, err
	}
	if err := checkScopes(t.Scopes); err != nil {
		return b.layout, err
	}
	if len(t.Columns) == 0 {
		return b.layout, refuse("no columns to seal")
	}
	for _, c := range t.Columns {
		if err := b.addColumn(c); err != nil {
			return b.layout, err
		}
	}
	if len(b.fields) > maxFields {
		return b.layout, refuse("more than %d columns", maxFields)
	}
	return b.layout, nil
}

// checkScopes demands one scope for each purpose.
func checkScopes(scopes []*vault.Scope) error {
	if len(scopes) == 0 {
		return refuse("no scopes")
	}
	for i, s := range scopes {
		if s.Purpose().IsZero() {
			return refuse("scope %d is nil", i)
		}
		if scopeNumber(scopes[:i], s.Purpose()) >= 0 {
			return refuse("two scopes for %v", s.Purpose())
		}
	}
	return nil
}

// scopeNumber returns the number of the scope for p, -1 if there is none.
func scopeNumber(scopes []*vault.Scope, p purpose.Purpose) int {
	return slices.IndexFunc(scopes, func(s *vault.Scope) bool { return s.Purpose() == p })
}

// A layoutBuilder collects columns, none of them twice.
type layoutBuilder struct {
	layout
	claimed map[string]bool // in lower case, as databases compare names
}

func (b *layoutBuilder) claim(name, use string) error {
	switch {
	case !validName(name):
		return refuse("malformed name of a column (%s)", use)
	case b.claimed[strings.ToLower(name)]:
		return refuse("column %s is named twice", name)
	}
	b.claimed[strings.ToLower(name)] = true
	return nil
}

// claimOthers claims the columns that are read and never written. The subject may be
// the key, and either may be read.
func (b *layoutBuilder) claimOthers() error {
	if err := b.claim(b.table.Key, "key"); err != nil {
		return err
	}
	for _, name := range b.table.Read {
		if name == b.table.Key || name == b.table.Subject {
			continue
		}
		if err := b.claim(name, "to read"); err != nil {
			return err
		}
	}
	if b.table.Subject == "" || b.table.Subject == b.table.Key {
		return nil
	}
	return b.claim(b.table.Subject, "subject")
}

// addColumn numbers the fields of the next column.
func (b *layoutBuilder) addColumn(c Column) (err error) {
	i := len(b.columns)
	if c.Kind == nil {
		return refuse("column %d is of no kind", i)
	}
	if c.Rest != nil && c.Plaintext == nil {
		return refuse("column %d has a Rest and no Plaintext", i)
	}
	numbered := column{Column: c, name: c.Plain, plain: -1}
	if c.Plain == "" {
		numbered.name = c.Sealed
	} else if numbered.plain, err = b.addField("plain", dbField{name: c.Plain, role: plainText, column: i}); err != nil {
		return err
	}
	if numbered.sealed, err = b.addField("sealed", dbField{name: c.Sealed, role: sealedText, column: i}); err != nil {
		return err
	}
	for n, s := range b.table.Scopes { // in the same order each time
		name, ok := c.Indexes[s.Purpose()]
		if !ok {
			continue
		}
		f, err := b.addField("index", dbField{name: name, role: indexBytes, column: i, purpose: s.Purpose(), scope: n})
		if err != nil {
			return err
		}
		numbered.indexes = append(numbered.indexes, f)
	}
	if len(numbered.indexes) != len(c.Indexes) {
		return refuse("column %s has an index for a purpose that is not in Scopes", numbered.name)
	}
	b.columns = append(b.columns, numbered)
	return nil
}

// addField returns the number of a new field.
func (b *layoutBuilder) addField(use string, f dbField) (int, error) {
	if err := b.claim(f.name, use); err != nil {
		return 0, err
	}
	b.fields = append(b.fields, f)
	return len(b.fields) - 1, nil
}
