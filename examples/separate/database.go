package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"

	_ "modernc.org/sqlite"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// The front end writes to the inboxes, sign_ups and consents. Nobody trusts its rows: a
// row for a person who has an account changes nothing.
//
// SQLite has no users, so each service may read and write all tables. Keys alone
// separate the services.
const schema = `
CREATE TABLE sign_ups (id TEXT NOT NULL PRIMARY KEY, email TEXT NOT NULL CHECK (email LIKE 'pii1.email.security.%')) STRICT;
CREATE TABLE consents (id TEXT NOT NULL PRIMARY KEY, email TEXT NOT NULL CHECK (email LIKE 'pii1.email.advertising.%')) STRICT;
CREATE TABLE accounts (id TEXT NOT NULL PRIMARY KEY, email TEXT NOT NULL CHECK (email LIKE 'pii1.email.security.%'),
	email_index BLOB NOT NULL UNIQUE CHECK (length(email_index) = 16)) STRICT;
CREATE TABLE audience (id TEXT NOT NULL PRIMARY KEY, email TEXT NOT NULL CHECK (email LIKE 'pii1.email.advertising.%'),
	email_index BLOB NOT NULL UNIQUE CHECK (length(email_index) = 16)) STRICT;
`

func openDatabase(file string) (*sql.DB, error) {
	q := url.Values{"_pragma": {"busy_timeout(10000)"}}
	return sql.Open("sqlite", (&url.URL{Scheme: "file", Path: file, RawQuery: q.Encode()}).String())
}

// A person is a row of any of the tables.
type person struct {
	id    string
	email pii.Email
}

// people returns all rows of a table. Text that is not sealed becomes a zero email.
func people(ctx context.Context, db *sql.DB, table string) ([]person, error) {
	rows, err := db.QueryContext(ctx, `SELECT id, email FROM `+table+` ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", table, err)
	}
	defer rows.Close()
	var all []person
	for rows.Next() {
		var p person
		if err := rows.Scan(&p.id, &p.email); err != nil && !errors.Is(err, vault.ErrCorrupt) {
			return nil, fmt.Errorf("reading %s: %w", table, err)
		}
		all = append(all, p)
	}
	return all, rows.Err()
}

// find returns the row with one of the indexes of an address.
func find(ctx context.Context, db *sql.DB, table string, indexes []pii.Index) (p person, found bool, err error) {
	args := pii.Args(indexes)
	query := `SELECT id, email FROM ` + table + ` WHERE email_index IN (?` + strings.Repeat(`, ?`, len(args)-1) + `)`
	err = db.QueryRowContext(ctx, query, args...).Scan(&p.id, &p.email)
	if errors.Is(err, sql.ErrNoRows) {
		return p, false, nil
	}
	if err != nil {
		return p, false, fmt.Errorf("searching %s: %w", table, err)
	}
	return p, true, nil
}

// takeIn moves collected values from an inbox to a table, under each person's own key
// and with an index. It drops a value that does not open, and a row whose id or address
// the table already has. Anybody who reaches the inbox can write rows, and such a row
// must neither change an account nor hold up the other rows.
func takeIn(ctx context.Context, db *sql.DB, inbox, table string, scope *vault.Scope) (taken int, err error) {
	collected, err := people(ctx, db, inbox)
	if err != nil {
		return 0, err
	}
	for _, p := range collected {
		// Do this before the transaction: the keys of persons are in the same database.
		own := scope.For(p.id)
		email, err := p.email.Reseal(ctx, own)
		if errors.Is(err, vault.ErrUnavailable) || errors.Is(err, vault.ErrNoKeys) {
			return taken, err // not the row's fault
		}
		var index pii.Index
		if err == nil {
			if index, err = email.Index(ctx, own); err != nil { // not the row's fault: it just opened
				return taken, err
			}
		}
		n, err := move(ctx, db, inbox, table, person{p.id, email}, index)
		if err != nil {
			return taken, fmt.Errorf("moving from %s to %s: %w", inbox, table, err)
		}
		taken += n
	}
	return taken, nil
}

// move moves one row in one transaction. It drops a row with a zero email.
func move(ctx context.Context, db *sql.DB, inbox, table string, p person, index pii.Index) (moved int, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, `DELETE FROM `+inbox+` WHERE id = ?`, p.id); err != nil {
		return 0, err
	}
	if !p.email.IsZero() {
		result, err := tx.ExecContext(ctx,
			`INSERT INTO `+table+` (id, email, email_index) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, p.id, p.email, index)
		if err != nil {
			return 0, err
		}
		if rows, err := result.RowsAffected(); err == nil {
			moved = int(rows)
		}
	}
	return moved, tx.Commit()
}
