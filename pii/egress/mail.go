package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/smtp"
	"strconv"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// A Relay declares the SMTP server that takes the mail of a program, and the keys that
// open the addresses.
type Relay struct {
	// Host is the host name in lower case, such as "smtp.example", with ":" and a port other
	// than 465, or than 587 with StartTLS. The certificate of the server must be valid for it.
	Host string
	// StartTLS makes a connection in plaintext and has the server change to TLS (RFC 3207). A
	// server that does not is refused. Without StartTLS the connection is TLS from its first
	// byte (RFC 8314).
	StartTLS bool
	// TLS is a configuration for connections, of which the mailer keeps a copy. Nil means the
	// default one. It must verify the server by its name, log no keys and have TLS 1.2 or later.
	TLS *tls.Config
	// Auth logs in, such as [smtp.PlainAuth]. Nil means no login.
	Auth smtp.Auth
	// LocalName is the name of the sending host. "" means "localhost".
	LocalName string
	// Reader reveals the addresses.
	Reader *vault.Reader
	// MaxMessage is the size of the largest message, in bytes. 0 means 10 MiB.
	MaxMessage int
	// Timeout is the time for one Send. 0 means 5 minutes. A deadline of the context that is
	// earlier counts.
	Timeout time.Duration
}

const (
	defaultMaxMessage = 10 << 20
	defaultTimeout    = 5 * time.Minute
	// maxRecipients is the number of recipients that every server takes (RFC 5321, section
	// 4.5.3.1.8).
	maxRecipients = 100
)

// A Mail is a message and its recipients.
type Mail struct {
	// From is the address that failures are reported to, in ASCII. "" means nobody: the
	// message is a report itself.
	From string
	// To are the recipients, 1 to 100. Each gets the message, whether its header fields name
	// the recipient or not. A field with two recipients shows each the address of the other.
	To []pii.Email
	// Message is the message in the format of RFC 5322, with lines that end in LF or CRLF. In
	// its header fields To and Cc, the text of a recipient's value stands for the address:
	// "To: Ann <pii1.email.…>". No other value may stand there, and no sealed value may stand
	// anywhere else. A field To or Cc without a sealed value stays as it is, such as
	// "To: undisclosed-recipients:;". Header fields are ASCII.
	Message []byte
}

// A Mailer sends mail through one SMTP server, and reveals the addresses of the recipients
// to this server alone.
//
// It is made by [NewMailer], and may be used from many goroutines at once. Each Send has a
// connection of its own.
type Mailer struct {
	relay Relay
	addr  string // with the port
	name  string // without a port
}

// NewMailer returns a mailer for the given server. It makes no connection. A relay that is
// malformed or not secure is [ErrRules].
func NewMailer(r Relay) (*Mailer, error) {
	m := &Mailer{relay: r}
	port := "465"
	if r.StartTLS {
		port = "587"
	}
	name, given, found := cutPort(r.Host)
	switch {
	case strings.Trim(r.Host, hostBytes) != "" || !validMailHost(name) || found && (given == port || !validPort(given)):
		return nil, ruleErr("host")
	case r.Reader == nil:
		return nil, ruleErr("reader")
	case r.LocalName != "" && !validLocalName(r.LocalName):
		return nil, ruleErr("local name")
	case r.MaxMessage < 0 || r.Timeout < 0:
		return nil, ruleErr("limit")
	}
	if found {
		port = given
	}
	m.name, m.addr = name, net.JoinHostPort(name, port)
	if err := checkTLS(r.TLS); err != nil {
		return nil, err
	}
	m.relay.TLS = r.TLS.Clone()
	if m.relay.TLS == nil {
		m.relay.TLS = new(tls.Config)
	}
	m.relay.TLS.ServerName, m.relay.TLS.NextProtos = name, nil
	m.relay.TLS.MinVersion = max(m.relay.TLS.MinVersion, tls.VersionTLS12)
	m.relay.Reader = r.Reader.To(r.Host)
	if r.LocalName == "" {
		m.relay.LocalName = "localhost"
	}
	if r.MaxMessage == 0 {
		m.relay.MaxMessage = defaultMaxMessage
	}
	if r.Timeout == 0 {
		m.relay.Timeout = defaultTimeout
	}
	return m, nil
}

// cutPort returns the name and the port of a host. An IPv6 address is in brackets.
func cutPort(host string) (name, port string, found bool) {
	if bare, ok := strings.CutPrefix(host, "["); ok {
		name, rest, closed := strings.Cut(bare, "]")
		if !closed || !strings.Contains(name, ":") || rest != "" && rest[0] != ':' {
			return "", "", false
		}
		return name, strings.TrimPrefix(rest, ":"), rest != ""
	}
	return strings.Cut(host, ":")
}

// validMailHost reports whether name is a host name or an IP address.
func validMailHost(name string) bool {
	if net.ParseIP(name) != nil {
		return true
	}
	return name != "" && !strings.ContainsAny(name, ":[]") && !strings.Contains(name, "..") &&
		name[0] != '.' && name[0] != '-' && name[len(name)-1] != '.' && len(name) <= 253
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && port[0] != '0'
}

func validLocalName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return len(name) <= 255
}

// Hosts returns the host of the server: the recipient of personal data.
func (m *Mailer) Hosts() []string {
	if m == nil || m.relay.Host == "" {
		return nil
	}
	return []string{m.relay.Host}
}

// Format implements [fmt.Formatter]: every verb prints the host.
func (m *Mailer) Format(f fmt.State, _ rune) { io.WriteString(f, m.label()) }

// LogValue implements [slog.LogValuer] with the host.
func (m *Mailer) LogValue() slog.Value { return slog.StringValue(m.label()) }

func (m *Mailer) label() string { return "egress.Mailer(" + strings.Join(m.Hosts(), " ") + ")" }

// Send sends the mail to its recipients. A nil error says that the server has taken it for
// all of them.
//
// Addresses are revealed once the connection is TLS, the server has shown a certificate
// for its name, the login is done and the server has taken the sender. Each recipient is one
// event. The person of the values is that of [WithSubject]. While events can't be recorded,
// no address leaves.
//
// Nothing has left if the error is [ErrMessage], [ErrTooLarge], [ErrUndeclared],
// [ErrNotSealed] or [ErrNoTLS]; no address has, if it is one of the errors of
// [vault.Scope.Reveal]. A [RecipientsError] reports recipients that the server refused: the
// others got the mail. A [RefusedError] reports that nobody did. [ErrSend] reports that the
// connection failed, or that the server broke the protocol: the server may have taken the
// mail. A nil or zero Mailer is [ErrRules].
func (m *Mailer) Send(ctx context.Context, mail Mail) error {
	err := m.send(ctx, mail)
	if send := (*sendError)(nil); err == nil || errors.As(err, &send) { // which says egress itself
		return err
	}
	return fmt.Errorf("egress: %w", err)
}

func (m *Mailer) send(ctx context.Context, mail Mail) error {
	if m == nil || m.addr == "" {
		return fmt.Errorf("no mailer: %w", ErrRules)
	}
	l, err := readMail(mail, m.relay.MaxMessage)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, m.relay.Timeout)
	defer cancel()
	s, err := m.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.sender(l); err != nil {
		return err
	}
	opened, err := m.open(ctx, l)
	if err != nil {
		return err
	}
	defer opened.release()
	s.opened = opened
	return s.deliver(l)
}

// open reveals the addresses of the recipients, in their order. The caller has a share of
// the plaintexts.
func (m *Mailer) open(ctx context.Context, l *letter) (*shared, error) {
	reader := m.relay.Reader
	if id, ok := ctx.Value(subjectKey{}).(string); ok {
		reader = reader.For(id)
	}
	s := newShared(len(l.to))
	for i, to := range l.to {
		address, err := to.Reveal(ctx, reader)
		if err == nil && !validMailbox(address) {
			err = vault.ErrCorrupt
		}
		if err != nil {
			s.release()
			return nil, fmt.Errorf("recipient %d: %w", i+1, err)
		}
		s.patches = append(s.patches, []byte(address))
		s.echoes.add([]byte(address), []byte(l.texts[i]))
	}
	return s, nil
}

// validMailbox reports whether an address can stand in a command and in a header field: it
// ends neither, and needs no extension of SMTP. Package pii seals no other address, but a
// holder of the key could.
func validMailbox(address string) bool {
	for i := range len(address) {
		switch c := address[i]; c {
		case '<', '>', '(', ')', '[', ']', '\\', '"', ',', ';', ':':
			return false
		default:
			if c <= ' ' || c >= 0x7f {
				return false
			}
		}
	}
	return strings.Count(address, "@") == 1 && len(address) <= maxAddress
}
