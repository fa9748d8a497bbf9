package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/config"
)

// backedUp copies the key store and the KEK of security, and tells the configuration.
func (sh *shell) backedUp() {
	data := filepath.Join(sh.dir, "onlyfor-data")
	copyDir(sh.t, filepath.Join(data, "keys"), filepath.Join(sh.dir, "backup"))
	require.NoError(sh.t, os.Mkdir(filepath.Join(sh.dir, "escrow"), 0o700))
	sh.escrow("security")
	sh.config("\n[backup]\npurposes = [\"security\"]\nstore.dir = \"backup\"\nkek.local = \"escrow\"\n")
}

func (sh *shell) escrow(p string) {
	sh.write("escrow/"+p+".kek", sh.read("onlyfor-data/kek/"+p+".kek"))
}

func TestDoctor(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	sh.run("", "doctor").exits(well).says("ok security: opens, and its KEK binds the purpose", "warning backup: the configuration names none")
	sh.backedUp()
	r := sh.run("", "doctor").exits(well).says("ok backup of security: opens with the KEK in escrow", "ok backup of advertising: does not open with the KEK in escrow",
		"ok security: the key store holds its pin", "ok lease: keys that are open work for")
	require.NotContains(t, r.stdout, "warning")
	var checks []check
	sh.run("", "doctor", "--json").exits(well).json(&checks)
	require.Greater(t, len(checks), 7)

	t.Run("escrow opens too much", func(t *testing.T) {
		sh.escrow("advertising")
		sh.run("", "doctor").exits(found).says("failed backup of advertising: opens with the KEK in escrow, and must not")
		require.NoError(t, os.Remove(filepath.Join(sh.dir, "escrow/advertising.kek")))
	})
	t.Run("escrow does not open", func(t *testing.T) {
		require.NoError(t, os.Remove(filepath.Join(sh.dir, "escrow/security.kek")))
		sh.run("", "doctor").exits(found).says("failed backup of security: does not open with the KEK in escrow")
		sh.escrow("security")
	})
	t.Run("files are open to others", func(t *testing.T) {
		pins := filepath.Join(sh.dir, "onlyfor-data/pins")
		require.NoError(t, os.Chmod(pins, 0o644))
		sh.run("", "doctor").exits(found).says("failed files: onlyfor-data/pins is open to others: chmod go= onlyfor-data/pins")
		require.NoError(t, os.Chmod(pins, 0o600))
		key := filepath.Join(sh.dir, "onlyfor-data/kek/security.kek")
		require.NoError(t, os.Chmod(key, 0o640))
		sh.run("", "doctor").exits(found).says("security.kek is open to others", "unknown security: ")
		require.NoError(t, os.Chmod(key, 0o600))
	})
	t.Run("KEK of another purpose", func(t *testing.T) {
		kept := sh.read("onlyfor-data/kek/security.kek")
		sh.write("onlyfor-data/kek/security.kek", sh.read("onlyfor-data/kek/advertising.kek"))
		require.NotZero(t, sh.run("", "doctor").says("security: ", "see [kek] of the configuration first", "ok advertising: opens").code)
		sh.write("onlyfor-data/kek/security.kek", kept)
	})
	t.Run("no pin", func(t *testing.T) {
		kept := sh.read("onlyfor-data/pins")
		sh.write("onlyfor-data/pins", "")
		sh.run("", "doctor").exits(well).says("warning security: has no pin")
		sh.write("onlyfor-data/pins", kept)
	})
	t.Run("lost keys", func(t *testing.T) {
		require.NoError(t, os.Remove(filepath.Join(sh.dir, "onlyfor-data/keys/advertising/keys.key")))
		sh.run("", "doctor").exits(found).says("failed advertising: ", "older than its pin", "ok security: opens")
	})
}

// A mistake with the variable of a KEK is named, and is not taken for an attack.
func TestHintsForVariablesOfKEKs(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	sh.run("", "keys", "make-kek", "security", "security.kek").exits(well)
	local := "local = \"onlyfor-data/kek\""
	require.Contains(t, sh.read("onlyfor.toml"), local)
	sh.write("onlyfor.toml", strings.Replace(sh.read("onlyfor.toml"), local, "environment = \"ONLYFOR_KEK_\"", 1))
	sh.run("", "keys", "security").exits(hindered).says("environment variable ONLYFOR_KEK_SECURITY: no text for this purpose", "put that one in its place")
	text, env := strings.TrimSpace(sh.read("security.kek")), sh.env
	for name, wrong := range map[string]string{"another KEK": text, "cut off": text[:len(text)-9]} {
		sh.env = append(env[:len(env):len(env)], "ONLYFOR_KEK_SECURITY="+wrong)
		sh.run("", "keys", "security").exits(found).says("see [kek] of the configuration first")
		require.NotContains(t, sh.run("", "keys", "security").out(), wrong[20:], name)
	}
}

// A role that opens advertising alone proves that security is shut, where the key-encryption
// key belongs to another user. A test that runs as root has every file.
func TestDoctorProvesThatAPurposeIsShut(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	sh.config("\n[[role]]\nname = \"ads\"\nopens = [\"advertising\"]\n")
	// This process owns the file, so it could use the purpose.
	sh.run("", "doctor", "--role", "ads").exits(found).says("failed security: ", "can open keys that it must not have", "ok advertising: opens")
	// A file that is missing is no proof.
	require.NoError(t, os.Remove(filepath.Join(sh.dir, "onlyfor-data/kek/security.kek")))
	sh.run("", "doctor", "--role", "ads").exits(hindered).says("unknown security: that it is shut for role ads is not proven")
	sh.run("", "doctor", "--role", "nobody").exits(hindered)
	if os.Getuid() != 0 {
		t.Skip("the proof needs a file of another user")
	}
	// The command runs as another user than the owner of the file.
	sh.asNobody(t, func(sh *shell) {
		sh.run("", "doctor", "--role", "ads").exits(well).says("ok security: is shut for role ads: proven")
	})
}

func TestDoctorSamplesTables(t *testing.T) {
	onEach(t, func(t *testing.T, sh *shell, app *application) {
		app.people(12)
		sh.run("", "doctor").exits(well).says("warning table " + app.users + ": of the first 12 rows: 24 unsealed")
		sh.run("", "migrate", "backfill").exits(well)
		sh.run("", "doctor").exits(well).says("ok table " + app.users + ": the first 12 rows open, and fit their indexes")
		if app.name != "sqlite" {
			sh.run("", "doctor").exits(well).says("ok clock: agrees with database app")
		}
		sh.run("", "doctor", "--sample", "5").exits(well).says("the first 5 rows open")
		sh.config("\n[[role]]\nname = \"ads\"\nopens = [\"advertising\"]\n")
		sh.run("", "doctor", "--role", "ads").says("not sampled: role ads does not open all of its purposes")

		app.exec("UPDATE "+app.users+" SET phone_sealed = ?, phone = NULL WHERE id = 'u00002'", app.text("phone_sealed", "u00003"))
		sh.run("", "doctor").exits(found).says("failed table " + app.users + ": of the first 12 rows: 1 stale index")
		app.exec("DROP TABLE " + app.users)
		sh.run("", "doctor").exits(hindered).says("unknown table "+app.users, "ok security: opens")
		app.exec("CREATE TABLE " + app.users + " (id INT)")
	})
}

func TestDoctorReadsGrants(t *testing.T) {
	source := os.Getenv("ONLYFOR_POSTGRES")
	if source == "" {
		t.Skip("ONLYFOR_POSTGRES is not set: .ci/databases sets it")
	}
	sh := newShell(t)
	sh.run("", "init").exits(well)
	app := newApplication(sh, targets[1], source)
	schema, _, _ := strings.Cut(app.users, ".")
	table := schema + ".onlyfor_keys"
	sh.write("onlyfor.toml", strings.NewReplacer(`dir = "onlyfor-data/keys"`, "database = \"app\"\ntable = \""+table+"\"", `pins = "onlyfor-data/pins"`, `pins = "pins2"`).Replace(sh.read("onlyfor.toml")))
	sh.config("\n[[role]]\nname = \"ops\"\nmanages = [\"security\", \"advertising\"]\n[[role]]\nname = \"all\"\nopens = [\"security\", \"advertising\"]\n")
	sh.run("", "keys", "generate", "--create-table").exits(well)
	sh.run("", "doctor", "--role", "ops", "--sample", "0").exits(well).says("warning grants: " + table + " has no row-level security")
	sh.run("", "doctor", "--role", "all", "--sample", "0").exits(found).says("failed grants: role all may delete keys")

	user := strings.ReplaceAll(schema, "cmd_", "cmd_user_")
	app.exec("CREATE ROLE " + user + " LOGIN")
	t.Cleanup(func() { app.db.Exec("DROP OWNED BY " + user); app.db.Exec("DROP ROLE " + user) })
	for _, statement := range []string{"GRANT USAGE ON SCHEMA " + schema + " TO " + user, "GRANT SELECT ON " + table + " TO " + user,
		"ALTER TABLE " + table + " ENABLE ROW LEVEL SECURITY", "CREATE POLICY read_all ON " + table + " FOR SELECT TO " + user + " USING (true)"} {
		app.exec(statement)
	}
	sh.env = append(sh.env, "APP_DSN="+strings.Replace(source, "postgres@", user+"@", 1))
	sh.run("", "doctor", "--role", "all", "--sample", "0").exits(well).says("ok grants: rights on " + table + " are no more than role all needs")
}

// Seals and ages, which no test reaches with real keys.
func TestDoctorWarnsOfWornKeys(t *testing.T) {
	p := purpose.MustParse("security")
	for _, test := range []struct {
		key   vault.Key
		level string
	}{
		{vault.Key{Seals: 1<<31 - 1}, ""},
		{vault.Key{Seals: 1 << 31}, levelWarning},
		{vault.Key{Seals: 1<<32/10*9 + 10}, levelFailed},
		{vault.Key{Seals: 1<<32/10*9 + 10, Status: vault.Retired}, ""},
		{vault.Key{Created: time.Now().Add(-100 * 24 * time.Hour)}, levelWarning},
		{vault.Key{Status: vault.Active}, levelWarning},
		{vault.Key{Status: vault.Active, PrimaryAt: time.Now()}, ""},
		{vault.Key{Seals: 1 << 32, Role: vault.RoleIndex}, ""},
	} {
		k := test.key
		if k.Created.IsZero() {
			k.Created = time.Now()
		}
		if k.Role == "" {
			k.Role = vault.RoleSeal
		}
		if k.Status == "" {
			k.Status = vault.Primary
		}
		d := &doctor{site: &site{Config: &config.Config{RotateAfter: config.Duration(90 * 24 * time.Hour)}}}
		d.keys(p, []vault.Key{k})
		level := ""
		if len(d.checks) > 0 {
			level = d.checks[0].Level
		}
		require.Equal(t, test.level, level, fmt.Sprintf("%+v", k))
	}
}

// The people who approve are named with the operations that need one of them. A key that is
// none is a finding of doctor, and the end of each other command.
func TestDoctorChecksApproval(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	without := sh.read("onlyfor.toml")
	require.NotContains(t, sh.run("", "doctor").exits(well).stdout, "approval")
	var keys []string
	for _, name := range []string{"bob", "carol"} {
		keys = append(keys, sh.run("", "approve", "key", name, name+".key").exits(well).out())
	}
	approval := func(keys ...string) {
		sh.write("onlyfor.toml", without)
		sh.config("\n[approval]\nkeys = [\"" + strings.Join(keys, "\", \"") + "\"]\n")
	}
	approval(keys...)
	sh.run("", "doctor").exits(well).says("ok approval: keys destroy and resume need the approval of bob or carol")
	approval(keys[1])
	sh.run("", "doctor").exits(well).says("need the approval of carol")

	secret := strings.TrimSpace(sh.read("bob.key"))
	for name, test := range map[string]struct {
		keys []string
		says string
	}{
		"a key that is cut off": {[]string{keys[0], keys[1][:len(keys[1])-3]}, "key 2 is no public key of onlyfor approve key"},
		"a key that is altered": {[]string{strings.Replace(keys[0], "bob", "rob", 1)}, "key 1 is no public key"},
		"a signing key":         {[]string{secret}, "key 1 is a signing key, which belongs to one person alone"},
		"one person twice":      {[]string{keys[0], keys[0]}, "key 2 has the name of another one"},
		"text that is no key":   {[]string{"bob@example.com"}, "key 1 is no public key"},
		"an empty key":          {[]string{""}, "key 1 is no public key"},
	} {
		t.Run(name, func(t *testing.T) {
			approval(test.keys...)
			r := sh.run("", "doctor").exits(found).says("failed approval: "+test.says, "every other command refuses this configuration", "ok security: opens")
			other := sh.run("", "keys", "list").exits(hindered).says("approval: " + test.says)
			for _, key := range test.keys {
				if key != "" {
					require.NotContains(t, r.stdout+r.stderr+other.stdout+other.stderr, key)
				}
			}
		})
	}
	sh.write("onlyfor.toml", without)
	sh.config("\n[approval]\nkeys = []\n")
	sh.run("", "doctor").exits(found).says("failed approval: there are no keys")
	var checks []check
	sh.run("", "doctor", "--json").exits(found).json(&checks)
	require.Equal(t, "approval", checks[len(checks)-1].Name)
	require.Equal(t, levelFailed, checks[len(checks)-1].Level)
}
