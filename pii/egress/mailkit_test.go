package egress_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/egress"
)

// A mailServer speaks SMTP, over real connections with real TLS. A test changes its answers.
type mailServer struct {
	*gateway
	listener net.Listener
	done     func()
	startTLS bool
	offers   []string                       // after EHLO
	answer   func(verb, line string) string // "" for the usual answer
	raw      func(conn net.Conn)            // instead of the whole session

	mu       sync.Mutex
	clear    []string // lines in plaintext
	lines    []string // lines within TLS
	messages []string // with dots as they came
}

const (
	hangs  = "hangs"
	closes = "closes"
	resets = "resets"
)

func newMailServer(t testing.TB, startTLS bool, answer func(verb, line string) string) *mailServer {
	t.Helper()
	m := &mailServer{gateway: newGateway(t, nil), startTLS: startTLS, answer: answer, offers: []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 100000", "AUTH PLAIN"}}
	m.listen()
	t.Cleanup(m.done)
	return m
}

// listen serves connections until done is called.
func (m *mailServer) listen() {
	m.listener = must(net.Listen("tcp", "127.0.0.1:0"))
	ctx, cancel := context.WithCancel(context.Background())
	var conns sync.WaitGroup
	m.done = func() { cancel(); m.listener.Close(); conns.Wait() }
	conns.Go(func() {
		for {
			conn, err := m.listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				stop := context.AfterFunc(ctx, func() { conn.Close() })
				defer stop()
				m.serve(ctx, conn)
			})
		}
	})
}

func (m *mailServer) serve(ctx context.Context, conn net.Conn) {
	tcp := conn.(*net.TCPConn)
	m.mu.Lock()
	config, answer, raw, all := m.TLS.Clone(), m.answer, m.raw, m.offers
	m.mu.Unlock()
	config.NextProtos = nil
	secured := !m.startTLS
	if secured {
		conn = tls.Server(conn, config)
	}
	if raw != nil {
		raw(conn)
		return
	}
	r := bufio.NewReader(conn)
	say := func(text string) bool {
		switch text {
		case hangs:
			<-ctx.Done()
			return false
		case closes:
			return false
		case resets:
			tcp.SetLinger(0)
			tcp.Close()
			return false
		}
		_, err := io.WriteString(conn, text+"\r\n")
		return err == nil
	}
	reply := func(verb, line, usual string) bool {
		if answer != nil {
			if special := answer(verb, line); special != "" {
				usual = special
			}
		}
		return say(usual)
	}
	if !reply("connect", "", "220 mail.example ESMTP") {
		return
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		m.mu.Lock()
		if secured {
			m.lines = append(m.lines, line)
		} else {
			m.clear = append(m.clear, line)
		}
		m.mu.Unlock()
		verb, _, _ := strings.Cut(line, " ")
		usual := "250 2.0.0 ok"
		switch verb {
		case "EHLO":
			offers := all
			if !secured {
				offers = append([]string{"STARTTLS"}, offers...)
			}
			usual = "250-" + strings.Join(append([]string{"mail.example"}, offers...), "\r\n250-")
			last := strings.LastIndex(usual, "250-") + 3
			usual = usual[:last] + " " + usual[last+1:]
		case "STARTTLS":
			usual = "220 2.0.0 go ahead"
		case "AUTH":
			usual = "235 2.7.0 welcome"
		case "DATA":
			usual = "354 go ahead"
		case "QUIT":
			usual = "221 2.0.0 bye"
		}
		if !reply(verb, line, usual) {
			return
		}
		switch {
		case verb == "STARTTLS":
			conn = tls.Server(conn, config)
			r, secured = bufio.NewReader(conn), true
		case verb == "DATA":
			message := ""
			for !strings.HasSuffix(message, "\r\n.\r\n") {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				message += line
			}
			m.mu.Lock()
			m.messages = append(m.messages, strings.TrimSuffix(message, ".\r\n"))
			m.mu.Unlock()
			if !reply("message", message, "250 2.0.0 queued") {
				return
			}
		}
	}
}

// set changes the server for connections to come.
func (m *mailServer) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

// sent returns the messages that the server took.
func (m *mailServer) sent() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.messages...)
}

func (m *mailServer) inClear() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.clear...)
}

func (m *mailServer) commands() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.lines...)
}

// left returns each line that left, in plaintext or not.
func (m *mailServer) left() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.clear, "\n") + "\n" + strings.Join(m.lines, "\n") + "\n" + strings.Join(m.messages, "\n")
}

func (m *mailServer) relay() egress.Relay {
	return egress.Relay{Host: m.listener.Addr().String(), StartTLS: m.startTLS, TLS: &tls.Config{RootCAs: m.base().TLSClientConfig.RootCAs}, Reader: m.reader, Timeout: time.Minute}
}

// host is the recipient of events.
func (m *mailServer) host() string { return m.listener.Addr().String() }

func (m *mailServer) mailer(t testing.TB) *egress.Mailer {
	t.Helper()
	mailer, err := egress.NewMailer(m.relay())
	require.NoError(t, err)
	return mailer
}

// seal returns the sealed values of addresses.
func (m *mailServer) seal(t testing.TB, addresses ...string) (all []pii.Email) {
	t.Helper()
	for _, a := range addresses {
		v, err := pii.SealEmail(t.Context(), a, m.kit.Scope(security))
		require.NoError(t, err)
		all = append(all, v)
	}
	m.kit.Audit.Reset()
	return all
}

const mailFrom = "shop@shop.example"

// letter returns a mail to one recipient.
func (m *mailServer) letter(t testing.TB) egress.Mail {
	return egress.Mail{From: mailFrom, To: []pii.Email{m.email}, Message: []byte("From: Shop <" + mailFrom + ">\r\nTo: Alice <" + text(t, m.email) + ">\r\nSubject: Your code\r\n\r\nYour code is 123456\r\n")}
}

// An exampleServer prints the lines with the recipient that reach it.
type exampleServer struct {
	*mailServer
	Host string
	TLS  *tls.Config
}

func (s exampleServer) Close() { s.done() }

// Refuse makes the server answer so to each recipient.
func (s exampleServer) Refuse(answer string) {
	s.set(func() {
		s.mailServer.answer = func(verb, _ string) string { return map[string]string{"RCPT": answer}[verb] }
	})
}

func exampleMailServer() exampleServer {
	certificate := httptest.NewTLSServer(nil)
	defer certificate.Close()
	m := &mailServer{gateway: &gateway{Server: certificate}}
	m.answer = func(verb, line string) string {
		switch verb {
		case "RCPT":
			fmt.Println(line)
		case "message":
			to, _, _ := strings.Cut(line[strings.Index(line, "To:"):], "\r\n")
			fmt.Println(to)
		}
		return ""
	}
	m.listen()
	return exampleServer{m, m.host(), certificate.Client().Transport.(*http.Transport).TLSClientConfig}
}
