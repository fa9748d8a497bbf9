// Command sealemails seals the addresses of the auth collections in a data directory.
//
//	sealemails pb_data
//
// The service must not run meanwhile. The command can be repeated after a failure.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite"

	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/pocketbase/pocketbase/core"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: sealemails DIRECTORY")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "sealemails:", err)
		os.Exit(1)
	}
}

// unsealed selects the auth collections that are not sealed, or not to the end.
const unsealed = `SELECT name FROM _collections AS c WHERE type = 'auth' AND (
	NOT EXISTS (SELECT 1 FROM pragma_table_info(c.name) AS t WHERE t.name = 'email_index') OR
	EXISTS (SELECT 1 FROM pragma_table_info(c.name) AS t WHERE t.name = 'email_plain')) ORDER BY name`

func run(ctx context.Context, dir string) error {
	security, err := core.OpenSecurity(ctx, dir)
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "data.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	defer db.Close()
	tables, err := rows(ctx, db, unsealed)
	if err != nil {
		return err
	}
	for _, table := range tables {
		if err := seal(ctx, db, table, security); err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
	}
	// one-time passwords are valid for minutes, and have the address that they were sent to
	statements := []string{"DELETE FROM _otps"}
	for _, table := range tables {
		m, err := migrate.New(ctx, db, migrate.SQLite, describe(table, security))
		if err != nil {
			return err
		}
		left, err := m.Leftovers(ctx, nil)
		if err != nil {
			return err
		}
		for _, found := range left.Found {
			fmt.Printf("%s: also in %s\n", table, found)
		}
		statements = append(statements, `ALTER TABLE "`+table+`" DROP COLUMN email_plain`)
	}
	for _, statement := range append(statements, "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)") {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// seal runs all steps over one table. The former column is renamed, so that the sealed one has its name.
func seal(ctx context.Context, db *sql.DB, table string, security *vault.Scope) error {
	columns, err := rows(ctx, db, "SELECT name FROM pragma_table_info(?)", table)
	if err != nil {
		return err
	}
	if !strings.Contains(strings.Join(columns, " "), core.FieldNameEmailIndex) {
		if err := addColumns(ctx, db, table); err != nil {
			return err
		}
	}
	m, err := migrate.New(ctx, db, migrate.SQLite, describe(table, security))
	if err != nil {
		return err
	}
	for _, step := range []func(context.Context, *migrate.Options) (*migrate.Report, error){m.Plan, m.Backfill, m.Verify, m.CutOver} {
		report, err := step(ctx, nil)
		if err != nil {
			return err
		}
		if fmt.Println(report); !report.OK() {
			return errors.New("people have to decide on some rows")
		}
	}
	return nil
}

func describe(table string, security *vault.Scope) migrate.Table {
	return migrate.Table{
		Name: table, Key: "id", Read: []string{"created"}, Scopes: []*vault.Scope{security},
		Columns: []migrate.Column{{
			Kind: migrate.Email(), Plain: "email_plain", Sealed: core.FieldNameEmail,
			Indexes: map[purpose.Purpose]string{core.PurposeSecurity: core.FieldNameEmailIndex},
			CollectedFor: func(r migrate.Row) []*vault.Scope {
				basis := core.SignUpBasis
				basis.Collected, _ = r.Time("created")
				return []*vault.Scope{security.Under(basis)}
			},
		}},
	}
}

// addColumns replaces the column of plaintext by email_plain, which may be NULL, and adds the sealed column and its
// index, which is as unique as the former column was. Views and indexes that name the column are made again.
func addColumns(ctx context.Context, db *sql.DB, table string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	const dependent = `SELECT '%s' FROM sqlite_master WHERE sql IS NOT NULL AND (type = 'view' OR type = 'index' AND tbl_name = ? AND sql LIKE '%%email%%')`
	drops, err := rows(ctx, tx, strings.Replace(dependent, "'%s'", `'DROP ' || type || ' "' || name || '"'`, 1), table)
	if err != nil {
		return err
	}
	creates, err := rows(ctx, tx, strings.Replace(dependent, "'%s'", "sql", 1), table)
	if err != nil {
		return err
	}
	quoted := `"` + table + `"`
	statements := append(drops,
		"ALTER TABLE "+quoted+" ADD COLUMN email_plain TEXT",
		"UPDATE "+quoted+" SET email_plain = NULLIF(email, '')",
		"ALTER TABLE "+quoted+" DROP COLUMN email",
		"ALTER TABLE "+quoted+" ADD COLUMN email TEXT CHECK (email = '' OR email LIKE 'pii1.email.%')",
		"ALTER TABLE "+quoted+" ADD COLUMN email_index BLOB",
	)
	for _, sql := range creates {
		if strings.HasPrefix(sql, "CREATE UNIQUE INDEX") {
			sql = strings.NewReplacer("(email)", "(email_index)", "(`email`)", "(`email_index`)").Replace(sql)
		}
		statements = append(statements, sql)
	}
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func rows(ctx context.Context, db interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, query string, args ...any) (all []string, err error) {
	found, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		var one string
		if err := found.Scan(&one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, found.Err()
}
