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
//     no step does. A value that stays in plaintext gets a reason: see below.
//  3. Deploy an application that writes both, and still reads the plaintext: see
//     below. Go on when no instance of the former version is left.
//  4. [Migration.Backfill]. Then make an index of the database on each index
//     column; make it before the backfill if it must be unique.
//  5. [Migration.Verify]. If it finds values that are [Stale], some program still
//     writes the plaintext alone: find it, then call [Migration.Repair].
//  6. Deploy an application that reads the sealed columns, and then an application
//     that does not use the plaintext any more.
//  7. [Migration.CutOver] sets verified plaintext to NULL, row by row, and keeps the
//     plaintext of values that are left. Drop the column when it is empty, and have the database forget its former content:
//     VACUUM FULL, OPTIMIZE TABLE, and the backups.
//  8. [Migration.Leftovers] searches the other columns of the schema for the values that
//     were sealed: documents, logs, copies. Seal or delete them, until it is
//     [LeftoverReport.OK].
//
// A pipeline stops after a step that returns an error or a report that is not
// [Report.OK], and can run any step again at any time.
//
// Later, call [Migration.Reseal] after a rotation of keys, or to give each person a key
// of their own, [Migration.Reindex] after
// a rotation of index keys, [Migration.Sweep] when retention ends, and
// [Migration.ClearErased] after erasures. [Migration.ClearNotice] ends matching under a
// notice that is suspended.
//
// # Writing both
//
// Between steps 3 and 6, a statement that changes the plaintext, also to NULL,
// changes all three columns:
//
//	sealed, index, err := pii.SealPhoneIndexed(ctx, form.Phone, prompt)
//	_, err = db.ExecContext(ctx,
//		"UPDATE users SET phone = $1, phone_sealed = $2, phone_index = $3 WHERE id = $4",
//		form.Phone, sealed, index, id)
//
// # Phone numbers as people typed them
//
// [Phone] takes international numbers alone. A column of national ones, or of numbers
// in any form, has a [Column.Plaintext] with Parse of package phonenumber, and the person's
// country, or the only country that the company is in:
//
//	Read: []string{"country"}, // "GB", "US"
//	Columns: []migrate.Column{{
//		Kind: migrate.Phone(), Plain: "phone", Sealed: "phone_sealed",
//		Plaintext: func(r migrate.Row, raw []byte) (string, error) {
//			return phonenumber.Parse(string(raw), r.Text("country"))
//		},
//
// International numbers go through it as well, if people typed them: +44 07400 123456 is
// [Invalid] without it. The application that writes both seals the result of Parse too.
// Digits that all begin with a country code need "+" in front, and no region:
//
//	Plaintext: func(_ migrate.Row, raw []byte) (string, error) {
//		return "+" + strings.TrimPrefix(string(raw), "+"), nil
//	},
//
// Numbers that were sealed before their country changed its plan are rewritten by
// Renumber of package phonenumber.
//
// # Addresses that stay in clear
//
// CutOver leaves plaintext that its kind refuses, so a column with such values never
// gets empty. Columns of e-mail addresses have them: a..b@docomo.example, which a
// carrier handed out, quoted local parts, root@localhost, names beyond ASCII. Seal them
// as a second kind, of columns of their own, by a second migration over the rows that
// the first has left:
//
//	m, err := migrate.New(ctx, db, migrate.Postgres, migrate.Table{
//		Name: "users", Key: "id", Scopes: []*vault.Scope{security},
//		Columns: []migrate.Column{{
//			Kind: migrate.KindOf[writtenEmail](), Plain: "email", Sealed: "email_written",
//			Indexes: map[purpose.Purpose]string{purposes.Security: "email_written_index"},
//			CollectedFor: collectedFor,
//		}},
//	})
//
// The example of package pii on addresses as they are written has the kind. Run the
// steps of this migration after CutOver of the first: before it, Backfill would seal
// each address as both kinds. The application looks up in both index columns. Text that the
// second kind refuses, such as "unknown", is no address: people decide on it.
//
// # Values that stay as they are
//
// Some rows will never be right: the text of a test account, a number whose purpose
// nobody will find out. [Column.Leave] gives the reason for which such a value is left.
// Reports count it by reason, and are OK:
//
//	Leave: func(r migrate.Row, p migrate.Problem) string {
//		switch {
//		case p == migrate.Invalid && r.Bool("is_test"):
//			return "test-account"
//		case p == migrate.Quarantined && r.Text("phone_source") == "import-2016":
//			return "deleted-in-q3"
//		}
//		return "" // report it
//	},
//
// No step changes the value, so CutOver does not empty its column.
//
// # Documents and ciphertext
//
// [Column.Plaintext] also reads an address inside a JSON document, and [Column.Rest]
// takes it out of the document at the cut-over, in the statement that checks that the
// document has not changed. An application that reads the field from the document
// reads the sealed column from then on:
//
//	Plaintext: func(_ migrate.Row, raw []byte) (string, error) {
//		var meta struct{ Email string }
//		err := json.Unmarshal(raw, &meta)
//		return meta.Email, err
//	},
//	Rest: func(_ migrate.Row, raw []byte) ([]byte, error) {
//		var meta map[string]json.RawMessage
//		if err := json.Unmarshal(raw, &meta); err != nil {
//			return nil, err
//		}
//		delete(meta, "email") // json.Unmarshal also takes "Email"
//		return json.Marshal(meta)
//	},
//
// Likewise it opens ciphertext of Tink or of another library:
//
//	Plaintext: func(r migrate.Row, raw []byte) (string, error) {
//		plain, err := aead.Decrypt(raw, []byte(r.Key())) // the associated data of old
//		return string(plain), err
//	},
//
// # When it was collected
//
// A value says that it was collected on the day of the backfill, and its retention
// begins then, unless CollectedFor states an earlier time:
//
//	Read: []string{"phone_source", "created_at"},
//	…
//	basis := purpose.Basis{Notice: "2fa-prompt-v3", Retain: 5 * 365 * 24 * time.Hour}
//	basis.Collected, _ = r.Time("created_at") // the zero Time, if there is none, states nothing
//	return []*vault.Scope{security.Under(basis)}
//
// The value has the day, marked as stated and not observed: [purpose.Provenance.Stated].
//
// # Guarantees
//
// A statement writes a row only under conditions on everything that the decision was
// based on: the plaintext that was sealed, the sealed value that was verified, the subject
// that it was sealed for. On PostgreSQL and MySQL one statement writes up to 1,000 rows of a
// batch, so that a database far away costs bandwidth and not a round trip for each row; the
// conditions hold for each row. A row that a unique constraint or an error of a trigger refuses,
// that somebody has changed or deleted, or that a trigger alters, costs no other row. Any other
// constraint that refuses a row ends the step with [ErrTable]. So
// neither a concurrent writer nor another run nor a killed process loses a write or
// seals a value twice. Before the commit, the transaction reads each row that it has
// written back, as the application reads it: where a trigger, a rule or the type of a
// column has changed a value, or a field beside it, the write is taken back and the row is
// [Altered] or [Contended]. So CutOver removes no plaintext whose sealed value goes with
// it. The rows themselves say which work is left, so that a run can
// begin anew after any failure. A cursor saves time.
//
// No value is sealed for a purpose unless CollectedFor returned its scope for that
// row. A function of a [Column] that panics costs that row. Steps that depend on the time end
// with [ErrClock] if the clock is not the database's. Statements that the pool has
// prepared before an ALTER are prepared anew. Reports have keys of rows and never their content. Errors have the code of a
// database's error and never its text, which may quote arguments.
//
// # Limits
//
// Plan seals nothing, and so does not see a basis that is not valid or a retention that
// is over; Backfill reports them. The database's log of statements, its write-ahead log and its dead
// rows hold the plaintext for as long as they are kept.
package migrate
