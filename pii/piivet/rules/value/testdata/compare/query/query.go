package query

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/Masterminds/squirrel"
	"gorm.io/gorm"

	"example.com/shop/predicate"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

type User struct {
	ID         int
	Email      pii.Email
	EmailIndex pii.Index
}

const byEmail = `SELECT id FROM users WHERE email = $1`

func find(ctx context.Context, db *sql.DB, e pii.Email, p *pii.Phone, i pii.Index, u User) {
	db.QueryRowContext(ctx, byEmail, e)                                      // want `sealed value looked for by a query: two seals of one address differ, so no row is found: keep a column of indexes, and look for what pii.IndexEmail returns`
	db.Query("SELECT id FROM users WHERE phone = ?", p)                      // want `look for what pii.IndexPhone returns`
	db.Query("SELECT id FROM users WHERE id = ? AND email = ?", u.ID, e)     // want `sealed value looked for`
	db.Exec("DELETE FROM users WHERE email = ?", any(u.Email))               // want `sealed value looked for`
	db.Exec("UPDATE users SET seen = now() WHERE email = ?", e)              // want `sealed value looked for`
	db.Query("SELECT id FROM users WHERE email_index = ?", i.GoString())     // want `label looked for by a query: GoString says the same of all values of a purpose, so pass the index itself`
	db.Query("SELECT 1 FROM u WHERE email = @e", sql.Named("e", e))          // want `sealed value looked for`
	db.Query("SELECT 1 FROM u WHERE email = ANY($1)", array([]pii.Email{e})) //

	db.QueryRowContext(ctx, "SELECT id FROM users WHERE email_index = $1", i)
	db.Exec("INSERT INTO users (email, phone, email_index) VALUES (?, ?, ?)", e, p, i)
	db.Exec("UPDATE users SET email = ?, phone = ? WHERE id = ?", e, p, u.ID)
	db.Exec("UPDATE users SET email = ? WHERE id = ? AND email = ?", e, u.ID, u.Email) // compare-and-swap
	db.Exec("INSERT INTO u VALUES (@e)", sql.Named("e", e))
	fmt.Printf("SELECT id FROM users WHERE email = $1", e)
}

func array(any) any { return nil }

// Queries that are put together.
func parts(db *sql.DB, e pii.Email, table string, id int) {
	db.Query("SELECT id FROM "+table+" WHERE email = $1", e)                                 // want `sealed value looked for`
	db.Query("SELECT id FROM "+table+" WHERE email = ?", e)                                  // want `sealed value looked for`
	db.Query(fmt.Sprintf("SELECT %s FROM users WHERE id = $1 AND email = $2", table), id, e) // want `sealed value looked for`
	db.Query(strings.TrimSpace(" SELECT id FROM users WHERE email = ?"), e)                  // want `sealed value looked for`
	const where = " WHERE email = ?"
	query := "SELECT id FROM users" + where
	db.Query(query, e) // want `sealed value looked for`
	args := []any{id, e}
	db.Query("SELECT id FROM users WHERE id = ? OR email = ?", args...)         // want `sealed value looked for`
	db.Query("SELECT id FROM users WHERE id = ? OR email = ?", []any{id, e}...) // want `sealed value looked for`

	// Not followed: what is known only when the program runs.
	db.Query(table, e)
	db.Query("SELECT id FROM "+table+" WHERE email = ?", id, e)
	either := "SELECT id FROM users WHERE email = ?"
	if id > 0 {
		either = "INSERT INTO users (email) VALUES (?)"
	}
	db.Query(either, e)
	table += "SELECT id FROM users WHERE email = ?"
	db.Query(table, e)
	grows := "SELECT id FROM users"
	grows += where
	db.Query(grows, e)
}

type Queries interface {
	Get(ctx context.Context, dest any, query string, args ...any) error
	NamedExec(query string, arg any) (sql.Result, error)
}

// Any driver, and any wrapper of one.
func wrapped(ctx context.Context, q Queries, e pii.Email) {
	var u User
	q.Get(ctx, &u, "SELECT * FROM users WHERE email = ?", e)                              // want `sealed value looked for`
	q.NamedExec("UPDATE u SET a = 1 WHERE email = :email", map[string]any{"email": e})    // want `sealed value looked for`
	q.NamedExec("UPDATE u SET email = :email WHERE id = :id", map[string]any{"email": e}) //
	get := q.Get
	get(ctx, &u, "SELECT * FROM users WHERE email = ?", e) // a function value: not followed
}

func EmailEQ(e pii.Email) predicate.User { return nil }
func IndexEQ(i pii.Index) predicate.User { return nil }

func builders(ctx context.Context, db *gorm.DB, e pii.Email, u User, scope *vault.Scope) {
	db.Where("email = ?", e).First(&u)                         // want `sealed value looked for`
	db.Where("id = ?", u.ID).Not("email IN ?", []pii.Email{e}) // want `sealed value looked for`
	db.First(&u, "email = ?", e)                               // want `sealed value looked for`
	db.Where(&User{Email: e}).First(&u)                        // want `sealed value looked for`
	db.Where(map[string]any{"email": e})                       // want `sealed value looked for`
	db.Where(User{EmailIndex: u.EmailIndex}).Find(&u)          // want `index in a struct condition, which GORM leaves out if it is zero, and finds every row: write Where\("email_index = \?", index\)`
	db.Where(User{EmailIndex: pii.Index{}}).Find(&u)           // want `index in a struct condition`
	_ = squirrel.Eq{"email": e}                                // want `sealed value looked for`
	EmailEQ(e)                                                 // want `sealed value looked for`

	index, _ := pii.IndexEmail(ctx, "", scope) // poisoned if it failed
	db.Where(&User{EmailIndex: index}).First(&u)
	db.Where("email_index = ?", u.EmailIndex).First(&u)
	db.Create(&User{Email: e, EmailIndex: u.EmailIndex})
	db.Where("id = ?", u.ID).Updates(User{Email: e})
	db.Find(&User{Email: e})
	db.Where(&User{ID: 1, Email: pii.Email{}}) // zero fields are left out
	IndexEQ(index)

	//piivet:allow compare finds the very row that was read
	db.Where("email = ?", e).First(&u)
}
