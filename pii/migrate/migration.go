package migrate

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/onlyfor/onlyfor/vault"
)

// A Migration runs the steps for one table. Its methods may be called again,
// after a failure or at any later time, and from several processes at once: each
// looks at what the rows hold now. The zero Migration is of no use: see [New].
type Migration struct {
	db      *sql.DB
	dialect *dialect
	table   Table // without Columns
	columns []column
	fields  []dbField
	key     keyType
	from    string // quoted
	keyCol  string // quoted
}

// New returns a migration of a table. It reads what columns there are, and
// nothing else: a table or column that does not exist, columns of the wrong type,
// keys that are NULL and descriptions that contradict themselves are [ErrTable];
// a database that does not answer is [vault.ErrUnavailable].
func New(ctx context.Context, db *sql.DB, d Dialect, t Table) (*Migration, error) {
	m := &Migration{db: db, dialect: d.dialect()}
	err := m.take(t)
	switch {
	case err != nil:
	case m.dialect == nil:
		err = refuse("unknown dialect")
	case db == nil:
		err = refuse("no database")
	default:
		m.from, m.keyCol = m.dialect.ident(t.Name), m.dialect.ident(t.Key)
		err = m.probe(ctx)
	}
	if err != nil {
		name := t.Name
		if m.from == "" { // not known to be a name
			name = "table"
		}
		return nil, &stepError{"describing", name, err}
	}
	return m, nil
}

// keyType is what keys are.
type keyType int

const (
	integerKey keyType = iota
	textKey
	bytesKey
)

// text returns a key as reports and cursors have it.
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

// parse takes back what text returned.
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

// probe holds the description against the columns that there are.
func (m *Migration) probe(ctx context.Context) error {
	names := []string{m.table.Key}
	if m.table.Subject != "" {
		names = append(names, m.table.Subject)
	}
	names = append(names, m.table.Read...)
	first := len(names)
	for _, f := range m.fields {
		names = append(names, f.name)
	}
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = m.dialect.ident(name)
	}
	var types []*sql.ColumnType
	err := m.withRetries(ctx, func() error {
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
		return m.missing(ctx, quoted, err)
	}
	switch kindOfType(types[0].DatabaseTypeName()) {
	case typeInteger:
		m.key = integerKey
	case typeText:
		m.key = textKey
	case typeBytes:
		m.key = bytesKey
	default:
		return refuse("key %s is of a type that keys can't be", m.table.Key)
	}
	for i, f := range m.fields {
		t := types[first+i]
		is := kindOfType(t.DatabaseTypeName())
		switch f.role {
		case plainText, sealedText:
			if is != typeText && is != typeUnknown {
				return refuse("column %s is no column of text", f.name)
			}
			if n, ok := t.Length(); ok && f.role == sealedText && n < minSealed {
				return refuse("column %s is too short for sealed values: make it TEXT", f.name)
			}
		case indexBytes:
			if is != typeBytes {
				return refuse("column %s is no column of bytes", f.name)
			}
			if n, ok := t.Length(); ok && n < vault.IndexSize {
				return refuse("column %s is shorter than an index", f.name)
			}
		}
	}
	return m.noNullKeys(ctx)
}

// minSealed is well below the length of any sealed value.
const minSealed = 100

// missing says which column there is not, given the error of a query for all.
func (m *Migration) missing(ctx context.Context, quoted []string, err error) error {
	ask := func(what string) error {
		return m.withRetries(ctx, func() error {
			rows, err := m.db.QueryContext(ctx, "SELECT "+what+" FROM "+m.from+" LIMIT 0")
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

// kindOfType sorts the names that drivers have for types of columns.
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
