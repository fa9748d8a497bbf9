package main

import (
	"context"
	"database/sql"
	"errors"
	"strconv"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

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
func save(ctx context.Context, db *bun.DB, security *vault.Scope, made int64, address string) (int64, error) {
	wanted, err := pii.IndexesEmail(ctx, address, security)
	if err != nil {
		return 0, err
	}
	find := func() (id int64, err error) {
		err = db.NewSelect().Model((*User)(nil)).Column("id").Where("email_index IN (?)", bun.List(wanted)).Limit(1).Scan(ctx, &id)
		return id, err
	}
	id, err := find()
	if errors.Is(err, sql.ErrNoRows) {
		user, err := seal(ctx, security, made, address)
		if err != nil {
			return 0, err
		}
		if _, err := orNothing(db.NewInsert().Model(&user)).Exec(ctx); err != nil {
			return 0, err
		}
		id, err = find()
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
	_, err = db.NewUpdate().Model(&user).Column("email", "email_index").WherePK().Exec(ctx)
	return id, err
}

// seal returns the user of the id, with the address sealed for that user.
func seal(ctx context.Context, security *vault.Scope, id int64, address string) (User, error) {
	own := security.For(strconv.FormatInt(id, 10))
	email, index, err := pii.SealEmailIndexed(ctx, address, own)
	return User{ID: id, Email: email, EmailIndex: index}, err
}

// orNothing makes an INSERT do nothing if the index has a row. On MySQL Ignore is no
// substitute: INSERT IGNORE also cuts off values that are too long.
func orNothing(q *bun.InsertQuery) *bun.InsertQuery {
	if q.Dialect().Name() == dialect.MySQL {
		return q.On("DUPLICATE KEY UPDATE").Set("id = id")
	}
	return q.On("CONFLICT (email_index) DO NOTHING")
}
