// Command migrate seals the database of the service in ../before for the service in
// ../after.
//
//	go -C examples run ./usermodel/migrate          # all steps, on an example
//	go -C examples run ./usermodel/migrate backfill # one step, as a pipeline does
//
// If there is no database it makes one, with the mistakes that such tables contain. A
// step that runs alone fails if it finds rows that people have to decide on.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite"

	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

var forSecurity = purpose.MustParse("security")

func main() {
	dir := flag.String("dir", filepath.Join(os.TempDir(), "onlyfor-usermodel"), "where the database and the keys are")
	people := flag.Int("people", 20_000, "how many to make if there is no database")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, *dir, *people, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "migrate:", err)
		os.Exit(1)
	}
}

var errDecide = errors.New("there is something to decide on: see the report")

func run(ctx context.Context, out io.Writer, dir string, people int, steps []string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "users.db")+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)")
	if err != nil {
		return err
	}
	defer db.Close()
	if err := seed(ctx, db, people); err != nil {
		return err
	}
	if err := addColumns(ctx, db); err != nil {
		return err
	}
	v, err := vault.OpenAdmin(ctx, vault.Dir(filepath.Join(dir, "keys")), vault.LocalKEK(filepath.Join(dir, "kek")), nil)
	if err != nil {
		return err
	}
	defer v.Close()
	if err := v.Generate(ctx, forSecurity); err != nil {
		return err
	}
	security, err := v.Scope(ctx, forSecurity)
	if err != nil {
		return err
	}
	m, err := migrate.New(ctx, db, migrate.SQLite, describe(security))
	if err != nil {
		return err
	}
	all := len(steps) == 0
	if all {
		steps = []string{"plan", "backfill", "verify", "cut-over", "leftovers"}
	}
	run := map[string]func(context.Context, *migrate.Options) (*migrate.Report, error){
		"plan": m.Plan, "backfill": m.Backfill, "repair": m.Repair, "verify": m.Verify, "cut-over": m.CutOver,
	}
	for _, name := range steps {
		if name == "leftovers" {
			if err := leftovers(ctx, out, m); err != nil && !(all && errors.Is(err, errDecide)) {
				return err
			}
			continue
		}
		step, known := run[name]
		if !known {
			return errors.New("steps are plan, backfill, repair, verify, cut-over and leftovers")
		}
		report, err := step(ctx, &migrate.Options{Progress: bar(out)})
		fmt.Fprint(out, report)
		for _, f := range report.Findings[:min(len(report.Findings), 10)] {
			fmt.Fprintln(out, "   ", f)
		}
		fmt.Fprintln(out)
		if err == nil && !report.OK() && !all {
			err = errDecide
		}
		if err == nil && name == "cut-over" {
			err = forget(ctx, db)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// leftovers searches the other columns of the database for the values that are sealed.
func leftovers(ctx context.Context, out io.Writer, m *migrate.Migration) error {
	report, err := m.Leftovers(ctx, &migrate.Options{Progress: bar(out)})
	fmt.Fprintln(out, report)
	if err == nil && !report.OK() {
		err = errDecide
	}
	return err
}

// forget removes the old contents of rows from the file.
func forget(ctx context.Context, db *sql.DB) error {
	for _, statement := range []string{"VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// The notices that people saw when they typed an address or a number.
var (
	signUp    = purpose.Basis{Legal: purpose.Contract, Notice: "sign-up-v1"}
	twoFactor = purpose.Basis{Legal: purpose.LegitimateInterests, Notice: "2fa-prompt-v1"}
)

// since returns the basis with the time at which a row was made: its values were
// collected then, and not on the day of the migration.
func since(basis purpose.Basis, r migrate.Row) purpose.Basis {
	basis.Collected, _ = r.Time("created_at") // no time states nothing
	return basis
}

// describe returns the columns to seal, and the bases that their values were collected
// under. All addresses come from the sign-up form. The column phone_source tells which
// phone numbers were typed for two-factor codes.
func describe(security *vault.Scope) migrate.Table {
	return migrate.Table{
		Name: "users", Key: "id", Read: []string{"phone_source", "created_at"},
		Scopes: []*vault.Scope{security},
		Columns: []migrate.Column{
			{
				Kind: migrate.Email(), Plain: "email", Sealed: "email_sealed",
				Indexes:      map[purpose.Purpose]string{forSecurity: "email_index"},
				CollectedFor: func(r migrate.Row) []*vault.Scope { return []*vault.Scope{security.Under(since(signUp, r))} },
			},
			{
				Kind: migrate.Phone(), Plain: "phone", Sealed: "phone_sealed",
				CollectedFor: func(r migrate.Row) []*vault.Scope {
					if r.Text("phone_source") == "2fa" {
						return []*vault.Scope{security.Under(since(twoFactor, r))}
					}
					return nil // it may come from a list that somebody bought
				},
			},
		},
	}
}
