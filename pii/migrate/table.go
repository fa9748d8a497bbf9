package migrate

import (
	"slices"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A Table says which columns of a table are sealed, and for which purposes.
type Table struct {
	// Name is the table's name, which may be qualified as in "app.users".
	Name string
	// Key is the primary key, or another column that is unique, not null and has
	// an index: of integers, text, UUIDs or bytes. Reports and cursors consist of
	// keys, so a key must not be personal data.
	Key string
	// Subject is the column with the id under which [vault.Scope.For] knows the
	// person, as text (an integer in decimal). It may be Key. If Subject is empty,
	// values are sealed for no single subject. If it is not, a row without an id is
	// not sealed.
	Subject string
	// Read are the other columns that [Column.CollectedFor] reads, by [Row.Text].
	Read []string
	// Scopes has one scope for each purpose. No value is sealed for another
	// purpose.
	Scopes []*vault.Scope
	// Columns are the columns that are sealed, in one pass.
	Columns []Column
}

// A Column is a column of plaintext, and the columns that replace it.
type Column struct {
	// Kind is the kind of the values.
	Kind Kind
	// Plain is the column of plaintext: text of any type. It may be empty once the
	// column is dropped, for [Migration.Reseal] and all other steps after cut-over.
	Plain string
	// Sealed is the column of sealed values: text, NULL where there is no value.
	Sealed string
	// Indexes are the columns of blind indexes, by purpose: bytes, NULL where there
	// is no value or the value was not collected for the purpose.
	Indexes map[purpose.Purpose]string
	// CollectedFor returns scopes of the purposes that the value in a row was
	// collected for. They may be under the basis that the person was told then
	// ([vault.Scope.Under]). If nobody knows the purpose, return no scope: the value
	// is [Quarantined], that is, it is reported and not sealed. To have it sealed
	// nevertheless, return the scope of a purpose made for the case. A nil
	// function returns no scope for any row.
	//
	// It may be called from several goroutines at once.
	CollectedFor func(Row) []*vault.Scope
}

// A Row is one row without its personal data, for [Column.CollectedFor] to decide
// on.
type Row struct {
	m *Migration
	r *rowEdit
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
