// Package tables stores structs by libraries that need no tags.
package tables

import (
	old "github.com/jinzhu/gorm"
	"github.com/uptrace/bun"
	"gorm.io/gorm"
)

// An Account has a model embedded.
type Account struct {
	gorm.Model
	Email string // want `Account\.Email \(string, stored by gorm\)`
	email string
	Phone string `gorm:"-"`
}

// A Row has one of another library.
type Row struct {
	*bun.BaseModel `bun:"table:rows"`
	Email          string // want `Row\.Email \(string, stored by bun\)`
}

// A Shape has one, without a tag.
type Shape struct {
	bun.BaseModel
	Email string // want `Shape\.Email \(string, stored by bun\)`
}

// A Person is stored by who is given it.
type Person struct {
	Contact
	Email string `json:"email"` // want `Person\.Email \(string, stored by gorm\)`
	Extra struct{ Email string }
}

// A Contact is stored as a part.
type Contact struct {
	Phone string `json:"phone"` // want `Contact\.Phone \(string, stored by gorm\)`
}

// A Target is given in a slice.
type Target struct{ Email string } // want `Target\.Email \(string, stored by gorm\)`

// A Filter is given to something else.
type Filter struct{ Email string }

// A Left has a tag by which the library leaves it out, of another field.
type Left struct {
	ID    int `gorm:"-"`
	Email string
}

func save(db *gorm.DB, before *old.DB, people []*Person, f Filter) {
	before.Save(&Target{})
	var targets []Target
	before.Save(&targets)
	db.Create(people).Where("email = ?", f.Email)
	look(f)
}

func look(Filter) {}

// Columns are named by their tags, if their own names say nothing.
type Columns struct {
	EmailChange string `db:"new_email"`                          // want `Columns\.EmailChange \(string, stored by db\) looks like an e-mail address`
	Login       string `bun:"login_email,unique"`                // want `Columns\.Login .* with LoginIndex pii\.Index`
	Contact     string `gorm:"size:255;column:phone_number"`     // want `Columns\.Contact \(string, stored by gorm\) looks like a phone number`
	Line        string `xorm:"varchar(25) 'home_phone' notnull"` // want `Columns\.Line \(string, stored by xorm\)`
	EmailHash   string `db:"email"`
	Digest      string `db:"email"`
	Topic       string `db:"topic,email"`
	Sent        string `db:"sent" json:"new_email,omitempty"` // want `Columns\.Sent \(string, stored by db\)`
	Template    string `json:"email"`
}
