package piitest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// These examples stand in for the t of a test, and print what it would say.
var t = &printing{}

type printing struct{ testing.TB }

func (p *printing) Helper()                           {}
func (p *printing) Context() context.Context          { return context.Background() }
func (p *printing) Cleanup(func())                    {}
func (p *printing) Error(args ...any)                 { p.print(fmt.Sprint(args...)) }
func (p *printing) Errorf(format string, args ...any) { p.print(fmt.Sprintf(format, args...)) }

// print breaks lines, and leaves out line numbers.
func (p *printing) print(text string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if i := strings.Index(word, ".go:"); i >= 0 {
			word = word[:i+3] + strings.TrimLeft(word[i+4:], "0123456789")
		}
		if len(line)+len(word) > 90 {
			fmt.Println(line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	fmt.Println(line)
}

func ExampleSeparate() {
	kit := piitest.New(t, security, advertising)
	piitest.Separate(t, kit.Vault) // in all the purposes that the vault has
	fmt.Println(len(kit.Audit.Refusals()) > 100, "attempts were refused")
	// Output: true attempts were refused
}

func ExampleRecording_Only() {
	kit := piitest.New(t, security, advertising)
	email := kit.Email(kit.Scope(security), kit.Scope(advertising))
	ads := kit.Scope(advertising)
	signIn := func() { email.Reveal(context.Background(), ads) } // the wrong one

	rec := kit.Record()
	signIn()
	rec.Only(t, security)
	// Output:
	// piitest: want only security used: found reveal of email under advertising, at
	// example_test.go: give this code the scope of its own purpose and no other
}

func ExampleRecording_Denied() {
	kit := piitest.New(t, security, advertising)
	email, ads := kit.Email(kit.Scope(security)), kit.Scope(advertising)

	rec := kit.Record()
	_, err := email.Reveal(context.Background(), ads)
	rec.Denied(t, security, advertising)
	fmt.Println(err)
	// Output: pii: revealing email: collected for security, not advertising
}

func ExampleRecording_Never() {
	kit := piitest.New(t, security)
	email, scope := kit.Email(kit.Scope(security)), kit.Scope(security)
	settingsPage := func() string { address, _ := email.Reveal(context.Background(), scope); return address[:1] }

	rec := kit.Record()
	settingsPage()
	rec.Never(t, audit.Reveal)
	// Output:
	// piitest: want no reveal here: found reveal of email under security, at example_test.go: use
	// a hint, an index or what the caller has already
}

// A service that opens its own vault is given a Recorder as its auditor.
func ExampleRecorder() {
	kit := piitest.New(t, security)
	audit := &piitest.Recorder{}
	v, err := vault.OpenAdmin(context.Background(), kit.Store, kit.KEK, &vault.Options{Audit: audit})
	if err != nil {
		panic(err)
	}
	rec := audit.Record()
	v.Scope(context.Background(), security)
	rec.Only(t, security)
	fmt.Println(len(rec.Events()), "event")
	// Output: 1 event
}

func ExampleCanary() {
	kit := piitest.New(t, security, advertising)
	piitest.Canary(t, kit.Scope(security), func(c *piitest.Contact) {
		// The code under test: somebody signs up, and an audience is exported.
		signUp := c.Address
		audience := c.Writer("audience export")
		fmt.Fprintf(audience, "email_sha256\n%x\n", sum256(signUp))
	})
	// Output:
	// piitest: audience export (example_test.go) carries the e-mail address that was planted for
	// security: SHA-256 of it in lower case, in hex: nothing collected for security may come out
	// here: give this code the scope of its own purpose only, or ask the person and extend the
	// value
}

func ExampleNoLeakParallel() {
	piitest.NoLeakParallel(t, func(c *piitest.Contact) {
		log := c.Writer("request log")
		fmt.Fprintf(log, "POST /signup?email=%s\n", strings.ReplaceAll(c.Address, "@", "%40"))
	})
	// Output:
	// piitest: request log (example_test.go) carries the e-mail address that was made up for this
	// test: as text: log and store the sealed value, which prints as a label, and return errors
	// that do not quote their input
}

func ExampleOutage() {
	kit := piitest.New(t, security)
	outage := &piitest.Outage{}
	v, err := vault.OpenAdmin(context.Background(), outage.Store(kit.Store), outage.KEK(kit.KEK), nil)
	if err != nil {
		panic(err)
	}
	outage.Script(piitest.Step{Call: piitest.KEKDecrypt, Fault: piitest.Throttle})
	_, err = v.Scope(context.Background(), security)
	fmt.Println(err)
	_, err = v.Scope(context.Background(), security) // the script is over
	fmt.Println(err)
	// Output:
	// vault: opening keys of security: KEK decrypt: too many requests: unavailable
	// <nil>
}

func ExampleEmails() {
	for _, s := range piitest.Emails()[:3] {
		fmt.Printf("%s: %v\n", s.Rule, s.Valid() == pii.ValidEmail(s.Text))
	}
	// Output:
	// plain: true
	// blanks around: true
	// capital letters: true
}

func ExampleGolden() {
	kit := piitest.Golden(t, "testdata/golden.keys", security)
	const stored = "pii1.email.security." // … as a golden file has it
	fmt.Println(kit.Scope(security), stored)
	// Output: vault.Scope(security) pii1.email.security.
}

func ExampleLabels() {
	kit := piitest.New(t, security)
	json, _ := kit.Email(kit.Scope(security).Under(purpose.Basis{Notice: "sign-up-v2"})).MarshalText()
	fmt.Println(piitest.Labels(`{"email":"` + string(json) + `"}`))
	// Output: {"email":"pii1.email.security.…"}
}
