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
)

// The database itself refuses a plaintext address from any writer. Each purpose has
// its own index columns. The columns for advertising are NULL for everybody who did
// not consent.
const schema = `
CREATE TABLE users (
	id                INTEGER PRIMARY KEY,
	email             TEXT NOT NULL CHECK (email LIKE 'pii1.email.%'),
	phone             TEXT NOT NULL CHECK (phone LIKE 'pii1.phone.%'),
	email_security    BLOB NOT NULL UNIQUE CHECK (length(email_security) = 16),
	phone_security    BLOB NOT NULL CHECK (length(phone_security) = 16),
	email_advertising BLOB CHECK (length(email_advertising) = 16),
	phone_advertising BLOB CHECK (length(phone_advertising) = 16)
) STRICT;
CREATE INDEX users_phone_security    ON users (phone_security);
CREATE INDEX users_email_advertising ON users (email_advertising) WHERE email_advertising IS NOT NULL;
CREATE INDEX users_phone_advertising ON users (phone_advertising) WHERE phone_advertising IS NOT NULL;
`

// A user is one row.
type user struct {
	id    int64
	email pii.Email
	phone pii.Phone

	emailSecurity, phoneSecurity       pii.Index
	emailAdvertising, phoneAdvertising pii.Index // zero, and so NULL, without consent
}

// A userStore is the company's table of users.
type userStore struct {
	db *sql.DB
}

func createUserStore(ctx context.Context, file string) (*userStore, error) {
	db, err := sql.Open("sqlite", dsn(file, "rwc"))
	if err != nil {
		return nil, fmt.Errorf("users' database: %w", err)
	}
	if _, err := db.ExecContext(ctx, schema); err != nil {
		db.Close()
		return nil, fmt.Errorf("users' database: %w", err)
	}
	return &userStore{db}, nil
}

// dsn returns the data source name of an SQLite file in the given mode. Mode "ro"
// allows reading only.
func dsn(file, mode string) string {
	q := url.Values{"mode": {mode}, "_pragma": {"busy_timeout(10000)", "cache_size(-32768)"}}
	if mode != "ro" {
		q.Add("_pragma", "journal_mode(WAL)")
		q.Add("_pragma", "synchronous(NORMAL)")
	}
	return (&url.URL{Scheme: "file", Path: file, RawQuery: q.Encode()}).String()
}

// insert stores the users in one transaction. For each of them it returns whether
// they are new: an e-mail address can be registered only once.
func (s *userStore) insert(ctx context.Context, users []user) ([]bool, error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("storing users: %w", err)
	}
	defer tx.Rollback()
	stmt, err := tx.PrepareContext(ctx, `
		INSERT INTO users (email, phone, email_security, phone_security, email_advertising, phone_advertising)
		VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (email_security) DO NOTHING`)
	if err != nil {
		return nil, fmt.Errorf("storing users: %w", err)
	}
	defer stmt.Close()
	fresh := make([]bool, len(users))
	for i, u := range users {
		result, err := stmt.ExecContext(ctx, u.email, u.phone,
			u.emailSecurity, u.phoneSecurity, u.emailAdvertising, u.phoneAdvertising)
		if err != nil {
			return nil, fmt.Errorf("storing users: %w", err)
		}
		rows, err := result.RowsAffected()
		if err != nil {
			return nil, fmt.Errorf("storing users: %w", err)
		}
		fresh[i] = rows == 1
	}
	if err := tx.Commit(); err != nil {
		return nil, fmt.Errorf("storing users: %w", err)
	}
	return fresh, nil
}

var errNoUser = errors.New("no such user")

// byEmail returns the user with one of the given indexes of the security purpose, or
// [errNoUser].
func (s *userStore) byEmail(ctx context.Context, indexes []pii.Index) (user, error) {
	args := pii.Args(indexes)
	var u user
	err := s.db.QueryRowContext(ctx, `SELECT id, email, email_security, phone FROM users WHERE email_security IN (?`+
		strings.Repeat(`, ?`, len(args)-1)+`)`, args...).Scan(&u.id, &u.email, &u.emailSecurity, &u.phone)
	if errors.Is(err, sql.ErrNoRows) {
		return user{}, errNoUser
	}
	if err != nil {
		return user{}, fmt.Errorf("finding a user: %w", err)
	}
	return u, nil
}

// A collected is the number of people whose addresses were collected for one set of
// purposes.
type collected struct {
	purposes string
	people   int64
}

// collected counts the purposes in the headers of addresses, which are in clear:
// "pii1.email.security.AAAA".
func (s *userStore) collected(ctx context.Context) ([]collected, error) {
	rows, err := s.db.QueryContext(ctx, `
		WITH headers (rest) AS (SELECT substr(email, length('pii1.email.') + 1) FROM users)
		SELECT replace(substr(rest, 1, instr(rest, '.') - 1), '~', ' and '), count(*) FROM headers GROUP BY 1 ORDER BY 2 DESC`)
	if err != nil {
		return nil, fmt.Errorf("counting users: %w", err)
	}
	defer rows.Close()
	var all []collected
	for rows.Next() {
		var c collected
		if err := rows.Scan(&c.purposes, &c.people); err != nil {
			return nil, fmt.Errorf("counting users: %w", err)
		}
		all = append(all, c)
	}
	return all, rows.Err()
}
