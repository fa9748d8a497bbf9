// Command ent keeps users with sealed addresses in SQLite, through code that ent
// generates from ent/schema.
package main

//go:generate go run entgo.io/ent/cmd/ent@v0.14.5 generate --feature sql/upsert ./ent/schema

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log"
	"os"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	_ "modernc.org/sqlite"

	"github.com/onlyfor/onlyfor/pii"

	"github.com/onlyfor/onlyfor/examples/databases/ent/ent"
	"github.com/onlyfor/onlyfor/examples/databases/ent/ent/user"
	"github.com/onlyfor/onlyfor/examples/databases/internal/demo"
)

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
	db, err := sql.Open("sqlite", "file::memory:?_pragma=foreign_keys(1)")
	if err != nil {
		return err
	}
	client := ent.NewClient(ent.Driver(entsql.OpenDB(dialect.SQLite, db)))
	defer client.Close()
	if err := client.Schema.Create(ctx); err != nil {
		return err
	}

	email, index, err := pii.SealEmailIndexed(ctx, "Ada@example.com", security)
	if err != nil {
		return err
	}
	if err := client.User.Create().SetID(1).SetEmail(email).SetEmailIndex(index).Exec(ctx); err != nil {
		return err
	}

	// While index keys rotate, an address has several indexes to look for.
	wanted, err := pii.IndexesEmail(ctx, "ada@EXAMPLE.com", security)
	if err != nil {
		return err
	}
	found, err := client.User.Query().Where(user.EmailIndexIn(wanted...)).Only(ctx)
	if err != nil {
		return err
	}
	hint, err := found.Email.Hint(ctx, security)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%v is %s\n", found.Email, hint)
	return nil
}
