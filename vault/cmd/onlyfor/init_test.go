package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/config"
)

func TestInit(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well).says("made onlyfor.toml and keys for security, advertising")
	for name, mode := range map[string]os.FileMode{
		"onlyfor.toml": 0o600, "onlyfor-data": 0o700, "onlyfor-data/keys": 0o700, "onlyfor-data/kek": 0o700, "onlyfor-data/kek/security.kek": 0o600,
		"onlyfor-data/audit.jsonl": 0o600, "onlyfor-data/pins": 0o600,
	} {
		info, err := os.Stat(filepath.Join(sh.dir, name))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), name)
	}
	require.Equal(t, "*\n", sh.read("onlyfor-data/.gitignore"))
	require.Contains(t, sh.read("onlyfor-data/audit.jsonl"), `"justification":"init","action":"generate","outcome":"allowed","purpose":"security"`)

	t.Run("overwrites nothing", func(t *testing.T) {
		before := sh.read("onlyfor.toml") + sh.read("onlyfor-data/kek/security.kek")
		sh.run("", "init").exits(found).says("onlyfor.toml exists, and init overwrites nothing")
		require.NoError(t, os.Rename(filepath.Join(sh.dir, "onlyfor.toml"), filepath.Join(sh.dir, "kept")))
		sh.run("", "init").exits(found).says("onlyfor-data exists, and init overwrites nothing")
		require.Equal(t, before, sh.read("kept")+sh.read("onlyfor-data/kek/security.kek"))
	})
	t.Run("refuses names that are no purposes", func(t *testing.T) {
		sh := &shell{t: t, dir: t.TempDir()}
		sh.run("", "init", "Security").exits(hindered)
		sh.run("", "init", "security", "security").exits(hindered)
		require.NoFileExists(t, filepath.Join(sh.dir, "onlyfor.toml"))
	})
}

func TestInitNamesPurposes(t *testing.T) {
	sh := newShell(t)
	var made struct{ Purposes []string }
	sh.run("", "--json", "init", "billing").exits(well).json(&made)
	require.Equal(t, []string{"billing"}, made.Purposes)
	require.FileExists(t, filepath.Join(sh.dir, "onlyfor-data/kek/billing.kek"))
}

// The commented lines of the written configuration are there to be used: each of them is
// right for the purposes that init was given.
func TestInitSampleIsRight(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init", "two-factor", "ads").exits(well)
	written := sh.read("onlyfor.toml")
	require.Contains(t, written, "such as ONLYFOR_KEK_TWO_FACTOR\n")
	require.Contains(t, written, `variable = "ONLYFOR_DATABASE"`)
	require.NotRegexp(t, `<[A-Za-z]+>`, written)

	_, rest, found := strings.Cut(written, "# [kek.of.two-factor]") // one KEK is enough
	require.True(t, found)
	line := regexp.MustCompile(`(?m)^# (\[.*\]|[a-z_.-]+ = )`)
	used := line.ReplaceAllString("# [kek.of.two-factor]"+rest, "$1")
	used = regexp.MustCompile(`(?m)^(\[approval\]|keys = \["bob).*$`).ReplaceAllString(used, "") // each company has its own
	_, err := config.Parse(strings.TrimSuffix(written, "# [kek.of.two-factor]"+rest) + used)
	require.NoError(t, err)
}

func TestConfigurationIsRefused(t *testing.T) {
	sh := newShell(t)
	sh.run("", "seal", "email", "-p", "security").exits(hindered).says("there is no file onlyfor.toml: onlyfor init writes one")
	sh.run("", "init").exits(well)
	written := sh.read("onlyfor.toml")
	sh.write("onlyfor.toml", written+"\npassword = \""+password+"\"\n")
	sh.run(address, "seal", "email", "-p", "security").exits(hindered).says("configuration: onlyfor.toml: there is no field kek.password")
	sh.write("onlyfor.toml", written+"\n[[database]]\nname = \"app\"\nkind = \"postgres\"\nvariable = \"postgres://u:"+password+"@db/app\"\n")
	sh.run(address, "seal", "email", "-p", "security").exits(hindered).says("variable is not the name of an environment variable")
	sh.write("onlyfor.toml", written+"\n\""+password+"\n")
	sh.run(address, "seal", "email", "-p", "security").exits(hindered).says("onlyfor.toml: line")
}

func TestCommandLineIsRefused(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	for _, args := range [][]string{
		{},
		{"seal", "email", address, "-p", "security"},
		{"seal", address, "-p", "security"},
		{address},
		{"seal", "email", "-p", "security", "--" + address},
		{"seal", "email", "--adress=" + address},
		{"seal", "email", "-p", "security", "--legal", address},
		{"seal", "email", "-p", "security", "--retain", address},
		{"seal", "email", "-p", "security", "--notice", address},
		{"seal", "email", "-p", address},
		{"reveal", "-p", "security"},
		{"reveal", "-p", "security", "--reason", " "},
		{"inspect", "--verify"},
	} {
		sh.inside("", args...).exits(hindered)
	}
	// With --json, the error is JSON.
	r := sh.run("", "--json", "seal", "email", "-p", "billing").exits(hindered)
	require.JSONEq(t, `{"error": "that is no purpose of onlyfor.toml: it has security, advertising", "exit": 2, "hint": ""}`, r.stderr)
}

func TestHelp(t *testing.T) {
	sh := newShell(t)
	sh.env = []string{"COLUMNS=40"}
	requireWidth(t, 40, sh.run("", "--help").exits(well).stdout)
	sh.run("", "keys", "rotate", "--help").exits(well).says("Usage: onlyfor keys rotate <purpose> [flags]")
	sh.run("", "--help").exits(well).says("Exit codes: 0 all is well, 1 a finding or a refusal")
	parser, err := kong.New(new(cli), kong.Name("onlyfor"), kong.Vars{"version": ""})
	require.NoError(t, err)
	for _, node := range append(parser.Model.Leaves(true), parser.Model.Children...) {
		var help strings.Builder
		writeHelp(&help, 40, node)
		require.True(t, strings.HasPrefix(help.String(), "Usage: onlyfor "), help.String())
		requireWidth(t, 40, help.String())
	}
	sh.run("", "--version").exits(well).says("onlyfor ", "go1.")
}
