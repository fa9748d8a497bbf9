package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/onlyfor/onlyfor/vault"
)

// A LeftoverReport has the results of [Migration.Leftovers]: names and counts, and no
// values.
type LeftoverReport struct {
	// Values is the number of different values that were searched for, and Unopened the
	// number of sealed values that did not open, which were not searched for.
	Values, Unopened int64
	// Tables and Rows are the numbers of tables and rows that were searched.
	Tables, Rows int64
	// Found are the columns that have values, in the order of their tables.
	Found []Leftover
	// Unread are the tables and columns that were not searched, or not wholly, with the
	// reason: "audit_log: not readable", "mails.body: 2 cells above 8 MB", "docs.parts:
	// array of bytes".
	Unread []string
}

// A Leftover is a column in which values stand that are sealed elsewhere.
type Leftover struct {
	Table, Column string
	Rows          int64 // that have at least one value
}

// String returns the leftover as in "audit_log.payload: 40050 rows".
func (l Leftover) String() string {
	return fmt.Sprintf("%s.%s: %d rows", printable(l.Table), printable(l.Column), l.Rows)
}

// OK reports whether all values were searched for in all tables, and none was found.
func (r *LeftoverReport) OK() bool { return len(r.Found) == 0 && len(r.Unread) == 0 && r.Unopened == 0 }

// String returns a few lines for people.
func (r *LeftoverReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "leftovers: %d values, %d tables, %d rows\n", r.Values, r.Tables, r.Rows)
	for _, l := range r.Found {
		fmt.Fprintf(&b, "  %v\n", l)
	}
	for _, unread := range r.Unread {
		fmt.Fprintf(&b, "  not searched: %s\n", unread)
	}
	if r.Unopened > 0 {
		fmt.Fprintf(&b, "  %d values did not open\n", r.Unopened)
	}
	return b.String()
}

// Leftovers searches all columns of text, JSON and bytes in the table's schema for the
// values that are sealed in the table, after cut-over: in a log, in a document, in a
// copy of the table. It reads each table of the schema once, by one statement, after the
// sealed values of this one, and changes nothing.
//
// It finds a value that is the whole content of a cell, an address inside a longer
// text, and an international number, with or without "+" and separators. It does not
// find a number in national form, nor a value that is encoded, compressed or hashed.
// [LeftoverReport.Unread] names the tables that the database refuses to read, foreign
// tables, the history of system-versioned tables, arrays of bytes, and columns with
// cells above 8 MB. MySQL does not tell a user of tables on which the user has no
// privilege: call Leftovers as a user who may read all.
//
// Leftovers reveals each value of the table, which an auditor records, and keeps 16
// bytes of memory for each, which tell nothing without a key of this call. Options apply
// to this part. It returns the errors of [Migration.Verify].
func (m *Migration) Leftovers(ctx context.Context, opts *Options) (*LeftoverReport, error) {
	report := new(LeftoverReport)
	ref, err := newReference(ctx)
	if err != nil {
		return report, &stepError{"leftovers of", m.table.Name, err}
	}
	defer ref.close()
	f := &finder{ref: ref, sought: make(map[[vault.IndexSize]byte]bool), kinds: make(map[string]Kind)}
	for _, c := range m.columns {
		f.kinds[c.Kind.name()] = c.Kind
	}
	step := m.newReport("leftovers of")
	err = m.runInto(ctx, step, opts, m.withSealed(false), func(ctx context.Context, r *rowEdit) error {
		return m.each(r, false, func(i int, v value) error {
			if m.noSubject(r) {
				r.find(m.columns[i].name, NoSubject)
				return nil
			}
			for _, s := range m.scopesOf(r, v.Purposes()) {
				scope, _ := m.opener(v, s)
				text, err := v.Reveal(ctx, scope)
				if err != nil {
					if err := m.findError(r, i, err); err != nil {
						return err
					}
					continue
				}
				canonical, err := ref.canonical(ctx, m.columns[i].Kind, text)
				if err != nil {
					return err
				}
				r.canonicals = append(r.canonicals, columnCanonical{i, canonical})
			}
			return nil
		})
	}, func(r *rowEdit) {
		report.Unopened += int64(len(r.findings))
		for _, c := range r.canonicals {
			f.sought[c.canonical] = true
		}
	})
	report.Values = int64(len(f.sought))
	if err == nil {
		if err = m.search(ctx, f, report); err != nil {
			err = &stepError{"leftovers of", m.table.Name, err}
		}
	}
	return report, err
}

// historyOfRows is the reason for which only the present rows of a table are searched.
const historyOfRows = "history of rows"

// maxCell is the size of the largest cell that is read. In the place of a larger cell
// the database returns tooLarge.
const (
	maxCell  = 8 << 20
	tooLarge = "pii1.onlyfor.cell-too-large"
)

// A searched is a table with the columns to search.
type searched struct {
	name    string // for reports
	from    string // quoted
	columns []string
	selects []string // quoted
	large   []int64  // cells that were too large to read, by column
}

// schema returns the tables of the schema that m's table is in.
func (m *Migration) schema(ctx context.Context, report *LeftoverReport) (tables []*searched, err error) {
	schema, _, qualified := strings.Cut(m.table.Name, ".")
	args := []any{sql.NullString{String: schema, Valid: qualified}}
	query := m.dialect.searchable
	switch m.dialect {
	case &postgres:
		args = []any{m.from}
	case &sqlite:
		if args = nil; qualified {
			query = strings.Replace(query, "sqlite_master", m.quote(schema)+".sqlite_master", 1)
		}
	}
	err = m.withRetries(ctx, func() error {
		tables, report.Unread = nil, nil
		rows, err := m.db.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var in, name, column, why string
			var cast bool
			if err := rows.Scan(&in, &name, &column, &cast, &why); err != nil {
				return refuse("the catalogue of the database is of an unknown form")
			}
			if in == "" && qualified {
				in = schema
			}
			from := m.quote(name)
			if in != "" {
				from = m.quote(in) + "." + from
			}
			if why != "" {
				unread := fmt.Sprintf("%s.%s: %s", printable(name), printable(column), why)
				if n := len(report.Unread); n == 0 || report.Unread[n-1] != unread {
					report.Unread = append(report.Unread, unread)
				}
				if why != historyOfRows { // the present rows are searched
					continue
				}
			}
			if len(tables) == 0 || tables[len(tables)-1].from != from {
				tables = append(tables, &searched{name: name, from: from})
			}
			t := tables[len(tables)-1]
			selected := m.quote(column)
			if cast {
				selected = expr(m.dialect.text, selected)
			}
			selected = "CASE WHEN " + expr(m.dialect.size, selected) + " > " + strconv.Itoa(maxCell) + " THEN '" + tooLarge + "' ELSE " + selected + " END"
			t.columns, t.selects = append(t.columns, column), append(t.selects, selected)
		}
		return rows.Err()
	})
	return tables, err
}

// quote quotes a name that the catalogue has, which may hold any character.
func (m *Migration) quote(name string) string {
	q := m.dialect.quote
	return q + strings.ReplaceAll(name, q, q+q) + q
}

// search searches all tables for the values that f seeks.
func (m *Migration) search(ctx context.Context, f *finder, report *LeftoverReport) error {
	tables, err := m.schema(ctx, report)
	if err != nil {
		return err
	}
	for _, t := range tables {
		found, rows := make([]int64, len(t.columns)), int64(0)
		err := m.withRetries(ctx, func() error {
			clear(found)
			t.large = make([]int64, len(t.columns))
			rows, err = m.searchTable(ctx, f, t, found)
			return err
		})
		var refused *dbError
		if errors.As(err, &refused) && errors.Is(err, ErrTable) {
			report.Unread = append(report.Unread, printable(t.name)+": not readable")
			continue
		}
		if err != nil {
			return err
		}
		report.Tables++
		report.Rows += rows
		for i, n := range found {
			if n > 0 {
				report.Found = append(report.Found, Leftover{t.name, t.columns[i], n})
			}
			if large := t.large[i]; large > 0 {
				report.Unread = append(report.Unread, fmt.Sprintf("%s.%s: %d cells above 8 MB", printable(t.name), printable(t.columns[i]), large))
			}
		}
	}
	return nil
}

func (m *Migration) searchTable(ctx context.Context, f *finder, t *searched, found []int64) (n int64, err error) {
	rows, err := m.db.QueryContext(ctx, "SELECT "+strings.Join(t.selects, ", ")+" FROM "+t.from)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	cells, targets := make([]sql.RawBytes, len(t.columns)), make([]any, len(t.columns))
	for i := range cells {
		targets[i] = &cells[i]
	}
	for rows.Next() {
		if rows.Scan(targets...) != nil {
			return n, refuse("a table of the schema holds data of another type than its columns")
		}
		n++
		for i, cell := range cells {
			if string(cell) == tooLarge {
				t.large[i]++
				continue
			}
			has, err := f.in(ctx, cell)
			if err != nil {
				return n, err
			}
			if has {
				found[i]++
			}
		}
	}
	return n, rows.Err()
}
