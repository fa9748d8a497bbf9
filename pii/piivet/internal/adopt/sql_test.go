package adopt_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/adopt"
)

func TestComparisons(t *testing.T) {
	email := func(argument int, tables ...string) []adopt.Comparison {
		return []adopt.Comparison{{Column: "email", Kind: adopt.Email, Tables: tables, Argument: argument}}
	}
	for query, want := range map[string][]adopt.Comparison{
		"SELECT id FROM users WHERE email = $1":                            email(0, "users"),
		"select * from \"auth\".\"users\" u where u.\"email\"=$2":          email(1, "users"),
		"SELECT 1 FROM users WHERE a = ? AND LOWER(email) = LOWER(?)":      email(1, "users"),
		"SELECT 1 FROM logs JOIN users AS u ON u.id = a WHERE u.email = ?": email(0, "users"),
		"SELECT 1 FROM logs, users WHERE users.email = ?":                  email(0, "users"),
		"SELECT 1 FROM logs JOIN users USING (id) WHERE logs.email = ?":    email(0, "logs"),
		"SELECT 1 FROM logs JOIN users USING (id) WHERE x.email = ?":       email(0, "x"),
		"SELECT 1 FROM logs JOIN users USING (id) WHERE email = ?":         email(0, "logs", "users"),
		"email = ?":                                     email(0),
		"`users`.`email` IN (?)":                        email(0, "users"),
		"[[email]] = LOWER({:mail})":                    email(-1),
		"tenant = ? and LOWER(email) = ? and x = ?":     email(1),
		"email = :email":                                email(-1),
		"email ILIKE @pattern":                          email(-1),
		"email = $99999999999999999999":                 email(-1),
		"SELECT 1 FROM a JOIN b ON a.email = b.address": email(-1, "a"),
		"UPDATE users SET email = $1 WHERE phone = $2":  {{Column: "phone", Kind: adopt.Phone, Tables: []string{"users"}, Argument: 1}},
		"INSERT INTO t (email) VALUES (?) ON CONFLICT (id) DO UPDATE SET x = 1 WHERE t.email = ?": email(1, "t"),
		"INSERT INTO t (email) VALUES (?) ON CONFLICT (id) DO UPDATE SET x = 1 WHERE email = ?":   email(1, "t"),
		"WITH u AS (SELECT id FROM users WHERE email = $1) UPDATE logs SET user_email = $2":       email(0, "users", "logs"),
		"UPDATE users SET email = $1":                                    nil,
		"INSERT INTO users (email) VALUES ($1)":                          nil,
		"SELECT email FROM users -- WHERE email = ?\nWHERE id = ?":       nil,
		"SELECT 1 FROM {{ index . \"ns\" }}.users WHERE email_hash = $1": nil,
		"your email = the one you gave":                                  nil,
		"email=%s":                                                       nil,
		"":                                                               nil,
		strings.Repeat("email = ? ", 1<<19):                              nil,
	} {
		require.Equal(t, want, adopt.Comparisons(query), "%.80s", query)
	}
}

func TestSchema(t *testing.T) {
	generated := func(table, column, from string) []adopt.Generated {
		return []adopt.Generated{{Table: table, Column: column, From: from}}
	}
	lookups := func(table string, columns ...string) (all []adopt.Lookup) {
		for _, c := range columns {
			all = append(all, adopt.Lookup{Tables: []string{table}, Column: c})
		}
		return all
	}
	for text, c := range map[string]struct {
		computed []adopt.Generated
		indexed  []adopt.Lookup
	}{
		"CREATE TABLE t (email text GENERATED ALWAYS AS (lower(data->>'email')) STORED)":                                      {computed: generated("t", "email", "lower(data->>'email')")},
		"create table if not exists auth.t(id int, tld text as (substr(\n email,\t9)), x int)":                                {computed: generated("t", "tld", "substr( email, 9)")},
		"CREATE TABLE `t` (\n\t`id` int,\n\t`mail` varchar(9) AS (concat(a, ')', b)) VIRTUAL\n)":                              {computed: generated("t", "mail", "concat(a, ')', b)")},
		"ALTER TABLE only {{.ns}}.t ADD COLUMN IF NOT EXISTS email text GENERATED ALWAYS AS (d->>'x') STORED, ADD n int":      {computed: generated("t", "email", "d->>'x'")},
		"CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY, n int AS (a + b))":                                           {},
		"CREATE TABLE t (email text CHECK (email = CAST(x AS (text))))":                                                       {},
		"CREATE TABLE t (email text DEFAULT 'a as (b)')":                                                                      {},
		"-- CREATE TABLE t (email text AS (x))":                                                                               {},
		"SELECT email AS (x)":                                                                                                 {},
		"CREATE TABLE t (email text UNIQUE, phone text)":                                                                      {indexed: lookups("t", "email")},
		"CREATE TABLE t (email text, phone text, UNIQUE (email), KEY k (phone, id), CONSTRAINT c UNIQUE (lower(work_email)))": {indexed: lookups("t", "email", "phone", "work_email")},
		"CREATE TABLE t (email text, FOREIGN KEY (email) REFERENCES u (email), CHECK (email <> ''))":                          {},
		"CREATE UNIQUE INDEX CONCURRENTLY i ON auth.t USING btree (lower(Email), id) WHERE x":                                 {indexed: lookups("t", "email")},
		"CREATE INDEX i ON t (email_verified)":                                                                                {},
		"ALTER TABLE t ADD CONSTRAINT c UNIQUE (email)":                                                                       {indexed: lookups("t", "email")},
		"ALTER TABLE t ADD UNIQUE (phone); ALTER TABLE u DROP COLUMN email":                                                   {indexed: lookups("t", "phone")},
		"CREATE TABLE t (email":                                    {},
		"CREATE TABLE t (":                                         {},
		"CREATE TABLE t (email text AS (":                          {computed: generated("t", "email", "")},
		"CREATE TABLE t ()":                                        {},
		"CREATE TABLE t (id int PRIMARY KEY, name text UNIQUE)":    {},
		"CREATE TABLE t (\"a)\" int, `b)` int, email text UNIQUE)": {indexed: lookups("t", "email")},
		"": {},
	} {
		computed, indexed := adopt.Schema(text)
		require.Equal(t, c.computed, computed, text)
		require.Equal(t, c.indexed, indexed, text)
	}
	computed, indexed := adopt.Schema("CREATE TABLE t (email text AS (x))" + strings.Repeat(" ", 4<<20))
	require.Empty(t, computed)
	require.Empty(t, indexed)
}

func TestReadSQL(t *testing.T) {
	index := &fstest.MapFile{Data: []byte("CREATE INDEX i ON t (email)")}
	items := adopt.ReadSQL(fstest.MapFS{
		"migrations/1.up.sql": index, "a.sql": index, "a.txt": index, "vendor/a.sql": index, "x/node_modules/a.sql": index, "testdata/a.sql": index,
		".git/a.sql": index, "_old/a.sql": index, "other/go.mod": {}, "other/a.sql": index, "go.mod": {},
	})
	var at []string
	for _, i := range items {
		at = append(at, i.Lookup.At)
	}
	require.Equal(t, []string{"a.sql", "migrations/1.up.sql"}, at)

	items = adopt.ReadSQL(fstest.MapFS{"a.sql": {Data: []byte("CREATE TABLE t (email text AS (lower(mail)))")}})
	require.Equal(t, []adopt.Item{{Generated: &adopt.Generated{Table: "t", Column: "email", From: "lower(mail)", At: "a.sql"}}}, items)

	items = adopt.ReadSQL(fstest.MapFS{"queries.sql": {Data: []byte("-- name: find\nSELECT id FROM users WHERE email = $1;\n-- name: all\nSELECT email FROM logs;\n")}})
	require.Equal(t, []adopt.Item{{Lookup: &adopt.Lookup{Tables: []string{"users"}, Column: "email", At: "queries.sql"}}}, items)
}

// No text makes the readers of SQL panic.
func FuzzSQL(f *testing.F) {
	for _, seed := range []string{
		"SELECT id FROM users WHERE email = $1", "CREATE TABLE t (email text AS (lower('a)')) STORED, UNIQUE (phone))", "ALTER TABLE t ADD email AS (", "email = $99999999999999999999", "((((", "'\"`",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, c := range adopt.Comparisons(text) {
			require.NotEmpty(t, c.Kind)
			require.GreaterOrEqual(t, c.Argument, -1)
		}
		adopt.Tables(text, "x")
	})
}
