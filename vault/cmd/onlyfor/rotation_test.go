package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A whole rotation of the seal key, which is interrupted while it waits, and of the index
// key.
func TestRotateRun(t *testing.T) {
	onEach(t, func(t *testing.T, sh *shell, app *application) {
		app.people(20)
		sh.run("", "migrate", "backfill").exits(well)
		person := sh.run(number, "seal", "phone", "-p", "security", "--subject", "u17").exits(well).out()
		old := sh.keyOf("security", "seal", "primary")

		sh.run("", "keys", "rotate", "security", "--run").exits(well).says("nothing was done")
		sh.run("", "keys", "rotate", "security", "--run", "--role", "collect").exits(hindered)
		sh.run("", "keys", "rotate", "security").exits(well)
		sh.interrupt(func(stderr string) bool { return strings.Contains(stderr, "2. Wait") },
			"keys", "rotate", "security", "--run").exits(hindered).says("1. A rotation is under way", "2. Wait until", "stopped. Nothing that was done is lost: run the same command again")
		sh.run("", "doctor").exits(well)
		// The leak is urgent: nobody waits.
		sh.run("", "keys", "promote", "security", sh.keyOf("security", "seal", "published")).exits(well)
		sh.run("", "doctor").exits(well).says("warning security: a rotation is under way")
		sh.setting(`refresh = "100ms"`)

		var report rotationReport
		sh.run("", "keys", "rotate", "security", "--run", "--json").exits(well).json(&report)
		require.False(t, report.Rotated, "it goes on with the rotation that was begun")
		require.Equal(t, []string{old}, report.Retired)
		require.Equal(t, report.Primary, sh.keyOf("security", "seal", "primary"))
		require.Equal(t, int64(20), report.Tables[0].Changed)
		sh.run("", "migrate", "verify").exits(well)
		require.Equal(t, number, sh.runFreely(person, "reveal", "-p", "security", "--subject", "u17", "--reason", "x").exits(well).out())
		sh.run("", "keys", "rotate", "security", "--run").exits(well).says("nothing was done")

		old = sh.keyOf("security", "index", "primary")
		sh.run("", "keys", "rotate-index", "security", "--run", "--older-than", "1ns").exits(well).
			says("1. Published key", "4. Move and verify table "+app.users, "5. Retire", old+" is retired")
		sh.run("", "migrate", "verify").exits(well)
	})
}

// A rotation stops before it retires a key that a value needs, and goes on later.
func TestRotateRunStops(t *testing.T) {
	onEach(t, func(t *testing.T, sh *shell, app *application) {
		sh.setting(`refresh = "100ms"`)
		app.people(4)
		sh.run("", "migrate", "backfill").exits(well)
		old := sh.keyOf("security", "seal", "primary")
		good := app.text("phone_sealed", "u00002")
		bad := good[:len(good)-2] + "AA"
		app.exec("UPDATE "+app.users+" SET phone_sealed = ? WHERE id = 'u00002'", bad)
		sh.run("", "keys", "rotate", "security").exits(well)
		sh.run("", "keys", "rotate", "security", "--run").exits(found).says("row u00002: phone: corrupt", "so the old key stays in use")
		require.Equal(t, old, sh.keyOf("security", "seal", "active"))
		app.exec("UPDATE "+app.users+" SET phone_sealed = ? WHERE id = 'u00002'", good)
		sh.run("", "keys", "rotate", "security", "--run").exits(well).says("A rotation is under way", old+" is retired")
		sh.run("", "migrate", "verify").exits(well)
	})
}
