package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/config"
)

// quote returns the name of a table or column for SQL. The configuration has checked that
// names have letters, digits and "_" alone.
func quote(kind, name string) string {
	mark := `"`
	if kind == "mysql" {
		mark = "`"
	}
	parts := strings.Split(name, ".")
	for i, part := range parts {
		parts[i] = mark + part + mark
	}
	return strings.Join(parts, ".")
}

// placeholder returns the n-th parameter of a statement, from 1 on.
func placeholder(kind string, n int) string {
	if kind == "postgres" {
		return fmt.Sprintf("$%d", n)
	}
	return "?"
}

// A use is the number of rows of a table that name one key.
type use struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
}

// uses counts the values of all tables by the key that their slot for p names. It opens
// nothing. Values of persons name no key. unreadable counts sealed columns with text that
// is no value.
func (at *site) uses(ctx context.Context, p purpose.Purpose) (byKey map[uint32][]use, unreadable int64, err error) {
	byKey = map[uint32][]use{}
	for _, t := range at.Tables {
		if !t.Purposes().Contains(p) {
			continue
		}
		rows := map[uint32]int64{}
		for _, c := range t.Columns {
			err := at.eachSealed(ctx, t, c.Sealed, func(text string) {
				v, err := vault.ParseSealed(text)
				if err != nil {
					unreadable++
				} else if id, ok := v.KeyID(p); ok {
					rows[id]++
				}
			})
			if err != nil {
				return nil, 0, err
			}
		}
		for id, n := range rows {
			byKey[id] = append(byKey[id], use{t.Name, n})
		}
	}
	return byKey, unreadable, nil
}

// eachSealed calls do with the content of a sealed column in each row that has one.
func (at *site) eachSealed(ctx context.Context, t config.Table, column string, do func(string)) error {
	db, err := at.database(t.Database)
	if err != nil {
		return err
	}
	d, _ := at.Config.Database(t.Database)
	name := quote(d.Kind, column)
	unreadable := misuse("table %s of database %s can't be read: it does not answer, or has no such table or column", t.Name, t.Database)
	rows, err := db.QueryContext(ctx, "SELECT "+name+" FROM "+quote(d.Kind, t.Name)+" WHERE "+name+" IS NOT NULL")
	if err != nil {
		return stoppedOr(ctx, unreadable)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if rows.Scan(&text) != nil {
			return stoppedOr(ctx, unreadable)
		}
		do(text)
	}
	if rows.Err() != nil {
		return stoppedOr(ctx, unreadable)
	}
	return nil
}

// stoppedOr returns the error of a context that is done, and p otherwise.
func stoppedOr(ctx context.Context, p *problem) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return p
}

// total adds up the rows of uses.
func total(uses []use) (n int64) {
	for _, u := range uses {
		n += u.Rows
	}
	return n
}

// places lists uses for a sentence.
func places(uses []use) string {
	parts := make([]string, len(uses))
	for i, u := range uses {
		parts[i] = fmt.Sprintf("%d of %s", u.Rows, u.Table)
	}
	return strings.Join(parts, ", ")
}
