package migrate_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A deploy pipeline runs one step at a time, and stops where it finds something
// that people have to decide on. A complete program is in examples/usermodel.
func Example() {
	ctx := context.Background()
	var db *sql.DB            // an open database
	var security *vault.Scope // from a vault

	forSecurity := purpose.MustParse("security")
	m, err := migrate.New(ctx, db, migrate.SQLite, migrate.Table{
		Name: "users", Key: "id", Read: []string{"phone_source", "created_at"},
		Scopes: []*vault.Scope{security},
		Columns: []migrate.Column{{
			Kind: migrate.Phone(), Plain: "phone", Sealed: "phone_sealed",
			Indexes: map[purpose.Purpose]string{forSecurity: "phone_index"},
			CollectedFor: func(r migrate.Row) []*vault.Scope {
				if r.Text("phone_source") == "2fa" {
					basis := purpose.Basis{Notice: "2fa-prompt-v3"}
					basis.Collected, _ = r.Time("created_at")
					return []*vault.Scope{security.Under(basis)}
				}
				return nil // nobody knows: quarantine
			},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	report, err := m.Backfill(ctx, &migrate.Options{
		RowsPerSecond: 5000,
		Progress:      func(p migrate.Progress) { fmt.Fprintln(os.Stderr, p) },
	})
	fmt.Print(report)
	if err != nil {
		log.Fatal(err)
	}
	if !report.OK() {
		log.Fatal("see the report")
	}
}

func ExampleProgress() {
	fmt.Println(migrate.Progress{Step: "backfill", Done: 12_000, Total: 50_000, Changed: 11_970, Problems: 30, Elapsed: 6 * time.Second, Last: "12000"})
	fmt.Println(migrate.Progress{Step: "backfill", Done: 50_000, Total: 50_000, Elapsed: 10 * time.Second, Last: "50000", Finished: true})
	// Output:
	// backfill: 12000 of 50000 rows, 24%, 11970 changed, 30 problems, 2000 rows/s, 19s left
	// backfill: 50000 of 50000 rows, 100%, 5000 rows/s
}

func ExampleReport() {
	report := &migrate.Report{
		Step: "plan", Rows: 1204,
		Columns: []migrate.ColumnReport{{
			Column: "phone", Plain: 1190, Left: map[string]int64{"test-account": 2},
			Problems: map[migrate.Problem]int64{migrate.Invalid: 1, migrate.Quarantined: 40},
			Decisions: map[purpose.Set]int64{
				{}: 40, purpose.NewSet(purpose.MustParse("security")): 1147,
			},
		}},
		Problems: map[migrate.Problem]int64{migrate.Invalid: 1, migrate.Quarantined: 40},
	}
	fmt.Print(report)
	fmt.Println(migrate.Finding{Key: "17", Column: "phone", Problem: migrate.Invalid})
	// Output:
	// plan: 1204 rows, 0 changed
	//   phone: 1190 plain, 0 sealed
	//     40 collected for an unknown purpose
	//     1147 collected for security
	//     2 left: test-account
	//     invalid: 1
	//     quarantined: 40
	// row 17: phone: invalid
}
