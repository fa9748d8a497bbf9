package sqlstore

import "database/sql"

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

	// inserted reports whether the insert statement made a row.
	inserted func(sql.Result) (bool, error)

	// Codes of errors after which CREATE TABLE is tried again, and of denied access.
	retryCreate, denied []string
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
	inserted: affected,
	// unique_violation, duplicate_table, duplicate_object: IF NOT EXISTS does
	// not see the table that another session is creating.
	retryCreate: []string{"23505", "42P07", "42710"},
	// insufficient_privilege, invalid_authorization_specification,
	// invalid_password.
	denied: []string{"42501", "28000", "28P01"},
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
	inserted: insertedMySQL,
	// Access denied to the database, the server, the table, the column, without a
	// privilege, without a password, and to a row that a view hides.
	denied: []string{"1044", "1045", "1142", "1143", "1227", "1698", "1369"},
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
	inserted: affected,
	denied:   []string{"3", "8", "23"}, // SQLITE_PERM, SQLITE_READONLY, SQLITE_AUTH
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
