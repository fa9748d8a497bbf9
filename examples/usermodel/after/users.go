package main

import (
	"context"
	"database/sql"
	"strings"

	"github.com/onlyfor/onlyfor/pii"
)

const schema = `CREATE TABLE IF NOT EXISTS users (
	id           INTEGER PRIMARY KEY,
	email_sealed TEXT CHECK (email_sealed LIKE 'pii1.email.%'),
	email_index  BLOB UNIQUE,
	phone_sealed TEXT CHECK (phone_sealed LIKE 'pii1.phone.%'),
	phone_source TEXT, -- which form it was typed into
	created_at   TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
	salt         BLOB NOT NULL,
	password     BLOB NOT NULL
)`

// A User is a row of the table users.
type User struct {
	ID             int64     `json:"id"`
	Email          pii.Email `json:"email"`
	EmailIndex     pii.Index `json:"-"`
	Phone          pii.Phone `json:"phone,omitzero"`
	salt, password []byte
}

// Users keeps users in a database.
type Users struct {
	db *sql.DB
}

func (u *Users) Insert(ctx context.Context, user *User) error {
	result, err := u.db.ExecContext(ctx,
		"INSERT INTO users (email_sealed, email_index, phone_sealed, phone_source, salt, password) VALUES (?, ?, ?, '2fa', ?, ?)",
		user.Email, user.EmailIndex, user.Phone, user.salt, user.password)
	if err == nil {
		user.ID, err = result.LastInsertId()
	}
	return err
}

// SetPhone replaces the number of a user, also by none.
func (u *Users) SetPhone(ctx context.Context, id int64, phone pii.Phone) error {
	_, err := u.db.ExecContext(ctx, "UPDATE users SET phone_sealed = ?, phone_source = '2fa' WHERE id = ?", phone, id)
	return err
}

func (u *Users) ByID(ctx context.Context, id string) (*User, error) {
	return u.one(ctx, "id = ?", id)
}

// ByEmail takes all indexes of an address: there are two while an index key rotates.
func (u *Users) ByEmail(ctx context.Context, indexes []pii.Index) (*User, error) {
	args := pii.Args(indexes)
	return u.one(ctx, "email_index IN (?"+strings.Repeat(", ?", len(args)-1)+")", args...)
}

func (u *Users) one(ctx context.Context, condition string, args ...any) (*User, error) {
	var user User
	err := u.db.QueryRowContext(ctx, "SELECT id, email_sealed, phone_sealed, salt, password FROM users WHERE "+condition, args...).
		Scan(&user.ID, &user.Email, &user.Phone, &user.salt, &user.password)
	return &user, err
}
