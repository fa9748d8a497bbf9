package main

import (
	"context"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// A querier is a connection, a pool or a transaction.
type querier interface {
	Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
}

// save seals the address for the person who has it, or else for a new user with the id
// made. It returns the id of the row.
//
// An upsert would not do: ON CONFLICT (email_index) keeps the row's own id, and a value
// that was sealed for the id made opens for that id alone. So save looks for the row
// first. Each of its statements leaves the table consistent, and it needs no transaction.
func save(ctx context.Context, db querier, security *vault.Scope, made int64, address string) (int64, error) {
	wanted, err := pii.IndexesEmail(ctx, address, security)
	if err != nil {
		return 0, err
	}
	const find = "SELECT id FROM users WHERE email_index = ANY($1)"
	var id int64
	err = db.QueryRow(ctx, find, wanted).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		err := write(ctx, db, "INSERT INTO users (id, email, email_index) VALUES ($1, $2, $3) ON CONFLICT (email_index) DO NOTHING", security, made, address)
		if err != nil {
			return 0, err
		}
		err = db.QueryRow(ctx, find, wanted).Scan(&id)
		if err != nil || id == made {
			return id, err
		}
	} else if err != nil {
		return 0, err
	}
	return id, write(ctx, db, "UPDATE users SET email = $2, email_index = $3 WHERE id = $1", security, id, address)
}

// write seals the address for the user of the id, and executes the query with the id, the
// sealed address and its index.
func write(ctx context.Context, db querier, query string, security *vault.Scope, id int64, address string) error {
	own := security.For(strconv.FormatInt(id, 10))
	email, index, err := pii.SealEmailIndexed(ctx, address, own)
	if err != nil {
		return err
	}
	_, err = db.Exec(ctx, query, id, email, index)
	return err
}
