package main

import (
	"os/exec"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/migrate"
)

func TestBarFitsOneLine(t *testing.T) {
	p := migrate.Progress{Step: "backfill", Done: 12000, Total: 50000, Changed: 11970, Problems: 30, Elapsed: time.Second, Last: "17"}
	for _, width := range []int{20, 40, 80, 120, 200} {
		line := barLine("users", p, width)
		require.Less(t, utf8.RuneCountInString(line), width)
		require.Equal(t, width >= 120, strings.HasPrefix(line, "[="), line)
	}
	p.Total, p.Done = 0, 0
	require.Contains(t, barLine("users", p, 200), "==============================]", "an empty table is done")
}

// The command has a terminal, which the program script makes.
func TestBarOnATerminal(t *testing.T) {
	script, err := exec.LookPath("script")
	if err != nil {
		t.Skip("script is not installed")
	}
	sh := newShell(t)
	sh.run("", "init").exits(well)
	app := newApplication(sh, targets[0], "")
	app.people(5)
	c := sh.command("migrate", "backfill")
	c.Env = append(c.Env, "TERM=xterm", "COLUMNS=160")
	c.Args = []string{script, "-qec", c.Path + " migrate backfill", "/dev/null"}
	c.Path = script
	out, err := c.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "\r\x1b[K[==============================] users backfill: 5 of 5 rows, 100%")
}
