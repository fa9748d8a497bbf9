// Command bun keeps users with sealed addresses in SQLite, through bun.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite"

	"github.com/onlyfor/onlyfor/pii"

	"github.com/onlyfor/onlyfor/examples/databases/internal/demo"
	"github.com/onlyfor/onlyfor/examples/databases/internal/schema"
)

// A User is a row of users, a table that the migrations make. CreateTable needs the
// type of every field in its tag. Without one, it makes a struct JSONB on PostgreSQL,
// and varchar elsewhere.
type User struct {
	ID         int64               `bun:",pk"`
	Email      pii.Email           `bun:"type:text"`
	EmailIndex pii.Index           `bun:"type:bytea,unique"` // varbinary(16) on MySQL, blob on SQLite
	Phone      *pii.Phone          `bun:"type:text"`
	Recovery   sql.Null[pii.Email] `bun:"type:text"`
}

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
	conn, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return err
	}
	db := bun.NewDB(conn, sqlitedialect.New())
	defer db.Close()
	if _, err := db.ExecContext(ctx, schema.SQLite); err != nil {
		return err
	}

	email, index, err := pii.SealEmailIndexed(ctx, "Ada@example.com", security)
	if err != nil {
		return err
	}
	if _, err := db.NewInsert().Model(&User{ID: 1, Email: email, EmailIndex: index}).Exec(ctx); err != nil {
		return err
	}

	// While index keys rotate, an address has several indexes to look for.
	wanted, err := pii.IndexesEmail(ctx, "ada@EXAMPLE.com", security)
	if err != nil {
		return err
	}
	var found User
	if err := db.NewSelect().Model(&found).Where("email_index IN (?)", bun.List(wanted)).Scan(ctx); err != nil {
		return err
	}
	hint, err := found.Email.Hint(ctx, security)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%v is %s\n", found.Email, hint)
	return nil
}
