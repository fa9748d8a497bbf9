// Package scenario holds the rules that sealed values and indexes keep in every
// library and on every database, as tests over one interface.
package scenario

import (
	"context"
	"database/sql"
	"testing"

	"github.com/onlyfor/onlyfor/pii"

	"github.com/onlyfor/onlyfor/examples/databases/internal/testdb"
)

// A User is the row that every library stores. The libraries' own models have the same
// fields, so that they convert to it.
type User struct {
	ID         int64
	Email      pii.Email
	EmailIndex pii.Index
	Phone      *pii.Phone
	Recovery   sql.Null[pii.Email]
}

// Users is a table of users, as one library writes it.
type Users interface {
	Insert(context.Context, User) error
	// InsertAll inserts in bulk, by the library's own means.
	InsertAll(context.Context, []User) error
	// Update writes every field of the user who has the id.
	Update(context.Context, User) error
	Get(ctx context.Context, id int64) (User, error)
	// FindByIndex returns users WHERE email_index = the index.
	FindByIndex(context.Context, pii.Index) ([]User, error)
	// FindByIndexes returns users whose email_index is one of the indexes, with IN
	// or ANY.
	FindByIndexes(context.Context, []pii.Index) ([]User, error)
	// FindByEmail returns users WHERE email = the sealed value.
	FindByEmail(context.Context, pii.Email) ([]User, error)
	// Row is Get without a conversion: it returns the library's own model.
	Row(ctx context.Context, id int64) (any, error)
}

// Logs tells which values a library's most talkative debug log shows.
type Logs int

// The contents of a debug log. Sealed values are of no use to a reader of the log.
// Indexes let the reader link people.
const (
	Nothing    Logs = iota // no log
	Statements             // statements, at most with sealed values
	Indexes                // statements, at times with indexes
)

// Known lists the documented peculiarities of a library.
type Known struct {
	Logs Logs
	// PoisonInSQL says that the error of a poisoned index goes into the statement,
	// and that the database refuses it.
	PoisonInSQL bool
}

// Run runs every rule. The table of users exists and is empty, and the library writes
// its log to db.Log.
func Run(t *testing.T, db *testdb.DB, users Users, known Known) {
	f := &fixture{T: t, db: db, users: users, known: known}
	f.setup()
	f.run("save and load", f.saveAndLoad)
	f.run("zero values and nil pointers are NULL", f.nulls)
	f.run("look up by index", f.lookUp)
	f.run("look up by the indexes of two keys", f.lookUpRotated)
	f.run("update", f.update)
	f.run("the index column is unique", f.unique)
	f.run("insert in bulk", f.bulk)
	f.run("a sealed value finds nothing", f.sealedArgument)
	f.run("plaintext and other kinds fail the CHECK", f.check)
	f.run("rows print as labels", f.printed)
	f.run("no plaintext in rows, files and logs", f.nothingLeaked)
	f.run("what is not sealed is not loaded", f.foreign)
	f.run("nobody is in a log, an error or a diff", f.contactStaysOut)
}
