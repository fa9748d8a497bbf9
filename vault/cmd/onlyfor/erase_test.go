package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
)

func TestErase(t *testing.T) {
	onEach(t, func(t *testing.T, sh *shell, app *application) {
		sh.write("onlyfor.toml", strings.Replace(sh.read("onlyfor.toml"), "\nkey = \"id\"\n", "\nkey = \"id\"\nsubject = \"id\"\n", 1))
		app.people(4)
		sh.run("", "migrate", "backfill").exits(well)
		sh.run("", "migrate", "cut-over", "--yes").exits(well)
		sealed, index := app.text("phone_sealed", "u00001"), app.count("phone_index IS NOT NULL")
		require.Equal(t, 4, index)

		sh.run("", "erase", "u00001").exits(hindered)
		sh.run("", "erase", "u0001", "--reason", "request-7").exits(found).says("it may be mistyped")
		sh.run("", "erase", "0", "--reason", "request-7").exits(hindered)
		var erasures []vault.Erasure
		sh.run("u00001\n", "erase", "-", "--reason", "request-7", "--json").exits(well).json(&erasures)
		require.Len(t, erasures, 2)
		sh.run("", "erase", "u00001", "--reason", "request-7").exits(well).says("Erased under security: "+erasures[0].Subject, "onlyfor migrate clear-erased")
		sh.run(sealed, "reveal", "-p", "security", "--subject", "u00001", "--reason", "x").exits(found).says("subject is erased")

		// The certificate is what --json printed.
		var kept vault.Erasure
		require.NoError(t, json.Unmarshal([]byte(sh.read("onlyfor-data/certificates/security-"+erasures[0].Subject+".json")), &kept))
		require.Equal(t, erasures[0], kept)
		require.Regexp(t, `"justification":"request-7","action":"erase","outcome":"allowed","purpose":"security","key":"[0-9a-f]{8}","generation":\d+,"digest":"[0-9a-f]{32}","subject":"`+erasures[0].Subject, sh.read("onlyfor-data/audit.jsonl"))

		// A table whose values are sealed for nobody has nothing to clear.
		sh.config("\n[[table]]\ndatabase = \"app\"\nname = \"elsewhere\"\nkey = \"id\"\n[[table.column]]\nkind = \"email\"\nsealed = \"e\"\nindex.security = \"i\"\n")
		sh.run("", "migrate", "clear-erased").exits(well)
		sh.run("", "migrate", "clear-erased", "elsewhere").exits(hindered)
		require.Equal(t, 3, app.count("phone_index IS NOT NULL"))
		sh.run("", "erase", "never-seen", "--reason", "x", "--unknown").exits(well)
	})
}

// A backup of the key store is put back after an erasure. The person stays erased.
func TestRestoreReplay(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	sealed := sh.run(number, "seal", "phone", "-p", "security", "--subject", "u17").exits(well).out()
	other := sh.run(number, "seal", "phone", "-p", "security", "--subject", "u18").exits(well).out()
	keys, backup := filepath.Join(sh.dir, "onlyfor-data/keys"), filepath.Join(sh.dir, "backup")
	copyDir(t, keys, backup)
	sh.run("", "erase", "u17", "-p", "security", "--reason", "request-7").exits(well)

	require.NoError(t, os.RemoveAll(keys))
	copyDir(t, backup, keys)
	sh.run(sealed, "reveal", "-p", "security", "--subject", "u17", "--reason", "x").exits(found).says("older than its pin")
	sh.run("", "restore", "replay", "--reason", "disk lost").exits(well).says("Erased again under security")
	sh.run(sealed, "reveal", "-p", "security", "--subject", "u17", "--reason", "x").exits(found).says("subject is erased")
	require.Equal(t, number, sh.runFreely(other, "reveal", "-p", "security", "--subject", "u18", "--reason", "x").exits(well).out())
	sh.run("", "restore", "replay", "--reason", "again").exits(well)

	certificate := strings.Replace(sh.certificate(), "security", "nothing", 1)
	sh.write("onlyfor-data/certificates/x.json", certificate)
	require.NotZero(t, sh.run("", "restore", "replay", "--reason", "x").code)
	sh.write("onlyfor-data/certificates/x.json", address)
	sh.run("", "restore", "replay", "--reason", "x").exits(found).says("x.json is no certificate of an erasure")
}

// certificate returns the text of one certificate.
func (sh *shell) certificate() string {
	names, err := filepath.Glob(filepath.Join(sh.dir, "onlyfor-data/certificates/*.json"))
	require.NoError(sh.t, err)
	require.NotEmpty(sh.t, names)
	data, err := os.ReadFile(names[0])
	require.NoError(sh.t, err)
	return string(data)
}

func TestWithdraw(t *testing.T) {
	onEach(t, func(t *testing.T, sh *shell, app *application) {
		app.people(4)
		sh.run("", "migrate", "backfill").exits(well)
		sh.run("", "withdraw", app.users, "u00001", "-p", "advertising", "--reason", "x").exits(found).says("still has the plaintext")
		sh.run("", "migrate", "cut-over", "--yes").exits(well)
		before := app.text("phone_sealed", "u00003")
		require.Equal(t, 2, app.count("ads_index IS NOT NULL"))

		sh.run("", "withdraw", app.users, "u00001", "-p", "advertising", "--reason", "request-8").exits(well).
			says("email_sealed: has no value for advertising", "phone_sealed: withdrawn, and still for security")
		sealed := app.text("phone_sealed", "u00001")
		sh.run(sealed, "reveal", "-p", "advertising", "--reason", "x").exits(found)
		require.Equal(t, "+14155550001", sh.runFreely(sealed, "reveal", "-p", "security", "--reason", "x").exits(well).out())
		require.Equal(t, 1, app.count("ads_index IS NOT NULL"))
		require.Equal(t, 4, app.count("phone_index IS NOT NULL"))
		require.Equal(t, before, app.text("phone_sealed", "u00003"))
		require.Regexp(t, `"justification":"request-8","action":"withdraw","outcome":"allowed","purpose":"advertising",.*"collected":"advertising\+security","kind":"phone","value":"[0-9a-f]{32}"`, sh.read("onlyfor-data/audit.jsonl"))

		sh.run("", "withdraw", app.users, "u00001", "-p", "security", "--column", "phone_sealed", "--reason", "x").exits(well).says("withdrawn, and empty now")
		require.Equal(t, 3, app.count("phone_sealed IS NOT NULL"))
		sh.run("", "withdraw", app.users, "u00001", "-p", "security", "--column", "phone_sealed", "--reason", "x").exits(well).says("has no value for security")
		sh.run("", "withdraw", app.users, "u9", "-p", "security", "--reason", "x").exits(found).says("has no row with that key")
		sh.run("", "withdraw", app.users, "u00002", "-p", "security", "--column", "phone", "--reason", "x").exits(hindered)
		app.exec("UPDATE " + app.users + " SET phone_sealed = 'x' WHERE id = 'u00002'")
		sh.run("", "withdraw", app.users, "u00002", "-p", "security", "--reason", "x").exits(found).says("has no sealed value, and text")
	})
}
