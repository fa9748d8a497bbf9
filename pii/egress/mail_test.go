package egress_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/smtp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/egress"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// The server gets the addresses in the envelope and in the header, the log one event a
// recipient with the host, and nothing of it leaves in plaintext.
func TestMailIsSent(t *testing.T) {
	for _, startTLS := range []bool{false, true} {
		for _, pipelining := range []bool{false, true} {
			m := newMailServer(t, startTLS, nil)
			if !pipelining {
				m.set(func() { m.offers = nil })
			}
			all := m.seal(t, "bob@example.com", "carol@"+strings.Repeat("a", 60)+".example")
			mail := m.letter(t)
			mail.To = append(mail.To, all...)
			mail.Message = []byte("From: Shop <shop@shop.example>\nTo: \"Alice, <the> first\" <" + text(t, m.email) + ">,\n " + text(t, all[0]) + "\nCc: Carol <" + text(t, all[1]) + ">\nSubject: Code\n\n.\n..code\n")
			require.NoError(t, m.mailer(t).Send(t.Context(), mail))
			got := m.commands()
			size := ""
			if pipelining {
				size = fmt.Sprintf(" SIZE=%d", len(mail.Message))
			}
			require.Equal(t, []string{"EHLO localhost", "MAIL FROM:<shop@shop.example>" + size, "RCPT TO:<" + address + ">", "RCPT TO:<bob@example.com>",
				"RCPT TO:<carol@" + strings.Repeat("a", 60) + ".example>", "DATA"}, got[:6])
			require.Equal(t, []string{"From: Shop <shop@shop.example>\r\nTo: \"Alice, <the> first\" <" + address + ">,\r\n bob@example.com\r\nCc: Carol <carol@" +
				strings.Repeat("a", 60) + ".example>\r\nSubject: Code\r\n\r\n..\r\n...code\r\n"}, m.sent())
			if startTLS {
				require.Equal(t, []string{"EHLO localhost", "STARTTLS"}, m.inClear())
			}
			events := m.kit.Audit.Events()
			require.Len(t, events, 3)
			for _, e := range events {
				require.Equal(t, []any{audit.Send, audit.Allowed, security, "email", m.host()}, []any{e.Action, e.Outcome, e.Purpose, e.Kind, e.Recipient})
			}
		}
	}
}

// A mail without the recipients in its header, to no sender, with bytes that are not ASCII,
// and a login.
func TestMailOfOtherForms(t *testing.T) {
	m := newMailServer(t, true, nil)
	relay := m.relay()
	relay.Auth = smtp.PlainAuth("", "shop", "secret", "127.0.0.1")
	relay.LocalName = "shop.example"
	relay.TLS.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	mailer, err := egress.NewMailer(relay)
	require.NoError(t, err)
	mail := egress.Mail{To: []pii.Email{m.email}, Message: []byte("To: undisclosed-recipients:;\r\n\r\nGr\u00fc\u00dfe")}
	require.NoError(t, mailer.Send(t.Context(), mail))
	require.NoError(t, mailer.Send(t.Context(), mail), "the session is resumed")
	require.Equal(t, []string{"EHLO shop.example", "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00shop\x00secret")),
		fmt.Sprintf("MAIL FROM:<> SIZE=%d BODY=8BITMIME", len(mail.Message)), "RCPT TO:<" + address + ">", "DATA"}, m.commands()[:5])
	require.Equal(t, "To: undisclosed-recipients:;\r\n\r\nGr\u00fc\u00dfe\r\n", m.sent()[0])
	require.Equal(t, []string{m.host()}, mailer.Hosts())
	for _, shown := range []string{fmt.Sprint(mailer), fmt.Sprintf("%+v %#v %s %q", mailer, mailer, mailer, mailer), mailer.LogValue().String()} {
		require.Contains(t, shown, "egress.Mailer("+m.host()+")")
		require.NotContains(t, shown, "secret")
	}
	require.Equal(t, "egress.Mailer()", fmt.Sprint((*egress.Mailer)(nil)))
	require.ErrorIs(t, (*egress.Mailer)(nil).Send(t.Context(), mail), egress.ErrRules)
	require.ErrorIs(t, new(egress.Mailer).Send(t.Context(), mail), egress.ErrRules)
}

// A relay that could send plaintext to somebody else, or unprotected, is refused.
func TestRelaysAreChecked(t *testing.T) {
	m := newMailServer(t, true, nil)
	for name, change := range map[string]func(r *egress.Relay){
		"no host":          func(r *egress.Relay) { r.Host = "" },
		"a URL":            func(r *egress.Relay) { r.Host = "smtp://mail.example" },
		"upper case":       func(r *egress.Relay) { r.Host = "Mail.example" },
		"the usual port":   func(r *egress.Relay) { r.Host = "mail.example:587" },
		"no port":          func(r *egress.Relay) { r.Host = "mail.example:" },
		"port zero":        func(r *egress.Relay) { r.Host = "mail.example:0" },
		"a long port":      func(r *egress.Relay) { r.Host = "mail.example:65536" },
		"a name as port":   func(r *egress.Relay) { r.Host = "mail.example:smtp" },
		"dots":             func(r *egress.Relay) { r.Host = "mail..example" },
		"a dot at the end": func(r *egress.Relay) { r.Host = "mail.example." },
		"a bare IPv6":      func(r *egress.Relay) { r.Host = "::1" },
		"an open bracket":  func(r *egress.Relay) { r.Host = "[::1" },
		"a bracket":        func(r *egress.Relay) { r.Host = "[mail]" },
		"no reader":        func(r *egress.Relay) { r.Reader = nil },
		"a line end":       func(r *egress.Relay) { r.LocalName = "a\r\nMAIL" },
		"no size":          func(r *egress.Relay) { r.MaxMessage = -1 },
		"no time":          func(r *egress.Relay) { r.Timeout = -1 },
		"no verification":  func(r *egress.Relay) { r.TLS.InsecureSkipVerify = true },
		"another name":     func(r *egress.Relay) { r.TLS.ServerName = "example.com" },
		"a key log":        func(r *egress.Relay) { r.TLS.KeyLogWriter = io.Discard },
		"TLS 1.1":          func(r *egress.Relay) { r.TLS.MinVersion = tls.VersionTLS11 },
		"at most TLS 1.1":  func(r *egress.Relay) { r.TLS.MaxVersion = tls.VersionTLS11 },
	} {
		relay := m.relay()
		change(&relay)
		_, err := egress.NewMailer(relay)
		require.ErrorIs(t, err, egress.ErrRules, name)
	}
	for _, host := range []string{"mail.example", "mail.example:25", "[::1]", "[::1]:2525", "127.0.0.1"} {
		relay := m.relay()
		relay.Host = host
		_, err := egress.NewMailer(relay)
		require.NoError(t, err, host)
	}
}

// A mail that is refused makes no connection, and no error shows a value.
func TestMailRefusals(t *testing.T) {
	m := newMailServer(t, true, nil)
	sealed, other := text(t, m.email), text(t, m.seal(t, "bob@example.com")[0])
	header := func(lines ...string) func(*egress.Mail) {
		return func(l *egress.Mail) { l.Message = []byte(strings.Join(lines, "\r\n") + "\r\n\r\nbody\r\n") }
	}
	body := func(lines ...string) func(*egress.Mail) {
		return func(l *egress.Mail) {
			l.Message = []byte("To: " + sealed + "\r\n\r\n" + strings.Join(lines, "\r\n") + "\r\n")
		}
	}
	var quoted bytes.Buffer
	w := quotedprintable.NewWriter(&quoted)
	io.WriteString(w, strings.Repeat("a", 72)+sealed)
	w.Close()
	in64 := func(before int) string {
		text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", before) + sealed))
		return text[:before+5] + "\r\n" + text[before+5:]
	}
	for name, test := range map[string]struct {
		change func(*egress.Mail)
		want   error
	}{
		"nobody":                    {func(l *egress.Mail) { l.To = nil }, egress.ErrMessage},
		"too many":                  {func(l *egress.Mail) { l.To = make([]pii.Email, 101) }, egress.ErrMessage},
		"a zero value":              {func(l *egress.Mail) { l.To = append(l.To, pii.Email{}) }, egress.ErrNotSealed},
		"too large":                 {func(l *egress.Mail) { l.Message = make([]byte, 10<<20+1) }, egress.ErrTooLarge},
		"a sealed sender":           {func(l *egress.Mail) { l.From = sealed }, egress.ErrUndeclared},
		"a sender with a line end":  {func(l *egress.Mail) { l.From = "a@b.example>\r\nRCPT TO:<x@y.example" }, egress.ErrMessage},
		"a sender with options":     {func(l *egress.Mail) { l.From = "a@b.example> AUTH=<>" }, egress.ErrMessage},
		"a sender of another text":  {func(l *egress.Mail) { l.From = "\u00fc@b.example" }, egress.ErrMessage},
		"a sender with a zero":      {func(l *egress.Mail) { l.From = "a\x00@b.example" }, egress.ErrMessage},
		"a sender without a domain": {func(l *egress.Mail) { l.From = "shop" }, egress.ErrMessage},
		"a long sender":             {func(l *egress.Mail) { l.From = strings.Repeat("a", 250) + "@b.example" }, egress.ErrMessage},

		"another value in To":         {header("To: " + sealed + ", " + other), egress.ErrUndeclared},
		"another value in Cc":         {header("To: " + sealed + "\r\nCc: <" + other + ">"), egress.ErrUndeclared},
		"in another field":            {header("To: " + sealed + "\r\nReply-To: " + sealed), egress.ErrUndeclared},
		"as a name of a field":        {header(sealed + ": x"), egress.ErrUndeclared},
		"in Resent-To":                {header("Resent-To: " + sealed), egress.ErrUndeclared},
		"in Bcc":                      {header("Bcc: " + sealed), egress.ErrUndeclared},
		"in the subject":              {header("Subject: Dear " + sealed), egress.ErrUndeclared},
		"in the subject, in Q":        {header("Subject: =?utf-8?q?=70ii1.email." + sealed[11:] + "?="), egress.ErrUndeclared},
		"in the subject, in B":        {header("Subject: " + mime.BEncoding.Encode("utf-8", "\u00fc "+sealed)), egress.ErrUndeclared},
		"in the subject, with escape": {header("Subject: p%69i1.email." + sealed[11:]), egress.ErrUndeclared},
		"in the name":                 {header("To: " + sealed + " <" + sealed + ">"), egress.ErrUndeclared},
		"in a quoted name":            {header(`To: "` + other + `" <` + sealed + ">"), egress.ErrUndeclared},
		"in a comment":                {header("To: " + sealed + " (" + other + ")"), egress.ErrNotSealed},
		"in a comment before":         {header("To: (x) <" + sealed + ">"), egress.ErrMessage},
		"in a group":                  {header("To: Friends: A <" + sealed + ">;"), egress.ErrNotSealed},
		"in a group, open":            {header("To: Friends: A <" + sealed + ">"), egress.ErrMessage},
		"in a route":                  {header("To: <@relay.example:" + sealed + ">"), egress.ErrNotSealed},
		"a quote that is open":        {header(`To: "A <` + sealed + ">"), egress.ErrMessage},
		"two quotes":                  {header(`To: "A" <x@y.example> "B" <` + sealed + ">"), egress.ErrMessage},
		"an open bracket":             {header("To: A <" + sealed), egress.ErrNotSealed},
		"a plain address too":         {header("To: " + sealed + ", bob@example.com"), egress.ErrNotSealed},
		"a comma too many":            {header("To: " + sealed + ","), egress.ErrNotSealed},
		"a value that was altered":    {header("To: " + sealed + "A"), egress.ErrNotSealed},
		"a number":                    {header("To: " + text(t, m.phone)), egress.ErrUndeclared},
		"To twice":                    {header("To: " + sealed + "\r\nTO: a@b.example"), egress.ErrMessage},
		"Cc twice":                    {header("Cc: a@b.example\r\ncc: " + sealed), egress.ErrMessage},
		"a blank before the colon":    {header("To : " + sealed), egress.ErrMessage},
		"no colon":                    {header("To " + sealed), egress.ErrMessage},
		"a folded first line":         {header(" To: " + sealed), egress.ErrMessage},
		"a line of blanks":            {header("To: " + sealed + "\r\n \r\n x: 1"), egress.ErrMessage},
		"a return in a field":         {header("To: " + sealed + "\rSubject: x"), egress.ErrMessage},
		"a zero byte in a field":      {header("Subject: \x00"), egress.ErrMessage},
		"an escape in a field":        {header("Subject: \x1b[2J"), egress.ErrMessage},
		"a field of other letters":    {header("Subject: \u00fc"), egress.ErrMessage},
		"a long line":                 {header("X: " + strings.Repeat("a", 996)), egress.ErrMessage},
		"long once it is filled":      {header("To: " + strings.Repeat("A", 740) + " <" + sealed + ">"), egress.ErrMessage},
		"no header":                   {func(l *egress.Mail) { l.Message = []byte("\r\nbody") }, egress.ErrMessage},

		"in the body":                     {body("Dear " + sealed), egress.ErrUndeclared},
		"in a header of a part":           {body("Content-Type: message/rfc822", "", "To: "+sealed), egress.ErrUndeclared},
		"in the body, quoted":             {body(strings.Replace(sealed, "pii1.", "pii1=2E", 1)), egress.ErrUndeclared},
		"in the body, over two lines":     {body(strings.Split(quoted.String(), "\r\n")...), egress.ErrUndeclared},
		"in the body, with soft blanks":   {body("pii= \t\r\n1.email" + sealed[10:]), egress.ErrUndeclared},
		"in the body, with escapes":       {body("p%69i1.email" + sealed[10:]), egress.ErrUndeclared},
		"in the body, escaped for JSON":   {body(`pii1\u002eemail` + sealed[10:]), egress.ErrUndeclared},
		"in the body, base64":             {body(in64(0)), egress.ErrUndeclared},
		"in the body, base64 after one":   {body(in64(1)), egress.ErrUndeclared},
		"in the body, base64 after two":   {body(in64(2)), egress.ErrUndeclared},
		"in the body, base64 after three": {body(in64(3)), egress.ErrUndeclared},
		"a return in the body":            {body("a\rb"), egress.ErrMessage},
		"a return before the end":         {body("\n.\r\r\nMAIL FROM:<>"), egress.ErrMessage},
		"a zero byte in the body":         {body("a\x00b"), egress.ErrMessage},
		"a long line of the body":         {body(strings.Repeat("a", 999)), egress.ErrMessage},
	} {
		t.Run(name, func(t *testing.T) {
			mail := m.letter(t)
			test.change(&mail)
			err := m.mailer(t).Send(t.Context(), mail)
			require.ErrorIs(t, err, test.want)
			require.True(t, strings.HasPrefix(err.Error(), "egress: "), err)
			noPlaintext(t, "error", fmt.Sprintf("%v %+v %#v", err, err, err))
			require.NotContains(t, err.Error(), "pii1.")
			require.Empty(t, m.commands())
			require.Empty(t, m.inClear())
		})
	}
	require.Empty(t, m.kit.Audit.Events())

	// Texts that only look like the beginning of one.
	for _, harmless := range []func(*egress.Mail){
		body("cGlpMS5 BpaTEu waWkxL", "pii1. PII1.email =3D =\r", "=?utf-8?x?=", "100%"), body(strings.Repeat("a", 998)),
		header("To: " + strings.Repeat("A", 730) + " <" + sealed + ">"), header("To: team@shop.example"), header("X: " + strings.Repeat("a", 995)),
		func(l *egress.Mail) { l.Message = []byte("To: <" + sealed + ">") },
	} {
		mail := m.letter(t)
		harmless(&mail)
		mail.Message = bytes.ReplaceAll(mail.Message, []byte("=\r\r\n"), []byte("=\r\n"))
		require.NoError(t, m.mailer(t).Send(t.Context(), mail), "%q", mail.Message)
	}
}

// Text that somebody else typed does not become a header field with another person's
// address: a value in the header is one of the recipients, who are typed values.
func TestInjectedFieldsGetNothing(t *testing.T) {
	m := newMailServer(t, false, nil)
	mallory := m.seal(t, "mallory@example.com")[0]
	welcome := func(name string) error {
		return m.mailer(t).Send(t.Context(), egress.Mail{From: mailFrom, To: []pii.Email{mallory},
			Message: []byte("To: " + text(t, mallory) + "\r\nSubject: Welcome, " + name + "\r\n\r\nHello\r\n")})
	}
	require.ErrorIs(t, welcome("M\r\nCc: "+text(t, m.email)), egress.ErrUndeclared)
	require.ErrorIs(t, welcome("M\r\n\r\n"+text(t, m.email)), egress.ErrUndeclared)
	require.Empty(t, m.commands())
	require.NoError(t, welcome("Mallory"))
}

// A purpose, a person and an auditor are the vault's to refuse: the sender has left then,
// and no address.
func TestTheVaultRefusesMail(t *testing.T) {
	m := newMailServer(t, true, nil)
	ctx := context.Background()
	own, err := pii.SealEmail(ctx, address, m.kit.Scope(security).For("alice"))
	require.NoError(t, err)
	theirs, err := pii.SealEmail(ctx, "bob@example.com", m.kit.Scope(security).For("bob"))
	require.NoError(t, err)
	campaign, err := pii.SealEmail(ctx, address, m.kit.Scope(ads))
	require.NoError(t, err)
	mailer := m.mailer(t)
	send := func(ctx context.Context, v ...pii.Email) error {
		return mailer.Send(ctx, egress.Mail{From: mailFrom, To: v, Message: []byte("To: " + text(t, v[0]) + "\n\n")})
	}
	alice := egress.WithSubject(ctx, "alice")
	require.ErrorIs(t, send(ctx, campaign), purpose.ErrMismatch)
	require.EqualError(t, send(ctx, m.email, campaign), "egress: recipient 2: pii: sending email: collected for advertising, not security")
	require.ErrorIs(t, send(ctx, own), vault.ErrSubject)
	require.ErrorIs(t, send(alice, theirs), vault.ErrCorrupt)
	require.NoError(t, m.kit.Admin.Suspend(ctx, security, vault.Suspension{Actions: []audit.Action{audit.Reveal}}))
	require.ErrorIs(t, send(alice, own), vault.ErrSuspended)
	require.NoError(t, m.kit.Admin.Resume(ctx, security, ""))
	noPlaintext(t, "refused", m.left())
	require.NotContains(t, m.left(), "RCPT")
	require.NoError(t, send(alice, own))

	for name, auditor := range map[string]auditFunc{
		"fails":  func(audit.Event) error { return fmt.Errorf("down: %s", address) },
		"panics": func(audit.Event) error { panic(address) },
	} {
		m := newMailServer(t, false, nil)
		v, err := vault.Open(t.Context(), m.kit.Store, m.kit.KEK, &vault.Options{Audit: auditor, Timeout: time.Minute})
		require.NoError(t, err)
		t.Cleanup(func() { v.Close() })
		failing = false
		relay := m.relay()
		relay.Reader, err = v.Reader(t.Context(), security)
		require.NoError(t, err)
		failing = true
		mailer, err := egress.NewMailer(relay)
		require.NoError(t, err)
		err = mailer.Send(t.Context(), m.letter(t))
		require.ErrorIs(t, err, vault.ErrUnavailable, name)
		noPlaintext(t, name, err.Error()+m.left())
		require.NotContains(t, m.left(), "RCPT")
	}
}
