package sqlstore

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A Role is an account of the database, with the purposes whose rows it needs. Every
// role reads all rows, which are wrapped: [vault.Vault.CheckDenied] has to see the keys
// that a service must not open. A role without purposes is an auditor, and writes none.
type Role struct {
	// Account is the role in PostgreSQL, and user or user@host in MySQL and MariaDB.
	// It has 1 to 55 bytes without control characters. It is not made here, and is
	// neither the owner of the table nor a superuser: no rights on rows bind them.
	Account string
	// Opens are the purposes under which the role seals, reveals and indexes. It adds
	// records of persons, and counts seals.
	Opens purpose.Set
	// Erases are the purposes under which the role also erases persons. It replaces
	// records of persons, and counts erasures.
	Erases purpose.Set
	// Manages are the purposes whose keys the role makes, rotates and destroys. It
	// writes all rows of the purpose, and adds the row with the id of the vault.
	Manages purpose.Set
	// View is the [Options.View] of a role that writes, on MySQL and MariaDB. Its syntax
	// is the syntax of [Options.Table]. Other databases have no such view.
	View string
}

// Grants returns the statements that give an account exactly what the role needs on the
// table of a key store, [DefaultTable] if empty. The owner of the table runs them. No role
// may delete rows.
//
// On PostgreSQL, row-level security decides about each row, and no role may change a name.
// The statements replace all rights and policies that the role had on the table. Run the statements for all roles in
// one transaction: row-level security hides all rows from an account without policies.
//
// MySQL and MariaDB have no rights on rows. The role reads the table, and writes through a
// view that has the rows that it may write, and is [Options.View] of its store. A
// view can't tell adding a row from replacing or renaming one. So a role that opens a
// purpose can also destroy records of persons under it there, and a role that manages one can
// replace the id of the vault, which stops all purposes until it is put back. The statements
// add to the rights that the account has, and take none. The view works only while the
// account that made it exists.
//
// SQLite has no accounts, and is [vault.ErrInvalid]: give each purpose a file of its own.
// A malformed account, table or view is ErrInvalid too, without the name.
func Grants(dialect Dialect, table string, r Role) ([]string, error) {
	d := dialect.dialect()
	if table == "" {
		table = DefaultTable
	}
	writes := !r.writes().IsZero()
	switch {
	case d == nil || dialect == SQLite:
		return nil, fmt.Errorf("key store: no grants in %s: %w", dialect, vault.ErrInvalid)
	case !validTable(table):
		return nil, errTable
	case !validAccount(r.Account):
		return nil, fmt.Errorf("key store: malformed account of a role: %w", vault.ErrInvalid)
	case r.View != "" && (dialect != MySQL || !writes || !validTable(r.View) || r.View == table):
		return nil, fmt.Errorf("key store: malformed or needless view of a role: %w", vault.ErrInvalid)
	case r.View == "" && dialect == MySQL && writes:
		return nil, fmt.Errorf("key store: role writes without a view: %w", vault.ErrInvalid)
	case dialect == MySQL:
		return r.mysqlGrants(d.quoteTable(table)), nil
	}
	return r.postgresGrants(table), nil
}

// maxAccount leaves room for the names of policies. PostgreSQL cuts a longer name off, and
// the rest of it may name another account.
const maxAccount = maxIdentifier - len(" updates")

// validAccount reports whether name is the name of one account. PostgreSQL takes "public" for all
// accounts, and "none" for none, even between quotes. So does MariaDB for "PUBLIC".
func validAccount(name string) bool {
	if len(name) == 0 || len(name) > maxAccount || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return false
	}
	user, host, found := cutHost(name)
	return user != "" && (host != "" || !found) && !strings.EqualFold(name, "public") && !strings.EqualFold(name, "none")
}

// cutHost returns the two parts of an account of MySQL.
func cutHost(account string) (user, host string, found bool) {
	i := strings.LastIndexByte(account, '@')
	if i < 0 {
		return account, "", false
	}
	return account[:i], account[i+1:], true
}

// quoteName quotes an identifier of any characters.
func (d *dialect) quoteName(name string) string {
	return d.quote + strings.ReplaceAll(name, d.quote, d.quote+d.quote) + d.quote
}

// quoteTable quotes a name that validTable has checked.
func (d *dialect) quoteTable(name string) string {
	return d.quote + strings.ReplaceAll(name, ".", d.quote+"."+d.quote) + d.quote
}

func (r Role) postgresGrants(table string) []string {
	name, account := postgres.quoteTable(table), postgres.quoteName(r.Account)
	statements := []string{
		"ALTER TABLE " + name + " ENABLE ROW LEVEL SECURITY",
		"REVOKE ALL ON " + name + " FROM PUBLIC, " + account,
	}
	if schema, _, qualified := strings.Cut(table, "."); qualified {
		statements = append(statements, "GRANT USAGE ON SCHEMA "+postgres.quoteName(schema)+" TO "+account)
	}
	statements = append(statements, "GRANT SELECT ON "+name+" TO "+account)
	added, replaced := r.added(), r.replaced()
	if added != "" {
		statements = append(statements, "GRANT INSERT, UPDATE (revision, data) ON "+name+" TO "+account)
	}
	for _, p := range []struct{ verb, command, condition, rows string }{
		{"reads", "SELECT", "USING", "true"},
		{"inserts", "INSERT", "WITH CHECK", added},
		{"updates", "UPDATE", "USING", replaced},
	} {
		policy := postgres.quoteName(r.Account+" "+p.verb) + " ON " + name
		statements = append(statements, "DROP POLICY IF EXISTS "+policy)
		if p.rows != "" {
			statements = append(statements, fmt.Sprintf("CREATE POLICY %s FOR %s TO %s\n\t%s (%s)", policy, p.command, account, p.condition, p.rows))
		}
	}
	return statements
}

func (r Role) mysqlGrants(table string) []string {
	user, host, found := cutHost(r.Account)
	account := mysql.quoteName(user)
	if found {
		account += "@" + mysql.quoteName(host)
	}
	statements := []string{"GRANT SELECT ON " + table + " TO " + account}
	if r.View == "" {
		return statements
	}
	view := mysql.quoteTable(r.View)
	return append(statements,
		"CREATE OR REPLACE SQL SECURITY DEFINER VIEW "+view+" AS\n\tSELECT name, revision, data FROM "+table+"\n\tWHERE "+r.added()+"\n\tWITH CASCADED CHECK OPTION",
		// MariaDB wants UPDATE on all columns for ON DUPLICATE KEY UPDATE through a view.
		"GRANT SELECT, INSERT, UPDATE ON "+view+" TO "+account)
}

// writes returns the purposes whose rows the role writes.
func (r Role) writes() purpose.Set {
	var all []purpose.Purpose
	for _, set := range []purpose.Set{r.Opens, r.Erases, r.Manages} {
		all = slices.AppendSeq(all, set.All())
	}
	return purpose.NewSet(all...)
}

// added returns the condition for the rows that the role may add, "" for none. Names of
// purposes have no character with a meaning in SQL.
func (r Role) added() string {
	var rows []string
	if !r.Manages.IsZero() {
		rows = append(rows, "name = '0-vault'")
	}
	return r.rows(rows, "name LIKE '%[1]s/subjects/%%' OR name = '%[1]s/seals'")
}

// replaced returns the condition for the rows that the role may replace.
func (r Role) replaced() string { return r.rows(nil, "name = '%[1]s/seals'") }

// rows adds the rows of each purpose to a condition.
func (r Role) rows(rows []string, ofOpener string) string {
	for p := range r.writes().All() {
		of := ofOpener
		switch {
		case r.Manages.Contains(p):
			of = "name LIKE '%[1]s/%%'"
		case r.Erases.Contains(p):
			of = "name LIKE '%[1]s/subjects/%%' OR name IN ('%[1]s/seals', '%[1]s/erasures')"
		}
		rows = append(rows, fmt.Sprintf(of, p))
	}
	return strings.Join(rows, " OR ")
}
