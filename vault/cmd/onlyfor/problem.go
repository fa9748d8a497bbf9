package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/config"
)

// A problem is an error that ends the command: its exit code, a sentence, and a second one
// that gives advice.
type problem struct {
	code       int
	text, hint string
}

func (p *problem) Error() string { return p.text }

// refuse returns the problem of a refusal or a finding.
func refuse(format string, args ...any) *problem {
	return &problem{code: found, text: fmt.Sprintf(format, args...)}
}

// misuse returns the problem of a mistake in the command line or the environment.
func misuse(format string, args ...any) *problem {
	return &problem{code: hindered, text: fmt.Sprintf(format, args...)}
}

// hinting sets the hint.
func (p *problem) hinting(format string, args ...any) *problem {
	p.hint = fmt.Sprintf(format, args...)
	return p
}

// hints have the advice and the exit code for each error of the library. The first that
// fits counts, so narrower ones come first.
var hints = []struct {
	err  error
	code int
	hint string
}{
	{config.Err, hindered, ""},
	{purpose.ErrMismatch, found, "The value may not be used for this purpose. onlyfor inspect shows its purposes."},
	{purpose.ErrNoConsent, found, "Ask the person."},
	{purpose.ErrBasis, hindered, ""},
	{purpose.ErrSyntax, hindered, ""},
	{pii.ErrMalformed, found, ""},
	{vault.ErrRetired, found, "onlyfor inspect --store shows the key. A retired key comes back with onlyfor keys reinstate."},
	{vault.ErrSuspended, found, "onlyfor suspensions shows why and until when."},
	{vault.ErrErased, found, "Treat the value as absent."},
	{vault.ErrExpired, found, "Treat the value as absent. onlyfor migrate sweep removes such values."},
	{vault.ErrSubject, found, "Name the person with --subject, or leave it out for a value of no single person."},
	{vault.ErrGranted, found, "Take the grant away from this process."},
	{vault.ErrConflict, hindered, "Another process changed the keys at the same time. Run the command again."},
	{migrate.ErrClock, hindered, "Set the clocks right."},
	{migrate.ErrTable, hindered, "Compare the [[table]] of the configuration with the database. Its columns are added, as NULL, before the first step. A column of plaintext has to allow NULL before cut-over, and a column of sealed values has to have room."},
	{vault.ErrAccessDenied, hindered, "This process was not granted the key-encryption key of the purpose."},
	{vault.ErrNoKeys, hindered, "If the message names a key-encryption key, put that one in its place: [kek] of the configuration. Otherwise make keys with onlyfor keys generate if there never were any. If there were, restore the key store, or let the database user see and write the rows of the purpose: onlyfor policy --sql."},
	{vault.ErrCorrupt, found, "Do not use the data, and find out who altered it. After a restore of the key store see onlyfor restore --help."},
	{vault.ErrUnavailable, hindered, "Run the command again once the key store, the key service, the database and the audit log answer. A key store without its table gets one from onlyfor keys generate --create-table."},
	{vault.ErrInvalid, found, ""},
}

// wrongKEK matches the errors of a whole purpose that another key-encryption key causes too.
var wrongKEK = regexp.MustCompile(` keys of [a-z0-9-]+: (.* text of a key: )?` + vault.ErrCorrupt.Error() + "$")

// explain returns the problem of an error of the library. The texts of its errors hold no
// values; the text of any other error is not repeated.
func explain(ctx context.Context, err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	if ctx.Err() != nil {
		return misuse("stopped. Nothing that was done is lost: run the same command again, and it does the rest.")
	}
	if errors.Is(err, vault.ErrCorrupt) && wrongKEK.MatchString(plain(err)) {
		return refuse("%s", plain(err)).hinting("The key-encryption key of another purpose or vault, or a part of one, gives the same answer: see [kek] of the configuration first. If it is right, use no data, and find out who altered the key store. After a restore of the key store see onlyfor restore --help.")
	}
	for _, h := range hints {
		if errors.Is(err, h.err) {
			return &problem{code: h.code, text: plain(err), hint: h.hint}
		}
	}
	return misuse("an unexpected error of the system")
}

// plain returns the text of an error of the library without the name of its package.
func plain(err error) string {
	text := err.Error()
	for _, prefix := range []string{"vault: ", "pii: ", "migrate: ", "purpose: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}
