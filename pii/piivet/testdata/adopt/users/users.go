// Package users holds personal data in plain text.
package users

import (
	"database/sql"

	"github.com/onlyfor/onlyfor/pii"
)

// Address is a string by another name.
type Address string

// A User is stored.
type User struct {
	ID                    string            `db:"id"`
	Email                 string            `db:"email" json:"email"`              // want `User\.Email \(string, stored by db\) looks like an e-mail address in plain text: make it pii\.Email`
	Login                 Address           `db:"login_email"`                     // want `User\.Login \(Address, stored by db\) .* make it pii\.Email`
	ContactEmail          Address           `db:"contact"`                         // want `User\.ContactEmail \(Address, stored by db\) .* make it pii\.Email`
	PhoneNumber           *string           `bson:"phone_number,omitempty"`        // want `User\.PhoneNumber \(\*string, stored by bson\) looks like a phone number in plain text: make it pii\.Phone`
	Mobile                sql.NullString    `db:"mobile"`                          // want `User\.Mobile \(.*NullString, stored by db\) .* make it pii\.Phone`
	OldEmail              sql.Null[Address] `db:"old_email"`                       // want `User\.OldEmail .* make it pii\.Email`
	Emails                []string          `bson:"emails"`                        // want `User\.Emails .* make it \[\]pii\.Email`
	UniqueEmail           string            `gorm:"column:e;uniqueIndex;not null"` // want `User\.UniqueEmail .* make it pii\.Email, with UniqueEmailIndex pii\.Index beside it`
	EmailVerified         bool              `db:"email_verified"`
	EmailToken            string            `db:"email_token"`
	EmailHash             string            `db:"email_hash"`
	VerifiedEmailTemplate string            `db:"t"`
	SealedPhone           pii.Phone         `db:"phone"`
	Phone                 pii.Phone         `db:"phone"`
	EmailIndex            pii.Index         `db:"email_index"`
	EmailBytes            []byte            `db:"email"`
	HomeEmail             string            `db:"-" gorm:"-"`
	WorkPhone             string            // a column too: gorm stores what has no tag // want `User\.WorkPhone \(string, stored by gorm\)`
	email                 string
	LegacyEmail           string `db:"legacy"` //piivet:allow adopt dropped by the migration of March
}

// A Form is received.
type Form struct {
	Email string   `json:"email"` // want `Form\.Email \(string, tags json\) looks like an e-mail address in plain text: seal it where it comes in`
	Tel   struct { // of no type of its own
		PhoneNo string `form:"tel"` // want `Form\.PhoneNo \(string, tags form\) looks like a phone number`
	} `json:"tel"`
	Phone string `json:"-"`
	Fax   string `json:"fax"`
	Plain string
}

// Untagged is nobody's business: it is neither stored nor sent.
type Untagged struct {
	Email string
}

// Generic types have fields too.
type Generic[T ~string] struct {
	Email T      `db:"email"`
	Phone string `db:"phone"` // want `Generic\.Phone`
}

type alias = string

// Aliased fields are what they stand for.
type Aliased struct {
	Email alias `db:"email"` // want `Aliased\.Email`
}
