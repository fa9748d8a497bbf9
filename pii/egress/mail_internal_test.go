package egress

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
)

const mailAddress = "Alice.O'Hara+news@example.com"

// A post is a recipient, and the address as it is once it is revealed.
type post struct {
	email  pii.Email
	sealed string
}

func newPost(t testing.TB) *post {
	email, err := pii.SealEmail(t.Context(), mailAddress, newFiller(t).kit.Scope(purpose.MustParse("security")))
	require.NoError(t, err)
	sealed, err := email.MarshalText()
	require.NoError(t, err)
	return &post{email, string(sealed)}
}

// opened returns the plaintexts, as Mailer.open does.
func (p *post) opened() *shared {
	s := &shared{patches: [][]byte{[]byte(mailAddress)}}
	s.echoes.add([]byte(mailAddress), []byte(p.sealed))
	s.take()
	return s
}

type pipe struct {
	io.Reader
	io.Writer
}

func (pipe) Close() error { return nil }

// session returns a session whose server answers with a text, and the bytes that leave.
func (p *post) session(answers string) (*session, *bytes.Buffer) {
	sent := &bytes.Buffer{}
	text := textproto.NewConn(pipe{strings.NewReader(answers), sent})
	return &session{ctx: context.Background(), client: &smtp.Client{Text: text}, r: text.R, w: text.W, opened: p.opened()}, sent
}

// fill returns the message that leaves, without the dots of SMTP, and its checked form.
func (p *post) fill(t testing.TB, message []byte) (string, *letter, error) {
	l, err := readMail(Mail{To: []pii.Email{p.email}, Message: message}, 1<<20)
	if err != nil {
		return "", nil, err
	}
	s, sent := p.session("")
	require.NoError(t, s.message(l))
	require.True(t, cleared(s.w), "the buffer is overwritten")
	r := bufio.NewReader(sent)
	got, err := textproto.NewReader(r).ReadDotBytes()
	require.NoError(t, err)
	_, err = r.ReadByte()
	require.Equal(t, io.EOF, err, "the message ends once")
	return string(got), l, nil
}

// cleared reports whether the buffer of a bufio.Reader or bufio.Writer is all zeroes.
func cleared(b any) bool {
	for _, c := range reflect.ValueOf(b).Elem().FieldByName("buf").Bytes() {
		if c != 0 {
			return false
		}
	}
	return true
}

// A server's echo and the addresses that went out do not stay in the buffers of the
// connection.
func TestMailBuffersAreCleared(t *testing.T) {
	p := newPost(t)
	for _, answer := range []string{"550 no " + mailAddress + "\r\n", "250-" + mailAddress + "\r\n250 " + mailAddress + "\r\n", "250 " + mailAddress, mailAddress + "\r\n",
		"550 " + strings.Repeat(mailAddress, 500), "250-" + mailAddress + "\r\n550 " + mailAddress + "\r\n"} {
		s, sent := p.session(answer)
		_, err := s.recipients(1)
		require.Equal(t, "RCPT TO:<"+mailAddress+">\r\n", sent.String())
		require.True(t, cleared(s.w))
		require.True(t, cleared(s.r), "%q: %v", answer, err)
		opened := s.opened
		patch, plain := opened.patches[0], opened.echoes.all[0].plain
		opened.release()
		require.Equal(t, make([]byte, len(patch)), patch)
		require.Equal(t, make([]byte, len(plain)), plain)
	}
	old := bytes.Repeat([]byte("a"), 8)
	require.Equal(t, "aaaaaaaab", string(appendByte(old, 'b')))
	require.Equal(t, make([]byte, 8), old)
}

// The end of a session does not wait for a server that reads nothing more.
func TestQuitHasADeadline(t *testing.T) {
	s, sent := newPost(t).session("")
	conn := &deadlined{}
	s.wire, s.stop = &wire{Conn: conn}, func() bool { return true }
	s.close()
	require.Equal(t, "QUIT\r\n", sent.String())
	require.False(t, conn.deadline.IsZero())
}

type deadlined struct {
	net.Conn
	deadline time.Time
}

func (d *deadlined) SetWriteDeadline(t time.Time) error { d.deadline = t; return nil }

// An address that could end a command or a field, or needs SMTPUTF8, does not leave.
func TestMailboxes(t *testing.T) {
	for _, bad := range []string{
		"", "a", "a@b@c", "a\r\n@b.example", "a\n@b.example", "a\x00@b.example", "a b@c.example", "a>@b.example", "<a@b.example", "\u00fc@b.example", "a@\u00fc.example",
		`"a"@b.example`, `a\@b.example`, "a@[127.0.0.1]", "a,b@c.example", "a;@b.example", "a:b@c.example", "(a)@b.example", "a\x7f@b.example", strings.Repeat("a", 255) + "@b.example",
	} {
		require.False(t, validMailbox(bad), "%q", bad)
	}
	for _, good := range []string{mailAddress, "!#$%&'*+-/=?^_`{|}~@xn--80ak6aa92e.example"} {
		require.True(t, validMailbox(good), good)
	}
}

// The message that leaves is that of a naive replacement in the fields To and Cc, as
// package net/mail reads it. Nothing else has changed but the line ends.
func FuzzMessage(f *testing.F) {
	p := newPost(f)
	for _, seed := range []string{
		"To: §\r\n\r\nbody", "To: Ann <§>, §\nCc: \"A, <B>\" <§>\nSubject: x\n\n.\n..\nx\n.\n", "To: Ann\r\n <§>,\r\n\t§\r\n\r\n", "to:§", "Cc:<§>\n\n", "Subject: §\n\n", "To: §\n\n§",
		"To: §\r\rSubject: x\n\n", "To: §\n \nX: 1\n\n", "To: g: §;\n\n", "To: a@b.example, §\n\n", "To: (§) §\n\n", "To: \"\\\"§\" <§>\n\n", "§: x\n\n", "X: =?utf-8?q?a?=\nTo: §\n\n=\n=3D\n", "\n", "To: §\n\n\r\n.\r\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, template string) {
		message := []byte(strings.ReplaceAll(template, "§", p.sealed))
		got, l, err := p.fill(t, message)
		if err != nil {
			return
		}
		require.NotContains(t, got, sealedPrefix+"email.")
		naive := strings.ReplaceAll(string(message), p.sealed, mailAddress) // a sealed text elsewhere was refused
		require.Equal(t, strings.Count(string(message), p.sealed), len(l.places))
		naive = strings.ReplaceAll(naive, "\r\n", "\n")
		if !strings.HasSuffix(naive, "\n") {
			naive += "\n"
		}
		require.Equal(t, naive, got) // ReadDotBytes ends lines in LF
		before, err := mail.ReadMessage(bytes.NewReader(message))
		if err != nil { // package net/mail knows fewer names of fields
			return
		}
		after, err := mail.ReadMessage(strings.NewReader(got))
		require.NoError(t, err)
		require.Len(t, after.Header, len(before.Header))
		for name, values := range before.Header {
			if name == "To" || name == "Cc" {
				continue
			}
			require.Equal(t, values, after.Header[name])
		}
		for _, name := range []string{"To", "Cc"} {
			if n := strings.Count(before.Header.Get(name), p.sealed); n > 0 {
				list, err := after.Header.AddressList(name)
				if err != nil { // such as a name of an encoding that it does not know
					continue
				}
				require.Len(t, list, n)
				for _, a := range list {
					require.Equal(t, mailAddress, a.Address)
				}
			}
		}
	})
}

// No answer, however broken, brings an address or an unfinished text back, and the buffer is
// clear after each.
func FuzzAnswer(f *testing.F) {
	p := newPost(f)
	for _, seed := range []string{
		"250 ok\r\n", "550-5.1.1 <@>\r\n550 5.1.1 no\r\n", "550 Alice.O'Hara+ne\r\n", "550-Alice.O'Hara\r\n550 +news@\r\n", "250\n", "25", "250 a\r\n251 b\r\n", "550 %41lice.O%27Hara%2bnews%40example.com\r\n", "550 \xff\x00\x1b\r\n", "@",
	} {
		f.Add(strings.ReplaceAll(seed, "@", mailAddress))
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, _ := p.session(text)
		a, err := readAnswer(s.r, s.opened)
		if err != nil {
			require.Equal(t, Answer{}, a)
			return
		}
		require.True(t, a.Code >= 200 && a.Code <= 599)
		shown := strings.ToLower(a.Text)
		for _, part := range []string{"alice", "hara", "example.com"} {
			require.NotContains(t, shown, part)
		}
		require.False(t, strings.ContainsFunc(a.Text, func(r rune) bool { return r != '\n' && (r < ' ' || r >= 0x7f) }))
		require.False(t, slices.Contains([]byte(a.Status), ' '))
		read := strings.NewReader(text)
		want, _, err := textproto.NewReader(bufio.NewReader(read)).ReadResponse(0)
		if err == nil {
			require.Equal(t, want, a.Code)
		}
	})
}
