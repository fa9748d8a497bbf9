package egress_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/smtp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/egress"
	"github.com/onlyfor/onlyfor/pii/piitest"
)

// shown returns each text that an error shows.
func shown(err error) string {
	text := ""
	for e := err; e != nil; e = errors.Unwrap(e) {
		text += fmt.Sprintf("%v %+v %#v\n", e, e, e)
		if r, ok := e.(*egress.RefusedError); ok {
			text += fmt.Sprintf("%+v %v\n", *r, r.Answer)
		}
		if r, ok := e.(*egress.RecipientsError); ok {
			text += fmt.Sprintf("%+v\n", *r)
		}
	}
	return text
}

// A server that does not change to TLS, or an attacker between who takes the offer away,
// sees neither an address nor the login.
func TestStrippedTLS(t *testing.T) {
	for name, test := range map[string]struct {
		raw  string // after EHLO
		more string // after STARTTLS
		want error
	}{
		"no offer":             {"250 mail.example\r\n", "", egress.ErrNoTLS},
		"an offer of a letter": {"250-mail.example\r\n250 XSTARTTLS\r\n", "", egress.ErrNoTLS},
		"an offer in a name":   {"250 STARTTLS\r\n", "", egress.ErrNoTLS},
		"no EHLO":              {"502 unknown\r\n", "", egress.ErrNoTLS},
		"an offer withdrawn":   {"250-mail.example\r\n250 STARTTLS\r\n", "454 not now\r\n", egress.ErrNoTLS},
		"another answer":       {"250-mail.example\r\n250 STARTTLS\r\n", "250 yes\r\n", egress.ErrSend},
		"no handshake":         {"250-mail.example\r\n250 STARTTLS\r\n", "220 go\r\n250 and go on\r\n", egress.ErrSend},
		"an early go":          {"250-mail.example\r\n250 STARTTLS\r\n220 go\r\n", "", egress.ErrSend},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMailServer(t, true, nil)
			got := &lockedBuffer{}
			m.set(func() {
				m.raw = func(conn net.Conn) {
					io.WriteString(conn, "220 mail.example\r\n")
					buf := make([]byte, 4096)
					for {
						n, err := conn.Read(buf)
						got.Write(buf[:n])
						switch {
						case err != nil:
							return
						case bytes.HasPrefix(buf[:n], []byte("EHLO")):
							io.WriteString(conn, test.raw)
						case bytes.HasPrefix(buf[:n], []byte("STARTTLS")) && test.more != "":
							io.WriteString(conn, test.more)
							if strings.Contains(test.more, "go on") { // plaintext instead of a handshake
								io.WriteString(conn, strings.Repeat("250 ok\r\n", 100))
							}
						default:
							io.WriteString(conn, "250 ok\r\n")
						}
					}
				}
			})
			relay := m.relay()
			relay.Auth = smtp.PlainAuth("", "shop", "secret", "127.0.0.1")
			mailer, err := egress.NewMailer(relay)
			require.NoError(t, err)
			err = mailer.Send(t.Context(), m.letter(t))
			require.ErrorIs(t, err, test.want)
			noPlaintext(t, name, got.String()+shown(err))
			require.NotContains(t, got.String(), "MAIL")
			require.NotContains(t, got.String(), "AUTH")
			require.False(t, name == "an early go" && strings.Contains(got.String(), "STARTTLS"), "the answer of nobody is not taken")
			require.Empty(t, m.kit.Audit.Events(), "nothing was revealed")
		})
	}
}

// Answers that were put into the connection before TLS are not taken for answers of the
// server.
func TestInjectedAnswers(t *testing.T) {
	m := newMailServer(t, true, nil)
	m.set(func() {
		m.answer = func(verb, _ string) string {
			return map[string]string{"STARTTLS": "220 go\r\n250 of an attacker"}[verb]
		}
	})
	err := m.mailer(t).Send(t.Context(), m.letter(t))
	if err == nil { // both lines came at once: the second is gone with the buffer
		require.Equal(t, "EHLO localhost", m.commands()[0])
		require.Len(t, m.sent(), 1)
	} else { // it came later, where the handshake belongs
		require.ErrorIs(t, err, egress.ErrSend)
		require.Empty(t, m.commands())
	}
}

// The certificate must be valid for the name of the host.
func TestMailServersAreVerified(t *testing.T) {
	for _, startTLS := range []bool{false, true} {
		m := newMailServer(t, startTLS, nil)
		_, port, _ := net.SplitHostPort(m.listener.Addr().String())
		for name, change := range map[string]func(r *egress.Relay){
			"another name": func(r *egress.Relay) { r.Host = "localhost:" + port },
			"unknown":      func(r *egress.Relay) { r.TLS = nil },
		} {
			relay := m.relay()
			change(&relay)
			mailer, err := egress.NewMailer(relay)
			require.NoError(t, err)
			err = mailer.Send(t.Context(), m.letter(t))
			require.EqualError(t, err, "egress: sending failed: certificate of the host is not valid", name)
			require.ErrorIs(t, err, egress.ErrSend)
		}
		old := m.relay()
		m.set(func() { m.TLS.MaxVersion = tls.VersionTLS11 })
		mailer, err := egress.NewMailer(old)
		require.NoError(t, err)
		require.ErrorIs(t, mailer.Send(t.Context(), m.letter(t)), egress.ErrSend)
		require.Empty(t, m.commands())
	}
}

// Recipients that the server refuses are told by their position, with the answer. The
// others get the mail.
func TestSomeRecipientsAreRefused(t *testing.T) {
	for _, offers := range [][]string{{"PIPELINING"}, {"8BITMIME"}} {
		m := newMailServer(t, false, func(verb, line string) string {
			switch {
			case verb != "RCPT":
				return ""
			case strings.Contains(line, "bob"):
				return "550-5.1.1 <bob@example.com>: unknown,\r\n550 5.1.1 see https://mail.example/help?a=bob%40example.com"
			case strings.Contains(line, "carol"):
				return "452 4.2.2 carol: over quota"
			case strings.Contains(line, "dave"):
				return "251 user moved"
			}
			return ""
		})
		m.set(func() { m.offers = offers })
		all := m.seal(t, "bob@example.com", "carol@example.com", "dave@example.com")
		mail := m.letter(t)
		mail.To = append(all, mail.To...)
		err := m.mailer(t).Send(t.Context(), mail)
		var some *egress.RecipientsError
		require.ErrorAs(t, err, &some)
		require.ErrorIs(t, err, egress.ErrRefused)
		bob := text(t, all[0])
		require.Equal(t, &egress.RecipientsError{Taken: 2, Refused: []egress.RefusedRecipient{
			{Index: 0, Answer: egress.Answer{Code: 550, Status: "5.1.1", Text: "<" + bob + ">: unknown,\nsee https://mail.example/help?a=" + bob}},
			{Index: 1, Answer: egress.Answer{Code: 452, Status: "4.2.2"}}, // its text has a part of the address
		}}, some)
		require.EqualError(t, err, "egress: 2 of 4 recipients, the first with 550 5.1.1: refused by the mail server")
		require.True(t, some.Refused[1].Answer.Temporary() && !some.Refused[0].Answer.Temporary())
		require.Len(t, m.sent(), 1)

		m.set(func() { m.answer = func(verb, _ string) string { return map[string]string{"RCPT": "550 no"}[verb] } })
		err = m.mailer(t).Send(t.Context(), mail)
		require.EqualError(t, err, "egress: 4 of 4 recipients, the first with 550: refused by the mail server")
		require.Len(t, m.sent(), 1, "no message for nobody")
	}
}

// Each command can be refused, with an answer that echoes. The error has the answer with the
// sealed text, or without its text.
func TestMailServersRefuse(t *testing.T) {
	const echo = "ALICE.O'HARA+NEWS@example.COM"
	for name, test := range map[string]struct {
		at, answer string
		want       string
		text       string // § is the sealed text
	}{
		"connect":         {"connect", "554 5.7.1 your address is listed", "egress: connection: 554 5.7.1: refused by the mail server", "your address is listed"},
		"hello":           {"EHLO", "421 4.3.2 shutting down", "egress: EHLO: 421 4.3.2: refused by the mail server", "shutting down"},
		"login":           {"AUTH", "535 5.7.8 wrong password secret", "egress: AUTH: 535 5.7.8: refused by the mail server", ""},
		"sender":          {"MAIL", "553 5.7.1\tnot yours", "egress: MAIL: 553: refused by the mail server", "5.7.1?not yours"},
		"data":            {"DATA", "554 5.5.1 not for " + echo, "egress: DATA: 554 5.5.1: refused by the mail server", "not for §"},
		"message":         {"message", "550 5.7.1 spam for " + echo + "\a", "egress: message: 550 5.7.1: refused by the mail server", "spam for §?"},
		"local part":      {"message", "550 5.1.1 Alice.O'Hara+News unknown", "egress: message: 550 5.1.1: refused by the mail server", ""},
		"domain":          {"message", "550 5.1.2 unknown host example.com", "egress: message: 550 5.1.2: refused by the mail server", ""},
		"over two lines":  {"message", "550-Alice.O'Hara+new\r\n550 s@example.com is unknown", "egress: message: 550: refused by the mail server", ""},
		"domain over two": {"message", "550-unknown exam\r\n550 ple.com", "egress: message: 550: refused by the mail server", ""},
		"in percents":     {"message", "550 ?to=Alice.O%27Hara%2Bnews%40example.com", "egress: message: 550: refused by the mail server", "?to=§"},
		"in entities":     {"message", "550 Alice.O&#39;Hara&plus;news&commat;example.com", "egress: message: 550: refused by the mail server", "§"},
		"a long status":   {"message", "550 5.1234.1 no", "egress: message: 550: refused by the mail server", "5.1234.1 no"},
		"another status":  {"message", "550 4.2.2 no", "egress: message: 550: refused by the mail server", "4.2.2 no"},
		"a status alone":  {"message", "550 5.7.26", "egress: message: 550 5.7.26: refused by the mail server", ""},
		"no text":         {"message", "550", "egress: message: 550: refused by the mail server", ""},
		"other letters":   {"message", "550 n\u00f6", "egress: message: 550: refused by the mail server", "n?"},
		"an escape":       {"message", "550 \x1b[2J\x7f", "egress: message: 550: refused by the mail server", "?[2J?"},
		"an empty answer": {"message", "550 ", "egress: message: 550: refused by the mail server", ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMailServer(t, false, func(verb, _ string) string {
				if verb == test.at || verb == "HELO" && test.at == "EHLO" {
					return test.answer
				}
				return ""
			})
			relay := m.relay()
			relay.Auth = smtp.PlainAuth("", "shop", "secret", "127.0.0.1")
			mailer, err := egress.NewMailer(relay)
			require.NoError(t, err)
			err = mailer.Send(t.Context(), m.letter(t))
			require.EqualError(t, err, test.want)
			var refused *egress.RefusedError
			require.ErrorAs(t, err, &refused)
			require.ErrorIs(t, err, egress.ErrRefused)
			require.Equal(t, strings.ReplaceAll(test.text, "§", text(t, m.email)), refused.Answer.Text)
			noPlaintext(t, name, shown(err))
			require.NotContains(t, shown(err), "secret")
		})
	}
	m := newMailServer(t, false, nil)
	m.set(func() { m.offers = []string{"SIZE 10"} })
	require.ErrorIs(t, m.mailer(t).Send(t.Context(), m.letter(t)), egress.ErrTooLarge)
	m.set(func() { m.offers = []string{"SIZE 0", "SIZE x"} })
	require.NoError(t, m.mailer(t).Send(t.Context(), m.letter(t)))
	eight := m.letter(t)
	eight.Message = append(eight.Message, "\xfc"...)
	require.ErrorIs(t, m.mailer(t).Send(t.Context(), eight), egress.ErrMessage)
	require.Equal(t, 1, strings.Count(m.left(), "RCPT"), "one mail")
}

// A server that breaks the protocol gets no further, and no plaintext into an error or a log.
func TestBrokenMailServers(t *testing.T) {
	for name, test := range map[string]struct{ at, answer string }{
		"garbage":               {"RCPT", address + "\x00\xff"},
		"garbage at once":       {"connect", address},
		"a short code":          {"RCPT", "25"},
		"a code of letters":     {"RCPT", "2x0 ok"},
		"a code too many":       {"RCPT", "2500 ok"},
		"a small code":          {"RCPT", "150 ok"},
		"a great code":          {"RCPT", "600 ok"},
		"another separator":     {"RCPT", "250_ok"},
		"two codes":             {"RCPT", "250-ok\r\n251 ok"},
		"3 for 2":               {"RCPT", "354 go ahead " + address},
		"2 for 3":               {"DATA", "250 ok " + address},
		"3 for 2 at the end":    {"message", "354 go on"},
		"3 for the sender":      {"MAIL", "354 go on"},
		"a long line":           {"RCPT", "550 " + strings.Repeat(address, 1000)},
		"a long line at once":   {"connect", "220 " + strings.Repeat("a", 1<<20)},
		"lines without an end":  {"RCPT", strings.Repeat("550-"+address+"\r\n", 200) + "550 x"},
		"a long answer":         {"RCPT", strings.Repeat("550-"+strings.Repeat("a", 1000)+"\r\n", 20) + "550 x"},
		"an endless hello":      {"EHLO", strings.Repeat("250-"+strings.Repeat("a", 1000)+"\r\n", 1000) + "250 x"},
		"an answer too many":    {"RCPT", "250 ok\r\n354 " + address},
		"an answer before DATA": {"MAIL", "250 ok\r\n250 ok\r\n354 go\r\n250 queued"},
		"a closed connection":   {"RCPT", closes},
		"closed after a code":   {"RCPT", "550-" + address + "\r\n" + closes},
		"closed at once":        {"connect", closes},
		"closed at DATA":        {"DATA", closes},
		"closed at the end":     {"message", closes},
		"a reset":               {"RCPT", resets},
		"a reset at the end":    {"message", resets},
		"a reset at hello":      {"EHLO", resets},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMailServer(t, false, func(verb, _ string) string {
				if verb == test.at {
					return test.answer
				}
				return ""
			})
			logged := &lockedBuffer{}
			log.SetOutput(logged)
			defer log.SetOutput(io.Discard)
			err := m.mailer(t).Send(t.Context(), m.letter(t))
			require.ErrorIs(t, err, egress.ErrSend)
			require.NotErrorIs(t, err, egress.ErrRefused)
			require.True(t, strings.HasPrefix(err.Error(), "egress: sending failed: "), err)
			noPlaintext(t, name, shown(err)+logged.String())
			if test.at != "message" {
				require.Empty(t, m.sent())
			}
		})
	}
}

// A server that hangs, at whichever answer, ends with the context or with the time of the
// relay. The mail then is sent or not, as the error says.
func TestMailServersHang(t *testing.T) {
	for _, at := range []string{"connect", "EHLO", "STARTTLS", "MAIL", "RCPT", "DATA", "message"} {
		reached := make(chan bool, 1)
		m := newMailServer(t, at == "STARTTLS", func(verb, _ string) string {
			if verb == at {
				reached <- true
				return hangs
			}
			return ""
		})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-reached; cancel() }()
		err := m.mailer(t).Send(ctx, m.letter(t))
		require.ErrorIs(t, err, context.Canceled, at)
		require.ErrorIs(t, err, egress.ErrSend, at)
		noPlaintext(t, at, shown(err))

		relay := m.relay()
		relay.Timeout = 20 * time.Millisecond
		mailer, newErr := egress.NewMailer(relay)
		require.NoError(t, newErr)
		err = mailer.Send(t.Context(), m.letter(t))
		require.ErrorIs(t, err, context.DeadlineExceeded, at)
		require.ErrorIs(t, err, egress.ErrSend, at)
		require.True(t, timeoutOf(err), at)
	}
	// A server that takes the mail and then no QUIT.
	m := newMailServer(t, false, func(verb, _ string) string { return map[string]string{"QUIT": hangs}[verb] })
	require.NoError(t, m.mailer(t).Send(t.Context(), m.letter(t)))
	done, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, m.mailer(t).Send(done, m.letter(t)), context.Canceled)

	nobody := m.relay()
	m.listener.Close()
	mailer, err := egress.NewMailer(nobody)
	require.NoError(t, err)
	require.EqualError(t, mailer.Send(t.Context(), m.letter(t)), "egress: sending failed: connection refused")
}

// The mail of many goroutines does not mix.
func TestMailOfManyGoroutines(t *testing.T) {
	m := newMailServer(t, false, nil)
	mailer := m.mailer(t)
	const n = 20
	var addresses []string
	for i := range n {
		addresses = append(addresses, fmt.Sprintf("person-%d@example.com", i))
	}
	all := m.seal(t, addresses...)
	errs := make(chan error)
	for i := range n {
		go func() {
			errs <- mailer.Send(t.Context(), egress.Mail{From: mailFrom, To: all[i : i+1], Message: []byte("To: " + text(t, all[i]) + "\n\n" + addresses[i] + "\n")})
		}()
	}
	for range n {
		require.NoError(t, <-errs)
	}
	require.Len(t, m.sent(), n)
	for _, got := range m.sent() {
		to, body, _ := strings.Cut(got, "\r\n\r\n")
		require.Equal(t, "To: "+strings.TrimSpace(body), to)
	}
}

// A person who was collected for security turns up in nothing that the program sees of a
// mail to her, whether it is taken or refused with an echo.
func TestMailLeaksNothing(t *testing.T) {
	for name, fails := range map[string]string{"sent": "", "refused": "550 5.1.1 <§> unknown", "hangs up": closes} {
		t.Run(name, func(t *testing.T) {
			send := func(t testing.TB, c *piitest.Contact, m *mailServer) {
				m.set(func() {
					m.answer = func(verb, _ string) string {
						if verb == "message" {
							return strings.ReplaceAll(fails, "§", c.Address)
						}
						return ""
					}
				})
				to := m.seal(t, c.Address)
				mailer := m.mailer(t)
				err := mailer.Send(t.Context(), egress.Mail{From: mailFrom, To: to, Message: []byte("To: " + text(t, to[0]) + "\n\nHello\n")})
				require.Equal(t, fails != "", err != nil)
				log.Printf("%v %+v", err, mailer)
				fmt.Fprintln(c.Writer("log"), strings.ReplaceAll(shown(err), text(t, to[0]), "the sealed text"))
				c.Search("mailer", fmt.Sprintf("%+v %#v", mailer, mailer))
				c.Search("error", strings.ReplaceAll(shown(err), text(t, to[0]), "the sealed text"))
				c.Search("events", fmt.Sprintf("%+v", m.kit.Audit.Events()))
			}
			piitest.NoLeak(t, func(c *piitest.Contact) { send(t, c, newMailServer(t, false, nil)) })
			m := newMailServer(t, true, nil)
			piitest.Canary(t, m.kit.Scope(security), func(c *piitest.Contact) { send(t, c, m) })
		})
	}
}
