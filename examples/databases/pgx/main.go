// Command pgx keeps users with sealed addresses in PostgreSQL, through pgx alone. The
// database is the one that ONLYFOR_POSTGRES names, and the table is temporary.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/onlyfor/onlyfor/pii"

	"github.com/onlyfor/onlyfor/examples/databases/internal/demo"
	"github.com/onlyfor/onlyfor/examples/databases/internal/schema"
)

func main() {
	source := os.Getenv("ONLYFOR_POSTGRES")
	if source == "" {
		log.Fatal("set ONLYFOR_POSTGRES to the data source name of a PostgreSQL database")
	}
	if err := run(context.Background(), source, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, source string, out io.Writer) error {
	security, err := demo.Security(ctx)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, source)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, strings.Replace(schema.Postgres, "TABLE", "TEMPORARY TABLE", 1)); err != nil {
		return err
	}

	email, index, err := pii.SealEmailIndexed(ctx, "Ada@example.com", security)
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "INSERT INTO users (id, email, email_index) VALUES ($1, $2, $3)", 1, email, index); err != nil {
		return err
	}

	// While index keys rotate, an address has several indexes to look for. A
	// []pii.Index is an array of bytea.
	wanted, err := pii.IndexesEmail(ctx, "ada@EXAMPLE.com", security)
	if err != nil {
		return err
	}
	var found pii.Email
	if err := conn.QueryRow(ctx, "SELECT email FROM users WHERE email_index = ANY($1)", wanted).Scan(&found); err != nil {
		return err
	}
	hint, err := found.Hint(ctx, security)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%v is %s\n", found, hint)
	return nil
}
