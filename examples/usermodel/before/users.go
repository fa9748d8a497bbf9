package main

import (
	"context"
	"database/sql"
	"strings"
)

const schema = `CREATE TABLE IF NOT EXISTS users (
	id           INTEGER PRIMARY KEY,
	email        TEXT UNIQUE,
	phone        TEXT,
	phone_source TEXT, -- which form it was typed into
	created_at   TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
	salt         BLOB NOT NULL,
	password     BLOB NOT NULL
)`

// A User is a row of the table users.
type User struct {
	ID             int64  `json:"id"`
	Email          string `json:"email"`
	Phone          string `json:"phone,omitempty"`
	salt, password []byte
}

// Users keeps users in a database.
type Users struct {
	db *sql.DB
}

func (u *Users) Insert(ctx context.Context, user *User) error {
	result, err := u.db.ExecContext(ctx,
		"INSERT INTO users (email, phone, phone_source, salt, password) VALUES (?, ?, '2fa', ?, ?)",
		user.Email, user.Phone, user.salt, user.password)
	if err == nil {
		user.ID, err = result.LastInsertId()
	}
	return err
}

// SetPhone replaces the number of a user, also by none.
func (u *Users) SetPhone(ctx context.Context, id int64, phone string) error {
	_, err := u.db.ExecContext(ctx, "UPDATE users SET phone = ?, phone_source = '2fa' WHERE id = ?", phone, id)
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
