// Package maps keeps personal data in maps and records, whose types say nothing.
package maps

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/Masterminds/squirrel"
	"gorm.io/gorm"
)

// A Record is a row of any table, as in PocketBase.
type Record struct{ data map[string]any }

func (r *Record) TableName() string                { return "users" }
func (r *Record) Set(key string, value any)        { r.data[key] = value }
func (r *Record) GetString(key string) string      { s, _ := r.data[key].(string); return s }
func (r *Record) Expand(key string, deep bool) any { return r.data[key] }

// A Settings has a Set too, and is no row.
type Settings struct{}

func (Settings) Set(key string, value any) {}

// A Row is a map model.
type Row map[string]any

// Save says that it is stored.
func (r Row) Save() error { return nil }

// A Payload is a map of this module, of which nobody knows more.
type Payload map[string]string

// MailField names a field.
const MailField = "email"

func records(r *Record, s Settings, address string) {
	r.Set("email", address)           // want `key "email" of \*Record \(stored\) looks like an e-mail address in plain text: seal the value before it is set`
	r.Set(MailField, address)         // want `key "email" of \*Record \(stored\)`
	_ = r.GetString("phone_number")   // want `key "phone_number" of \*Record \(stored\) looks like a phone number`
	_ = r.Expand("backupEmail", true) // want `key "backupEmail" of \*Record \(stored\)`
	r.Set("emailVerified", true)
	r.Set("name", address)
	r.Set(address, "email")
	s.Set("email", address)
	r.Set("legacy_email", address) //piivet:allow adopt dropped by the migration of March
}

func rows(db *gorm.DB, address string) {
	row := Row{"email": address} // want `key "email" of Row \(stored\)`
	row["phone"] = address       // want `key "phone" of Row \(stored\)`
	_ = row["name"]

	user := map[string]any{"email": address} // want `key "email" of map\[string\]any \(nobody sees where it goes\)`
	user["phone"] = address                  // want `key "phone" of map\[string\]any \(stored\)`
	db.Create(user)
	db.Create(map[string]any{"email": address, "active": true})   // want `key "email" of map\[string\]any \(stored\)`
	db.Create(&map[string]any{"email": address})                  // want `key "email" of map\[string\]any \(stored\)`
	db.Where(map[string]any{"email": address}).Find(&Row{}, "id") // only looks for it
	db.Where("email = @email", map[string]any{"email": address})
}

func others(w http.ResponseWriter, address string) {
	p := Payload{"email": address}                                      // want `key "email" of Payload \(nobody sees where it goes\)`
	_ = json.NewEncoder(w).Encode(map[string]any{"new_email": address}) // want `key "new_email" of map\[string\]any \(nobody sees where it goes\)`
	_ = p["email_token"]
	url.Values{}.Set("email", address)
	_ = url.Values{"email": {address}}
	w.Header()["email"] = []string{address}
	_ = map[string]bool{"email": true}
	_ = map[string]string{"email": "Your address"} // a label
	_ = map[string]func(){"email": func() {}}
	_ = map[string]any{"an email": address, "https://example.com/email": address}
	_ = map[int]string{1: address}[1]
	slog.Info("sent", "email", address)
}

// Look is stored with data of any shape.
type Look struct {
	Meta     map[string]any    `db:"meta"`     // want `Look\.Meta \(map\[string\]any, stored by db\) is a map or JSON: look inside for addresses and numbers`
	Identity json.RawMessage   `db:"identity"` // want `Look\.Identity \(json\.RawMessage, stored by db\) is a map or JSON`
	Own      JSONMap           `db:"own"`      // want `Look\.Own \(JSONMap, stored by db\) is a map or JSON`
	Pointer  *JSONMap          `db:"pointer"`  // want `Look\.Pointer \(\*JSONMap, stored by db\) is a map or JSON`
	Any      any               `bson:"any"`    // want `Look\.Any \(any, stored by bson\) is a map or JSON`
	List     []map[string]any  `bson:"list"`   // want `Look\.List \(\[\]map\[string\]any, stored by bson\) is a map or JSON`
	Labels   map[string]string `db:"labels"`   // want `Look\.Labels`
	Flags    map[string]bool   `db:"flags"`
	Counts   map[string]int    `db:"counts"`
	Picture  []byte            `db:"picture"`
	Sent     map[string]any    `json:"sent"`
	Out      map[string]any    `db:"-"`
}

// A JSONMap is stored as JSON.
type JSONMap map[string]any

// Nested is stored as JSON.
type Nested struct{ Name string }

const schema = "CREATE TABLE IF NOT EXISTS identities (" + // want `the database generates identities\.email from lower\(identity_data->>'email'\)`
	`id uuid PRIMARY KEY, identity_data jsonb NOT NULL,
	email text GENERATED ALWAYS AS (lower(identity_data->>'email')) STORED)`

func migrate(run func(string)) {
	run(schema)
	run(`ALTER TABLE users ADD COLUMN domain text AS (substr(email, 3)) VIRTUAL`) // want `the database generates users\.domain from substr\(email, 3\): make it a column of its own before its source is sealed`
	run("CREATE INDEX looks_name ON looks (name)")
}

// Typed is stored by a library that makes JSON of a struct.
type Typed struct {
	Nested Nested `gorm:"serializer:json"` // want `Typed\.Nested \(Nested, stored by gorm\) is a map or JSON`
	Other  Nested
}

// A Lead is looked up by maps and names of columns.
type Lead struct {
	Email     string `db:"email"`      // want `Lead\.Email .*, with EmailIndex pii\.Index`
	WorkEmail string `db:"work_email"` // want `Lead\.WorkEmail .*, with WorkEmailIndex pii\.Index`
	Phone     string `db:"phone"`      // want `Lead\.Phone .*, with PhoneIndex pii\.Index`
	HomePhone string `db:"home_phone"` // want `Lead\.HomePhone .*, with HomePhoneIndex pii\.Index`
	OldPhone  string `db:"old_phone"`  // want `Lead\.OldPhone .* make it pii\.Phone$`
}

// FindFirstBy finds a row.
func FindFirstBy(column string, value any) *Lead { return nil }

func lookUp(db *gorm.DB, text string) {
	FindFirstBy("work_email", text)
	_ = squirrel.Eq{"phone": text}
	db.Exec("SELECT 1 FROM leads WHERE home_phone = @home_phone", map[string]any{"home_phone": text})
	db.Exec("UPDATE leads SET old_phone = @old_phone", map[string]any{"old_phone": text}) // want `key "old_phone" of map\[string\]any \(stored\)`
}
