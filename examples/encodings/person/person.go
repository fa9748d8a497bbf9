// Package person is the user model that the programs and tests of this module encode,
// log and compare. It is a common model with sealed types in place of plaintext.
package person

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// The purposes of this company.
var (
	Security    = purpose.MustParse("security")
	Advertising = purpose.MustParse("advertising")
)

// The plaintexts. No part of them occurs in any output.
const (
	Address = "Kq7vZ.Hxw93Jd@mx4.wyr8bqp.example"
	Number  = "+73918462504"
)

// A Contact has the addresses of a person. Its values are named fields: an embedded
// Email would make the Contact an Email to every encoder.
type Contact struct {
	Email pii.Email `json:"email" xml:"email"`
	Phone pii.Phone `json:"phone" xml:"phone"`
}

// A User has sealed values in all the places where models have strings.
type User struct {
	ID       string `json:"id" xml:"id,attr" bson:"_id"`
	Contact  `yaml:",inline" bson:",inline"`
	Optional pii.Email            `json:"optional,omitzero" yaml:"optional,omitempty" bson:"optional,omitempty" dynamodbav:"optional,omitempty" msgpack:"optional,omitempty" xml:"optional"`
	Backup   *pii.Email           `json:"backup" xml:"backup"`
	Recovery sql.Null[pii.Phone]  `json:"recovery" xml:"recovery"`
	Others   []pii.Email          `json:"others" xml:"others"`
	ByLabel  map[string]pii.Phone `json:"by_label" xml:"-"` // XML has no maps

	last *pii.Email // unexported: hidden from encoders, visible to printers
}

// A Row is a user with the index that finds its row in a table. A tag keeps the index
// out of every encoding but gob's, and so it is a field of Row and not of User.
type Row struct {
	User       `yaml:",inline" bson:",inline"`
	EmailIndex pii.Index `json:"-" xml:"-" yaml:"-" bson:"-" dynamodbav:"-" msgpack:"-" cbor:"-"`
}

// New returns a row with all fields set, sealed under scope.
func New(ctx context.Context, scope *vault.Scope) (Row, error) {
	email, err := pii.SealEmail(ctx, Address, scope)
	if err != nil {
		return Row{}, err
	}
	phone, err := pii.SealPhone(ctx, Number, scope)
	if err != nil {
		return Row{}, err
	}
	index, err := email.Index(ctx, scope)
	return Row{User{
		ID:       "user-4711",
		Contact:  Contact{email, phone},
		Optional: email,
		Backup:   &email,
		Recovery: sql.Null[pii.Phone]{V: phone, Valid: true},
		Others:   []pii.Email{email, {}},
		ByLabel:  map[string]pii.Phone{"home": phone},
		last:     &email,
	}, index}, err
}

// Stored returns u as a decoder returns it: without unexported fields.
func (u User) Stored() User {
	u.last = nil
	return u
}

// WithScope calls do with a scope of a new vault. Its keys are in a temporary
// directory, which is removed when do returns.
func WithScope(ctx context.Context, p purpose.Purpose, do func(*vault.Scope) error) error {
	dir, err := os.MkdirTemp("", "onlyfor-encodings-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	v, err := vault.OpenAdmin(ctx, vault.Memory(), vault.LocalKEK(filepath.Join(dir, "kek")), nil)
	if err != nil {
		return err
	}
	defer v.Close()
	if err := v.Generate(ctx, p); err != nil {
		return err
	}
	scope, err := v.Scope(ctx, p)
	if err != nil {
		return err
	}
	return do(scope)
}
