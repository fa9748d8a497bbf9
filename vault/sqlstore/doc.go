// Package sqlstore keeps a vault's wrapped keys in one small table of a
// PostgreSQL, MySQL, MariaDB or SQLite database.
//
// It is the [vault.Store] for more than one machine, and for more subjects than
// a directory serves:
//
//	db, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))
//	store, err := sqlstore.New(db, sqlstore.Postgres, nil)
//	err = store.CreateTable(ctx) // or by hand, see below
//	v, err := vault.Open(ctx, store, kek, nil)
//
// The package imports no driver. It is tested with github.com/jackc/pgx/v5,
// github.com/go-sql-driver/mysql and modernc.org/sqlite.
//
// # The table
//
// [Store.CreateTable] runs one of these, and nothing later changes the schema.
// PostgreSQL:
//
//	CREATE TABLE IF NOT EXISTS "onlyfor_keys" (
//		name varchar(200) COLLATE "C" PRIMARY KEY,
//		revision bigint NOT NULL,
//		data bytea NOT NULL
//	)
//
// MySQL and MariaDB:
//
//	CREATE TABLE IF NOT EXISTS `onlyfor_keys` (
//		name VARBINARY(200) NOT NULL PRIMARY KEY,
//		revision BIGINT NOT NULL,
//		data MEDIUMBLOB NOT NULL
//	) ENGINE=InnoDB
//
// SQLite:
//
//	CREATE TABLE IF NOT EXISTS "onlyfor_keys" (
//		name TEXT COLLATE BINARY NOT NULL PRIMARY KEY,
//		revision INTEGER NOT NULL,
//		data BLOB NOT NULL
//	) WITHOUT ROWID
//
// Names sort by their bytes. List refuses a table with another collation, such as a
// language's, with [vault.ErrNoKeys]: a List in that order would leave out names,
// and a program that erases or re-wraps all keys of a person would miss some.
//
// # Guarantees
//
// Each change is one statement that compares and writes, and a transaction of
// its own. It is right at every isolation level, and with any number of
// processes. Revisions are random, so that none occurs again after a row was deleted
// or put back. The store repeats statements that the database rolled back because of
// others (serialization failure, deadlock, SQLITE_BUSY) for a fraction of a second.
//
// An error has the SQLSTATE or error number of the database's error, and never its
// text, which may repeat arguments. After [vault.ErrUnavailable] a change may or may
// not have been made: the answer may have been lost.
//
// # Limits
//
// The database is responsible for durability and fresh reads:
//
//   - Connect to the primary. A replica that lags hides new keys and shows erased
//     keys.
//   - Leave synchronous_commit on (PostgreSQL), innodb_flush_log_at_trx_commit at
//     1 (MySQL), synchronous at FULL (SQLite; it is the default). A lost key is a
//     loss of everything sealed under it.
//   - Leave autocommit on (MySQL).
//
// The database sees names of purposes, pseudonyms of subjects, times of writing,
// and wrapped keys. It can neither open nor exchange wrapped keys. It can delete
// them: back the table up, apart from the [vault.KEK].
package sqlstore
