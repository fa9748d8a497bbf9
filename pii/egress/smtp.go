package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"strconv"
	"sync/atomic"
	"time"
)

// A session is one connection to a mail server. Package net/smtp begins it, to the end of
// the login, and knows no address. The transaction is written here: package net/smtp would
// keep the address in strings and buffers, wait for each answer before the next recipient,
// and ask for SMTPUTF8, which a relay after this one may lack.
type session struct {
	ctx    context.Context
	wire   *wire
	client *smtp.Client
	r      *bufio.Reader
	w      *bufio.Writer
	stop   func() bool
	opened *shared // nil before the addresses are revealed

	pipelining bool // the server takes commands before it has answered (RFC 2920)
}

// maxReceived is the number of bytes that one session reads at most, answers of many
// recipients and certificates included.
const maxReceived = 1 << 19

// A wire is a connection that reads up to maxReceived bytes.
type wire struct {
	net.Conn
	left atomic.Int64
}

func (w *wire) Read(p []byte) (int, error) {
	if w.left.Load() <= 0 {
		return 0, errAnswer
	}
	n, err := w.Conn.Read(p)
	w.left.Add(-int64(n))
	return n, err
}

// connect makes a connection with TLS, says hello and logs in.
func (m *Mailer) connect(ctx context.Context) (*session, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", m.addr)
	if err != nil {
		return nil, endErr(ctx, err)
	}
	s := &session{ctx: ctx, wire: &wire{Conn: conn}}
	s.wire.left.Store(maxReceived)
	s.stop = context.AfterFunc(ctx, func() { conn.Close() })
	if err := s.begin(m); err != nil {
		s.stop()
		conn.Close()
		return nil, endErr(ctx, err)
	}
	return s, nil
}

// endErr returns the error of the context if that ended the connection.
func endErr(ctx context.Context, err error) error {
	var send *sendError
	switch {
	case ctx.Err() != nil:
		return sendErr(ctx.Err())
	case errors.As(err, &send), errors.Is(err, ErrRefused), errors.Is(err, ErrNoTLS), errors.Is(err, ErrTooLarge), errors.Is(err, ErrMessage):
		return err
	}
	return sendErr(err)
}

// begin is connect, after the connection is made.
func (s *session) begin(m *Mailer) (err error) {
	conn := net.Conn(s.wire)
	if !m.relay.StartTLS {
		secure := tls.Client(s.wire, m.relay.TLS)
		if err := secure.HandshakeContext(s.ctx); err != nil {
			return err
		}
		conn = secure
	}
	if s.client, err = smtp.NewClient(conn, m.name); err != nil {
		return commandErr("connection", err)
	}
	if err := s.client.Hello(m.relay.LocalName); err != nil {
		return commandErr("EHLO", err)
	}
	if m.relay.StartTLS {
		if ok, _ := s.client.Extension("STARTTLS"); !ok {
			return ErrNoTLS
		}
		if s.client.Text.R.Buffered() > 0 { // an answer to a command that was not sent yet
			return errAnswer
		}
		if err := s.client.StartTLS(m.relay.TLS); err != nil {
			if err = commandErr("STARTTLS", err); errors.Is(err, ErrRefused) {
				err = ErrNoTLS
			}
			return err
		}
	}
	if m.relay.Auth != nil {
		if err := s.client.Auth(m.relay.Auth); err != nil {
			return commandErr("AUTH", err)
		}
	}
	s.pipelining, _ = s.client.Extension("PIPELINING")
	s.r, s.w = s.client.Text.R, s.client.Text.W
	return nil
}

// quitTimeout is the time for a server to take QUIT.
const quitTimeout = 5 * time.Second

// close ends the session. It does not wait for the answer to QUIT.
func (s *session) close() {
	if s.stop() {
		s.wire.SetWriteDeadline(time.Now().Add(quitTimeout))
		s.w.WriteString("QUIT\r\n")
		s.flush()
	}
	s.client.Close()
}

// flush sends the commands that were written, and overwrites the buffer.
func (s *session) flush() error {
	err := s.w.Flush()
	free := s.w.AvailableBuffer()
	clear(free[:cap(free)])
	return err
}

// command sends a command and returns the answer to it.
func (s *session) command(text string) (Answer, error) {
	s.w.WriteString(text + "\r\n")
	if err := s.flush(); err != nil {
		return Answer{}, err
	}
	return s.answer()
}

// answer reads the answer to the last command. An answer more, to a command that is yet to
// be sent, is an error: it would be taken for the wrong one.
func (s *session) answer() (Answer, error) {
	a, err := readAnswer(s.r, s.opened)
	if err == nil && s.r.Buffered() > 0 {
		err = errAnswer
	}
	return a, err
}

// sender names the sender, and has the server agree to the size and the bytes of the
// message.
func (s *session) sender(l *letter) error {
	text := "MAIL FROM:<" + l.from + ">"
	if ok, most := s.client.Extension("SIZE"); ok {
		n, err := strconv.ParseUint(most, 10, 63)
		if err == nil && n > 0 && uint64(len(l.message)) > n {
			return ErrTooLarge
		}
		text += " SIZE=" + strconv.Itoa(len(l.message)) // an address is shorter than its sealed text
	}
	if l.eight {
		if ok, _ := s.client.Extension("8BITMIME"); !ok {
			return fmt.Errorf("mail server takes no bytes but ASCII: %w", ErrMessage)
		}
		text += " BODY=8BITMIME"
	}
	return s.expect("MAIL", text, 2)
}

// expect sends a command whose answer must be of a class, such as 2 for 250.
func (s *session) expect(name, text string, class int) error {
	a, err := s.command(text)
	if err != nil {
		return endErr(s.ctx, err)
	}
	return check(name, a, class)
}

// check returns the error for an answer of another class.
func check(name string, a Answer, class int) error {
	switch {
	case a.Code/100 == class:
		return nil
	case a.Code < 400:
		return errAnswer
	}
	return &RefusedError{Command: name, Answer: a}
}

// deliver names the recipients and sends the message to those that the server takes.
func (s *session) deliver(l *letter) error {
	answers, err := s.recipients(len(l.to))
	if err != nil {
		return endErr(s.ctx, err)
	}
	result := &RecipientsError{}
	for i, a := range answers {
		err := check("RCPT", a, 2)
		switch {
		case err == nil:
			result.Taken++
		case errors.Is(err, ErrRefused):
			result.Refused = append(result.Refused, RefusedRecipient{i, a})
		default:
			return err
		}
	}
	if result.Taken == 0 {
		return result
	}
	if err := s.expect("DATA", "DATA", 3); err != nil {
		return err
	}
	if err := s.message(l); err != nil {
		return endErr(s.ctx, err)
	}
	a, err := s.answer()
	if err != nil {
		return endErr(s.ctx, err)
	}
	if err := check("message", a, 2); err != nil || len(result.Refused) == 0 {
		return err
	}
	return result
}

// recipients names the recipients and returns the answers, in their order. A server with
// pipelining gets all of the commands at once.
func (s *session) recipients(n int) ([]Answer, error) {
	answers := make([]Answer, 0, n)
	for i, address := range s.opened.patches {
		s.w.WriteString("RCPT TO:<")
		s.w.Write(address)
		s.w.WriteString(">\r\n")
		if s.pipelining && i < n-1 {
			continue
		}
		if err := s.flush(); err != nil {
			return nil, err
		}
		for len(answers) <= i {
			read := s.answer
			if len(answers) < i {
				read = func() (Answer, error) { return readAnswer(s.r, s.opened) }
			}
			a, err := read()
			if err != nil {
				return nil, err
			}
			answers = append(answers, a)
		}
	}
	return answers, nil
}

// message sends the message with the addresses in their places.
func (s *session) message(l *letter) error {
	w := s.client.Text.DotWriter()
	from := 0
	for _, p := range l.places {
		w.Write(l.message[from:p.start])
		w.Write(s.opened.patches[p.recipient])
		from = p.end
	}
	_, err := w.Write(l.message[from:])
	if closed := w.Close(); err == nil {
		err = closed
	}
	if wiped := s.flush(); err == nil {
		err = wiped
	}
	return err
}
