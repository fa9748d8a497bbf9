package migrate

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// A set is rows of one shape that one statement writes. A database far away costs a round
// trip for each statement, however many rows it writes.
type set struct {
	shape shape
	rows  []*rowEdit
}

// The bounds of a set. Databases bound the size of a statement, and MySQL and PostgreSQL
// the number of its parameters.
const (
	maxSetRows   = 1000
	maxSetBytes  = 1 << 20
	maxSetParams = 60_000
)

// setsOf divides rows into sets, in the order of rows within each shape.
func (m *Migration) setsOf(rows []*rowEdit) (sets []set) {
	open := make(map[shape]int) // the number of the set that has room
	bytes := make(map[shape]int)
	for _, r := range rows {
		s := r.shape()
		size := r.size()
		i, ok := open[s]
		if n := 0; ok {
			n = len(sets[i].rows) + 1
			ok = n <= maxSetRows && n*s.width() <= maxSetParams && bytes[s]+size <= maxSetBytes
		}
		if !ok {
			i, bytes[s] = len(sets), 0
			open[s] = i
			sets = append(sets, set{shape: s})
		}
		sets[i].rows, bytes[s] = append(sets[i].rows, r), bytes[s]+size
	}
	return sets
}

// size returns the bytes of the changes and conditions of a row.
func (r *rowEdit) size() (n int) {
	for _, list := range [][]assignment{r.sets, r.conditions} {
		for _, a := range list {
			switch value := a.value.(type) {
			case string:
				n += len(value)
			case []byte:
				n += len(value)
			}
		}
	}
	return n
}

// A setColumn is one of the arguments that each row of a set has.
type setColumn struct {
	bytes bool
	key   bool
	typ   string // see [dialect.catalogue]
}

// width returns the number of arguments of a row.
func (s shape) width() int {
	n := bits.OnesCount64(uint64(s.set)) + 1 + bits.OnesCount64(uint64(s.equal))
	if s.ofSubject {
		n++
	}
	return n
}

// setColumns describes the arguments that [Migration.args] returns.
func (m *Migration) setColumns(s shape) (columns []setColumn) {
	for i, f := range m.fields {
		if s.set.has(i) {
			columns = append(columns, setColumn{bytes: f.bytes(), typ: m.types[f.name]})
		}
	}
	columns = append(columns, setColumn{bytes: m.key == bytesKey, key: true, typ: m.types[m.table.Key]})
	if s.ofSubject {
		columns = append(columns, setColumn{typ: "pg_catalog.text"})
	}
	for i, f := range m.fields {
		switch {
		case !s.equal.has(i):
		case f.bytes():
			columns = append(columns, setColumn{bytes: true, typ: "pg_catalog.bytea"})
		default:
			columns = append(columns, setColumn{typ: "pg_catalog.text"})
		}
	}
	return columns
}

// setName is the name of the rows in a statement, and the beginning of the names of their
// columns. No column of the table has such a name.
const setName = "onlyfor_set"

func setColumnName(i int) string { return setName + "_" + strconv.Itoa(i) }

// cut reports whether PostgreSQL gets the texts of a column in one piece.
func (c setColumn) cut() bool { return !c.bytes && !c.key }

// setPostgres returns the statement that writes a set on PostgreSQL. Its text does not
// depend on the number of rows, so that each shape is prepared once: an argument has one
// column of all rows, as the text of an array, which every driver can send. The statement
// returns the numbers of the rows that were written, from 1.
//
// All texts are sent as one value of bytes, and each column of texts as two arrays of
// numbers: where the texts start in that value, and how long they are. PostgreSQL takes some
// 2 ms to read the text of an array of 1,000 sealed values, and a tenth of it for the numbers.
func (m *Migration) setPostgres(s set) (query string, args []any) {
	columns := m.setColumns(s.shape)
	arrays := make([][]byte, 0, 2*len(columns))
	firsts := make([]int, len(columns)) // the number of the first array of a column
	size := 0
	for i, c := range columns {
		firsts[i] = len(arrays)
		arrays = append(arrays, make([]byte, 0, 8*len(s.rows)))
		if c.cut() {
			arrays = append(arrays, make([]byte, 0, 4*len(s.rows)))
		}
	}
	for _, r := range s.rows {
		size += r.size()
	}
	texts, sep := make([]byte, 0, size), byte('{')
	for _, r := range s.rows {
		for i, value := range m.args(r) {
			list := arrays[firsts[i]:]
			list[0] = append(list[0], sep)
			text, ok := value.(string)
			if !columns[i].cut() || !ok {
				list[0] = appendElement(list[0], value)
				if columns[i].cut() {
					list[1] = appendElement(append(list[1], sep), nil)
				}
				continue
			}
			list[0] = strconv.AppendInt(list[0], int64(len(texts))+1, 10)
			list[1] = strconv.AppendInt(append(list[1], sep), int64(len(text)), 10)
			texts = append(texts, text...)
		}
		sep = ','
	}
	if slices.ContainsFunc(columns, setColumn.cut) { // PostgreSQL refuses an argument that is not used
		args = append(args, texts)
	}
	unnested, names := make([]string, len(arrays)), make([]string, len(arrays)+1)
	for i, array := range arrays {
		args = append(args, string(append(array, '}')))
		unnested[i] = "pg_catalog.unnest(" + m.dialect.param(len(args)) + "::pg_catalog.text::"
		names[i] = setName + "_array_" + strconv.Itoa(i)
	}
	names[len(arrays)] = setColumnName(len(columns)) // the number of the row
	list := []string{names[len(arrays)]}
	for i, c := range columns {
		n := firsts[i]
		column := names[n]
		if c.cut() {
			unnested[n] += "pg_catalog.int4[])"
			unnested[n+1] += "pg_catalog.int4[])"
			// The encoding is that of any other text of the client.
			column = "pg_catalog.convert_from(pg_catalog.substring(" + m.dialect.param(1) + "::pg_catalog.bytea, " + names[n] + ", " + names[n+1] + "), pg_catalog.pg_client_encoding())::" + c.typ
		} else {
			unnested[n] += c.typ + "[])"
		}
		list = append(list, column+" AS "+setColumnName(i))
	}
	sets, conditions := m.clauses(s.shape, func(i int) string { return setColumnName(i) })
	return "UPDATE " + m.from + " SET " + strings.Join(sets, ", ") +
		" FROM (SELECT " + strings.Join(list, ", ") + " FROM ROWS FROM (" + strings.Join(unnested, ", ") + ") WITH ORDINALITY AS " + setName + "_arrays(" + strings.Join(names, ", ") + ")) AS " + setName +
		" WHERE " + strings.Join(conditions, " AND ") + " RETURNING " + setColumnName(len(columns)), args
}

// keyIn returns the condition that a row has one of the keys. On PostgreSQL, its text does
// not depend on the number of keys. Elsewhere keys that are numbers or bytes are written
// into the statement, which saves the round trip that prepares it.
func (m *Migration) keyIn(rows []*rowEdit) (condition string, args []any) {
	if typ := m.types[m.table.Key]; m.dialect == &postgres && typ != "" {
		text := []byte{'{'}
		for i, r := range rows {
			if i > 0 {
				text = append(text, ',')
			}
			text = appendElement(text, r.key)
		}
		return m.keyCol + m.keyOperator("=") + "ANY(" + m.dialect.param(1) + "::pg_catalog.text::" + typ + "[])", []any{string(append(text, '}'))}
	}
	list := make([]string, len(rows))
	for i, r := range rows {
		literal, ok := m.literal(r.key)
		if !ok {
			args = append(args, r.key)
			literal = m.dialect.param(len(args))
		}
		list[i] = literal
	}
	return m.keyCol + " IN (" + strings.Join(list, ", ") + ")", args
}

// appendElement appends a value as an element in the text of an array of PostgreSQL.
func appendElement(b []byte, value any) []byte {
	switch value := value.(type) {
	case nil:
		return append(b, "NULL"...)
	case int64:
		return strconv.AppendInt(b, value, 10)
	case []byte:
		b = append(b, `"\\x`...)
		b = hex.AppendEncode(b, value)
		return append(b, '"')
	default:
		b = append(b, '"')
		for text := value.(string); text != ""; {
			i := strings.IndexAny(text, `"\`)
			if i < 0 {
				b = append(b, text...)
				break
			}
			b = append(append(b, text[:i]...), '\\', text[i])
			text = text[i+1:]
		}
		return append(b, '"')
	}
}

// literal returns a number or bytes as they stand in a statement.
func (m *Migration) literal(value any) (text string, ok bool) {
	switch value := value.(type) {
	case int64:
		return strconv.FormatInt(value, 10), true
	case []byte:
		return m.dialect.bytesLiteral(value), true
	}
	return "", false
}

// listMySQL returns the rows of a set as a derived table, and the table that is joined to
// it. Databases before MySQL 8 have no other form for a list of rows. The table comes
// second, so that only the rows of the set are read, and locked, by their keys.
func (m *Migration) listMySQL(s set) (from string, sets, conditions []string, args []any) {
	columns := m.setColumns(s.shape)
	var list strings.Builder
	for n, r := range s.rows {
		if n > 0 {
			list.WriteString(" UNION ALL ")
		}
		list.WriteString("SELECT " + strconv.Itoa(n+1))
		if n == 0 {
			list.WriteString(" AS " + setColumnName(len(columns)))
		}
		for i, value := range m.args(r) {
			switch {
			case columns[i].key && m.key != textKey:
				key, _ := m.literal(value)
				list.WriteString(", " + key)
			case columns[i].bytes: // which would not be valid text
				list.WriteString(", CAST(? AS BINARY)")
				args = append(args, value)
			default:
				list.WriteString(", ?")
				args = append(args, value)
			}
			if n == 0 {
				list.WriteString(" AS " + setColumnName(i))
			}
		}
	}
	sets, conditions = m.clauses(s.shape, func(i int) string {
		if columns[i].key && m.key == textKey { // compared by the collation of the column, whose index is read
			return "CONVERT(" + setColumnName(i) + " USING " + columns[i].typ
		}
		return setColumnName(i)
	})
	return "(" + list.String() + ") AS " + setName + " STRAIGHT_JOIN " + m.from, sets, conditions, args
}

// writeMySQL writes a set on MySQL, which returns the number of rows that it has changed. If
// that is not all of them, the error is errPassedOver.
func (m *Migration) writeMySQL(ctx context.Context, tx *sql.Tx, s set) error {
	if len(s.rows) == 0 {
		return nil
	}
	from, sets, conditions, args := m.listMySQL(s)
	result, err := tx.ExecContext(ctx, "UPDATE "+from+" SET "+strings.Join(sets, ", ")+" WHERE "+strings.Join(conditions, " AND "), args...)
	if err != nil {
		return err
	}
	switch n, err := result.RowsAffected(); {
	case err != nil:
		return err
	case n < int64(len(s.rows)):
		return errPassedOver
	case n > int64(len(s.rows)):
		return m.notUnique()
	}
	return nil
}

// lockMySQL locks the rows of a set that meet their conditions, and returns their numbers.
func (m *Migration) lockMySQL(ctx context.Context, tx *sql.Tx, s set) ([]bool, error) {
	from, _, conditions, args := m.listMySQL(s)
	return m.numbers(ctx, tx, s, "SELECT "+setColumnName(s.shape.width())+" FROM "+from+" WHERE "+strings.Join(conditions, " AND ")+" FOR UPDATE", args)
}

// numbers runs a statement that returns numbers of rows of a set, from 1, none of them twice.
func (m *Migration) numbers(ctx context.Context, tx *sql.Tx, s set, query string, args []any) ([]bool, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	has := make([]bool, len(s.rows))
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		if n < 1 || n > len(has) || has[n-1] {
			return nil, m.notUnique()
		}
		has[n-1] = true
	}
	return has, rows.Err()
}

// errPassedOver reports that a statement for a set has not changed all of its rows, and the
// database does not say which of them.
var errPassedOver = errors.New("rows were passed over")

// writeSet writes a set, and returns the rows that the statement wrote and the rows that
// did not meet their conditions any more.
func (m *Migration) writeSet(ctx context.Context, tx *sql.Tx, how manner, s set) (written, lost []*rowEdit, err error) {
	var has []bool
	switch {
	case m.dialect == &postgres:
		query, args := m.setPostgres(s)
		has, err = m.numbers(ctx, tx, s, query, args)
	case how == together:
		return s.rows, nil, m.writeMySQL(ctx, tx, s)
	default:
		has, err = m.lockMySQL(ctx, tx, s)
	}
	if err != nil {
		return nil, nil, err
	}
	for i, r := range s.rows {
		if has[i] {
			written = append(written, r)
		} else {
			lost = append(lost, r)
		}
	}
	if m.dialect == &mysql {
		err = m.writeMySQL(ctx, tx, set{s.shape, written})
	}
	return written, lost, err
}

// writesSets reports whether the database is known to write sets. PostgreSQL needs the
// types of the columns for it, and MySQL the collation of a key that is text. SQLite has no
// round trips to save: a prepared statement for each row is as fast there as one for ten rows,
// and 1.6 times as fast as one for 200.
func (m *Migration) writesSets() bool {
	if m.setsRefused.Load() {
		return false
	}
	switch m.dialect {
	case &postgres:
		return !slices.ContainsFunc(m.fields, func(f dbField) bool { return m.types[f.name] == "" }) && m.types[m.table.Key] != ""
	case &mysql:
		return m.key != textKey || m.types[m.table.Key] != ""
	}
	return false
}
