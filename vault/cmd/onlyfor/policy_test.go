package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The owner of the table runs the statements that the command prints, and each role then
// does its own work with the same command and the same keys, and no other work.
func TestPolicySQL(t *testing.T) {
	for _, target := range targets[1:] {
		t.Run(target.name, func(t *testing.T) {
			source := os.Getenv(target.variable)
			if source == "" {
				t.Skipf("%s is not set: .ci/databases sets it", target.variable)
			}
			sh := newShell(t)
			sh.run("", "init").exits(well)
			app := newApplication(sh, target, source)
			schema, _, _ := strings.Cut(app.users, ".")
			accounts := fmt.Sprintf("_%d", os.Getpid()%10000)
			view := func(role string) string {
				if target.name == "mysql" {
					return "\nview = \"" + schema + ".keys_of_" + role + "\""
				}
				return ""
			}
			sh.write("onlyfor.toml", strings.Replace(sh.read("onlyfor.toml"), `dir = "onlyfor-data/keys"`, "database = \"app\"\ntable = \""+schema+".keys\"", 1))
			sh.config("[[role]]\nname = \"ops\"\nmanages = [\"security\", \"advertising\"]\naccount = \"ops" + accounts + "\"" + view("ops") +
				"\n[[role]]\nname = \"sign-in\"\nopens = [\"security\"]\naccount = \"sign-in" + accounts + "\"" + view("sign_in") +
				"\n[[role]]\nname = \"auditor\"\naccount = \"auditor" + accounts + "\"\n")
			os.Remove(sh.dir + "/onlyfor-data/pins")
			sh.run("", "keys", "generate", "--create-table").exits(well)

			statements := sh.run("", "policy", "--sql").exits(well).stdout
			for _, role := range []string{"ops", "sign-in", "auditor"} {
				app.createAccount(role + accounts)
			}
			conn, err := app.db.Conn(t.Context())
			require.NoError(t, err)
			defer conn.Close()
			for statement := range strings.SplitSeq(strings.TrimSpace(statements), ";\n") {
				_, err := conn.ExecContext(t.Context(), strings.TrimSuffix(statement, ";"))
				require.NoError(t, err, statement)
			}
			var parsed struct{ Statements []string }
			sh.run("", "policy", "sign-in", "--sql", "--json").exits(well).json(&parsed)
			require.Contains(t, statements, strings.Join(parsed.Statements, ";\n")+";\n")

			as := func(role string) *shell {
				other := &shell{t: t, dir: sh.dir}
				other.env = []string{"APP_DSN=" + dsnOf(source, role+accounts, schema), "ONLYFOR_CONFIG=" + role + ".toml"}
				other.write(role+".toml", "run_as = \""+role+"\"\n"+sh.read("onlyfor.toml"))
				return other
			}
			as("sign-in").run(address, "seal", "email", "-p", "security", "--subject", "u1").exits(well)
			as("sign-in").run("", "keys", "rotate", "security").exits(hindered).says("access denied")
			as("sign-in").run(address, "seal", "email", "-p", "advertising", "--subject", "u1").exits(hindered).says("access denied")
			as("auditor").run("", "keys").exits(well)
			as("auditor").run(address, "seal", "email", "-p", "security", "--subject", "u2").exits(hindered).says("access denied")
			as("ops").run("", "keys", "rotate", "security").exits(well)
			if target.name == "postgres" {
				as("sign-in").run("", "erase", "u1", "-p", "security", "--reason", "x").exits(hindered).says("access denied")
				as("sign-in").run("", "doctor").says("no more than role sign-in needs")
			}
			as("ops").run("", "erase", "u1", "-p", "security", "--reason", "x").exits(well)
		})
	}
}

// dsnOf returns a data source name with another account.
func dsnOf(source, account, schema string) string {
	prefix := ""
	if rest, ok := strings.CutPrefix(source, "postgres://"); ok {
		prefix, source = "postgres://", rest
	}
	_, host, _ := strings.Cut(source, "@")
	if prefix == "" { // MySQL refuses a connection to a database without rights
		address, options, _ := strings.Cut(host, "?")
		host = address[:strings.LastIndex(address, "/")+1] + schema + "?" + options
	}
	return prefix + account + ":" + password + "@" + host
}

// createAccount makes an account of the database, which goes with the test.
func (app *application) createAccount(name string) {
	quoted := quote(app.name, name)
	drops := []string{"DROP USER " + quoted}
	if app.name == "postgres" {
		app.exec("CREATE ROLE " + quoted + " LOGIN PASSWORD '" + password + "'")
		drops = []string{"DROP OWNED BY " + quoted, "DROP ROLE " + quoted}
	} else {
		app.exec("CREATE USER " + quoted + " IDENTIFIED BY '" + password + "'")
	}
	app.t.Cleanup(func() {
		for _, statement := range drops {
			_, err := app.db.Exec(statement)
			require.NoError(app.t, err)
		}
	})
}

func TestPolicySQLRefuses(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	sh.run("", "policy", "--sql").exits(hindered).says("[store] of the configuration is no database")
	sh.write("onlyfor.toml", strings.Replace(sh.read("onlyfor.toml"), `dir = "onlyfor-data/keys"`, `database = "keys"`, 1)+"\n[[database]]\nname = \"keys\"\nkind = \"mysql\"\nvariable = \"KEYS_DSN\"\n")
	sh.run("", "policy", "--sql").exits(hindered).says("no such [[role]]")
	sh.config("[[role]]\nname = \"ads\"\nopens = [\"advertising\"]\n")
	sh.run("", "policy", "--sql").exits(hindered).says("role ads: ", "role writes without a view")
	sh.run("", "policy", "nobody", "--sql").exits(hindered).says("no such [[role]]")
	sh.config("erases = [\"security\"]\n")
	sh.run("", "policy", "--sql").exits(hindered).says("erases has a purpose that the role does not open")
}
