// Package used has fields whose names say nothing, and whose uses do.
package used

import (
	"database/sql"
	"net/mail"
	"net/smtp"
	"strings"

	"example.com/adopt/used/model"
	"gorm.io/gorm"
)

// An Account is stored.
type Account struct {
	Login     string         `db:"login"`     // want `Account\.Login \(string, stored by db\) is looked up as email, so it holds an e-mail address in plain text: make it pii\.Email, with LoginIndex pii\.Index beside it to look people up by`
	Contact   string         `db:"contact"`   // want `Account\.Contact .* is mailed to, so it holds an e-mail address in plain text: make it pii\.Email$`
	Recipient sql.NullString `db:"recipient"` // want `Account\.Recipient \(sql\.NullString, stored by db\) is assigned with email, so`
	Absent    sql.NullString `db:"absent"`    // want `Account\.Absent \(sql\.NullString, stored by db\) is assigned with email, so`
	Line      string         `db:"line"`      // want `Account\.Line .* is passed to SendSMS as to, so it holds a phone number`
	Parsed    *string        `db:"parsed"`    // want `Account\.Parsed .* is passed to mail\.ParseAddress, so`
	Dialled   string         `db:"dialled"`   // want `Account\.Dialled .* is passed to find as phone, so it holds a phone number`
	Same      string         `db:"same"`      // want `Account\.Same .* is compared with Email, so`
	From      string         `db:"sender"`    // want `Account\.From .* is used as a mail\.Address, so`
	Made      string         `db:"made"`      // want `Account\.Made .* is assigned with GetEmail, so`
	Read      string         `db:"read"`      // want `Account\.Read .* is assigned with newEmail, so`
	Literal   string         `db:"literal"`   // want `Account\.Literal .* is assigned with email, so`
	Name      string         `db:"name"`
	Digest    string         `db:"digest"`
	Sent      string         `json:"sent"`
	Ignored   string         `db:"-"`
	Email     string         `db:"email"` // want `Account\.Email \(string, stored by db\) looks like an e-mail address in plain text: make it pii\.Email, with EmailIndex`
	Phone     string         `db:"phone"` // want `Account\.Phone \(string, stored by db\) looks like a phone number in plain text: make it pii\.Phone$`
}

// A Client is stored by GORM, without a tag of its own.
type Client struct {
	gorm.Model
	Login string // want `Client\.Login \(string, stored by gorm\) is compared with email, so`
}

// GetEmail has the address.
func (a *Account) GetEmail() string { return a.Email }

const defaultEmail = "nobody"

func find(phone string) *Account { return nil }

// SendSMS sends.
func SendSMS(to, text string) {}

func use(db *sql.DB, a *Account, c *Client, email string, t *model.Token) {
	db.QueryRow("SELECT id FROM accounts WHERE tenant = $2 AND LOWER(email) = $1", strings.ToLower(a.Login), a.Name)
	db.Exec("UPDATE accounts SET phone = ? WHERE id = ?", a.Name, a.ID())
	_ = smtp.SendMail("localhost:25", nil, "me@example.com", []string{a.Contact}, nil)
	a.Recipient = sql.NullString{String: email, Valid: true}
	a.Absent.String = email
	a.Name = defaultEmail
	SendSMS(a.Line, a.Name)
	_, _ = mail.ParseAddress(*a.Parsed)
	_ = find(a.Dialled)
	_ = a.Same == a.Email
	_ = mail.Address{Name: a.Name, Address: a.From}
	a.Made = a.GetEmail()
	newEmail := a.Read
	_ = newEmail
	_ = Account{Literal: email, Name: "x"}
	a.Digest, a.Sent, a.Ignored = email, email, email
	_ = c.Login != strings.TrimSpace(email)
	t.RelatesTo = email // want `Token\.RelatesTo \(string, stored by db\) is assigned with email, so it holds an e-mail address in plain text: make it pii\.Email$`
	t.Hash = email
	t.Note = email
	_ = a.Name == "email"
}

// ID is the id.
func (a *Account) ID() string { return "" }
