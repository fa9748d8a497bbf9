package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/config"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/term"
)

// withdrawCmd takes a purpose from the values of one row.
type withdrawCmd struct {
	Table   string `arg:"" help:"The name of the table."`
	Key     string `arg:"" help:"The key of the row."`
	Purpose string `required:"" short:"p" placeholder:"NAME" help:"The purpose that the person withdraws."`
	Column  string `placeholder:"NAME" help:"The sealed column. Default: all of the table."`
	Reason  string `required:"" placeholder:"TEXT" help:"Why, for the audit log: the number of the request, say."`
}

func (c *withdrawCmd) Help() string {
	return "Backups of the row still have the purpose. Where values are sealed for persons, onlyfor erase --purpose reaches the backups too."
}

// A withdrawal is the result for one column.
type withdrawal struct {
	Column    string      `json:"column"`
	Withdrawn bool        `json:"withdrawn"`
	Left      purpose.Set `json:"left"`
}

func (c *withdrawCmd) Run(ctx context.Context, s *session) error {
	ctx, at, err := s.open(ctx, options{reason: c.Reason})
	if err != nil {
		return err
	}
	defer at.Close()
	p, err := at.purpose(c.Purpose)
	if err != nil {
		return err
	}
	tables, err := at.tables([]string{c.Table})
	if err != nil {
		return err
	}
	columns := tables[0].Columns
	if c.Column != "" {
		columns = slices.DeleteFunc(slices.Clone(columns), func(col config.Column) bool { return col.Sealed != c.Column })
		if len(columns) == 0 {
			return misuse("table %s has no sealed column of that name", c.Table)
		}
	}
	done, err := at.withdraw(ctx, tables[0], columns, c.Key, p)
	if err != nil {
		return err
	}
	return s.print(done, func(w io.Writer, width int) {
		for _, d := range done {
			switch {
			case !d.Withdrawn:
				term.Text(w, width, fmt.Sprintf("%s: has no value for %v", d.Column, p))
			case d.Left.IsZero():
				term.Text(w, width, fmt.Sprintf("%s: withdrawn, and empty now", d.Column))
			default:
				term.Text(w, width, fmt.Sprintf("%s: withdrawn, and still for %v", d.Column, d.Left))
			}
		}
	})
}

// withdraw writes the row in one statement, on condition that its values have not
// changed since they were read.
func (at *site) withdraw(ctx context.Context, t config.Table, columns []config.Column, key string, p purpose.Purpose) ([]withdrawal, error) {
	db, err := at.database(t.Database)
	if err != nil {
		return nil, err
	}
	d, _ := at.Config.Database(t.Database)
	away := misuse("table %s of database %s can't be read or written: it does not answer, or has no such table, column or key", t.Name, t.Database)
	var names []string
	for _, c := range columns {
		names = append(names, quote(d.Kind, c.Sealed))
		if c.Plain != "" {
			names = append(names, quote(d.Kind, c.Plain)+" IS NOT NULL")
		}
	}
	sealed := make([]sql.NullString, len(columns))
	plain := make([]bool, len(columns))
	var into []any
	for i, c := range columns {
		into = append(into, &sealed[i])
		if c.Plain != "" {
			into = append(into, &plain[i])
		}
	}
	row := db.QueryRowContext(ctx, "SELECT "+strings.Join(names, ", ")+" FROM "+quote(d.Kind, t.Name)+" WHERE "+quote(d.Kind, t.Key)+" = "+placeholder(d.Kind, 1), key)
	if err := row.Scan(into...); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			return nil, refuse("table %s has no row with that key", t.Name)
		}
		return nil, stoppedOr(ctx, away)
	}

	var set, when []string
	var args []any
	arg := func(v any) string {
		args = append(args, v)
		return placeholder(d.Kind, len(args))
	}
	var done []withdrawal
	var values []vault.Sealed
	var compared []int
	for i, c := range columns {
		v, err := vault.ParseSealed(sealed[i].String)
		if err != nil {
			return nil, refuse("column %s of the row has no sealed value, and text", c.Sealed).hinting("onlyfor migrate verify reports such rows.")
		}
		has := v.Purposes().Contains(p)
		done = append(done, withdrawal{c.Sealed, has, v.Without(p).Purposes()})
		if !has {
			continue
		}
		if plain[i] {
			return nil, refuse("column %s of the row still has the plaintext of the value, which can be used for anything", c.Plain).
				hinting("Withdraw in the application that writes both, or after onlyfor migrate cut-over.")
		}
		values, compared = append(values, v), append(compared, i)
	}
	if len(values) == 0 {
		return done, nil
	}
	for n, v := range values {
		rest, err := v.Withdraw(ctx, p, at.admin)
		if err != nil {
			return nil, misuse("the audit log can't be written, and nothing is done without a record")
		}
		text, err := rest.MarshalText()
		if err != nil {
			return nil, err
		}
		c := columns[compared[n]]
		set = append(set, quote(d.Kind, c.Sealed)+" = "+arg(sql.NullString{String: string(text), Valid: len(text) > 0}))
		if index := c.Indexes[p.String()]; index != "" {
			set = append(set, quote(d.Kind, index)+" = NULL")
		}
	}
	where := quote(d.Kind, t.Key) + " = " + arg(key)
	for _, i := range compared {
		when = append(when, quote(d.Kind, columns[i].Sealed)+" = "+arg(sealed[i].String))
	}
	result, err := db.ExecContext(ctx, "UPDATE "+quote(d.Kind, t.Name)+" SET "+strings.Join(set, ", ")+" WHERE "+where+" AND "+strings.Join(when, " AND "), args...)
	if err != nil {
		return nil, stoppedOr(ctx, away)
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return nil, misuse("the row was changed meanwhile, and is as it was").hinting("Run the command again.")
	}
	return done, nil
}
