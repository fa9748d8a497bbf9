// Command sqlx keeps users with sealed addresses in SQLite, through sqlx.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/jmoiron/sqlx"
	_ "modernc.org/sqlite"

	"github.com/onlyfor/onlyfor/pii"

	"github.com/onlyfor/onlyfor/examples/databases/internal/demo"
	"github.com/onlyfor/onlyfor/examples/databases/internal/schema"
)

// A User is a row of users.
type User struct {
	ID         int64
	Email      pii.Email
	EmailIndex pii.Index `db:"email_index"`
	Phone      *pii.Phone
	Recovery   sql.Null[pii.Email]
}

const insert = `INSERT INTO users (id, email, email_index, phone, recovery)
	VALUES (:id, :email, :email_index, :phone, :recovery)`

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	security, err := demo.Security(ctx)
	if err != nil {
		return err
	}
	db, err := sqlx.Open("sqlite", ":memory:")
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, schema.SQLite); err != nil {
		return err
	}

	email, index, err := pii.SealEmailIndexed(ctx, "Ada@example.com", security)
	if err != nil {
		return err
	}
	if _, err := db.NamedExecContext(ctx, insert, User{ID: 1, Email: email, EmailIndex: index}); err != nil {
		return err
	}

	// While index keys rotate, an address has several indexes to look for.
	wanted, err := pii.IndexesEmail(ctx, "ada@EXAMPLE.com", security)
	if err != nil {
		return err
	}
	query, args, err := sqlx.In("SELECT * FROM users WHERE email_index IN (?)", wanted)
	if err != nil {
		return err
	}
	var found User
	if err := db.GetContext(ctx, &found, query, args...); err != nil {
		return err
	}
	hint, err := found.Email.Hint(ctx, security)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%v is %s\n", found.Email, hint)
	return nil
}
