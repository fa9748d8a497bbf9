package migrate

import (
	"slices"
	"time"

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
	// not sealed, and Reseal brings values that were sealed for no single subject under
	// the keys of their rows' subjects.
	Subject string
	// Read are the other columns that [Column.CollectedFor] and [Column.Plaintext] read,
	// by [Row.Text].
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
	// Plain is the column of plaintext: text of any type, and with Plaintext also bytes
	// and JSON. It may be empty once the
	// column is dropped, for [Migration.Reseal] and all other steps after cut-over.
	Plain string
	// Plaintext reads the column of plaintext, where its content is not the text that
	// Kind takes: it returns the international form of a national number, a field of a
	// JSON document, or the plaintext of another library's ciphertext. The column may
	// then be of bytes or JSON as well. By default the content is taken as it is.
	//
	// Empty text and a nil error say that the row has no value. An error that is
	// [pii.ErrMalformed] makes the value [Invalid], an error that is
	// [vault.ErrUnavailable] ends the step, and after any other error or a panic the
	// value is [Unreadable]. No report and no error repeats the error's text.
	//
	// For one row and content, Plaintext returns one text: Verify and CutOver compare it
	// with the sealed value. It may be called from several goroutines at once, and may
	// change raw.
	Plaintext func(row Row, raw []byte) (string, error)
	// Rest returns the content that CutOver leaves in the column of plaintext, with the
	// value taken out, for a column that holds more than the value, such as a JSON
	// document. Plaintext must find no value in it. By default, and if the content is
	// nil, CutOver writes NULL. After an error or a panic the value is [Unreadable], and
	// nothing is written.
	Rest func(row Row, raw []byte) ([]byte, error)
	// Sealed is the column of sealed values: text, NULL where there is no value.
	Sealed string
	// Indexes are the columns of blind indexes, by purpose: bytes, NULL where there
	// is no value or the value was not collected for the purpose.
	Indexes map[purpose.Purpose]string
	// CollectedFor returns scopes of the purposes that the value in a row was
	// collected for. They may be under the basis that the person was told then
	// ([vault.Scope.Under]), with the time of collection in [purpose.Basis.Collected]. If nobody knows the purpose, return no scope: the value
	// is [Quarantined], that is, it is reported and not sealed. To have it sealed
	// nevertheless, return the scope of a purpose made for the case. A nil
	// function returns no scope for any row.
	//
	// It may be called from several goroutines at once. A value for which it panics is
	// [Failed].
	CollectedFor func(Row) []*vault.Scope
	// Leave decides that a value stays in plaintext although it has a problem: the
	// text of a test account that is no address, a purpose that nobody will ever know. It
	// returns the reason, which [ColumnReport.Left] counts in the place of the finding, so
	// that the step is OK. With "" the value is reported.
	//
	// It is asked about values without a sealed value that are [Invalid], [Unreadable],
	// [Quarantined], under an [InvalidBasis], of [NoSubject], [Expired], [Erased] or a
	// [Duplicate]. Verify and CutOver seal nothing, and ask about [Unsealed] where
	// Backfill would name one of the last: decide by the row, and not by the problem alone.
	// No step changes a value that is left. CutOver keeps its plaintext, so the column
	// does not get empty: delete or move such rows before it is dropped. Leftovers does
	// not search for such values.
	//
	// A reason has the grammar of [purpose.ValidReference], as in "test-account", and a
	// report has room for 100 of a column. A value with any other reason, or for which Leave
	// panics, is [Failed]. Leave may be called from several goroutines at once.
	Leave func(Row, Problem) (reason string)
}

// A Row is one row without its personal data, for [Column.CollectedFor] and
// [Column.Plaintext] to decide on.
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

// timeLayouts are the forms in which the databases and their drivers write times as
// text. PostgreSQL writes an offset of hours alone, and modernc.org/sqlite stores the
// text of [time.Time.String].
var timeLayouts = [...]string{
	"2006-01-02 15:04:05",
	"2006-01-02 15:04:05Z07",
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05 -0700 MST",
	"2006-01-02T15:04:05",
	time.RFC3339,
	"2006-01-02",
}

// Time returns the content of a column of dates or times, for
// [purpose.Basis.Collected]. It reports false, with the zero Time, for NULL and for text
// that is no time, such as a number. A time without an offset is taken as UTC: MySQL
// writes a TIMESTAMP in the time zone of the session. Time panics as Text does.
func (r Row) Time(column string) (t time.Time, ok bool) {
	text := r.Text(column)
	if len(text) > maxTime {
		return time.Time{}, false
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// maxTime is more than the length of any time as text.
const maxTime = 64

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
