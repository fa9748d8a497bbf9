package sqlstore_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/sqlstore"
)

var (
	security    = purpose.MustParse("security")
	recovery    = purpose.MustParse("recovery")
	advertising = purpose.MustParse("advertising")
)

// accountPassword is the password of every account that a test makes.
const accountPassword = "only-4-tests"

// quoteAccount quotes the name of an account as the tests know it, apart from Grants.
func (tab *table) quoteAccount(name string) string {
	if tab.dialect == sqlstore.Postgres {
		return pgx.Identifier{name}.Sanitize()
	}
	return "`" + strings.ReplaceAll(name, "`", "``") + "`"
}

// account makes an account, and returns a pool of connections as that account.
func (tab *table) account(t *testing.T, name string) *sql.DB {
	t.Helper()
	quoted := tab.quoteAccount(name)
	create, drop := "CREATE USER "+quoted+" IDENTIFIED BY '"+accountPassword+"'", []string{"DROP USER " + quoted}
	if tab.dialect == sqlstore.Postgres {
		create, drop = "CREATE ROLE "+quoted+" LOGIN PASSWORD '"+accountPassword+"'", []string{"DROP OWNED BY " + quoted, "DROP ROLE " + quoted}
	}
	if _, err := tab.db.Exec(create); err != nil {
		t.Skip("accounts may not be made here")
	}
	t.Cleanup(func() {
		for _, statement := range drop {
			_, err := tab.db.Exec(statement)
			require.NoError(t, err)
		}
	})
	var db *sql.DB
	if tab.dialect == sqlstore.Postgres {
		c, err := pgx.ParseConfig(tab.from)
		require.NoError(t, err)
		c.User, c.Password = name, accountPassword
		db = stdlib.OpenDB(*c)
	} else {
		c, err := mysql.ParseDSN(tab.from)
		require.NoError(t, err)
		c.User, c.Passwd = name, accountPassword
		connector, err := mysql.NewConnector(c)
		require.NoError(t, err)
		db = sql.OpenDB(connector)
	}
	db.SetMaxOpenConns(4)
	t.Cleanup(func() { db.Close() })
	return db
}

// A granted role is an account with its grants.
type granted struct {
	sqlstore.Role
	db    *sql.DB
	store *sqlstore.Store
}

// grant makes the account of a role, and runs the statements of Grants.
func (tab *table) grant(t *testing.T, name string, r sqlstore.Role) *granted {
	t.Helper()
	r.Account = name + "_" + tab.name[len(tab.name)-16:]
	if tab.dialect == sqlstore.MySQL && (!r.Opens.IsZero() || !r.Erases.IsZero() || !r.Manages.IsZero()) {
		r.View = tab.name + "_" + name
		t.Cleanup(func() { tab.db.Exec("DROP VIEW IF EXISTS " + r.View) })
	}
	g := &granted{Role: r, db: tab.account(t, r.Account)}
	tab.runGrants(t, r)
	var err error
	g.store, err = sqlstore.New(g.db, tab.dialect, &sqlstore.Options{Table: tab.name, View: r.View})
	require.NoError(t, err)
	return g
}

// runGrants runs the statements twice: the second time changes nothing.
func (tab *table) runGrants(t *testing.T, r sqlstore.Role) {
	t.Helper()
	statements, err := sqlstore.Grants(tab.dialect, tab.name, r)
	require.NoError(t, err)
	for _, statement := range slices.Concat(statements, statements) {
		_, err := tab.db.Exec(statement)
		require.NoError(t, err, statement)
	}
}

// grantRoles makes the roles of the tests.
func (tab *table) grantRoles(t *testing.T) map[string]*granted {
	two := purpose.NewSet(security, recovery)
	return map[string]*granted{
		"opener":  tab.grant(t, "opener", sqlstore.Role{Opens: two}),
		"eraser":  tab.grant(t, "eraser", sqlstore.Role{Erases: two}),
		"admin":   tab.grant(t, "admin", sqlstore.Role{Manages: two}),
		"ads":     tab.grant(t, "ads", sqlstore.Role{Opens: purpose.NewSet(advertising)}),
		"auditor": tab.grant(t, "auditor", sqlstore.Role{}),
	}
}

const (
	addRow     = "INSERT INTO {} (name, revision, data) VALUES ('%s', 2, 'new')"
	replaceRow = "UPDATE {} SET revision = 2, data = 'new' WHERE name = '%s'"
	renameRow  = "UPDATE {} SET name = 'security/subjects/ab/9', revision = 2, data = 'new' WHERE name = '%s'"
	deleteRow  = "DELETE FROM {} WHERE name = '%s'"
)

// The names of the roles that may run each statement. Every other role is refused.
var statementsOfRoles = []struct{ statement, row, postgres, mysql string }{
	{addRow, "recovery/subjects/ab/1", "opener eraser admin", ""},
	{addRow, "recovery/seals", "opener eraser admin", ""},
	{addRow, "recovery/erasures", "eraser admin", ""},
	{addRow, "recovery/keys", "admin", ""},
	{addRow, "advertising/subjects/ab/2", "ads", ""},
	{addRow, "0-vault", "admin", ""},
	{addRow, "billing/keys", "", ""},
	{addRow, "security-archive/seals", "", ""},
	{addRow, "security", "", ""},
	{replaceRow, "security/subjects/ab/1", "eraser admin", "opener eraser admin"},
	{replaceRow, "security/seals", "opener eraser admin", ""},
	{replaceRow, "security/erasures", "eraser admin", ""},
	{replaceRow, "security/keys", "admin", ""},
	{replaceRow, "advertising/subjects/ab/1", "", "ads"},
	{replaceRow, "advertising/keys", "", ""},
	{replaceRow, "security-archive/keys", "", ""},
	{replaceRow, "0-vault", "", "admin"},
	{renameRow, "security/seals", "", "opener eraser admin"},
	{renameRow, "advertising/keys", "", ""},
	{deleteRow, "security/seals", "", ""},
	{deleteRow, "security/subjects/ab/1", "", ""},
	{deleteRow, "advertising/keys", "", ""},
	{"DELETE FROM {}", "", "", ""},
	{"TRUNCATE TABLE {}", "", "", ""},
	{"DROP TABLE {}", "", "", ""},
	{"ALTER TABLE {} ADD COLUMN more INTEGER", "", "", ""},
	{"CREATE INDEX more ON {} (revision)", "", "", ""},
}

var postgresAlone = []string{
	"ALTER TABLE {} DISABLE ROW LEVEL SECURITY",
	"CREATE POLICY more ON {} USING (true)",
	"GRANT ALL ON {} TO PUBLIC",
	"LOCK TABLE {} IN ACCESS EXCLUSIVE MODE",
	"SELECT 1 FROM {} WHERE name = 'advertising/keys' FOR UPDATE",
	"CREATE TRIGGER more BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
}

// rowsBefore are the rows before each statement.
var rowsBefore = []string{
	"0-vault", "advertising/keys", "advertising/seals", "advertising/subjects/ab/1",
	"security-archive/keys", "security/erasures", "security/keys", "security/seals", "security/subjects/ab/1",
}

// reset gives the table its rows, without the row that a statement adds.
func (tab *table) reset(t *testing.T, without string) {
	t.Helper()
	tab.exec(t, "DELETE FROM %s")
	var rows []string
	for _, name := range rowsBefore {
		if name != without {
			rows = append(rows, "('"+name+"', 1, 'old')")
		}
	}
	tab.exec(t, "INSERT INTO %s (name, revision, data) VALUES "+strings.Join(rows, ", "))
}

// content returns all rows as the owner sees them.
func (tab *table) content(t *testing.T) (content string) {
	t.Helper()
	rows, err := tab.db.Query("SELECT name, revision, data FROM " + tab.name + " ORDER BY name")
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var name, data string
		var revision int64
		require.NoError(t, rows.Scan(&name, &revision, &data))
		content += fmt.Sprintln(name, revision, data)
	}
	require.NoError(t, rows.Err())
	return content
}

// isRefusal reports whether err is the database's word for a right that lacks.
func isRefusal(err error) bool {
	var p *pgconn.PgError
	var m *mysql.MySQLError
	return errors.As(err, &p) && p.Code == "42501" ||
		errors.As(err, &m) && slices.Contains([]uint16{1044, 1142, 1143, 1227, 1369, 1419}, m.Number)
}

// Each role runs each statement, past any code of this module.
func TestGrantsOfRoles(t *testing.T) {
	onEachServer(t, func(t *testing.T, d database) {
		tab := d.table(t)
		roles := tab.grantRoles(t)
		allowed := 0
		for _, test := range statementsOfRoles {
			may := strings.Fields(test.postgres)
			if d.dialect == sqlstore.MySQL && test.mysql != "" {
				may = strings.Fields(test.mysql)
			}
			for name, r := range roles {
				statement := test.statement
				if test.row != "" {
					statement = fmt.Sprintf(statement, test.row)
				}
				if r.View != "" && test.row != "" {
					tab.tries(t, r, r.View, statement, test.row, slices.Contains(may, name))
					tab.tries(t, r, tab.name, statement, test.row, false) // past the view
					continue
				}
				tab.tries(t, r, tab.name, statement, test.row, slices.Contains(may, name))
			}
			allowed += len(may)
		}
		require.Greater(t, allowed, 10)
		for name, r := range roles {
			tab.reset(t, "")
			var n int
			require.NoError(t, r.db.QueryRow("SELECT COUNT(*) FROM "+tab.name).Scan(&n), name)
			require.Equal(t, len(rowsBefore), n, name)
			if d.dialect == sqlstore.Postgres {
				for _, statement := range postgresAlone {
					tab.tries(t, r, tab.name, statement, "", false)
				}
			}
		}
	})
}

// tries runs a statement as a role, in a transaction of its own. A statement that is
// refused changes nothing, and locks no row.
func (tab *table) tries(t *testing.T, r *granted, table, statement, row string, may bool) {
	t.Helper()
	without := ""
	if strings.HasPrefix(statement, "INSERT") {
		without = row
	}
	tab.reset(t, without)
	before := tab.content(t)
	statement = strings.Replace(statement, "{}", table, 1)
	says := r.Account + ": " + statement
	tx, err := r.db.Begin()
	require.NoError(t, err)
	defer tx.Rollback()
	result, err := tx.Exec(statement)
	if !may && err != nil {
		require.True(t, isRefusal(err), "%s: %v", says, err)
		return
	}
	require.NoError(t, err, says)
	n, err := result.RowsAffected()
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	if may {
		require.EqualValues(t, 1, n, says)
		require.NotEqual(t, before, tab.content(t), says)
		return
	}
	require.Zero(t, n, says)
	require.Equal(t, before, tab.content(t), says)
}

// README.md shows the statements of two services.
func TestDocumentedGrants(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	for dialect, r := range map[sqlstore.Dialect]sqlstore.Role{
		sqlstore.Postgres: {Account: "security_service", Opens: purpose.NewSet(security)},
		sqlstore.MySQL:    {Account: "security_service@10.0.%", Opens: purpose.NewSet(security), View: "security_keys"},
	} {
		statements, err := sqlstore.Grants(dialect, "", r)
		require.NoError(t, err)
		shown := "```sql\n" + strings.Join(statements, ";\n") + ";\n```"
		require.True(t, strings.Contains(string(readme), shown), shown)
	}
}

// A name is the name of one account, whatever characters it has.
func TestGrantsQuoteNames(t *testing.T) {
	onEachServer(t, func(t *testing.T, d database) {
		tab := d.table(t)
		canary := d.table(t)
		for _, format := range []string{
			`%s"; DROP TABLE CANARY; --`, `%s" , PUBLIC; --`, `%s'x`, `%s\`, `%s\"x`, "%s`; DROP TABLE CANARY; -- ", "%s`, x", "%s x", `%s""`, "%s``", "%s$$", "%s/*", "Ü%s", "%s%%s",
		} {
			name := strings.Replace(fmt.Sprintf(format, tab.name[len(tab.name)-12:]), "CANARY", canary.name[:8], 1)
			db := tab.account(t, name)
			r := sqlstore.Role{Account: name}
			if d.dialect == sqlstore.MySQL {
				r.Account += "@%"
			}
			_, err := db.Exec("SELECT 1 FROM " + tab.name)
			require.True(t, isRefusal(err), name)
			tab.runGrants(t, r)
			_, err = db.Exec("SELECT 1 FROM " + tab.name)
			require.NoError(t, err, name)
			_, err = db.Exec("SELECT 1 FROM " + canary.name)
			require.True(t, isRefusal(err), name)
			require.NoError(t, canary.db.QueryRow("SELECT COUNT(*) FROM "+canary.name).Scan(new(int)))
		}
		nobody := tab.account(t, "nobody_"+tab.name[len(tab.name)-16:])
		_, err := nobody.Exec("SELECT 1 FROM " + tab.name)
		require.True(t, isRefusal(err), "no name was PUBLIC")
	})
}

func TestGrantsRefuse(t *testing.T) {
	opens := purpose.NewSet(security)
	long := strings.Repeat("a", 55)
	for name, test := range map[string]struct {
		dialect sqlstore.Dialect
		table   string
		role    sqlstore.Role
	}{
		"no dialect":          {0, "", sqlstore.Role{Account: "a"}},
		"SQLite":              {sqlstore.SQLite, "", sqlstore.Role{Account: "a"}},
		"no account":          {sqlstore.Postgres, "", sqlstore.Role{Opens: opens}},
		"long account":        {sqlstore.Postgres, "", sqlstore.Role{Account: long + "a"}},
		"everybody":           {sqlstore.Postgres, "", sqlstore.Role{Account: "public"}},
		"everybody, MariaDB":  {sqlstore.MySQL, "", sqlstore.Role{Account: "PUBLIC"}},
		"none":                {sqlstore.Postgres, "", sqlstore.Role{Account: "none"}},
		"line break":          {sqlstore.Postgres, "", sqlstore.Role{Account: "a\nb"}},
		"zero byte":           {sqlstore.Postgres, "", sqlstore.Role{Account: "a\x00b"}},
		"not UTF-8":           {sqlstore.Postgres, "", sqlstore.Role{Account: "a\xff"}},
		"no user":             {sqlstore.MySQL, "", sqlstore.Role{Account: "@localhost"}},
		"no host":             {sqlstore.MySQL, "", sqlstore.Role{Account: "a@"}},
		"table with a quote":  {sqlstore.Postgres, `a"b`, sqlstore.Role{Account: "a"}},
		"table with a quote,": {sqlstore.MySQL, "a`b", sqlstore.Role{Account: "a"}},
		"no view":             {sqlstore.MySQL, "", sqlstore.Role{Account: "a", Opens: opens}},
		"view with a quote":   {sqlstore.MySQL, "", sqlstore.Role{Account: "a", Opens: opens, View: "a`b"}},
		"view is the table":   {sqlstore.MySQL, "", sqlstore.Role{Account: "a", Opens: opens, View: sqlstore.DefaultTable}},
		"view of an auditor":  {sqlstore.MySQL, "", sqlstore.Role{Account: "a", View: "b"}},
		"view on PostgreSQL":  {sqlstore.Postgres, "", sqlstore.Role{Account: "a", Opens: opens, View: "b"}},
	} {
		statements, err := sqlstore.Grants(test.dialect, test.table, test.role)
		require.ErrorIs(t, err, vault.ErrInvalid, name)
		require.Empty(t, statements, name)
	}
	for _, r := range []sqlstore.Role{{Account: long, Opens: opens}, {Account: "public_service"}} {
		_, err := sqlstore.Grants(sqlstore.Postgres, "keys.onlyfor", r)
		require.NoError(t, err)
	}
}
