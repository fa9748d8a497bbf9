package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Drills of an operator, each without a line of Go.

// Yesterday's table is put back after a rotation that has retired the old key.
func TestRestoreYesterdaysTable(t *testing.T) {
	onEach(t, func(t *testing.T, sh *shell, app *application) {
		sh.setting(`refresh = "100ms"`)
		app.people(6)
		sh.run("", "migrate", "backfill").exits(well)
		sh.run("", "migrate", "cut-over", "--yes").exits(well)
		old := sh.keyOf("security", "seal", "primary")
		yesterday := app.text("email_sealed", "u00002")
		sh.run("", "keys", "rotate", "security").exits(well)
		sh.run("", "keys", "rotate", "security", "--run").exits(well)

		app.exec("UPDATE "+app.users+" SET email_sealed = ? WHERE id = 'u00002'", yesterday)
		sh.run("", "migrate", "verify").exits(found).says("row u00002: email: retired")
		sh.run(yesterday, "inspect", "--store").exits(well).says("onlyfor keys reinstate security " + old)
		sh.run("", "keys", "security", "--rows").exits(well).says("retired")
		sh.run("", "keys", "reinstate", "security", old).exits(well)
		sh.run("", "keys", "rotate", "security", "--run").exits(well).says(old + " is retired")
		sh.run("", "migrate", "verify").exits(well)
	})
}

// kill -9 in the middle of re-sealing.
func TestKilledReseal(t *testing.T) {
	onEach(t, func(t *testing.T, sh *shell, app *application) {
		const people = 200
		app.people(people)
		sh.run("", "migrate", "backfill").exits(well)
		old := sh.keyOf("security", "seal", "primary")
		first := app.text("email_sealed", "u00000")
		sh.run("", "keys", "rotate", "security").exits(well)
		sh.run("", "keys", "promote", "security", sh.keyOf("security", "seal", "published")).exits(well)
		sh.signal = syscall.SIGKILL
		sh.interrupt(func(string) bool { return app.text("email_sealed", "u00000") != first }, "migrate", "reseal", "--batch", "10", "--rows-per-second", "40")
		var rows struct{ Keys []keyReport }
		sh.run("", "keys", "security", "--rows", "--json").exits(well).json(&rows)
		left := *rows.Keys[0].Rows
		require.Equal(t, old, rows.Keys[0].ID)
		require.Positive(t, left)
		require.Less(t, left, int64(2*people))
		sh.setting(`refresh = "100ms"`)
		sh.run("", "keys", "rotate", "security", "--run").exits(well).says(old + " is retired")
		sh.run("", "migrate", "verify").exits(well)
	})
}

// The audit log can't be written: nothing happens without a record.
func TestFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full")
	}
	sh := newShell(t)
	sh.run("", "init").exits(well)
	sealed := sh.run(address, "seal", "email", "-p", "security").exits(well).out()
	app := newApplication(sh, targets[0], "")
	app.exec("INSERT INTO users (id, phone_sealed) VALUES ('u1', ?)", sealed)
	sh.write("onlyfor.toml", strings.Replace(sh.read("onlyfor.toml"), `"onlyfor-data/audit.jsonl"`, `"/dev/full"`, 1))
	r := sh.run(sealed, "reveal", "-p", "security", "--reason", "x").exits(hindered)
	require.Empty(t, r.stdout)
	sh.run("", "withdraw", "users", "u1", "-p", "security", "--reason", "x").exits(hindered).says("nothing is done without a record")
	require.Equal(t, sealed, app.text("phone_sealed", "u1"))
	sh.write("onlyfor.toml", strings.Replace(sh.read("onlyfor.toml"), `"/dev/full"`, `"`+sh.dir+`"`, 1))
	sh.run(sealed, "reveal", "-p", "security", "--reason", "x").exits(hindered).says("nothing is done without a record")
}

// A line that a full disk has cut off does not swallow the next event.
func TestTornLineOfTheAuditLog(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	sh.write("onlyfor-data/audit.jsonl", `{"time":"2026-`)
	sh.run(address, "seal", "email", "-p", "security").exits(well)
	lines := strings.Split(sh.read("onlyfor-data/audit.jsonl"), "\n")
	require.Equal(t, `{"time":"2026-`, lines[0])
	require.Contains(t, lines[1], `"action":"open"`)
}

func TestSweep(t *testing.T) {
	onEach(t, func(t *testing.T, sh *shell, app *application) {
		over := sh.run(number, "seal", "phone", "-p", "security", "--retain", "1s").exits(well).out()
		kept := sh.run(number, "seal", "phone", "-p", "security", "--retain", "30d").exits(well).out()
		app.exec("INSERT INTO "+app.users+" (id, phone_sealed) VALUES ('u1', ?), ('u2', ?)", over, kept)
		require.Eventually(t, func() bool {
			return sh.runFreely(over, "reveal", "-p", "security", "--reason", "x").code == found
		}, time.Minute, 100*time.Millisecond)
		sh.run(over, "inspect").exits(well).says("retention is over")
		sh.run("", "migrate", "sweep").exits(well)
		require.Empty(t, app.text("phone_sealed", "u1"))
		require.Equal(t, kept, app.text("phone_sealed", "u2"))
		sh.run("", "migrate", "sweep").exits(well).says("0 changed")
	})
}

func TestKeyStoreIsAway(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	sealed := sh.run(address, "seal", "email", "-p", "security").exits(well).out()
	sh.write("onlyfor.toml", strings.Replace(sh.read("onlyfor.toml"), `dir = "onlyfor-data/keys"`, `database = "keys"`, 1)+"\n[[database]]\nname = \"keys\"\nkind = \"postgres\"\nvariable = \"KEYS_DSN\"\n")
	sh.env = []string{"KEYS_DSN=postgres://u:" + password + "@127.0.0.1:1/keys?sslmode=disable"}
	for _, args := range [][]string{{"reveal", "-p", "security", "--reason", "x"}, {"keys"}, {"doctor"}, {"erase", "u17", "--reason", "x"}, {"keys", "rotate", "security"}} {
		sh.run(sealed, args...).exits(hindered).says("unavailable")
	}
	sh.run(sealed, "inspect").exits(well) // needs no store
}

// A SIGINT in the middle of leftovers and of verify, which change nothing.
func TestInterruptReaders(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	app := newApplication(sh, targets[0], "")
	app.people(200)
	sh.run("", "migrate", "backfill").exits(well)
	log := filepath.Join(sh.dir, "onlyfor-data/audit.jsonl")
	for _, step := range []string{"verify", "leftovers", "reindex"} {
		info, err := os.Stat(log)
		require.NoError(t, err)
		before := info.Size()
		sh.interrupt(func(string) bool {
			info, err := os.Stat(log)
			return err == nil && info.Size() > before+1000
		}, "migrate", step, "--batch", "10", "--rows-per-second", "20").exits(hindered).says("stopped in table users")
	}
	require.Equal(t, 200, app.count("email IS NOT NULL"), fmt.Sprint(app))
}
