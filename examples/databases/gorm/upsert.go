package main

import (
	"context"
	"errors"
	"strconv"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

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
func save(ctx context.Context, db *gorm.DB, security *vault.Scope, made int64, address string) (int64, error) {
	db = db.WithContext(ctx)
	wanted, err := pii.IndexesEmail(ctx, address, security)
	if err != nil {
		return 0, err
	}
	find := func() (id int64, err error) {
		var found User
		err = db.Select("id").Where("email_index IN ?", wanted).Take(&found).Error
		return found.ID, err
	}
	id, err := find()
	if errors.Is(err, gorm.ErrRecordNotFound) {
		user, err := seal(ctx, security, made, address)
		if err != nil {
			return 0, err
		}
		orNothing := clause.OnConflict{Columns: []clause.Column{{Name: "email_index"}}, DoNothing: true}
		if err := db.Clauses(orNothing).Create(&user).Error; err != nil {
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
	return id, db.Model(&user).Select("Email", "EmailIndex").Updates(&user).Error
}

// seal returns the user of the id, with the address sealed for that user.
func seal(ctx context.Context, security *vault.Scope, id int64, address string) (User, error) {
	own := security.For(strconv.FormatInt(id, 10))
	email, index, err := pii.SealEmailIndexed(ctx, address, own)
	return User{ID: id, Email: email, EmailIndex: index}, err
}
