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
//	report, err := m.Backfill(ctx, nil)
//
// Start with [New]. The package imports no driver. It is tested with
// github.com/jackc/pgx/v5, github.com/go-sql-driver/mysql and
// modernc.org/sqlite.
//
// # The recipe
//
//  1. Add the columns, all of them nullable: one of text for each sealed value,
//     one of bytes for each index (BYTEA, VARBINARY(16), BLOB).
//  2. [Migration.Plan], as often as it takes. It reports invalid values,
//     duplicates, and values whose purpose nobody knows. People decide on these;
//     no step does.
//  3. Deploy an application that writes both, and still reads the plaintext: see
//     below. Go on when no instance of the former version is left.
//  4. [Migration.Backfill]. Then make an index of the database on each index
//     column; make it before the backfill if it must be unique.
//  5. [Migration.Verify]. If it finds values that are [Stale], some program still
//     writes the plaintext alone: find it, then call [Migration.Repair].
//  6. Deploy an application that reads the sealed columns, and then an application
//     that does not use the plaintext any more.
//  7. [Migration.CutOver] sets verified plaintext to NULL, row by row. Drop the
//     column when it is empty, and have the database forget its former content:
//     VACUUM FULL, OPTIMIZE TABLE, and the backups.
//
// A pipeline stops after a step that returns an error or a report that is not
// [Report.OK], and can run any step again at any time.
//
// Later, call [Migration.Reseal] after a rotation of keys, [Migration.Reindex] after
// a rotation of index keys, [Migration.Sweep] when retention ends, and
// [Migration.ClearErased] after erasures.
//
// # Writing both
//
// Between steps 3 and 6, a statement that changes the plaintext, also to NULL,
// changes all three columns:
//
//	sealed, err := pii.SealPhone(ctx, form.Phone, prompt)
//	index, err := pii.IndexPhone(ctx, form.Phone, security)
//	_, err = db.ExecContext(ctx,
//		"UPDATE users SET phone = $1, phone_sealed = $2, phone_index = $3 WHERE id = $4",
//		form.Phone, sealed, index, id)
//
// # Guarantees
//
// One statement writes a row. Its conditions are everything that the decision was
// based on: the plaintext that was sealed, the sealed value that was verified. So
// neither a concurrent writer nor another run nor a killed process loses a write or
// seals a value twice. The rows themselves say which work is left, so that a run can
// begin anew after any failure. A cursor saves time.
//
// No value is sealed for a purpose unless CollectedFor returned its scope for that
// row. Reports have keys of rows and never their content. Errors have the code of a
// database's error and never its text, which may quote arguments.
//
// # Limits
//
// The time of collection of a sealed value is the time of the backfill, and
// retention begins then: have CollectedFor shorten [purpose.Basis.Retain] by the
// age of the row. The database's log of statements, its write-ahead log and its dead
// rows hold the plaintext for as long as they are kept.
package migrate
