// Command databasesql keeps users with sealed addresses in SQLite, with database/sql
// alone.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	_ "modernc.org/sqlite"

	"github.com/onlyfor/onlyfor/pii"

	"github.com/onlyfor/onlyfor/examples/databases/internal/demo"
	"github.com/onlyfor/onlyfor/examples/databases/internal/schema"
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

	email, index, err := pii.SealEmailIndexed(ctx, "Ada@example.com", security)
	if err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "INSERT INTO users (id, email, email_index) VALUES (?, ?, ?)", 1, email, index); err != nil {
		return err
	}

	// While index keys rotate, an address has several indexes to look for.
	wanted, err := pii.IndexesEmail(ctx, "ada@EXAMPLE.com", security)
	if err != nil {
		return err
	}
	args := pii.Args(wanted)
	query := "SELECT email FROM users WHERE email_index IN (?" + strings.Repeat(", ?", len(args)-1) + ")"
	var found pii.Email
	if err := db.QueryRowContext(ctx, query, args...).Scan(&found); err != nil {
		return err
	}
	hint, err := found.Hint(ctx, security)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%v is %s\n", found, hint)
	return nil
}
