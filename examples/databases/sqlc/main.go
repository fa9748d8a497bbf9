// Command sqlc keeps users with sealed addresses in SQLite, through code that
// sqlc generates. The types of columns are in sqlc.yaml.
package main

//go:generate go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.30.0 generate

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log"
	"os"

	_ "modernc.org/sqlite"

	"github.com/onlyfor/onlyfor/pii"

	"github.com/onlyfor/onlyfor/examples/databases/internal/demo"
	"github.com/onlyfor/onlyfor/examples/databases/internal/schema"
	"github.com/onlyfor/onlyfor/examples/databases/sqlc/sqlite"
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
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, schema.SQLite); err != nil {
		return err
	}
	queries := sqlite.New(db)

	email, index, err := pii.SealEmailIndexed(ctx, "Ada@example.com", security)
	if err != nil {
		return err
	}
	if err := queries.Insert(ctx, sqlite.InsertParams{ID: 1, Email: email, EmailIndex: index}); err != nil {
		return err
	}

	wanted, err := pii.IndexesEmail(ctx, "ada@EXAMPLE.com", security)
	if err != nil {
		return err
	}
	found, err := queries.FindByIndexes(ctx, wanted)
	if err != nil {
		return err
	}
	for _, user := range found {
		hint, err := user.Email.Hint(ctx, security)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%v is %s\n", user.Email, hint)
	}
	return nil
}
