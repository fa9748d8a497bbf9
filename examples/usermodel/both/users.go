package main

import (
	"context"
	"database/sql"
	"strings"

	"github.com/onlyfor/onlyfor/pii"
)

const schema = `CREATE TABLE IF NOT EXISTS users (
	id           INTEGER PRIMARY KEY,
	email        TEXT UNIQUE,
	phone        TEXT,
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
	Email          string    `json:"email"`
	Phone          string    `json:"phone,omitempty"`
	SealedEmail    pii.Email `json:"-"`
	EmailIndex     pii.Index `json:"-"`
	SealedPhone    pii.Phone `json:"-"`
	salt, password []byte
}

// Users keeps users in a database.
type Users struct {
	db *sql.DB
}

func (u *Users) Insert(ctx context.Context, user *User) error {
	result, err := u.db.ExecContext(ctx,
		`INSERT INTO users (email, phone, email_sealed, email_index, phone_sealed, phone_source, salt, password)
		VALUES (?, ?, ?, ?, ?, '2fa', ?, ?)`,
		user.Email, user.Phone, user.SealedEmail, user.EmailIndex, user.SealedPhone, user.salt, user.password)
	if err == nil {
		user.ID, err = result.LastInsertId()
	}
	return err
}

// SetPhone replaces the number of a user, also by none.
func (u *Users) SetPhone(ctx context.Context, id int64, phone string, sealed pii.Phone) error {
	_, err := u.db.ExecContext(ctx, "UPDATE users SET phone = ?, phone_sealed = ?, phone_source = '2fa' WHERE id = ?", phone, sealed, id)
	return err
}

func (u *Users) ByID(ctx context.Context, id string) (*User, error) {
	return u.one(ctx, "id = ?", id)
}

func (u *Users) ByEmail(ctx context.Context, address string) (*User, error) {
	return u.one(ctx, "email = ?", strings.ToLower(strings.TrimSpace(address)))
}

func (u *Users) one(ctx context.Context, condition string, args ...any) (*User, error) {
	var user User
	err := u.db.QueryRowContext(ctx, "SELECT id, email, phone, salt, password FROM users WHERE "+condition, args...).
		Scan(&user.ID, &user.Email, &user.Phone, &user.salt, &user.password)
	return &user, err
}
