package mailtest

import (
	"errors"
	"fmt"
	netsmtp "net/smtp"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/egress"
)

// naive sends a mail with package net/smtp alone, as a program does that holds the
// addresses.
func naive(t testing.TB, s *server, from string, to []string, message string) {
	t.Helper()
	c, err := netsmtp.Dial(s.host)
	require.NoError(t, err)
	defer c.Close()
	config := s.client.Clone()
	config.ServerName = "127.0.0.1"
	require.NoError(t, c.StartTLS(config))
	require.NoError(t, c.Mail(from))
	for _, one := range to {
		require.NoError(t, c.Rcpt(one))
	}
	w, err := c.Data()
	require.NoError(t, err)
	_, err = w.Write([]byte(message))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, c.Quit())
}

// The server gets from the mailer what it gets from a program that holds the addresses,
// whatever the message.
func TestTheServerSeesANaiveSend(t *testing.T) {
	s := newServer(t, nil)
	mailer := s.mailer(t)
	alice, aliceText := s.seal(t, "Alice.O'Hara+news@example.com")
	bob, bobText := s.seal(t, "bob@xn--80ak6aa92e.example")
	for _, template := range []string{
		"To: §1, §2\r\nSubject: x\r\n\r\nbody\r\n",
		"To: Alice <§1>,\r\n \"Bob, the <2nd>\" <§2>\r\nCc: <§1>\r\n\r\n",
		"To: §1\nCc: §2\n\n.\n..\n.a\n\n.\n",
		"To: undisclosed-recipients:;\r\n\r\nno line end",
		"Subject: no body\r\nTo: §2",
		"To: §1\r\n\r\n" + strings.Repeat(strings.Repeat("long ", 190)+"\r\n", 50),
		"To: §1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGr\u00fc\u00dfe \u2764\r\n",
	} {
		message := strings.NewReplacer("§1", aliceText, "§2", bobText).Replace(template)
		require.NoError(t, mailer.Send(t.Context(), egress.Mail{From: "shop@shop.example", To: []pii.Email{alice, bob}, Message: []byte(message)}))
		naive(t, s, "shop@shop.example", []string{"Alice.O'Hara+news@example.com", "bob@xn--80ak6aa92e.example"},
			strings.NewReplacer("§1", "Alice.O'Hara+news@example.com", "§2", "bob@xn--80ak6aa92e.example").Replace(template))
		got := s.got()
		ours, theirs := got[len(got)-2], got[len(got)-1]
		require.Equal(t, theirs.from, ours.from)
		require.Equal(t, theirs.to, ours.to)
		require.Equal(t, theirs.data, ours.data)
		require.True(t, theirs.opts.UTF8 && !ours.opts.UTF8, "an extension that a later relay may lack is not asked for")
	}
}

// TLS from the first byte or later, a login, and many recipients.
func TestTheServerTakesMail(t *testing.T) {
	for _, fromTheFirst := range []bool{false, true} {
		s := newServer(t, func(s *server) { s.tls, s.login = fromTheFirst, true })
		var to []pii.Email
		for i := range 50 {
			v, _ := s.seal(t, fmt.Sprintf("person-%d@example.com", i))
			to = append(to, v)
		}
		mail := egress.Mail{From: "shop@shop.example", To: to, Message: []byte("To: undisclosed-recipients:;\n\nHello\n")}
		var refused *egress.RefusedError
		require.ErrorAs(t, s.mailer(t).Send(t.Context(), mail), &refused, "no login")
		require.Equal(t, "MAIL", refused.Command)

		relay := s.relay(t)
		relay.Auth = netsmtp.PlainAuth("", "shop", "wrong password", "127.0.0.1")
		mailer, err := egress.NewMailer(relay)
		require.NoError(t, err)
		err = mailer.Send(t.Context(), mail)
		require.ErrorAs(t, err, &refused)
		require.Equal(t, egress.RefusedError{Command: "AUTH", Answer: egress.Answer{Code: 454, Status: "4.7.0"}}, *refused)
		require.NotContains(t, err.Error(), "wrong password")

		relay.Auth = netsmtp.PlainAuth("", "shop", "secret", "127.0.0.1")
		mailer, err = egress.NewMailer(relay)
		require.NoError(t, err)
		require.NoError(t, mailer.Send(t.Context(), mail))
		require.Len(t, s.got()[0].to, 50)
		require.Equal(t, "person-49@example.com", s.got()[0].to[49])

		v, _ := s.seal(t, "one-more@example.com")
		mail.To = append(mail.To, v)
		var some *egress.RecipientsError
		require.ErrorAs(t, mailer.Send(t.Context(), mail), &some)
		require.Equal(t, 50, some.Taken)
		require.Equal(t, 50, some.Refused[0].Index)
		require.True(t, some.Refused[0].Answer.Temporary(), some)
		mail.Message = append(mail.Message, make([]byte, 64<<10)...)
		for i := range mail.Message[len(mail.Message)-64<<10:] {
			mail.Message[len(mail.Message)-64<<10+i] = '\n'
		}
		require.ErrorIs(t, mailer.Send(t.Context(), mail), egress.ErrTooLarge)
	}
}

// Answers of the server that echo an address have the sealed text.
func TestTheServerEchoes(t *testing.T) {
	s := newServer(t, func(s *server) {
		s.refuse = func(to string) error {
			if strings.HasPrefix(to, "bob") {
				return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "<" + strings.ToUpper(to) + ">: unknown"}
			}
			return nil
		}
	})
	alice, aliceText := s.seal(t, "alice@example.com")
	bob, bobText := s.seal(t, "bob@example.com")
	mail := egress.Mail{To: []pii.Email{alice, bob}, Message: []byte("To: " + aliceText + "\n\n")}
	err := s.mailer(t).Send(t.Context(), mail)
	var some *egress.RecipientsError
	require.ErrorAs(t, err, &some)
	require.Equal(t, egress.RecipientsError{Taken: 1, Refused: []egress.RefusedRecipient{
		{Index: 1, Answer: egress.Answer{Code: 550, Status: "5.1.1", Text: "<" + bobText + ">: unknown"}}}}, *some)
	mail.Message = append([]byte("Subject: spam\n"), mail.Message...)
	err = s.mailer(t).Send(t.Context(), mail)
	var refused *egress.RefusedError
	require.True(t, errors.As(err, &refused) && !errors.As(err, &some))
	require.Equal(t, egress.Answer{Code: 554, Status: "5.7.1", Text: "spam for " + aliceText}, refused.Answer)
}

// A server without STARTTLS gets no address.
func TestTheServerHasNoTLS(t *testing.T) {
	s := newServer(t, nil)
	s.session.TLSConfig = nil
	v, _ := s.seal(t, "alice@example.com")
	require.ErrorIs(t, s.mailer(t).Send(t.Context(), egress.Mail{To: []pii.Email{v}, Message: []byte("X: y\n")}), egress.ErrNoTLS)
	require.Empty(t, s.got())
}
