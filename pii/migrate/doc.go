// Package migrate seals plaintext columns of a live table, in steps that a deploy
// pipeline can run while the application serves its users.
//
//	m, err := migrate.New(ctx, db, migrate.Postgres, migrate.Table{
//		Name: "users", Key: "id", Read: []string{"phone_source"},
//		Scopes: []*vault.Scope{security},
//		Columns: []migrate.Column{{
//			Kind: migrate.Phone(), Plain: "phone", Sealed: "phone_sealed",
//			Indexes: map[purpose.Purpose]string{purposes.Security: "phone_index"},
//			CollectedFor: func(r migrate.Row) []*vault.Scope {
//				if r.Text("phone_source") == "2fa" {
//					return []*vault.Scope{security.Under(prompt)}
//				}
//				return nil // nobody knows: quarantine
//			},
//		}},
//	})
//	report, err := m.Backfill(ctx, &migrate.Options{Progress: migrate.Bar(os.Stderr)})
//
// Start with [New]. The package imports no driver. It is tested with
// github.com/jackc/pgx/v5, github.com/go-sql-driver/mysql and
// modernc.org/sqlite.
//
// # The recipe
//
//  1. Add the columns, all of them nullable: one of text for each sealed value,
//     one of bytes for each index (BYTEA, VARBINARY(16), BLOB).
//  2. [Migration.Plan], as often as it takes: it tells what is not valid, what is
//     there twice, and of which values it is not known what they were collected
//     for. These are decisions for people, and no step makes them.
//  3. Deploy an application that writes both, and still reads the plaintext: see
//     below. Go on when no instance of the former version is left.
//  4. [Migration.Backfill], then an index of the database on each index column, or
//     before it where it must be unique.
//  5. [Migration.Verify]. If it finds values that are [Stale], something still
//     writes the plaintext alone: find it, then [Migration.Repair].
//  6. Deploy an application that reads the sealed columns, and then one that does
//     not touch the plaintext any more.
//  7. [Migration.CutOver] sets the plaintext to NULL, row by row, where it is
//     verified. Drop the column when nothing is left in it, and have the database
//     forget what it held: VACUUM FULL, OPTIMIZE TABLE, and the backups.
//
// A pipeline ends a step with an error if there is one or the report is not
// [Report.OK], and can run any step again at any time.
//
// Later, [Migration.Reseal] follows a rotation of keys, [Migration.Reindex] one of
// index keys, [Migration.Sweep] the end of a time of retention, and
// [Migration.ClearErased] erasures.
//
// # Writing both
//
// Between steps 3 and 6, whatever changes the plaintext changes all of it in one
// statement, to NULL as well:
//
//	sealed, err := pii.SealPhone(ctx, form.Phone, prompt)
//	index, err := pii.IndexPhone(ctx, form.Phone, security)
//	_, err = db.ExecContext(ctx,
//		"UPDATE users SET phone = $1, phone_sealed = $2, phone_index = $3 WHERE id = $4",
//		form.Phone, sealed, index, id)
//
// # What is guaranteed
//
// A row is written by one statement that holds all that was decided on as its
// conditions: the plaintext that was sealed, the sealed value that was verified.
// Neither a concurrent writer nor another run nor a killed process loses a write
// or has a value sealed twice. What to do is read from the rows, so that a run
// can begin anew after any failure; a cursor saves it time.
//
// No value is sealed for a purpose that was not decided on, explicitly, for its
// row. Reports have the keys of rows and never what is in them. Errors have the
// number of the database's error, and never its text, which may quote arguments.
//
// # What is not
//
// A sealed value says that it was collected when the backfill sealed it, and its
// time of retention begins then: have CollectedFor shorten [purpose.Basis.Retain] by the age
// of the row. The database's log of statements, its write-ahead log and its
// dead rows have the plaintext for as long as they are kept.
package migrate
