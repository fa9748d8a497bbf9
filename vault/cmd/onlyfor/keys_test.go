package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// keyOf returns the id of the key of a role with a status.
func (sh *shell) keyOf(purpose, role, status string) string {
	sh.t.Helper()
	var report struct{ Keys []keyReport }
	sh.run("", "keys", purpose, "--json").exits(well).json(&report)
	for _, k := range report.Keys {
		if string(k.Role) == role && k.Status == status {
			return k.ID
		}
	}
	require.Fail(sh.t, "no such key", "%s %s %s: %+v", purpose, role, status, report)
	return ""
}

func TestKeysAreListed(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	sh.run(address, "seal", "email", "-p", "security").exits(well)
	r := sh.run("", "keys").exits(well).says("security, wrapped by tink:", "role key status age seals of 2^32", "advertising, wrapped by")
	requireWidth(t, 80, r.stdout)
	var report struct{ Keys []keyReport }
	sh.run("", "keys", "security", "--json").exits(well).json(&report)
	require.Len(t, report.Keys, 4)
	require.Equal(t, uint64(1), report.Keys[0].Seals)
	require.InDelta(t, 1.0/(1<<32), report.Keys[0].Share, 1e-12)
	sh.env = []string{"COLUMNS=40"}
	r = sh.run("", "keys").exits(well).says("role seal key")
	requireWidth(t, 40, r.stdout)

	// A purpose that can't be opened hides no other.
	require.NoError(t, os.Remove(filepath.Join(sh.dir, "onlyfor-data/kek/security.kek")))
	r = sh.run("", "keys").exits(hindered).says("security: ", "no usable keys", "advertising, wrapped by")
	requireWidth(t, 40, r.stdout)
}

func TestGenerateReplacesNoLostKeys(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	sh.run("", "keys", "generate").exits(well).says("security has keys already")
	require.NoError(t, os.Remove(filepath.Join(sh.dir, "onlyfor-data/keys/security/keys.key")))
	sh.run("", "keys", "generate").exits(found).says("onlyfor restore")
	require.NoFileExists(t, filepath.Join(sh.dir, "onlyfor-data/keys/security/keys.key"))
	sh.run("", "keys", "generate", "--create-table").exits(hindered)
}

// A key lives from its publication to its destruction, which waits for the values that need
// it, and for the time that the library asks for.
func TestKeyLife(t *testing.T) {
	onEach(t, func(t *testing.T, sh *shell, app *application) {
		old := sh.keyOf("security", "seal", "primary")
		app.people(6)
		sh.run("", "migrate", "backfill").exits(well)
		sh.run("", "keys", "security", "--rows").exits(well).says("seal " + old + " primary")

		sh.run("", "keys", "rotate", "security", "--older-than", "1d").exits(well).says("nothing was rotated")
		sh.run("", "keys", "rotate", "security").exits(well).says("It becomes primary at ")
		next := sh.keyOf("security", "seal", "published")
		sh.run("", "keys", "retire", "security", next).exits(found)
		sh.run("", "keys", "promote", "security", next).exits(well)
		require.Equal(t, next, sh.keyOf("security", "seal", "primary"))

		sh.run("", "keys", "retire", "security", old).exits(found).says(fmt.Sprintf("key %s of security is needed by 12 values: 12 of %s", old, app.users), "onlyfor migrate reseal")
		sealed := app.text("email_sealed", "u00001")
		sh.run("", "keys", "retire", "security", old, "--anyway", "--reason", "leak").exits(well)
		sh.run(sealed, "reveal", "-p", "security", "--reason", "x").exits(found).says("onlyfor inspect --store shows the key")
		sh.run(sealed, "inspect", "--store").exits(well).says("retired ", "ago: onlyfor keys reinstate security "+old)
		sh.run("", "migrate", "verify").exits(found).says("retired: 6")
		sh.run("", "keys", "destroy", "security", old, "--reason", "old").exits(found).says("is needed by 12 values")
		sh.run("", "keys", "reinstate", "security", old).exits(well)
		sh.run("", "migrate", "reseal").exits(well)
		sh.run("", "keys", "retire", "security", old).exits(well)

		// No value needs the key, and 30 days are not over.
		sh.run("", "keys", "destroy", "security", old).exits(hindered)
		sh.run("", "keys", "destroy", "security", old, "--reason", " ").exits(hindered)
		date := time.Now().UTC().Add(30 * 24 * time.Hour).Format("2006-01")
		sh.run("", "keys", "destroy", "security", old, "--reason", "old").exits(found).says(date)
		sh.setting(`destroy_after = "1ms"`)
		app.exec("UPDATE "+app.users+" SET phone_sealed = ? WHERE id = 'u00002'", "pii1.phone.security.cut-off")
		sh.run("", "keys", "destroy", "security", old, "--reason", "old").exits(found).says("1 sealed values of the tables can't be read")
		app.exec("UPDATE " + app.users + " SET phone_sealed = NULL WHERE id = 'u00002'")
		sh.run("", "keys", "destroy", "security", old, "--reason", "older than every backup").exits(well)
		sh.run(sealed, "inspect", "--store").exits(well).says("not in the key store")
		require.Contains(t, sh.read("onlyfor-data/audit.jsonl"), `"justification":"older than every backup","action":"destroy","outcome":"allowed"`)
		sh.run("", "keys", "destroy", "security", next, "--reason", "x").exits(found)
	})
}

// A person without a row in the tables still needs the key that wraps hers.
func TestDestroyLosesNobody(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	sh.setting(`destroy_after = "1ms"`)
	sealed := sh.run(number, "seal", "phone", "-p", "security", "--subject", "u17").exits(well).out()
	old := sh.keyOf("security", "seal", "primary")
	sh.run("", "keys", "rotate", "security").exits(well)
	sh.run("", "keys", "promote", "security", sh.keyOf("security", "seal", "published")).exits(well)
	sh.run("", "keys", "retire", "security", old, "--anyway").exits(well)
	sh.run("", "keys", "destroy", "security", old, "--reason", "x").exits(found).says("the keys of 1 persons or more under security do not open")
	sh.run("", "keys", "reinstate", "security", old).exits(well)
	sh.run("", "keys", "retire", "security", old).exits(well)
	sh.run("", "keys", "destroy", "security", old, "--reason", "x").exits(well)
	require.Equal(t, number, sh.runFreely(sealed, "reveal", "-p", "security", "--subject", "u17", "--reason", "x").exits(well).out())
}

func TestChangeTheKEK(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	sealed := sh.run(address, "seal", "email", "-p", "security").exits(well).out()
	written := sh.read("onlyfor.toml")

	// Files to texts in the environment.
	sh.run("", "keys", "make-kek", "security", "kek.txt").exits(well).says("Put it into the platform's secrets")
	sh.run("", "keys", "make-kek", "security", "kek.txt").exits(hindered)
	sh.env = append(sh.env, "ONLYFOR_KEK_SECURITY="+strings.TrimSpace(sh.read("kek.txt")))
	sh.write("onlyfor.toml", strings.Replace(written, `local = "onlyfor-data/kek"`, `environment = "ONLYFOR_KEK_"`, 1))
	sh.run(sealed, "reveal", "-p", "security", "--reason", "x").exits(found)
	sh.config("\n[previous_kek]\nlocal = \"onlyfor-data/kek\"\n")
	sh.runFreely(sealed, "reveal", "-p", "security", "--reason", "x").exits(well)
	sh.run("", "keys", "rewrap", "security").exits(well).says("The keys of security are wrapped by")
	sh.write("onlyfor.toml", strings.Replace(written, `local = "onlyfor-data/kek"`, `environment = "ONLYFOR_KEK_"`, 1))
	require.Equal(t, address, sh.runFreely(sealed, "reveal", "-p", "security", "--reason", "x").exits(well).out())

	// And to other files, which the command makes.
	sh.write("onlyfor.toml", strings.Replace(written, `local = "onlyfor-data/kek"`, `local = "kek2"`, 1)+"\n[previous_kek]\nenvironment = \"ONLYFOR_KEK_\"\nof.advertising.local = \"onlyfor-data/kek\"\n")
	sh.run("", "keys", "rewrap").exits(well)
	sh.write("onlyfor.toml", strings.Replace(written, `local = "onlyfor-data/kek"`, `local = "kek2"`, 1))
	require.Equal(t, address, sh.runFreely(sealed, "reveal", "-p", "security", "--reason", "x").exits(well).out())
	sh.run("", "keys").exits(well)
}

func TestCollector(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	text := sh.run("", "keys", "collector", "security").exits(well).out()
	require.True(t, strings.HasPrefix(text, "ofc2.security."))
	sh.run("", "keys", "rotate", "security", "--role", "collect").exits(well)
	sh.run("", "keys", "promote", "security", sh.keyOf("security", "collect", "published")).exits(well)
	require.NotEqual(t, text, sh.run("", "keys", "collector", "security").exits(well).out())
}

// Somebody puts an old key store back. The pins, which are elsewhere, tell.
func TestPinsRefuseAnOldStore(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	keys, backup := filepath.Join(sh.dir, "onlyfor-data/keys"), filepath.Join(sh.dir, "backup")
	copyDir(t, keys, backup)
	sh.run("", "keys", "rotate", "security").exits(well)
	require.NoError(t, os.RemoveAll(keys))
	copyDir(t, backup, keys)
	sh.run("", "keys", "security").exits(found).says("security: ", "older than its pin")
	sh.run("", "keys", "advertising").exits(well)
}

// copyDir copies a directory with its modes.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, filepath.Walk(from, func(path string, info os.FileInfo, err error) error {
		require.NoError(t, err)
		name, err := filepath.Rel(from, path)
		require.NoError(t, err)
		if info.IsDir() {
			return os.Mkdir(filepath.Join(to, name), info.Mode().Perm())
		}
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		return os.WriteFile(filepath.Join(to, name), data, info.Mode().Perm())
	}))
}

// The key store is in a database, and its table is made by the command.
func TestStoreInADatabase(t *testing.T) {
	onEach(t, func(t *testing.T, sh *shell, app *application) {
		schema, _, _ := strings.Cut(app.users, ".")
		table := "onlyfor_keys"
		if schema != "users" {
			table = schema + ".onlyfor_keys"
		}
		sh.write("onlyfor.toml", strings.NewReplacer(`dir = "onlyfor-data/keys"`, "database = \"app\"\ntable = \""+table+"\"", `pins = "onlyfor-data/pins"`, `pins = "pins2"`).Replace(sh.read("onlyfor.toml")))
		sh.run("", "keys").exits(hindered).says("onlyfor keys generate --create-table")
		sh.run("", "keys", "generate", "--create-table").exits(well).says("made keys of security", "Back up the key store and the KEK")
		sealed := sh.run(address, "seal", "email", "-p", "security").exits(well).out()
		require.Equal(t, address, sh.runFreely(sealed, "reveal", "-p", "security", "--reason", "x").exits(well).out())
	})
}
