// Package schema holds the table of users, for libraries that do not create tables.
package schema

import _ "embed"

// The same table in three dialects.
var (
	//go:embed postgres.sql
	Postgres string
	//go:embed mysql.sql
	MySQL string
	//go:embed sqlite.sql
	SQLite string
)
