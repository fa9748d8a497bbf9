package main

import (
	"context"
	"database/sql"
	"errors"
	"strconv"

	"github.com/jmoiron/sqlx"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// save seals the address for the person who has it, or else for a new user with the id
// made. It returns the id of the row.
//
// An upsert would not do: ON CONFLICT (email_index) keeps the row's own id, and a value
// that was sealed for the id made opens for that id alone. So save looks for the row
// first. Each of its statements leaves the table consistent, and it needs no transaction.
// In a transaction of REPEATABLE READ, the default of MySQL, the second look-up would have
// to be FOR UPDATE: it must see a row that another process inserted meanwhile.
func save(ctx context.Context, db *sqlx.DB, security *vault.Scope, made int64, address string) (int64, error) {
	wanted, err := pii.IndexesEmail(ctx, address, security)
	if err != nil {
		return 0, err
	}
	query, args, err := sqlx.In("SELECT id FROM users WHERE email_index IN (?)", wanted)
	if err != nil {
		return 0, err
	}
	query = db.Rebind(query)
	var id int64
	err = db.GetContext(ctx, &id, query, args...)
	if errors.Is(err, sql.ErrNoRows) {
		user, err := seal(ctx, security, made, address)
		if err != nil {
			return 0, err
		}
		if _, err := db.NamedExecContext(ctx, insert+orNothing(db), user); err != nil {
			return 0, err
		}
		err = db.GetContext(ctx, &id, query, args...)
		if err != nil || id == made {
			return id, err
		}
	} else if err != nil {
		return 0, err
	}
	user, err := seal(ctx, security, id, address)
	if err != nil {
		return 0, err
	}
	_, err = db.NamedExecContext(ctx, "UPDATE users SET email = :email, email_index = :email_index WHERE id = :id", user)
	return id, err
}

// seal returns the user of the id, with the address sealed for that user.
func seal(ctx context.Context, security *vault.Scope, id int64, address string) (User, error) {
	own := security.For(strconv.FormatInt(id, 10))
	email, index, err := pii.SealEmailIndexed(ctx, address, own)
	return User{ID: id, Email: email, EmailIndex: index}, err
}

// orNothing ends an INSERT that does nothing if the index has a row. INSERT IGNORE is no
// substitute on MySQL: it also cuts off values that are too long.
func orNothing(db *sqlx.DB) string {
	if db.DriverName() == "mysql" {
		return " ON DUPLICATE KEY UPDATE id = id"
	}
	return " ON CONFLICT (email_index) DO NOTHING"
}
