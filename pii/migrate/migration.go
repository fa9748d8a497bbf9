package migrate

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/onlyfor/onlyfor/vault"
)

// A Migration runs the steps for one table. Its methods may be called again,
// after a failure or at any later time, and from several processes at once: each
// reads the state of the rows. Make one with [New]; the zero Migration is not usable.
type Migration struct {
	layout
	db      *sql.DB
	dialect *dialect
	key     keyType
	from    string // the table's name, quoted
	keyCol  string // the key's name, quoted
	// The quoted name of the column with the subjects, "" if there is none or it is the
	// key.
	subjectCol string
	bounded    []string          // sealed columns of a bounded width
	types      map[string]string // [physical.setType] of the key and the fields, by name
	// The database refused a statement for a set, and took its rows one by one.
	setsRefused atomic.Bool
}

// New returns a migration of a table. It reads the names and types of the columns,
// and no rows. A table or column that does not exist, a column of the wrong type,
// a key that is NULL and a description that contradicts itself are [ErrTable]. So are
// columns that would not keep a value as it is written: a generated column, a sealed
// column that is shorter than any value or of fixed length, an index of another fixed
// length, and in a session of MySQL that is not strict a sealed column of less than
// 50,798 characters.
// A database that does not answer is [vault.ErrUnavailable].
func New(ctx context.Context, db *sql.DB, d Dialect, t Table) (*Migration, error) {
	layout, err := newLayout(t)
	m := &Migration{layout: layout, db: db, dialect: d.dialect()}
	switch {
	case err != nil:
	case m.dialect == nil:
		err = refuse("unknown dialect")
	case db == nil:
		err = refuse("no database")
	default:
		m.from, m.keyCol = m.dialect.ident(t.Name), m.dialect.ident(t.Key)
		if t.Subject != "" && t.Subject != t.Key {
			m.subjectCol = m.dialect.ident(t.Subject)
		}
		err = m.checkColumns(ctx)
	}
	if err != nil {
		name := t.Name
		if m.from == "" { // the name may be malformed
			name = "table"
		}
		return nil, &stepError{"describing", name, err}
	}
	return m, nil
}

// A keyType is the type of a table's keys.
type keyType int

const (
	integerKey keyType = iota
	textKey
	bytesKey
)

// text returns a key in the form that reports and cursors have.
func (t keyType) text(key any) string {
	switch key := key.(type) {
	case int64:
		return strconv.FormatInt(key, 10)
	case []byte:
		return hex.EncodeToString(key)
	default:
		return key.(string)
	}
}

// parse is the inverse of text.
func (t keyType) parse(text string) (any, error) {
	switch t {
	case integerKey:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, nil
		}
	case bytesKey:
		if b, err := hex.DecodeString(text); err == nil {
			return b, nil
		}
	default:
		return text, nil
	}
	return nil, fmt.Errorf("cursor is no key of this table: %w", vault.ErrInvalid)
}

// checkColumns compares the layout with the columns of the database.
func (m *Migration) checkColumns(ctx context.Context) error {
	names := []string{m.table.Key}
	if m.table.Subject != "" {
		names = append(names, m.table.Subject)
	}
	names = append(names, m.table.Read...)
	first := len(names)
	for _, f := range m.fields {
		names = append(names, f.name)
	}
	types, err := m.columnTypes(ctx, names)
	if err != nil {
		return err
	}
	if err := m.setKeyType(types[0]); err != nil {
		return err
	}
	for i, f := range m.fields {
		if f.role == plainText && m.columns[f.column].Plaintext != nil {
			name := types[first+i].DatabaseTypeName()
			m.fields[i].raw = kindOfType(name) == typeBytes
			m.fields[i].document = strings.Contains(strings.ToUpper(name), "JSON")
			if m.fields[i].raw || m.fields[i].document {
				continue
			}
		}
		if err := m.check(f, types[first+i]); err != nil {
			return err
		}
	}
	if err := m.checkCatalogue(ctx); err != nil {
		return err
	}
	return m.noNullKeys(ctx)
}

// columnTypes asks for the types of columns.
func (m *Migration) columnTypes(ctx context.Context, names []string) (types []*sql.ColumnType, err error) {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = m.dialect.ident(name)
	}
	err = m.withRetries(ctx, func() error {
		rows, err := m.db.QueryContext(ctx, "SELECT "+strings.Join(quoted, ", ")+" FROM "+m.from+" LIMIT 0")
		if err != nil {
			return err
		}
		defer rows.Close()
		if types, err = rows.ColumnTypes(); err != nil {
			return err
		}
		return rows.Err()
	})
	if err != nil {
		return nil, m.missing(ctx, quoted, err)
	}
	return types, nil
}

func (m *Migration) setKeyType(t *sql.ColumnType) error {
	switch kindOfType(t.DatabaseTypeName()) {
	case typeInteger:
		m.key = integerKey
	case typeText:
		m.key = textKey
	case typeBytes:
		m.key = bytesKey
	default:
		return refuse("key %s is of a type that keys can't be", m.table.Key)
	}
	return nil
}

// check holds a field against the type of its column.
func (m *Migration) check(f dbField, t *sql.ColumnType) error {
	kind := kindOfType(t.DatabaseTypeName())
	length, bounded := t.Length()
	switch {
	case f.role == indexBytes && kind != typeBytes:
		return refuse("column %s is no column of bytes", f.name)
	case f.role == indexBytes && bounded && length < vault.IndexSize:
		return refuse("column %s is shorter than an index", f.name)
	case f.role != indexBytes && kind != typeText && kind != typeUnknown:
		return refuse("column %s is no column of text", f.name)
	case f.role == sealedText && bounded && length < int64(m.shortest(f)):
		return refuse("column %s is shorter than any sealed value: make it TEXT", f.name)
	}
	return nil
}

// missing names the column that does not exist, given the error of a query for all
// columns.
func (m *Migration) missing(ctx context.Context, quoted []string, err error) error {
	ask := func(expression string) error {
		return m.withRetries(ctx, func() error {
			rows, err := m.db.QueryContext(ctx, "SELECT "+expression+" FROM "+m.from+" LIMIT 0")
			if err != nil {
				return err
			}
			rows.Close()
			return rows.Err()
		})
	}
	if !errors.Is(err, ErrTable) {
		return err
	}
	if tableErr := ask("1"); tableErr != nil {
		return fmt.Errorf("no such table, or no access to it: %w", tableErr)
	}
	for _, column := range quoted {
		if columnErr := ask(column); columnErr != nil {
			name := strings.Trim(column, m.dialect.quote)
			return fmt.Errorf("no such column, or no access to it: %s: %w", name, columnErr)
		}
	}
	return err
}

func (m *Migration) noNullKeys(ctx context.Context) error {
	var one int
	err := m.withRetries(ctx, func() error {
		err := m.db.QueryRowContext(ctx, "SELECT 1 FROM "+m.from+" WHERE "+m.keyCol+" IS NULL LIMIT 1").Scan(&one)
		if err == sql.ErrNoRows {
			return nil
		}
		return err
	})
	if err == nil && one == 1 {
		err = refuse("key %s is NULL in a row", m.table.Key)
	}
	return err
}

type typeKind int

const (
	typeUnknown typeKind = iota
	typeInteger
	typeText
	typeBytes
	typeOther
)

// kindOfType returns the kind of a column, given a driver's name for its type.
func kindOfType(name string) typeKind {
	name = strings.ToUpper(name)
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(name, part) {
				return true
			}
		}
		return false
	}
	switch {
	case name == "" || strings.Trim(name, "0123456789") == "":
		return typeUnknown // a type of an extension, such as citext
	case has("INTERVAL", "POINT", "JSON", "RANGE", "[]") || name[0] == '_':
		return typeOther
	case has("INT", "SERIAL"):
		return typeInteger
	case has("BLOB", "BINARY", "BYTEA"):
		return typeBytes
	case has("CHAR", "TEXT", "CLOB", "UUID", "STRING", "CITEXT"):
		return typeText
	}
	return typeOther
}
