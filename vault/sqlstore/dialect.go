package sqlstore

import (
	"context"
	"database/sql"
	"strings"
)

// A Dialect is the SQL that a database speaks. The zero Dialect is none.
type Dialect int

const (
	// Postgres is PostgreSQL, from version 9.5.
	Postgres Dialect = 1 + iota
	// MySQL is MySQL, from version 5.7, and MariaDB, from version 10.2.
	MySQL
	// SQLite is SQLite, from version 3.24. The database must be a file: one in
	// memory is another for every connection of the pool.
	SQLite
)

// String returns the database's name, such as "PostgreSQL".
func (d Dialect) String() string {
	if d := d.dialect(); d != nil {
		return d.name
	}
	return "unknown database"
}

func (d Dialect) dialect() *dialect {
	switch d {
	case Postgres:
		return &postgres
	case MySQL:
		return &mysql
	case SQLite:
		return &sqlite
	}
	return nil
}

// A dialect has the differences between the databases.
type dialect struct {
	database
	quote string // around identifiers

	// Statements, with %s for the table and each parameter.
	create string
	insert string // of name, revision, data; it changes nothing if there is a row with that name

	// exec runs a statement that changes a row.
	exec func(ctx context.Context, db *sql.DB, query string, args ...any) (sql.Result, error)

	// inserted reports whether the insert statement made a row.
	inserted func(sql.Result) (bool, error)

	// replace runs statements that replace the rows of the given records by their new data
	// and revisions, and reports how many rows were changed.
	replace func(ctx context.Context, db *sql.DB, table string, rows []replacement) (int64, error)

	// Codes of errors after which CREATE TABLE is tried again, of denied access, and of a
	// table that does not exist.
	retryCreate, denied, missing []string
}

var postgres = dialect{
	database: postgreSQL,
	quote:    `"`,
	create: `CREATE TABLE IF NOT EXISTS %s (
	name varchar(200) COLLATE "C" PRIMARY KEY,
	revision bigint NOT NULL,
	data bytea NOT NULL
)`,
	insert:   "INSERT INTO %s (name, revision, data) VALUES (%s, %s, %s) ON CONFLICT (name) DO NOTHING",
	exec:     execPlain,
	inserted: affected,
	replace:  replacePostgres,
	// unique_violation, duplicate_table, duplicate_object: IF NOT EXISTS does
	// not see the table that another session is creating.
	retryCreate: []string{"23505", "42P07", "42710"},
	// insufficient_privilege, invalid_authorization_specification,
	// invalid_password.
	denied:  []string{"42501", "28000", "28P01"},
	missing: []string{"42P01", "3F000"}, // undefined_table, invalid_schema_name
}

var mysql = dialect{
	database: mySQL,
	quote:    "`",
	create: `CREATE TABLE IF NOT EXISTS %s (
	name VARBINARY(200) NOT NULL PRIMARY KEY,
	revision BIGINT NOT NULL,
	data MEDIUMBLOB NOT NULL
) ENGINE=InnoDB`,
	// INSERT IGNORE would hide other errors as well, such as truncated data. The
	// update changes nothing, and insertedMySQL tells it from an insert.
	insert:   "INSERT INTO %s (name, revision, data) VALUES (%s, %s, %s) ON DUPLICATE KEY UPDATE revision = LAST_INSERT_ID(revision)",
	exec:     execPlain,
	inserted: insertedMySQL,
	replace:  replaceMySQL,
	// Access denied to the database, the server, the table, the column, without a
	// privilege, without a password, and to a row that a view hides.
	denied:  []string{"1044", "1045", "1142", "1143", "1227", "1698", "1369"},
	missing: []string{"1146", "1049"}, // ER_NO_SUCH_TABLE, ER_BAD_DB_ERROR
}

var sqlite = dialect{
	database: sqLite,
	quote:    `"`,
	create: `CREATE TABLE IF NOT EXISTS %s (
	name TEXT COLLATE BINARY NOT NULL PRIMARY KEY,
	revision INTEGER NOT NULL,
	data BLOB NOT NULL
) WITHOUT ROWID`,
	insert:   "INSERT INTO %s (name, revision, data) VALUES (%s, %s, %s) ON CONFLICT (name) DO NOTHING",
	exec:     execSQLite,
	inserted: affected,
	replace:  replaceSQLite,
	denied:   []string{"3", "8", "23"}, // SQLITE_PERM, SQLITE_READONLY, SQLITE_AUTH
	missing:  []string{"1"},            // SQLITE_ERROR, the one error of statements that do not compile
}

// affected reports whether the statement changed a row. MySQL does not count rows
// that an UPDATE leaves as they were, but each update here writes a new revision.
func affected(r sql.Result) (bool, error) {
	n, err := r.RowsAffected()
	return n > 0, err
}

// insertedMySQL tells an insert from an update. The number of rows does not: with the
// connection flag clientFoundRows it is 1 for both. The insert id does. After an
// update it is the one of LAST_INSERT_ID(revision), which is never 0. After an insert
// it is 0, because the table has no AUTO_INCREMENT column.
func insertedMySQL(r sql.Result) (bool, error) {
	id, err := r.LastInsertId()
	return id == 0, err
}

func execPlain(ctx context.Context, db *sql.DB, query string, args ...any) (sql.Result, error) {
	return db.ExecContext(ctx, query, args...)
}

// execSQLite also removes the former content of a row from the files. secure_delete is a
// setting of the connection. Without it, a replaced or moved row stays in the free space of
// its page. The write-ahead log holds each row that was written since it was last emptied.
func execSQLite(ctx context.Context, db *sql.DB, query string, args ...any) (sql.Result, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "PRAGMA secure_delete = ON"); err != nil {
		return nil, err
	}
	result, err := conn.ExecContext(ctx, query, args...)
	if err == nil && strings.HasPrefix(query, "UPDATE") {
		// This does nothing without a log, and fails while a reader uses the log. The change
		// is made, so the next Put tries again.
		conn.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	}
	return result, err
}
