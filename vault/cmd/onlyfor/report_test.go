package main

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/report"
)

// The question of a regulator: who was affected by a notice, and what was it used for?
// A key is a cell that no spreadsheet runs, and two keys are never one cell.
func TestCells(t *testing.T) {
	for key, want := range map[string]string{
		"": "", "u00001": "u00001", "42": "42", "-42": "-42", "-9223372036854775808": "-9223372036854775808", "a=1": "a=1", " =1": " =1", "é": "é", "\xff": "\xff",
		"=1+1": "'=1+1", "+49 171": "'+49 171", "+1": "'+1", "-1+cmd": "'-1+cmd", "-": "'-", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t=1", "\r=1": "'\r=1", "\n=1": "'\n=1",
		"'=1": "''=1", "＝1+1": "'＝1+1", "＋1": "'＋1", "－1": "'－1", "＠A1": "'＠A1",
	} {
		require.Equal(t, want, cell(key), "%q", key)
	}
}

func TestReportAffected(t *testing.T) {
	onEach(t, func(t *testing.T, sh *shell, app *application) {
		app.people(40)
		sh.run("", "migrate", "backfill").exits(well)

		r := sh.run("", "report", "affected", "--notice", "2fa-prompt-v3").exits(well).says("20 people, 20 values", "claims", "2fa-prompt-v3")
		require.NotContains(t, r.stdout, "sign-up-v1")
		sh.run("", "report", "affected", "--notice", "2fa-prompt-v3", "--rows", "letters.csv", "--html", "page.html").exits(well)
		rows := strings.Split(strings.TrimSpace(sh.read("letters.csv")), "\n")
		require.Len(t, rows, 20)
		require.Equal(t, app.users+",u00000", rows[0])
		require.Contains(t, sh.read("page.html"), "<h1>Who is affected</h1>")
		sh.run("", "report", "affected", "--rows", "letters.csv").exits(hindered).says("exists already")

		sh.run("", "report", "affected", "--rows", "late.csv", "--html", "page.html").exits(hindered).says("page.html exists already")
		require.NoFileExists(t, filepath.Join(sh.dir, "late.csv"))

		app.exec("UPDATE " + app.users + " SET id = '=HYPERLINK(A2)' WHERE id = 'u00001'")
		sh.run("", "report", "affected", "--rows", "formula.csv").exits(well)
		cells, err := csv.NewReader(strings.NewReader(sh.read("formula.csv"))).ReadAll()
		require.NoError(t, err)
		require.Contains(t, cells, []string{app.users, "'=HYPERLINK(A2)"})

		var all report.AffectedReport
		sh.run("", "report", "affected", "--json").exits(well).json(&all)
		require.EqualValues(t, 40, all.Total.People)
		require.EqualValues(t, 80, all.Total.Values)
		sh.run("", "report", "affected", "--verify").exits(hindered).says("--reason")
		sh.run("", "report", "affected", "--verify", "--reason", "order 7", "--json").exits(well).json(&all)
		require.EqualValues(t, 80, all.Total.Verified)
		require.True(t, all.Verifies)
		require.Contains(t, sh.read("onlyfor-data/audit.jsonl"), `"justification":"order 7"`)
		// A value of another purpose under the same name does not open.
		app.exec("UPDATE "+app.users+" SET phone_sealed = ? WHERE id = 'u00002'", strings.Replace(app.text("phone_sealed", "u00002"), ".security.", ".advertising.", 1))
		sh.run("", "report", "affected", "--verify", "--reason", "order 7").exits(well).says("79 values were opened", "1 did not open")

		app.exec("ALTER TABLE " + app.users + " RENAME COLUMN phone_sealed TO elsewhere")
		sh.run("", "report", "affected", "--rows", "cut-off.csv").exits(hindered)
		require.NoFileExists(t, filepath.Join(sh.dir, "cut-off.csv"))
		app.exec("ALTER TABLE " + app.users + " RENAME COLUMN elsewhere TO phone_sealed")

		sh.run("", "report", "affected", "--since", "yesterday").exits(hindered).says("--since is a day")
		sh.run("", "report", "affected", "--purpose", "A!").exits(hindered).says("no name of a purpose")
		sh.run("", "report", "affected", "--table", "nobody").exits(hindered)
		sh.run("", "report", "affected", "--log", "nobody", "--key", "x").exits(hindered)
	})
}

// Uses are counted in the log of the configuration, and in copies of logs without one.
func TestReportUse(t *testing.T) {
	sh, verifier := audited(t)
	sealed := sh.run(number, "seal", "phone", "-p", "security", "--notice", "2fa-prompt-v3").exits(well).out()
	sh.runFreely(sealed, "reveal", "-p", "security", "--reason", "ticket").exits(well)
	sh.run(sealed, "reveal", "-p", "advertising", "--reason", "mailing").exits(found)

	var uses report.UsesReport
	sh.run("", "report", "use", "--notice", "2fa-prompt-v3", "--json").exits(well).json(&uses)
	seen := map[string]int64{}
	for _, u := range uses.Uses {
		seen[u.Action+" "+u.Outcome+" "+u.Notice] += u.Values
	}
	require.EqualValues(t, 1, seen["reveal allowed 2fa-prompt-v3"])
	require.EqualValues(t, 1, seen["reveal denied "])
	outsider := &shell{t: t, dir: t.TempDir()}
	require.NoError(t, os.CopyFS(filepath.Join(outsider.dir, "copy"), os.DirFS(filepath.Join(sh.dir, "onlyfor-data/audit"))))
	outsider.run("", "report", "use", "--log", "copy", "--key", verifier, "--html", "page.html").exits(well).says("example.com/audit/ops verifies")
	require.Contains(t, outsider.read("page.html"), "Used for security")

	// An edited log is a finding.
	bodies, err := filepath.Glob(filepath.Join(outsider.dir, "copy/bodies/*.log"))
	require.NoError(t, err)
	edited := 0
	for _, path := range bodies {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		edited += strings.Count(string(text), `"outcome":"denied"`)
		require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(text), `"outcome":"denied"`, `"outcome":"failed"`, 1)), 0o600))
	}
	require.Equal(t, 1, edited)
	outsider.run("", "report", "use", "--log", "copy", "--key", verifier).exits(found).says("DOES NOT VERIFY")

	plain := newShellIn(t)
	plain.run("", "init").exits(well)
	plain.run("", "report", "use").exits(hindered).says("no [audit_log]")
}

// newShellIn returns a second shell of a test.
func newShellIn(t *testing.T) *shell { return &shell{t: t, dir: t.TempDir()} }

func TestReportRopa(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	app := newApplication(sh, targets[0], "")
	app.people(4)
	sh.run("", "migrate", "backfill").exits(well)
	sh.run("", "report", "ropa").exits(found).says("security: the recipients", "the controller's name and contact", "no register was given")
	statement := func(p string) string {
		return "\n[record.purposes." + p + "]\ndescription = \"For " + p + ".\"\ncategories = [\"members\"]\nrecipients = [\"a gateway\"]\ntransfers = [\"none\"]\nmeasures = [\"sealed\"]\n"
	}
	sh.config("\n[record]\ncontroller = \"Example Ltd\"\ncontact = \"privacy@example.com\"\n" + statement("security") + statement("advertising"))
	sh.write("register.json", `{"purposes": [{"name": "security", "uses": [{"op": "reveal", "place": "mailer.Send"}, {"op": "send", "place": "mailer.New", "host": "api.sms.example", "fields": [{"kind": "phone", "place": "form field To"}], "at": ["m.go:3"]}]}], "unknown": []}`)
	var r report.RopaReport
	sh.runFreely("", "report", "ropa", "--register", "register.json", "--html", "ropa.html", "--json").exits(found).json(&r)
	for _, missing := range r.Missing { // the configuration of the test states no retention
		require.Regexp(t, `^(security|advertising): an end of retention|^advertising: a legal ground`, missing)
	}
	require.Contains(t, sh.read("ropa.html"), "mailer.Send")
	require.Contains(t, sh.read("ropa.html"), "a gateway, api.sms.example (phone in form field To)")
	sh.write("register.json", "nonsense")
	sh.run("", "report", "ropa", "--register", "register.json").exits(hindered).says("no register of piivet")
	sh.config("\nreport = 1\n")
	sh.run("", "report", "ropa").exits(hindered)
}
