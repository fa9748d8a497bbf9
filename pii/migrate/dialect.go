package migrate

import (
	"encoding/hex"
	"strings"
)

// A Dialect is the SQL that a database speaks. The zero Dialect is none.
type Dialect int

const (
	// Postgres is PostgreSQL, from version 12.
	Postgres Dialect = 1 + iota
	// MySQL is MySQL, from version 5.7, and MariaDB, from version 10.2.
	MySQL
	// SQLite is SQLite, from version 3.26. The database must be a file: one in
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

// A dialect has everything in which the databases differ.
type dialect struct {
	database
	// system is the schema of the functions and operators that statements name, with a point.
	// Without it, a function of a schema that comes earlier in the search path would be called.
	system string
	quote  string // around identifiers

	// Expressions that read a column as text, and compare a column and a parameter
	// by their bytes. By the column's own collation two people's addresses may be
	// equal, and so may an address before and after it was changed.
	text, exact, exactParam string // with %s

	// catalogue asks for name, generating expression, type and width of each column, and for
	// the end of an expression that brings an argument to the column's type, in a statement
	// for a set: on PostgreSQL the quoted type, which has a type of arrays, and on MySQL the
	// character set and collation of a column of text.
	catalogue string
	// searchable asks for schema, table and name of each column that may hold text, in the
	// order of tables, whether it needs a cast to text, and why it can't be read, "" if
	// it can.
	searchable string
	size       string // of a column's content in bytes, with %s

	// clock asks for the seconds since 1970.
	clock string

	// stale are codes after which a statement has to be prepared anew, since the table
	// was altered.
	stale   []string
	tooLong []string // codes of a value that is too long for its column
	unique  []string // codes of a unique constraint that refuses a row
	raised  []string // codes of an error that a trigger raises
	refused []string // codes of errors that no retry will mend, or their first bytes
}

var postgres = dialect{
	database:   postgreSQL,
	system:     "pg_catalog.",
	quote:      `"`,
	text:       "(%s)::pg_catalog.text",
	exact:      `(%s)::pg_catalog.text COLLATE "C"`,
	exactParam: "%s::pg_catalog.text",
	catalogue: `SELECT a.attname::pg_catalog.text, CASE WHEN a.attgenerated <> '' THEN COALESCE(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '') END AS generated,
		COALESCE(b.typname, t.typname)::pg_catalog.text, (CASE WHEN b.oid IS NULL THEN a.atttypmod ELSE t.typtypmod END)::bigint - 4,
		CASE WHEN t.typarray = 0 THEN '' ELSE pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.typname) END
		FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
		LEFT JOIN pg_catalog.pg_type b ON t.typtype = 'd' AND b.oid = t.typbasetype
		LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		WHERE a.attrelid = pg_catalog.to_regclass($1::pg_catalog.text) AND a.attnum > 0 AND NOT a.attisdropped`,
	// Categories of types that hold no text: numbers, dates, booleans, enumerations,
	// network addresses, intervals, geometry. The text of bytes in an array is hexadecimal.
	searchable: `SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text, a.attname::pg_catalog.text, b.typname <> 'bytea',
		CASE WHEN c.relkind = 'f' THEN 'foreign table' WHEN e.typname = 'bytea' THEN 'array of bytes' ELSE '' END
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
		JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
		JOIN pg_catalog.pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
		LEFT JOIN pg_catalog.pg_type e ON b.typcategory = 'A' AND e.oid = b.typelem
		WHERE n.oid = (SELECT relnamespace FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass($1::pg_catalog.text))
		AND c.relkind IN ('r', 'p', 'm', 'f') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
		AND COALESCE(e.typcategory, b.typcategory) NOT IN ('N', 'D', 'B', 'E', 'I', 'T', 'G') AND b.typname <> 'uuid'
		ORDER BY c.relname, a.attnum`,
	size:  "pg_catalog.octet_length(%s)",
	clock: "SELECT extract(epoch FROM pg_catalog.clock_timestamp())::bigint AS clock_seconds",
	// "cached plan must not change result type", and a prepared statement that is gone.
	stale:   []string{"0A000", "26000"},
	tooLong: []string{"22001"},
	unique:  []string{"23505"},
	raised:  []string{"P0001"}, // raise_exception
	// The classes of errors in data, constraints, privileges and statements. Not
	// 28, invalid authorization: then no step begins.
	refused: []string{"22", "23", "42", "44", "0A", "25006"},
}

var mysql = dialect{
	database:   mySQL,
	quote:      "`",
	text:       "CAST(CONVERT(%s USING utf8mb4) AS BINARY)",
	exact:      "CAST(CONVERT(%s USING utf8mb4) AS BINARY)",
	exactParam: "CAST(%s AS BINARY)",
	catalogue: `SELECT column_name, NULLIF(generation_expression, '') AS generated, data_type, character_maximum_length,
		COALESCE(CONCAT(character_set_name, ') COLLATE ', collation_name), '')
		FROM information_schema.columns WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ?`,
	searchable: `SELECT c.table_schema, c.table_name, c.column_name, 0, CASE WHEN t.table_type = 'BASE TABLE' THEN '' ELSE 'history of rows' END
		FROM information_schema.columns c
		JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
		WHERE c.table_schema = COALESCE(?, DATABASE()) AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
		AND (c.data_type LIKE '%char' OR c.data_type LIKE '%text' OR c.data_type LIKE '%blob' OR c.data_type LIKE '%binary' OR c.data_type = 'json')
		ORDER BY c.table_name, c.ordinal_position`,
	size:  "OCTET_LENGTH(%s)",
	clock: "SELECT UNIX_TIMESTAMP() AS clock_seconds",
	// ER_NEED_REPREPARE, ER_TABLE_DEF_CHANGED, ER_UNKNOWN_STMT_HANDLER.
	stale:   []string{"1615", "1412", "1243"},
	tooLong: []string{"1406"},
	unique:  []string{"1062", "1586"},
	raised:  []string{"1644"}, // ER_SIGNAL_EXCEPTION
	// NULL, unknown table or column, syntax, range, length, type, CHECK, and
	// denied access.
	refused: []string{
		"1048", "1054", "1146", "1064", "1264", "1265", "1366", "1406", "3819", "4025",
		"1142", "1143", "1227", "1290", "1369", "1451", "1452",
	},
}

var sqlite = dialect{
	database: unnumbered(sqLite),
	// Not ", because SQLite reads "name" as a string if there is no such column.
	quote:      "`",
	text:       "CAST(%s AS TEXT)",
	exact:      "CAST(%s AS TEXT) COLLATE BINARY",
	exactParam: "%s",
	catalogue:  `SELECT name, CASE WHEN hidden IN (2, 3) THEN '' END AS generated, type, NULL, '' FROM pragma_table_xinfo(?1)`,
	// A column of any type may hold text.
	searchable: `SELECT '', s.name, x.name, 0, '' FROM sqlite_master s JOIN pragma_table_xinfo(s.name) x
		WHERE s.type = 'table' AND s.name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY s.name, x.cid`,
	size:  "LENGTH(CAST(%s AS BLOB))",
	clock: "SELECT CAST(strftime('%s', 'now') AS INTEGER) AS clock_seconds",
	stale: []string{"17"}, // SQLITE_SCHEMA
	// SQLITE_CONSTRAINT_UNIQUE and SQLITE_CONSTRAINT_PRIMARYKEY.
	unique: []string{"2067", "1555"},
	raised: []string{"1811"}, // SQLITE_CONSTRAINT_TRIGGER
	// SQLITE_ERROR, PERM, READONLY, CONSTRAINT, MISMATCH, AUTH.
	refused: []string{"1", "3", "8", "19", "20", "23"},
}

// unnumbered returns a database whose placeholders have no numbers. A driver of SQLite
// looks for the name of each numbered one among all arguments.
func unnumbered(d database) database {
	d.param = mySQL.param
	return d
}

// operator returns an operator on text or bytes, between blanks. A schema that comes earlier
// in the search path may have an operator of that name.
func (d *dialect) operator(name string) string {
	if d.system != "" {
		return " OPERATOR(" + d.system + name + ") "
	}
	return " " + name + " "
}

// bytesLiteral returns bytes as they stand in a statement.
func (d *dialect) bytesLiteral(b []byte) string {
	if d == &postgres {
		return `'\x` + hex.EncodeToString(b) + "'"
	}
	return "X'" + hex.EncodeToString(b) + "'"
}

// ident quotes a name, and each part of a qualified name.
func (d *dialect) ident(name string) string {
	parts := strings.Split(name, ".")
	for i, part := range parts {
		parts[i] = d.quote + part + d.quote
	}
	return strings.Join(parts, ".")
}

// expr puts a quoted column into an expression of the dialect.
func expr(format, quoted string) string { return strings.Replace(format, "%s", quoted, 1) }

// refuses reports whether no retry will help after an error with that code.
func (d *dialect) refuses(code string) bool {
	for _, c := range d.refused {
		if code == c || d == &postgres && strings.HasPrefix(code, c) {
			return true
		}
	}
	return false
}

const maxIdentifier = 128

// validName reports whether name is a valid identifier once it is quoted: it has no
// quote of any dialect, and no control character or blank.
func validName(name string) bool {
	if len(name) == 0 || len(name) > maxIdentifier {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c == 0x7f || strings.IndexByte("\"`'.;[]\\", c) >= 0 {
			return false
		}
	}
	return true
}
