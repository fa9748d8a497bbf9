package report

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"strings"

	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/vault"
)

// A Value is a sealed value, and the place where it is kept.
type Value struct {
	// Table and Column name the place, and Key the row.
	Table, Column, Key string
	// Subject is the id of the person, or "" if the row does not tell. Values with one id
	// belong to one person, in all tables. Without an id, each row counts as a person.
	Subject string
	// Text is the sealed value in its text form. It is valid until the next Value is asked
	// for.
	Text []byte
}

// A Table names the columns of one table that hold sealed values.
type Table struct {
	// Name is the table's name, which may be qualified as in "app.users".
	Name string
	// Key is the column that identifies a row.
	Key string
	// Subject is the column with the id of the person, or "". It may be Key.
	Subject string
	// Columns are the columns of sealed values.
	Columns []string
}

// Values returns the sealed values of a table, in the order in which the database returns
// its rows. It reads all rows with one statement, on one connection, so give it a replica
// if the table is large. NULL and empty text are no values.
//
// A Table without a name, a key or a column, and a dialect that is none, yields an error
// that is [migrate.ErrTable]; a database that refuses the statement or does not answer, an
// error that is [vault.ErrUnavailable]. No error has the text of the database's error. The
// sequence ends with the first error.
func Values(ctx context.Context, db *sql.DB, d migrate.Dialect, t Table) iter.Seq2[Value, error] {
	return func(yield func(Value, error) bool) {
		if err := values(ctx, db, d, t, yield); err != nil {
			yield(Value{}, fmt.Errorf("report: reading %q: %w", t.Name, err))
		}
	}
}

func values(ctx context.Context, db *sql.DB, d migrate.Dialect, t Table, yield func(Value, error) bool) error {
	query, err := t.query(d)
	if err != nil {
		return err
	}
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return unavailable(ctx)
	}
	defer rows.Close()
	var key, subject sql.RawBytes
	cells := make([]sql.RawBytes, len(t.Columns))
	targets := []any{&key}
	if t.Subject != "" && t.Subject != t.Key {
		targets = append(targets, &subject)
	}
	for i := range cells {
		targets = append(targets, &cells[i])
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return unavailable(ctx)
		}
		v := Value{Table: t.Name, Key: string(key)}
		switch t.Subject {
		case "":
		case t.Key:
			v.Subject = v.Key
		default:
			v.Subject = string(subject)
		}
		for i, cell := range cells {
			if len(cell) == 0 {
				continue
			}
			v.Column, v.Text = t.Columns[i], cell
			if !yield(v, nil) {
				return nil
			}
		}
	}
	if rows.Err() != nil {
		return unavailable(ctx)
	}
	return nil
}

// query returns the statement that reads the table.
func (t Table) query(d migrate.Dialect) (string, error) {
	mark := "`" // not ", which SQLite takes for text where there is no such column
	switch d {
	case migrate.Postgres:
		mark = `"`
	case migrate.MySQL, migrate.SQLite:
	default:
		return "", fmt.Errorf("no dialect: %w", migrate.ErrTable)
	}
	if t.Name == "" || t.Key == "" || len(t.Columns) == 0 {
		return "", fmt.Errorf("name, key or columns are missing: %w", migrate.ErrTable)
	}
	quote := func(name string) string { return mark + strings.ReplaceAll(name, mark, mark+mark) + mark }
	columns := []string{quote(t.Key)}
	if t.Subject != "" && t.Subject != t.Key {
		columns = append(columns, quote(t.Subject))
	}
	var some []string
	for _, c := range t.Columns {
		if c == "" {
			return "", fmt.Errorf("a column has no name: %w", migrate.ErrTable)
		}
		columns = append(columns, quote(c))
		some = append(some, quote(c)+" IS NOT NULL")
	}
	var name []string
	for part := range strings.SplitSeq(t.Name, ".") {
		name = append(name, quote(part))
	}
	return "SELECT " + strings.Join(columns, ", ") + " FROM " + strings.Join(name, ".") + " WHERE " + strings.Join(some, " OR "), nil
}

// unavailable returns the error for a database that did not answer, or for a ctx that is
// done.
func unavailable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", err, vault.ErrUnavailable)
	}
	return fmt.Errorf("database error: %w", vault.ErrUnavailable)
}
