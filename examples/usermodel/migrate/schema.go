package main

import (
	"context"
	"database/sql"
	"fmt"
)

// addColumns adds the columns for sealed values and indexes, unless they exist.
func addColumns(ctx context.Context, db *sql.DB) error {
	for _, column := range []struct{ name, definition string }{
		{"email_sealed", "TEXT CHECK (email_sealed LIKE 'pii1.email.%')"},
		{"email_index", "BLOB"},
		{"phone_sealed", "TEXT CHECK (phone_sealed LIKE 'pii1.phone.%')"},
	} {
		var there int
		if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM pragma_table_info('users') WHERE name = ?", column.name).Scan(&there); err != nil {
			return err
		}
		if there == 0 {
			if _, err := db.ExecContext(ctx, "ALTER TABLE users ADD COLUMN "+column.name+" "+column.definition); err != nil {
				return err
			}
		}
	}
	_, err := db.ExecContext(ctx, "CREATE UNIQUE INDEX IF NOT EXISTS users_email_index ON users (email_index)")
	return err
}

// seed makes the table of ../before with the given number of people, unless the table
// exists.
func seed(ctx context.Context, db *sql.DB, people int) error {
	var there int
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_master WHERE name = 'users'").Scan(&there); err != nil || there > 0 {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, `CREATE TABLE users (
	id           INTEGER PRIMARY KEY,
	email        TEXT UNIQUE,
	phone        TEXT,
	phone_source TEXT, -- which form it was typed into
	created_at   TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
	salt         BLOB NOT NULL,
	password     BLOB NOT NULL
)`); err != nil {
		return err
	}
	for i := range people {
		email, phone, source := fmt.Sprintf("person-%d@example.com", i), fmt.Sprintf("+1 415 %07d", 5_550_000+i), "2fa"
		switch { // mistakes of tables that nobody looked at for years
		case i%1000 == 17:
			phone = "call my office"
		case i%1000 == 400:
			phone = ""
		case i%1000 == 600:
			source = "import-2016"
		case i == 801:
			email = "Person-800@example.com" // an address that is in the table already
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO users (email, phone, phone_source, created_at, salt, password) VALUES (?, ?, ?, ?, x'', x'')",
			email, phone, source, fmt.Sprintf("%d-03-04 05:06:07", 2018+i%7)); err != nil {
			return err
		}
	}
	return tx.Commit()
}
