package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A target is a database that the tables of a test are in.
type target struct {
	name, driver, variable string
	bytes                  string // the type of an index column
}

var targets = []target{
	{"sqlite", "sqlite", "", "BLOB"},
	{"postgres", "pgx", "ONLYFOR_POSTGRES", "BYTEA"},
	{"mysql", "mysql", "ONLYFOR_MYSQL", "VARBINARY(16)"},
}

// onEach runs a test over each database that is there.
func onEach(t *testing.T, test func(t *testing.T, sh *shell, app *application)) {
	for _, target := range targets {
		t.Run(target.name, func(t *testing.T) {
			source := os.Getenv(target.variable)
			if target.variable != "" && source == "" {
				t.Skipf("%s is not set: .ci/databases sets it", target.variable)
			}
			sh := newShell(t)
			sh.run("", "init").exits(well)
			test(t, sh, newApplication(sh, target, source))
		})
	}
}

// An application is a database with a table of users, as the configuration names it.
type application struct {
	target
	t     *testing.T
	db    *sql.DB
	users string
}

// newApplication makes the table in a schema of its own, and adds it to the configuration.
func newApplication(sh *shell, target target, source string) *application {
	t := sh.t
	schema := fmt.Sprintf("cmd_%d_%s", os.Getpid(), strings.ToLower(strings.NewReplacer("/", "_", "-", "_").Replace(t.Name())))
	schema = schema[:min(len(schema), 60)]
	app := &application{target: target, t: t, users: "users"}
	var err error
	place := `file = "app.db"`
	if source == "" {
		source = "file:" + filepath.Join(sh.dir, "app.db") + "?_pragma=busy_timeout(10000)"
	} else {
		place = `variable = "APP_DSN"`
		app.users = schema + ".users"
		sh.env = append(sh.env, "APP_DSN="+source)
	}
	app.db, err = sql.Open(target.driver, source)
	require.NoError(t, err)
	t.Cleanup(func() { app.db.Close() })
	if target.variable != "" {
		app.exec("CREATE SCHEMA " + schema)
		drop := "DROP SCHEMA " + schema
		if target.name == "postgres" {
			drop += " CASCADE"
		}
		t.Cleanup(func() {
			_, err := app.db.Exec(drop)
			require.NoError(t, err)
		})
	}
	app.exec(fmt.Sprintf(`CREATE TABLE %s (id VARCHAR(20) NOT NULL PRIMARY KEY, source VARCHAR(20), created_at VARCHAR(30), email VARCHAR(200), email_sealed TEXT,
		email_index %s, phone VARCHAR(60), phone_sealed TEXT, phone_index %s, ads_index %s)`, app.users, target.bytes, target.bytes, target.bytes))
	sh.config(fmt.Sprintf(`
[[database]]
name = "app"
kind = "%s"
%s
[[table]]
database = "app"
name = "%s"
key = "id"
[[table.column]]
kind = "email"
plain = "email"
sealed = "email_sealed"
index.security = "email_index"
[[table.column.collected]]
for = ["security"]
notice = "sign-up-v1"
legal = "contract"
collected_column = "created_at"
[[table.column]]
kind = "phone"
plain = "phone"
sealed = "phone_sealed"
read = "phonenumber"
region = "US"
index.security = "phone_index"
index.advertising = "ads_index"
[[table.column.collected]]
when = {source = "2fa"}
for = ["security"]
notice = "2fa-prompt-v3"
retain_days = 3650
[[table.column.collected]]
when = {source = "consent"}
for = ["security", "advertising"]
legal = "consent"
consent = "c-2024"
[[table.column.leave]]
problem = "invalid"
when = {source = "test"}
reason = "test-account"
`, target.name, place, app.users))
	return app
}

func (app *application) exec(statement string, args ...any) {
	app.t.Helper()
	_, err := app.db.Exec(app.bind(statement), args...)
	require.NoError(app.t, err, statement)
}

// bind writes the parameters of a statement as the database has them.
func (app *application) bind(statement string) string {
	for n := 1; app.name == "postgres" && strings.Contains(statement, "?"); n++ {
		statement = strings.Replace(statement, "?", fmt.Sprintf("$%d", n), 1)
	}
	return statement
}

// people inserts n people with plaintext.
func (app *application) people(n int) {
	tx, err := app.db.Begin()
	require.NoError(app.t, err)
	for i := range n {
		source := []string{"2fa", "consent"}[i%2]
		_, err := tx.Exec(app.bind("INSERT INTO "+app.users+" (id, source, created_at, email, phone) VALUES (?, ?, ?, ?, ?)"), fmt.Sprintf("u%05d", i), source, "2024-03-01 10:00:00",
			fmt.Sprintf("canary-wq7f3-%d@example.com", i), fmt.Sprintf("(415) 555-%04d", i%10000))
		require.NoError(app.t, err)
	}
	require.NoError(app.t, tx.Commit())
}

// count counts the rows for which a condition holds.
func (app *application) count(condition string) (n int) {
	app.t.Helper()
	require.NoError(app.t, app.db.QueryRow("SELECT COUNT(*) FROM "+app.users+" WHERE "+condition).Scan(&n))
	return n
}

// text returns one field.
func (app *application) text(column, id string) string {
	app.t.Helper()
	var text sql.NullString
	require.NoError(app.t, app.db.QueryRow(app.bind("SELECT "+column+" FROM "+app.users+" WHERE id = ?"), id).Scan(&text))
	return text.String
}

// The whole recipe of package migrate, from a column of plaintext to a column that is empty.
func TestMigrate(t *testing.T) {
	onEach(t, func(t *testing.T, sh *shell, app *application) {
		app.people(40)
		app.exec("INSERT INTO "+app.users+" (id, source, phone) VALUES ('x1', 'test', 'none'), ('x2', 'import', ?), ('x3', '2fa', 'nonsense')", number)

		sh.run("", "migrate", "plan").exits(found).says("43 rows, 0 changed", "for security: 20", "for advertising+security: 20", "left, test-account: 1", "row x2: phone: quarantined", "row x3: phone: invalid")
		require.Zero(t, app.count("phone_sealed IS NOT NULL"))
		app.exec("DELETE FROM " + app.users + " WHERE id IN ('x2', 'x3')")
		sh.run("", "migrate", "plan").exits(well)

		sh.run("", "migrate", "verify").exits(found).says("unsealed: 40")
		var reports []stepReport
		sh.run("", "migrate", "backfill", "--json").exits(well).json(&reports)
		require.Equal(t, int64(40), reports[0].Changed)
		require.True(t, reports[0].OK)
		require.Equal(t, int64(1), reports[0].Columns[1].Left["test-account"])
		sh.run("", "migrate", "verify").exits(well)
		require.Equal(t, 20, app.count("ads_index IS NOT NULL"))

		sealed := app.text("phone_sealed", "u00007")
		require.Equal(t, "+14155550007", sh.runFreely(sealed, "reveal", "-p", "advertising", "--reason", "x").exits(well).out())
		sh.run(app.text("email_sealed", "u00007"), "inspect").exits(well).says("notice sign-up-v1", "collected 2024-03-01, as stated", "legal contract")

		// Some program writes the plaintext alone.
		app.exec("UPDATE " + app.users + " SET phone = '415 555 9999' WHERE id = 'u00003'")
		sh.run("", "migrate", "verify").exits(found).says("row u00003: phone: stale")
		sh.run("", "migrate", "cut-over").exits(hindered).says("--yes")
		require.Equal(t, 41, app.count("phone IS NOT NULL"))
		sh.run("", "migrate", "repair").exits(well)

		sh.run("", "migrate", "cut-over", "--yes").exits(well)
		require.Equal(t, 1, app.count("phone IS NOT NULL"))
		require.Zero(t, app.count("email IS NOT NULL"))
		sh.run("", "migrate", "verify").exits(well)

		sh.run("", "migrate", "leftovers").exits(well)
		app.exec("UPDATE " + app.users + " SET source = '+14155550004' WHERE id = 'u00030'")
		sh.run("", "migrate", "leftovers").exits(found).says("source: 1 row")
	})
}

// A value states the time of its column, or today where the column is empty. Text that is
// no time, or one to come, is for people to decide on, from the first step on.
func TestCollectedColumn(t *testing.T) {
	onEach(t, func(t *testing.T, sh *shell, app *application) {
		times := map[string]string{"day": "2020-01-02", "number": "1577934245", "american": "02/03/2020", "zero": "0000-00-00 00:00:00", "later": "2098-01-01", "none": ""}
		for id, text := range times {
			app.exec("INSERT INTO "+app.users+" (id, created_at, email) VALUES (?, ?, ?)", id, text, id+"@example.com")
		}
		refused := []string{"invalid basis: 4", "row number: email: invalid basis", "row american: email: invalid basis", "row zero: email: invalid basis", "row later: email: invalid basis"}
		sh.run("", "migrate", "plan").exits(found).says(refused...)
		sh.run("", "migrate", "backfill").exits(found).says(refused...)
		require.Equal(t, 2, app.count("email_sealed IS NOT NULL"))
		sh.run(app.text("email_sealed", "day"), "inspect").exits(well).says("collected 2020-01-02, as stated")
		require.NotContains(t, sh.run(app.text("email_sealed", "none"), "inspect").exits(well).out(), "as stated")
	})
}

func TestMigrateSubjects(t *testing.T) {
	onEach(t, func(t *testing.T, sh *shell, app *application) {
		sh.write("onlyfor.toml", strings.Replace(sh.read("onlyfor.toml"), "\nkey = \"id\"\n", "\nkey = \"id\"\nsubject = \"id\"\n", 1))
		app.people(4)
		sh.run("", "migrate", "backfill").exits(well)
		sealed := app.text("phone_sealed", "u00001")
		require.Equal(t, "+14155550001", sh.runFreely(sealed, "reveal", "-p", "security", "--subject", "u00001", "--reason", "x").exits(well).out())
		for _, other := range []string{"u00002", "u99999"} { // likely a mistyped id, and no forgery
			sh.run(sealed, "reveal", "-p", "security", "--subject", other, "--reason", "x").exits(found).says("not sealed here, or altered since", "compare --subject with the id of the row")
		}
		sh.run(sealed, "reveal", "-p", "security", "--subject", "u00002", "--reason", "x").exits(found)
	})
}

func TestMigrateRefuses(t *testing.T) {
	onEach(t, func(t *testing.T, sh *shell, app *application) {
		sh.run("", "migrate", "plan", "people").exits(hindered).says("has no [[table]] of that name")
		sh.run("", "migrate", "plan", "--batch", "-1").exits(hindered)
		app.exec("ALTER TABLE " + app.users + " RENAME COLUMN phone_index TO gone")
		sh.run("", "migrate", "plan").exits(hindered).says("phone_index: ", "table is not as described", "Compare the [[table]] of the configuration", "columns are added, as NULL, before the first step")
		app.exec("DROP TABLE " + app.users)
		sh.run("", "migrate", "plan").exits(hindered).says("no such table, or no access to it")
		app.exec("CREATE TABLE " + app.users + " (id INT)") // for the end of the test

		// A purpose of the table has no keys.
		sh.write("onlyfor.toml", strings.NewReplacer(`["security", "advertising"]`, `["security", "advertising", "billing"]`, `for = ["security"]`, `for = ["billing"]`).Replace(sh.read("onlyfor.toml")))
		sh.run("", "migrate", "plan").exits(hindered).says("billing", "onlyfor keys generate")
	})
}

func TestDatabaseIsAway(t *testing.T) {
	for _, kind := range []string{"postgres", "mysql"} {
		t.Run(kind, func(t *testing.T) {
			sh := newShell(t)
			sh.run("", "init").exits(well)
			sh.config("\n[[database]]\nname = \"app\"\nkind = \"" + kind + "\"\nvariable = \"APP_DSN\"\n[[table]]\ndatabase = \"app\"\nname = \"users\"\nkey = \"id\"\n[[table.column]]\nkind = \"email\"\nsealed = \"e\"\nindex.security = \"i\"\n")
			sh.run("", "migrate", "verify").exits(hindered).says("the environment variable APP_DSN is not set")
			sh.env = []string{"APP_DSN=postgres://u:" + password + "@127.0.0.1:1/app?sslmode=disable", "COLUMNS=100"}
			if kind == "mysql" {
				sh.env[0] = "APP_DSN=u:" + password + "@tcp(127.0.0.1:1)/app"
			}
			sh.run("", "migrate", "verify").exits(hindered)
			sh.run("", "keys", "--rows").exits(hindered)
			sh.env[0] = "APP_DSN=://" + password + "\x7f:"
			sh.run("", "migrate", "verify").exits(hindered)
		})
	}
}

// A step that is interrupted leaves whole batches, says how to go on, and goes on.
func TestInterrupt(t *testing.T) {
	onEach(t, func(t *testing.T, sh *shell, app *application) {
		const people = 200
		app.people(people)
		sh.interrupt(func(string) bool { return app.count("email_sealed IS NOT NULL") > 0 }, "migrate", "backfill", "--batch", "10", "--rows-per-second", "40").
			exits(hindered).says("stopped in table "+app.users+". Nothing that was done is lost", "add --after u")
		done := app.count("email_sealed IS NOT NULL")
		require.Positive(t, done)
		require.Less(t, done, people)
		require.Zero(t, done%10, "half a batch")
		require.Equal(t, done, app.count("phone_sealed IS NOT NULL"))
		sh.run("", "migrate", "backfill").exits(well).says(fmt.Sprintf("%d changed", people-done))
		sh.run("", "migrate", "verify").exits(well)
	})
}

// interrupt starts the command, waits until ready, which is given its standard error so far,
// reports true, and interrupts it.
func (sh *shell) interrupt(ready func(stderr string) bool, args ...string) result {
	sh.t.Helper()
	c := sh.command(args...)
	var stdout, stderr lockedBuffer
	c.Stdout, c.Stderr = &stdout, &stderr
	require.NoError(sh.t, c.Start())
	ctx, cancel := context.WithCancel(sh.t.Context())
	go func() {
		defer cancel()
		c.Wait()
	}()
	for !ready(stderr.String()) {
		select {
		case <-ctx.Done():
			require.True(sh.t, sh.mayEnd, "ended too early: %q\n%s%s", args, stdout.String(), stderr.String())
			return result{sh.t, args, stdout.String(), stderr.String(), c.ProcessState.ExitCode()}
		case <-time.After(10 * time.Millisecond):
		}
	}
	signal := syscall.SIGINT
	if sh.signal != 0 {
		signal = sh.signal
	}
	if err := c.Process.Signal(signal); !sh.mayEnd || !errors.Is(err, os.ErrProcessDone) {
		require.NoError(sh.t, err)
	}
	<-ctx.Done()
	r := result{sh.t, args, stdout.String(), stderr.String(), c.ProcessState.ExitCode()}
	r.discreet(r.stdout + r.stderr)
	return r
}

// A lockedBuffer is read while a process writes it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// The functions that read plaintext, by their names in the configuration.
func TestReads(t *testing.T) {
	onEach(t, func(t *testing.T, sh *shell, app *application) {
		app.exec("DROP TABLE " + app.users)
		app.exec(fmt.Sprintf("CREATE TABLE %s (id INTEGER NOT NULL PRIMARY KEY, country VARCHAR(2), meta TEXT, meta_sealed TEXT, meta_index %s, bare VARCHAR(20), bare_sealed TEXT, typed VARCHAR(40), typed_sealed TEXT)", app.users, app.bytes))
		text, _, _ := strings.Cut(sh.read("onlyfor.toml"), "\n[[table]]")
		rule := "[[table.column.collected]]\nfor = [\"security\"]\n"
		sh.write("onlyfor.toml", text+"\n[[table]]\ndatabase = \"app\"\nname = \""+app.users+"\"\nkey = \"id\"\n"+
			"[[table.column]]\nkind = \"email\"\nplain = \"meta\"\nsealed = \"meta_sealed\"\nread = \"json\"\nfield = \"email\"\nindex.security = \"meta_index\"\n"+rule+
			"[[table.column]]\nkind = \"phone\"\nplain = \"bare\"\nsealed = \"bare_sealed\"\nread = \"plus\"\n"+rule+
			"[[table.column]]\nkind = \"phone\"\nplain = \"typed\"\nsealed = \"typed_sealed\"\nread = \"phonenumber\"\nregion_column = \"country\"\n"+rule)
		app.exec("INSERT INTO "+app.users+" (id, country, meta, bare, typed) VALUES (1, 'GB', ?, ?, '020 7946 0018'), (2, 'US', ?, '', '(415) 555-2671')",
			`{"email": "`+address+`", "colour": "blue"}`, number[1:], `{"colour": "red"}`)
		app.exec("INSERT INTO " + app.users + " (id, meta) VALUES (3, 'no document')")
		sh.run("", "migrate", "backfill").exits(found).says("row 3: meta: unreadable")
		app.exec("DELETE FROM " + app.users + " WHERE id = 3")
		sh.run("", "migrate", "verify").exits(well)
		sh.run("", "migrate", "cut-over", "--yes").exits(well)
		for _, column := range []string{"meta", "bare", "typed"} {
			want := map[string]string{"meta": address, "bare": number, "typed": "+442079460018"}[column]
			require.Equal(t, want, sh.runFreely(app.field(column+"_sealed", 1), "reveal", "-p", "security", "--reason", "x").exits(well).out())
		}
		require.JSONEq(t, `{"colour": "blue"}`, app.field("meta", 1))
		require.JSONEq(t, `{"colour": "red"}`, app.field("meta", 2))
		require.Equal(t, 2, app.count("typed IS NULL"))
		sh.run("", "withdraw", app.users, "1", "-p", "security", "--column", "bare_sealed", "--reason", "x").exits(well).says("withdrawn")
		require.Empty(t, app.field("bare_sealed", 1))
	})
}

// field returns one field of a row whose key is a number.
func (app *application) field(column string, id int) string {
	app.t.Helper()
	var text sql.NullString
	require.NoError(app.t, app.db.QueryRow(app.bind("SELECT "+column+" FROM "+app.users+" WHERE id = ?"), id).Scan(&text))
	return text.String
}
