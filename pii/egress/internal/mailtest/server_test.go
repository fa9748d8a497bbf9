package mailtest

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/egress"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
)

var security = purpose.MustParse("security")

// A received is a mail that the server got.
type received struct {
	from string
	opts smtp.MailOptions
	to   []string
	data string
}

// A server is a real mail server, with a vault whose values it gets.
type server struct {
	kit     *piitest.Kit
	host    string
	client  *tls.Config // which trusts the server
	forget  bool        // keep no mail
	refuse  func(to string) error
	login   bool
	tls     bool // from the first byte
	session *smtp.Server

	mu    sync.Mutex
	mails []received
}

func newServer(t testing.TB, change func(s *server)) *server {
	t.Helper()
	certificate := httptest.NewTLSServer(nil)
	certificate.Close()
	s := &server{kit: piitest.New(t, security), client: certificate.Client().Transport.(*http.Transport).TLSClientConfig}
	if change != nil {
		change(s)
	}
	s.session = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{server: s}, nil }))
	s.session.Domain = "mail.example"
	s.session.TLSConfig = &tls.Config{Certificates: certificate.TLS.Certificates}
	s.session.ErrorLog = log.New(io.Discard, "", 0)
	s.session.EnableSMTPUTF8 = true
	s.session.MaxRecipients = 50
	s.session.MaxMessageBytes = 64 << 10
	s.session.ReadTimeout, s.session.WriteTimeout = time.Minute, time.Minute
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.host = l.Addr().String()
	if s.tls {
		l = tls.NewListener(l, s.session.TLSConfig)
	}
	var done sync.WaitGroup
	done.Go(func() { s.session.Serve(l) })
	t.Cleanup(func() { s.session.Close(); done.Wait() })
	return s
}

func (s *server) relay(t testing.TB) egress.Relay {
	t.Helper()
	reader, err := s.kit.Vault.Reader(t.Context(), security)
	require.NoError(t, err)
	return egress.Relay{Host: s.host, StartTLS: !s.tls, TLS: s.client, Reader: reader, Timeout: time.Minute}
}

func (s *server) mailer(t testing.TB) *egress.Mailer {
	t.Helper()
	m, err := egress.NewMailer(s.relay(t))
	require.NoError(t, err)
	return m
}

func (s *server) got() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.mails...)
}

func (s *server) seal(t testing.TB, address string) (pii.Email, string) {
	t.Helper()
	v, err := pii.SealEmail(t.Context(), address, s.kit.Scope(security))
	require.NoError(t, err)
	text, err := v.MarshalText()
	require.NoError(t, err)
	return v, string(text)
}

// A session is one connection to the server.
type session struct {
	server *server
	mail   received
	in     bool
}

func (s *session) Reset()      { s.mail = received{} }
func (*session) Logout() error { return nil }
func (s *session) anybody() error {
	return map[bool]error{true: smtp.ErrAuthRequired}[s.server.login && !s.in]
}

func (s *session) AuthMechanisms() []string {
	if s.server.login {
		return []string{sasl.Plain}
	}
	return nil
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, name, password string) error {
		if name != "shop" || password != "secret" {
			return errors.New("unknown " + name + " with " + password)
		}
		s.in = true
		return nil
	}), nil
}

func (s *session) Mail(from string, opts *smtp.MailOptions) error {
	s.mail.from, s.mail.opts = from, *opts
	return s.anybody()
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if s.server.refuse != nil {
		if err := s.server.refuse(to); err != nil {
			return err
		}
	}
	s.mail.to = append(s.mail.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.mail.data = string(data)
	if strings.Contains(s.mail.data, "Subject: spam") {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "spam for " + strings.Join(s.mail.to, ", ")}
	}
	if !s.server.forget {
		s.server.mu.Lock()
		defer s.server.mu.Unlock()
		s.server.mails = append(s.server.mails, s.mail)
	}
	return nil
}
