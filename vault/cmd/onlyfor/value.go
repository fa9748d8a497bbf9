package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"context"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/config"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/term"
)

// sealCmd seals one value. The plaintext is read from standard input alone: the command
// line is seen by other users of the machine, and kept in the history of the shell.
type sealCmd struct {
	Kind    string        `arg:"" enum:"email,phone" help:"email or phone."`
	Purpose []string      `required:"" short:"p" sep:"," placeholder:"NAME" help:"The purposes that the value is collected for."`
	Subject string        `placeholder:"ID" help:"Seal for this person alone, so that erasing the person erases the value."`
	Legal   purpose.Legal `placeholder:"GROUND" help:"The legal ground, such as contract or consent."`
	Notice  string        `placeholder:"ID" help:"The notice that the person saw."`
	Consent string        `placeholder:"ID" help:"The record of the person's consent."`
	Retain  string        `placeholder:"TIME" help:"How long the value may be used, such as 365d."`
	Reason  string        `placeholder:"TEXT" help:"Why, for the audit log."`
}

func (c *sealCmd) Run(ctx context.Context, s *session) error {
	basis := purpose.Basis{Legal: c.Legal, Notice: c.Notice, Consent: c.Consent}
	if c.Retain != "" {
		var err error
		if basis.Retain, err = config.ParseDuration(c.Retain); err != nil {
			return misuse("--retain is no time such as 365d")
		}
	}
	if err := basis.Validate(); err != nil {
		return misuse("%s", plain(err))
	}
	ctx, at, err := s.open(ctx, options{reason: c.Reason})
	if err != nil {
		return err
	}
	defer at.Close()
	purposes, err := at.purposes(c.Purpose)
	if err != nil {
		return err
	}
	var sealers []vault.Sealer
	for _, p := range purposes {
		scope, err := at.scope(ctx, p, c.Subject)
		if err != nil {
			return err
		}
		sealers = append(sealers, scope.Under(basis))
	}
	text, err := s.line(fmt.Sprintf("The %s to seal: ", c.Kind))
	if err != nil {
		return err
	}
	var sealed interface{ MarshalText() ([]byte, error) }
	if c.Kind == "email" {
		sealed, err = pii.SealEmail(ctx, text, sealers...)
	} else {
		sealed, err = pii.SealPhone(ctx, text, sealers...)
	}
	if err != nil {
		return err
	}
	out, err := sealed.MarshalText()
	if err != nil {
		return err
	}
	return s.print(map[string]string{"sealed": string(out)}, func(w io.Writer, _ int) { fmt.Fprintln(w, string(out)) })
}

// revealCmd reveals one value, for support.
type revealCmd struct {
	Value   string `arg:"" optional:"" help:"The sealed value. Default: from standard input."`
	Purpose string `required:"" short:"p" placeholder:"NAME" help:"The purpose to use the value for."`
	Reason  string `required:"" placeholder:"TEXT" help:"Why, for the audit log: a ticket, say."`
	Subject string `placeholder:"ID" help:"The person whom the value was sealed for."`
}

func (c *revealCmd) Run(ctx context.Context, s *session) error {
	if strings.TrimSpace(c.Reason) == "" {
		return misuse("--reason is empty: it is for whoever reads the audit log")
	}
	v, err := s.value(c.Value)
	if err != nil {
		return err
	}
	ctx, at, err := s.open(ctx, options{reason: c.Reason})
	if err != nil {
		return err
	}
	defer at.Close()
	p, err := at.purpose(c.Purpose)
	if err != nil {
		return err
	}
	scope, err := at.scope(ctx, p, c.Subject)
	if err != nil {
		return err
	}
	text, err := reveal(ctx, v, scope)
	if c.Subject != "" && errors.Is(err, vault.ErrCorrupt) && !errors.Is(err, vault.ErrRetired) {
		return refuse("%s", plain(err)).hinting("A value opens for its own person alone: compare --subject with the id of the row. If they agree, do not use the data, and find out who altered it.")
	}
	if err != nil {
		return err
	}
	return s.print(map[string]string{"plaintext": text}, func(w io.Writer, _ int) { fmt.Fprintln(w, text) })
}

// reveal reveals a value of any kind. It returns the plaintext, which the caller is
// responsible for.
func reveal(ctx context.Context, v vault.Sealed, scope *vault.Scope) (string, error) {
	text, err := v.MarshalText()
	if err != nil {
		return "", err
	}
	switch v.Kind() {
	case "email":
		var email pii.Email
		if err := email.UnmarshalText(text); err != nil {
			return "", err
		}
		return email.Reveal(ctx, scope)
	case "phone":
		var phone pii.Phone
		if err := phone.UnmarshalText(text); err != nil {
			return "", err
		}
		return phone.Reveal(ctx, scope)
	}
	return scope.Reveal(ctx, otherKind(v), v)
}

// otherKind returns the kind of a value of a kind that a program defined.
func otherKind(v vault.Sealed) vault.Kind { return vault.MustKind(v.Kind(), "vault.Value") }

// scope opens a purpose, narrowed to a subject if there is one.
func (at *site) scope(ctx context.Context, p purpose.Purpose, subject string) (*vault.Scope, error) {
	scope, err := at.vault.Scope(ctx, p)
	if err != nil || subject == "" {
		return scope, err
	}
	if !vault.ValidSubject(subject) {
		return nil, misuse("--subject is no id of a person")
	}
	return scope.For(subject), nil
}

// maxInput is the size of the longest value in its text form, and a few blanks.
const maxInput = 64<<10 + 1024

// line reads one line of standard input. It asks for it where a person types.
func (s *session) line(prompt string) (string, error) {
	if term.IsTerminal(s.in) {
		fmt.Fprint(s.stderr, prompt)
		text, err := bufio.NewReader(io.LimitReader(s.in, maxInput)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", misuse("standard input can't be read")
		}
		return s.oneLine(text)
	}
	data, err := io.ReadAll(io.LimitReader(s.in, maxInput))
	if err != nil {
		return "", misuse("standard input can't be read")
	}
	return s.oneLine(string(data))
}

func (s *session) oneLine(text string) (string, error) {
	size := len(text)
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", misuse("standard input is empty").hinting("Pipe the value into the command, or type it.")
	case size >= maxInput || strings.ContainsAny(text, "\n\r"):
		return "", misuse("standard input has more than one value")
	}
	return text, nil
}

// value parses a sealed value from the command line, or from standard input if arg is "" or
// "-".
func (s *session) value(arg string) (vault.Sealed, error) {
	text := strings.TrimSpace(arg)
	if text == "" || text == "-" {
		var err error
		if text, err = s.line("The sealed value: "); err != nil {
			return vault.Sealed{}, err
		}
	}
	text = strings.Trim(text, `"'`)
	v, err := vault.ParseSealed(text)
	if err == nil && !v.IsZero() {
		return v, nil
	}
	for _, other := range others {
		if strings.HasPrefix(text, other.prefix) {
			return vault.Sealed{}, refuse("%s", other.sentence)
		}
	}
	if strings.HasPrefix(text, "pii1.") {
		return vault.Sealed{}, refuse("this is a sealed value that was cut off or altered: copy all of the column again")
	}
	return vault.Sealed{}, refuse("this is no sealed value: give the whole text of a sealed column, which begins with pii1.")
}

// others are texts of onlyfor that are no values.
var others = []struct{ prefix, sentence string }{
	{"ofkek1.", "this is a key-encryption key, and no value: it is secret, so remove it from here, and rotate it if others saw it"},
	{"ofc1.", "this is the text of a collector, and no value: it belongs into the configuration of a front end"},
	{"ofc2.", "this is the text of a collector, and no value: it belongs into the configuration of a front end"},
	{"ofp1.", "this is a pin, and no value: it belongs into the file of pins"},
}

// ago returns a time for people, in words.
func ago(t, now time.Time) string {
	d := now.Sub(t)
	unit, n := "second", d/time.Second
	switch {
	case d >= 48*time.Hour:
		unit, n = "day", d/(24*time.Hour)
	case d >= 2*time.Hour:
		unit, n = "hour", d/time.Hour
	case d >= 2*time.Minute:
		unit, n = "minute", d/time.Minute
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", max(n, 0), unit)
}
