package migrate

import "strings"

// A Dialect is the SQL that a database speaks. The zero Dialect is none.
type Dialect int

const (
	// Postgres is PostgreSQL, from version 12.
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

// A dialect has everything in which the databases differ.
type dialect struct {
	database
	quote string // around identifiers

	// Expressions that read a column as text, and compare a column and a parameter
	// by their bytes. By the column's own collation two people's addresses may be
	// equal, and so may an address before and after it was changed.
	text, exact, exactParam string // with %s

	unique  []string // codes of a unique constraint that refuses a row
	refused []string // codes of errors that no retry will mend, or their first bytes
}

var postgres = dialect{
	database:   postgreSQL,
	quote:      `"`,
	text:       "(%s)::text",
	exact:      `(%s)::text COLLATE "C"`,
	exactParam: "%s::text",
	unique:     []string{"23505"},
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
	unique:     []string{"1062", "1586"},
	// NULL, unknown table or column, syntax, range, length, type, CHECK, and
	// denied access.
	refused: []string{
		"1048", "1054", "1146", "1064", "1264", "1265", "1366", "1406", "3819", "4025",
		"1142", "1143", "1227", "1290", "1369", "1451", "1452",
	},
}

var sqlite = dialect{
	database: sqLite,
	// Not ", because SQLite reads "name" as a string if there is no such column.
	quote:      "`",
	text:       "CAST(%s AS TEXT)",
	exact:      "CAST(%s AS TEXT) COLLATE BINARY",
	exactParam: "%s",
	// SQLITE_CONSTRAINT_UNIQUE and SQLITE_CONSTRAINT_PRIMARYKEY.
	unique: []string{"2067", "1555"},
	// SQLITE_ERROR, PERM, READONLY, CONSTRAINT, MISMATCH, AUTH.
	refused: []string{"1", "3", "8", "19", "20", "23"},
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
