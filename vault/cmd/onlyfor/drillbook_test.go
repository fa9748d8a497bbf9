package main

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A drill is a thing that the operators of a company have to be able to do, and the section
// of OPERATIONS.md that says how.
type drill struct {
	drill, section string
	persons        bool   // values are sealed for persons
	empty          bool   // the directory has nothing yet
	variable       string // the environment has to name a database
	setup          func(r *runner)
}

// The list is not made of the page: a drill whose section goes missing fails.
var drills = []drill{
	{drill: "first deployment, with PostgreSQL and a key service", section: "From a laptop to production in four steps", empty: true, variable: "ONLYFOR_POSTGRES", setup: production},
	{drill: "metrics, health checks and alerts", section: "Alerts worth having"},
	{drill: "an alert on a spike of refusals", section: "Alerts worth having"},
	{drill: "a budget against copying a table", section: "A budget against copying a table", setup: withLog},
	{drill: "jobs from a calendar", section: "From a calendar", persons: true},
	{drill: "a rotation each quarter by cron", section: "From a calendar", persons: true},
	{drill: "list keys and their age", section: "List the keys"},
	{drill: "seals per key", section: "List the keys"},
	{drill: "rows on an old key", section: "List the keys"},
	{drill: "rotate the seal key", section: "Rotate the seal key"},
	{drill: "re-seal a large table", section: "Move a large table"},
	{drill: "rotate the index key", section: "Rotate the index key"},
	{drill: "rotate the key of collectors", section: "Rotate the key of collectors"},
	{drill: "rotate the KEK", section: "Change the KEK"},
	{drill: "a key has leaked", section: "A key has leaked"},
	{drill: "destroy an old key", section: "Destroy an old key", setup: rotated},
	{drill: "two people destroy a key or end a suspension", section: "Two people for what can't be undone", setup: func(r *runner) {
		r.after = func() { // the page shows the beginning of an example key
			if len(r.texts) == 0 {
				r.texts = []string{"bob+2781ed15+ARPq…", strings.TrimSpace(r.sh.read("bob.pub"))}
			}
		}
	}},
	{drill: "the application's database is put back", section: "Yesterday's database is put back", setup: func(r *runner) {
		rotated(r)
		r.sh.write("app.db", r.sh.read("yesterday/app.db"))
	}},
	{drill: "the key store is put back", section: "Yesterday's key store is put back", persons: true, setup: oldStore},
	{drill: "an erasure after a restore", section: "Yesterday's key store is put back", persons: true},
	{drill: "a replica that lags takes over", section: "A replica takes over", persons: true, setup: oldStore},
	{drill: "a host leaves", section: "A host leaves", setup: withLog},
	{drill: "the KEK of a purpose is lost", section: "A KEK is lost", setup: func(r *runner) {
		require.NoError(r.sh.t, os.Remove(filepath.Join(r.sh.dir, "onlyfor-data/kek/security.kek")))
	}},
	{drill: "the KEK of another purpose is in its place", section: "A KEK is in the wrong place", setup: func(r *runner) {
		r.sh.write("onlyfor-data/kek/security.kek", r.sh.read("onlyfor-data/kek/advertising.kek"))
	}},
	{drill: "the KEK is open to others", section: "A KEK is open to others", setup: func(r *runner) {
		require.NoError(r.sh.t, os.Chmod(filepath.Join(r.sh.dir, "onlyfor-data/kek/security.kek"), 0o644))
	}},
	{drill: "a bad record in the key store", section: "One bad record", persons: true, setup: damage},
	{drill: "the key service is down", section: "The key service is down", setup: keyServiceDown},
	{drill: "the key store is down", section: "The key store is down", setup: keyStoreDown},
	{drill: "the disk of the audit log is full", section: "The disk of the audit log is full", setup: diskFull},
	{drill: "a process with a grant too many", section: "A process has a grant too many"},
	{drill: "an employee launders", section: "Watch for laundering", setup: bothPurposes},
	{drill: "a suspended notice", section: "Stop a purpose or a notice"},
	{drill: "erase a person", section: "Erase a person", persons: true},
	{drill: "export a person's data", section: "Export a person's data", persons: true, setup: withLog},
	{drill: "withdraw a purpose", section: "Withdraw a purpose"},
	{drill: "the nightly sweep", section: "Sweep values whose retention is over", setup: expired},
	{drill: "a value found in a log", section: "A value turns up in a log"},
	{drill: "who was affected", section: "Who is affected"},
	{drill: "an audit log for others", section: "Keep a log that can't be edited unnoticed"},
	{drill: "a witness of audit logs", section: "Run a witness", setup: withLog},
	{drill: "upgrade of the library", section: "Upgrade"},
}

// A company is a directory as the command and its services have left it: with keys, tables
// whose plaintext is gone, and a backup of yesterday.
type company struct{ plain, persons string }

func newCompany(t *testing.T) *company {
	return &company{plain: companyIn(t, false), persons: companyIn(t, true)}
}

func companyIn(t *testing.T, persons bool) string {
	sh := &shell{t: t, dir: t.TempDir()}
	sh.run("", "init").exits(well)
	app := newApplication(sh, targets[0], "")
	if persons {
		sh.write("onlyfor.toml", strings.Replace(sh.read("onlyfor.toml"), "\nkey = \"id\"\n", "\nkey = \"id\"\nsubject = \"id\"\n", 1))
	}
	sh.config("\n[[role]]\nname = \"ads\"\nopens = [\"advertising\"]\n")
	sh.config("\n[backup]\npurposes = [\"security\"]\nstore.dir = \"yesterday/keys\"\nkek.local = \"escrow\"\n")
	sh.setting(`refresh = "100ms"`)
	app.people(6)
	sh.run("", "migrate", "backfill").exits(well)
	sh.run("", "migrate", "cut-over", "--yes").exits(well)
	sh.write("sealed.txt", app.text("phone_sealed", "u00001"))
	for _, dir := range []string{"yesterday", "escrow"} {
		require.NoError(t, os.Mkdir(filepath.Join(sh.dir, dir), 0o700))
	}
	require.NoError(t, app.db.Close())
	copyDir(t, filepath.Join(sh.dir, "onlyfor-data/keys"), filepath.Join(sh.dir, "yesterday/keys"))
	sh.write("yesterday/app.db", sh.read("app.db"))
	sh.write("escrow/security.kek", sh.read("onlyfor-data/kek/security.kek"))
	return sh.dir
}

// copyTo puts the company into the directory of sh.
func (c *company) copyTo(sh *shell, persons bool) {
	from := c.plain
	if persons {
		from = c.persons
	}
	require.NoError(sh.t, os.Remove(sh.dir))
	copyDir(sh.t, from, sh.dir)
}

// execute executes statements in the database of the application.
func execute(sh *shell, statements string) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(sh.dir, "app.db"))
	require.NoError(sh.t, err)
	defer db.Close()
	_, err = db.Exec(statements)
	require.NoError(sh.t, err, statements)
}

// withLog gives the command a log that can't be edited unnoticed, and something in it.
func withLog(r *runner) {
	r.sh.config("\n[audit_log]\ndir = \"onlyfor-data/audit\"\nkey = \"onlyfor-data/audit.key\"\nheads = \"heads\"\n")
	r.sh.run("", "audit", "key", "example.com/audit/ops").exits(well)
	r.sh.runFreely(r.sh.read("sealed.txt"), "reveal", "-p", "advertising", "--subject", "u00001", "--reason", "mailing")
	r.sh.runFreely(r.sh.read("sealed.txt"), "reveal", "-p", "advertising", "--reason", "mailing")
}

// rotated leaves a retired key behind.
func rotated(r *runner) {
	r.sh.run("", "keys", "rotate", "security", "--run", "--older-than", "1ns").exits(well)
}

// oldStore erases a person, and puts back the key store from before.
func oldStore(r *runner) {
	r.sh.run("", "erase", "u00001", "--reason", "request 7").exits(well)
	keys := filepath.Join(r.sh.dir, "onlyfor-data/keys")
	require.NoError(r.sh.t, os.RemoveAll(keys))
	copyDir(r.sh.t, filepath.Join(r.sh.dir, "yesterday/keys"), keys)
}

// damage alters the record of the key of u00001 for security.
func damage(r *runner) {
	names, err := filepath.Glob(filepath.Join(r.sh.dir, "onlyfor-data/keys/security/subjects/*/*"))
	require.NoError(r.sh.t, err)
	for _, name := range names {
		record, err := os.ReadFile(name)
		require.NoError(r.sh.t, err)
		altered := bytes.Clone(record)
		altered[len(altered)-1] ^= 1
		require.NoError(r.sh.t, os.WriteFile(name, altered, 0o600))
		if r.sh.runFreely(r.sh.read("sealed.txt"), "reveal", "-p", "security", "--subject", "u00001", "--reason", "x").code == found {
			return
		}
		require.NoError(r.sh.t, os.WriteFile(name, record, 0o600))
	}
	require.Fail(r.sh.t, "no record is the person's")
}

// bothPurposes lets one process open two purposes that are to be apart.
func bothPurposes(r *runner) {
	withLog(r)
	r.sh.run("", "doctor").exits(well)
}

// expired adds a row whose retention is over.
func expired(r *runner) {
	value := r.sh.run(number, "seal", "phone", "-p", "security", "--retain", "1s").exits(well).out()
	execute(r.sh, "INSERT INTO users (id, phone_sealed) VALUES ('u00006', '"+value+"')")
	require.Eventually(r.sh.t, func() bool {
		return r.sh.runFreely(value, "reveal", "-p", "security", "--reason", "x").code == found
	}, time.Minute, 100*time.Millisecond)
}

func keyServiceDown(r *runner) {
	r.sh.env = append(r.sh.env, "VAULT_ADDR=http://127.0.0.1:1", "VAULT_TOKEN=x")
	r.sh.write("onlyfor.toml", strings.Replace(r.sh.read("onlyfor.toml"), `local = "onlyfor-data/kek"`, `service = "hcvault://127.0.0.1:1/transit/keys/onlyfor-{purpose}"`, 1))
}

func keyStoreDown(r *runner) {
	r.sh.write("onlyfor.toml", strings.Replace(r.sh.read("onlyfor.toml"), `dir = "onlyfor-data/keys"`, `database = "keys"`, 1)+"\n[[database]]\nname = \"keys\"\nkind = \"postgres\"\nvariable = \"KEYS_DSN\"\n")
	r.sh.env = append(r.sh.env, "KEYS_DSN=postgres://u@127.0.0.1:1/keys?sslmode=disable")
}

func diskFull(r *runner) {
	if _, err := os.Stat("/dev/full"); err != nil {
		r.sh.t.Skip("there is no /dev/full")
	}
	r.sh.write("onlyfor.toml", strings.Replace(r.sh.read("onlyfor.toml"), `"onlyfor-data/audit.jsonl"`, `"/dev/full"`, 1))
}

// production gives the reader a database with a user for each role, and a key service with a
// token for each role.
func production(r *runner) {
	sh, source := r.sh, os.Getenv("ONLYFOR_POSTGRES")
	tr, server := newTransit(sh.t, "onlyfor-security", "onlyfor-advertising")
	table, user := fmt.Sprintf("runbook_keys_%d", os.Getpid()), fmt.Sprintf("runbook_ads_%d", os.Getpid())
	db, err := sql.Open("pgx", source)
	require.NoError(sh.t, err)
	exec := func(statement string) {
		_, err := db.Exec(statement)
		require.NoError(sh.t, err, statement)
	}
	exec("CREATE ROLE " + user + " LOGIN")
	sh.t.Cleanup(func() {
		exec("DROP OWNED BY " + user)
		exec("DROP ROLE " + user)
		exec("DROP TABLE IF EXISTS " + table)
		db.Close()
	})
	sh.env = append(sh.env, "VAULT_ADDR="+server.URL, "VAULT_TOKEN=token-of-ops", "ADS_TOKEN=token-of-ads",
		"ONLYFOR_DATABASE="+source, "ADS_DATABASE="+strings.Replace(source, "postgres@", user+"@", 1))
	r.texts = []string{"vault.example.com:8200", strings.TrimPrefix(server.URL, "http://"), "onlyfor_keys", table, "TO ads", "TO " + user}
	r.execute = exec
	r.after = func() {
		for _, role := range []string{"ops", "ads"} {
			if text, err := os.ReadFile(filepath.Join(sh.dir, role+".hcl")); err == nil {
				tr.Grant("token-of-"+role, string(text))
			}
		}
	}
}
