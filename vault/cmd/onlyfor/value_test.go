package main

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func requireWidth(t *testing.T, width int, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimRight(line, "\n")), width, line)
	}
}

func TestSealAndReveal(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	sealed := sh.run(address+"\n", "seal", "email", "-p", "security", "--notice", "sign-up-v1", "--reason", "ticket-1").exits(well).out()
	require.True(t, strings.HasPrefix(sealed, "pii1.email.security."))

	require.Equal(t, address+"\n", sh.runFreely(sealed+"\n", "reveal", "-p", "security", "--reason", "ticket-2").exits(well).stdout)
	require.Equal(t, address+"\n", sh.runFreely("", "reveal", sealed, "-p", "security", "--reason", "ticket-2").exits(well).stdout)
	var revealed struct{ Plaintext string }
	sh.runFreely("", "reveal", sealed, "--json", "-p", "security", "--reason", "ticket-2").exits(well).json(&revealed)
	require.Equal(t, address, revealed.Plaintext)

	sh.run(sealed, "reveal", "-p", "security", "--reason", " ").exits(hindered).says("--reason is empty")
	sh.run(sealed, "inspect", "--verify", "--reason", " ").exits(hindered).says("needs a --reason")

	sh.run("", "reveal", sealed, "-p", "advertising", "--reason", "ticket-3").exits(found).says("collected for security, not advertising")

	phone := sh.run(number, "seal", "phone", "-p", "security,advertising", "--subject", "u17").exits(well).out()
	require.Equal(t, number, sh.runFreely(phone, "reveal", "-p", "advertising", "--subject", "u17", "--reason", "x").exits(well).out())
	sh.run(phone, "reveal", "-p", "advertising", "--reason", "x").exits(found).says("not sealed for this subject")
	sh.run(phone, "reveal", "-p", "advertising", "--subject", "u18", "--reason", "x").exits(found).says("not sealed here, or altered since")
	sh.run(phone, "reveal", "-p", "advertising", "--subject", "0", "--reason", "x").exits(hindered).says("--subject is no id of a person")

	// Each use, the refused one too, is in the audit log, with its reason, and with no value.
	log := sh.read("onlyfor-data/audit.jsonl")
	require.NotContains(t, log, address)
	require.NotContains(t, log, number)
	var uses []string
	for line := range strings.Lines(log) {
		var e struct{ Justification, Action, Outcome, Purpose, Caller string }
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		require.Equal(t, "tester", e.Caller, line)
		if e.Action == "seal" || e.Action == "reveal" {
			uses = append(uses, e.Action+" "+e.Outcome+" "+e.Purpose+" "+e.Justification)
		}
	}
	require.Equal(t, []string{"seal allowed security ticket-1", "reveal allowed security ticket-2"}, uses[:2])
	require.Contains(t, uses, "reveal denied advertising ticket-3")
}

func TestInputThatIsNoValue(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	sealed := sh.run(address, "seal", "email", "-p", "security").exits(well).out()
	for _, test := range []struct{ name, input, says string }{
		{"plaintext", address, "this is no sealed value: give the whole text of a sealed column"},
		{"binary", "\x00\x01\xff" + address, "this is no sealed value"},
		{"cut off", sealed[:len(sealed)-3], "this is a sealed value that was cut off or altered"},
		{"a key-encryption key", "ofkek1.security.CJ3w", "this is a key-encryption key"},
		{"a collector", "ofc2.security.AAAA", "this is the text of a collector"},
		{"a pin", "ofp1.security.AAAA", "this is a pin"},
		{"nothing", "", "standard input is empty"},
		{"two values", sealed + "\n" + sealed, "standard input has more than one value"},
		{"more than any value", strings.Repeat("canary-wq7f3 ", 10000), "standard input has more than one value"},
	} {
		t.Run(test.name, func(t *testing.T) {
			sh := &shell{t: t, dir: sh.dir}
			for _, args := range [][]string{{"inspect"}, {"inspect", "-"}, {"reveal", "-p", "security", "--reason", "x"}} {
				r := sh.inside(test.input, args...).says(test.says)
				require.NotZero(t, r.code)
				require.Empty(t, r.stdout)
			}
		})
	}
	sh.run("not a number "+number, "seal", "phone", "-p", "security").exits(found)
}

func TestInspect(t *testing.T) {
	sh := newShell(t)
	sh.env = []string{"COLUMNS=40"}
	sh.run("", "init").exits(well)
	sealed := sh.run(number, "seal", "phone", "-p", "security,advertising", "--notice", "2fa-prompt-v3", "--legal", "consent", "--consent", "c-81f3", "--retain", "30d").exits(well).out()

	r := sh.run(sealed, "inspect").exits(well).says("kind phone", "purpose security", "notice 2fa-prompt-v3", "legal consent", "consent c-81f3", "slot key of the purpose")
	require.True(t, strings.HasPrefix(r.stdout, "claims, not verified\n"))
	requireWidth(t, 40, r.stdout)

	var report valueReport
	sh.run(sealed, "inspect", "--json").exits(well).json(&report)
	require.False(t, report.Verified)
	require.Len(t, report.Slots, 2)
	require.Equal(t, len(sealed), report.Bytes.Text)

	// Without a configuration, and in a pipe with the quotes of JSON.
	bare := &shell{t: t, dir: t.TempDir()}
	bare.run(`"`+sealed+`"`, "inspect").exits(well).says("notice 2fa-prompt-v3")

	r = sh.run(sealed, "inspect", "--verify", "--store", "--reason", "x").exits(well).says("opened authentic", "status primary: it opens")
	require.True(t, strings.HasPrefix(r.stdout, "verified\n"))

	// A header that somebody edited is a claim, and does not verify.
	forged := strings.Replace(sealed, "advertising~security", "advertising~billing", 1)
	require.NotEqual(t, sealed, forged)
	sh.run(forged, "inspect").exits(well).says("purpose billing")
	forged = strings.Replace(sealed, "pii1.phone.", "pii1.fax.", 1)
	r = sh.run(forged, "inspect", "--verify", "--reason", "x").exits(found).says("not verified: revealing")
	require.True(t, strings.HasPrefix(r.stdout, "claims, not verified\n"))

	person := sh.run(number, "seal", "phone", "-p", "security", "--subject", "u17").exits(well).out()
	sh.run(person, "inspect").exits(well).says("slot key of one person")
	sh.run(person, "inspect", "--verify", "--reason", "x", "--subject", "u17").exits(well)
	sh.run(person, "inspect", "--verify", "--reason", "x").exits(found)
	sh.run(person, "inspect", "--store").exits(well).says("names no key")
}
