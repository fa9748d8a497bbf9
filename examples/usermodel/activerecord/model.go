// Package activerecord is a model with methods, as frameworks of that style make them:
// accessors without arguments, hooks that get a connection, interfaces of other
// libraries. It shows where the scope lives there.
//
// The store has the scopes, and hands each record a binding: a pointer to the store. A
// record that nobody bound has no scope and can't reveal anything, which is an error
// and not a panic.
package activerecord

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

const schema = `CREATE TABLE IF NOT EXISTS users (
	id          TEXT PRIMARY KEY,
	email       TEXT CHECK (email LIKE 'pii1.email.%'),
	email_index BLOB UNIQUE,
	phone       TEXT CHECK (phone LIKE 'pii1.phone.%')
)`

// A Store has the database and the scope. Every record comes from it.
type Store struct {
	db       *sql.DB
	security *vault.Scope
}

// A User is a record. The field store is unexported and has no column: in GORM and pop it
// is tagged as well, gorm:"-" and db:"-".
type User struct {
	ID    string
	email pii.Email
	index pii.Index
	phone pii.Phone
	store *Store
}

// ErrUnbound reports a record that did not come from a store, such as the zero User.
var ErrUnbound = errors.New("user was not loaded from a store")

// New returns a record that is not saved yet. The caller makes the id first, because
// values are sealed for it.
func (s *Store) New(id string) *User { return &User{ID: id, store: s} }

// own returns the scope narrowed to the person.
func (u *User) own() (*vault.Scope, error) {
	if u.store == nil {
		return nil, ErrUnbound
	}
	return u.store.security.For(u.ID), nil
}

// SetEmail is the setter that had a string before. Nothing else sets the two columns, so
// that they belong together.
func (u *User) SetEmail(ctx context.Context, address string) error {
	own, err := u.own()
	if err == nil {
		u.email, u.index, err = pii.SealEmailIndexed(ctx, address, own)
	}
	return err
}

// SetPhone takes "" for no number.
func (u *User) SetPhone(ctx context.Context, number string) error {
	own, err := u.own()
	if err == nil {
		u.phone, err = pii.SealOptionalPhone(ctx, number, own)
	}
	return err
}

// MailTo hands the address to the function that sends mail, and returns it to nobody. An
// accessor Address() string would make every caller a place where plaintext is born, and
// none of them would be found.
func (u *User) MailTo(ctx context.Context, send func(address string) error) error {
	own, err := u.own()
	if err != nil {
		return err
	}
	address, err := u.email.Reveal(ctx, own)
	if err != nil {
		return err
	}
	return send(address)
}

// EmailHint is for pages and JSON answers.
func (u *User) EmailHint(ctx context.Context) (string, error) {
	own, err := u.own()
	if err != nil {
		return "", err
	}
	return u.email.Hint(ctx, own)
}

// AccountName implements an interface of another library, as WebAuthnName and the like do,
// whose method gets no context and returns no error. It names the account by its id: a
// hint would be revealed in every page that prints the account, and an error would be lost.
func (u *User) AccountName() string { return "account " + u.ID }

// Save is the hook's place: it needs no scope, since the setters sealed.
func (u *User) Save(ctx context.Context) error {
	if u.store == nil {
		return ErrUnbound
	}
	_, err := u.store.db.ExecContext(ctx, `INSERT INTO users (id, email, email_index, phone) VALUES (?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET email = excluded.email, email_index = excluded.email_index, phone = excluded.phone`,
		u.ID, u.email, u.index, u.phone)
	return err
}

// ByEmail returns the user with an address, or [sql.ErrNoRows].
func (s *Store) ByEmail(ctx context.Context, address string) (*User, error) {
	wanted, err := pii.OrNobody(pii.IndexesEmail(ctx, address, s.security))
	if err != nil {
		return nil, err
	}
	args := pii.Args(wanted)
	return s.one(ctx, "email_index IN (?"+strings.Repeat(", ?", len(args)-1)+")", args...)
}

// one loads a record, and is the one place that binds one.
func (s *Store) one(ctx context.Context, condition string, args ...any) (*User, error) {
	u := &User{store: s}
	err := s.db.QueryRowContext(ctx, "SELECT id, email, email_index, phone FROM users WHERE "+condition, args...).
		Scan(&u.ID, &u.email, &u.index, &u.phone)
	return u, err
}

// Search returns the users whose address contains a text, for the page of the support
// team. It reveals every address, and each is an event in the audit log.
func (s *Store) Search(ctx context.Context, part string) (found []*User, err error) {
	rows, err := s.db.QueryContext(ctx, "SELECT id, email, email_index, phone FROM users ORDER BY id")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		u := &User{store: s}
		if err := rows.Scan(&u.ID, &u.email, &u.index, &u.phone); err != nil {
			return nil, err
		}
		address, err := u.email.Reveal(ctx, s.security.For(u.ID))
		if errors.Is(err, vault.ErrErased) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", u.ID, err)
		}
		if strings.Contains(strings.ToLower(address), strings.ToLower(part)) {
			found = append(found, u)
		}
	}
	return found, rows.Err()
}
