package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog"
)

// The drill of a deceptive notice: a dry run, the brake, the index column, and back.
func TestDeceptiveNotice(t *testing.T) {
	onEach(t, func(t *testing.T, sh *shell, app *application) {
		const people = 20 // of whom every other one saw the notice
		app.people(people)
		sh.run("", "migrate", "backfill").exits(well)
		mine, other := app.text("phone_sealed", "u00000"), app.text("email_sealed", "u00001")
		for range 3 {
			sh.runFreely(mine, "reveal", "-p", "security", "--reason", "ticket").exits(well)
		}
		sh.runFreely(other, "reveal", "-p", "security", "--reason", "ticket").exits(well)

		var run dryRun
		args := []string{"suspend", "security", "--notice", "2fa-prompt-v3", "--reason", "deceptive prompt"}
		sh.run("", append(args, "--dry-run", "--json")...).exits(well).json(&run)
		require.Equal(t, int64(3), run.Refused[audit.Reveal])
		require.Equal(t, int64(4), run.Of[audit.Reveal])
		require.Zero(t, run.Unread)
		require.NotContains(t, run.Refused, audit.Seal)
		sh.run("", append(args, "--dry-run")...).exits(well).says("Nothing was changed", "Look-ups of texts have no notice")
		sh.run("", "suspensions").exits(well).says("nothing is suspended")
		sh.runFreely(mine, "reveal", "-p", "security", "--reason", "ticket").exits(well)

		sh.run("", append(args, "--until", "7d")...).exits(well).says(
			"Suspended: reveal, hint, index, extend for security under notice 2fa-prompt-v3 until ", "within 5m0s", "onlyfor migrate clear-notice --purpose security --notice 2fa-prompt-v3")
		sh.run(mine, "reveal", "-p", "security", "--reason", "ticket").exits(found).says("suspended for security under notice 2fa-prompt-v3 until", "onlyfor suspensions")
		sh.runFreely(other, "reveal", "-p", "security", "--reason", "ticket").exits(well)
		sh.run("", "suspensions").exits(well).says("2fa-prompt-v3", "reveal,hint,index,extend", "deceptive prompt")
		var all []suspensionReport
		sh.run("", "suspensions", "--json").exits(well).json(&all)
		require.Equal(t, "deceptive prompt", all[0].Reason)
		require.Greater(t, time.Until(all[0].Until), 6*24*time.Hour)

		require.Equal(t, people, app.count("phone_index IS NOT NULL"))
		sh.run("", "migrate", "clear-notice", "-p", "security", "--notice", "2fa-prompt-v3").exits(well).says("10 changed")
		require.Equal(t, people/2, app.count("phone_index IS NOT NULL"))
		require.Equal(t, people, app.count("email_index IS NOT NULL"))
		require.Equal(t, people, app.count("phone_sealed IS NOT NULL"))
		sh.run("", "migrate", "reindex").exits(found).says("suspended: 10")
		sh.run("", "migrate", "reseal").exits(well)
		require.Equal(t, people/2, app.count("phone_index IS NOT NULL"))

		sh.run("", "resume", "security", "--reason", "corrected").exits(found).says("nothing of that kind is suspended", "--notice")
		sh.run("", "resume", "security", "--notice", "2fa-prompt-v3", "--reason", "corrected").exits(well).says("Resumed: reveal")
		sh.runFreely(mine, "reveal", "-p", "security", "--reason", "ticket").exits(well)
		sh.run("", "migrate", "reindex").exits(well).says("10 changed")
		require.Equal(t, people, app.count("phone_index IS NOT NULL"))
		log := sh.read("onlyfor-data/audit.jsonl")
		require.Regexp(t, `"justification":"deceptive prompt","action":"suspend","outcome":"allowed","purpose":"security","generation":2,"digest":"[0-9a-f]{32}","notice":"2fa-prompt-v3","expires":"[^"]+","note":"reveal,hint,index,extend: deceptive prompt"`, log)
		require.Regexp(t, `"justification":"corrected","action":"resume","outcome":"allowed","purpose":"security","generation":3,"digest":"[0-9a-f]{32}","notice":"2fa-prompt-v3"`, log)
		require.Regexp(t, `"action":"reveal","outcome":"denied".*"reason":"suspended"`, log)
	})
}

// The whole purpose: sealing stops too, and the doctor says so. Keys are rotated meanwhile.
func TestSuspendedPurpose(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	sealed := sh.run(address, "seal", "email", "-p", "security").exits(well).out()
	sh.run("", "suspend", "security", "--reason", "breach").exits(well).says("Suspended: seal, reveal, hint, index, extend for security.")
	sh.run(sealed, "reveal", "-p", "security", "--reason", "x").exits(found).says("suspended for security")
	sh.run(address, "seal", "email", "-p", "security").exits(found).says("suspended for security")
	sh.run(address, "seal", "email", "-p", "advertising").exits(well)
	sh.run("", "doctor").says("suspended: seal, reveal, hint, index, extend for security. breach")
	sh.run("", "keys", "rotate", "security").exits(well)
	sh.run("", "erase", "u17", "--unknown", "--reason", "request").exits(well)
	sh.run("", "suspend", "security", "--actions", "reveal,hint", "--reason", "half way").exits(well).says("Suspended: reveal, hint for security.")
	sh.run(address, "seal", "email", "-p", "security").exits(well)
	sh.run("", "resume", "security", "--reason", "over").exits(well)
	require.Equal(t, address, sh.runFreely(sealed, "reveal", "-p", "security", "--reason", "x").exits(well).out())
	sh.run("", "doctor").exits(well)
}

// Mistakes are told in one line, and change nothing.
func TestSuspendMistakes(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	keys := sh.read("onlyfor-data/keys/security/keys.key")
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{hindered, "--reason", []string{"suspend", "security"}},
		{hindered, "--reason is empty", []string{"suspend", "security", "--reason", " "}},
		{hindered, "no purpose", []string{"suspend", "shipping", "--reason", "x"}},
		{found, "action can't be suspended", []string{"suspend", "security", "--actions", "reveal,erase", "--reason", "x"}},
		{found, "malformed notice", []string{"suspend", "security", "--notice", address, "--reason", "x"}},
		{found, "reason is longer", []string{"suspend", "security", "--reason", strings.Repeat("x", 201)}},
		{found, "not one line", []string{"suspend", "security", "--reason", "a\nb"}},
		{hindered, "--until is a time", []string{"suspend", "security", "--until", "tomorrow", "--reason", "x"}},
		{hindered, "--until is a time", []string{"suspend", "security", "--until", "0s", "--reason", "x"}},
		{hindered, "over already", []string{"suspend", "security", "--until", "2020-01-01T00:00:00Z", "--reason", "x"}},
		{found, "malformed notice", []string{"suspend", "security", "--notice", "two words", "--reason", "x", "--dry-run"}},
		{hindered, "can't be read", []string{"suspend", "security", "--reason", "x", "--dry-run", "--log", "nowhere"}},
		{hindered, "a notice is", []string{"migrate", "clear-notice", "-p", "security", "--notice", "two words"}},
		{hindered, "no table", []string{"migrate", "clear-notice", "-p", "security", "--notice", "n-1"}},
		{found, "nothing of that kind", []string{"resume", "security", "--notice", "n-1", "--reason", "x"}},
		{hindered, "--reason is empty", []string{"resume", "security", "--notice", "n-1", "--reason", ""}},
	} {
		sh.run("", c.args...).exits(c.code).says(c.says)
	}
	require.Equal(t, keys, sh.read("onlyfor-data/keys/security/keys.key"))
}

// A dry run reads the tamper-evident logs of services too, and passes over garbage.
func TestDryRunOverLogs(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	private, _, err := note.GenerateKey(nil, "example.com/audit/mailer")
	require.NoError(t, err)
	signer, err := note.NewSigner(private)
	require.NoError(t, err)
	dir := filepath.Join(sh.dir, "log")
	log, err := auditlog.Open(t.Context(), dir, signer, nil)
	require.NoError(t, err)
	security := purpose.MustParse("security")
	record := func(e audit.Event) {
		if e.Time.IsZero() {
			e.Time = time.Now()
		}
		e.Purpose = security
		e.Outcome = audit.Allowed
		require.NoError(t, log.Audit(context.Background(), e))
	}
	noticed := purpose.Provenance{Notice: "n-1"}
	record(audit.Event{Action: audit.Reveal, Provenance: noticed, Count: 1})
	record(audit.Event{Action: audit.Reveal, Provenance: noticed, Count: 1000})
	record(audit.Event{Action: audit.Reveal, Count: 5})
	record(audit.Event{Action: audit.Seal, Provenance: noticed, Count: 1})
	record(audit.Event{Action: audit.Reveal, Provenance: noticed, Count: 7, Time: time.Now().Add(-25 * time.Hour)})
	require.NoError(t, log.Close())
	sh.write("garbage.jsonl", "\x00\x01 no entry\n"+strings.Repeat("x", 3<<20)+"\n{\"action\":\n")
	sh.write("empty.jsonl", "")
	var run dryRun
	sh.run("", "suspend", "security", "--notice", "n-1", "--reason", "x", "--dry-run", "--log", "log,garbage.jsonl,empty.jsonl", "--json").exits(well).json(&run)
	require.Equal(t, map[audit.Action]int64{audit.Reveal: 1001, audit.Hint: 0, audit.Index: 0, audit.Extend: 0}, run.Refused)
	require.Equal(t, int64(1006), run.Of[audit.Reveal])
	require.Equal(t, int64(3), run.Unread)
	text, err := json.Marshal(run)
	require.NoError(t, err)
	require.NotContains(t, string(text), "canary")
}
