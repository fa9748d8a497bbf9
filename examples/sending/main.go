// Command sending sends security codes through three kinds of gateway: an SMS API that
// takes forms, a mail API that takes JSON, and a mail server. The program holds sealed
// values alone, and the gateways get the number and the address.
//
//	go -C examples run ./sending
//
// The gateways run in this process, over TLS with certificates of an authority that the
// program makes. They speak the protocols of well-known ones.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/smtp"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/egress"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

var (
	security    = purpose.MustParse("security")
	advertising = purpose.MustParse("advertising")
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sending:", err)
		os.Exit(1)
	}
}

// A sender is the part of a company that sends codes. It holds no plaintext.
type sender struct {
	client *http.Client
	mailer *egress.Mailer
}

// newSender declares the recipients of personal data: three hosts, and one field at each.
func newSender(g *gateways, reader *vault.Reader) (*sender, error) {
	transport, err := egress.NewTransport(g.base(),
		egress.Rule{
			Host: smsHost, Method: http.MethodPost, Path: "/2010-04-01/Accounts/*/Messages.json",
			Fields: []egress.Field{egress.Form[pii.Phone]("To")}, Reader: reader,
		},
		egress.Rule{
			Host: mailHost, Method: http.MethodPost, Path: "/v3/mail/send",
			Fields: []egress.Field{egress.JSON[pii.Email]("/personalizations/*/to/*/email")}, Reader: reader,
		})
	if err != nil {
		return nil, err
	}
	mailer, err := egress.NewMailer(egress.Relay{
		Host: g.smtpAddr, StartTLS: true, TLS: g.trust(), Reader: reader,
		Auth: smtp.PlainAuth("", "shop", "smtp password", "127.0.0.1"),
	})
	return &sender{&http.Client{Transport: transport}, mailer}, err
}

// sms sends a text message, and returns the answer of the gateway.
func (s *sender) sms(ctx context.Context, to pii.Phone, text string) (string, error) {
	sealed, err := to.MarshalText()
	if err != nil {
		return "", err
	}
	form := url.Values{"To": {string(sealed)}, "From": {"+15005550006"}, "Body": {text}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+smsHost+"/2010-04-01/Accounts/"+account+"/Messages.json", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(account, token)
	return s.do(req)
}

// A message is a mail as the API takes it. Its recipients are sealed values.
type message struct {
	Personalizations []personalization `json:"personalizations"`
	From             from              `json:"from"`
	Subject          string            `json:"subject"`
	Content          []content         `json:"content"`
}

type personalization struct {
	To []recipient `json:"to"`
}

type recipient struct {
	Email pii.Email `json:"email"`
}

type from struct {
	Email string `json:"email"`
}

type content struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// mail sends a mail through the API.
func (s *sender) mail(ctx context.Context, to pii.Email, text string) (string, error) {
	body, err := json.Marshal(message{
		Personalizations: []personalization{{To: []recipient{{to}}}},
		From:             from{"shop@shop.example"},
		Subject:          "Your code",
		Content:          []content{{"text/plain", text}},
	})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+mailHost+"/v3/mail/send", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+apiKey)
	return s.do(req)
}

func (s *sender) do(req *http.Request) (string, error) {
	resp, err := s.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return strings.TrimSpace(resp.Status + " " + string(body)), err
}

// smtp sends a mail through the mail server.
func (s *sender) smtp(ctx context.Context, to pii.Email, text string) error {
	sealed, err := to.MarshalText()
	if err != nil {
		return err
	}
	message := "From: Shop <shop@shop.example>\r\nTo: " + string(sealed) + "\r\nSubject: Your code\r\n\r\n" + text + "\r\n"
	return s.mailer.Send(ctx, egress.Mail{From: "bounces@shop.example", To: []pii.Email{to}, Message: []byte(message)})
}

// A record is an auditor that keeps the events it was sent.
type record struct {
	mu   sync.Mutex
	sent []string
}

func (r *record) Audit(_ context.Context, e audit.Event) error {
	if e.Action == audit.Send {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.sent = append(r.sent, fmt.Sprintf("%s of %s for %s to %s", e.Outcome, e.Kind, e.Purpose, e.Recipient))
	}
	return nil
}

// run tells the story.
func run(ctx context.Context, out io.Writer) error {
	kek, err := subtle.NewAESGCM(bytes.Repeat([]byte{1}, 32)) // a real one is in a key service
	if err != nil {
		return err
	}
	events := &record{}
	v, err := vault.OpenAdmin(ctx, vault.Memory(), vault.SharedKEK(kek), &vault.Options{Audit: events})
	if err != nil {
		return err
	}
	defer v.Close()
	if err := v.Generate(ctx, security, advertising); err != nil {
		return err
	}
	p, err := signUp(ctx, v)
	if err != nil {
		return err
	}
	g, err := startGateways()
	if err != nil {
		return err
	}
	defer g.close()
	reader, err := v.Reader(ctx, security)
	if err != nil {
		return err
	}
	s, err := newSender(g, reader)
	if err != nil {
		return err
	}
	defer s.client.CloseIdleConnections()
	t := &teller{out: out, hide: p.labels(g.smtpAddr)}

	t.say("1. A code by SMS")
	answer, err := s.sms(ctx, p.phone, "Your code is 123456")
	t.tell(g, answer, err)
	t.say("2. The gateway does not serve the number, and quotes it")
	answer, err = s.sms(ctx, p.unserved, "Your code is 123456")
	t.tell(g, answer, err)
	t.say("3. A code through a mail API")
	answer, err = s.mail(ctx, p.email, "Your code is 123456")
	t.tell(g, answer, err)
	t.say("4. A code through a mail server")
	t.tell(g, "taken", s.smtp(ctx, p.email, "Your code is 123456"))
	t.say("5. The mail server knows nobody of this name, and quotes the address")
	err = s.smtp(ctx, p.nobody, "Your code is 123456")
	var refused *egress.RecipientsError
	if !errors.As(err, &refused) {
		return fmt.Errorf("want a refusal, got %w", err)
	}
	t.tell(g, refused.Refused[0].Answer.String()+" "+refused.Refused[0].Answer.Text, nil)

	t.say("6. Refused before a value leaves")
	sealed, err := p.phone.MarshalText()
	if err != nil {
		return err
	}
	_, err = s.sms(ctx, p.phone, "Hello "+string(sealed)) // somebody's name, as it was typed
	t.tell(g, "", err)
	_, err = s.sms(ctx, p.campaign, "50 % off")
	t.tell(g, "", err)
	_, err = s.client.PostForm("https://elsewhere.example/", url.Values{"To": {string(sealed)}}) //piivet:allow egress the example of a refusal
	t.tell(g, "", err)

	t.say("7. The audit log")
	for _, line := range events.sent {
		t.line("", line)
	}
	return nil
}

// A person has sealed values alone.
type person struct {
	phone, unserved, campaign pii.Phone
	email, nobody             pii.Email
}

// signUp seals values as a sign-up form does.
func signUp(ctx context.Context, v *vault.Admin) (p person, err error) {
	scope, err := v.Scope(ctx, security)
	if err != nil {
		return p, err
	}
	ads, err := v.Scope(ctx, advertising)
	if err != nil {
		return p, err
	}
	var errs [5]error
	p.phone, errs[0] = pii.SealPhone(ctx, "+1 415 555 2671", scope)
	p.unserved, errs[1] = pii.SealPhone(ctx, "+1 500 555 0001", scope)
	p.campaign, errs[2] = pii.SealPhone(ctx, "+1 415 555 2671", ads)
	p.email, errs[3] = pii.SealEmail(ctx, "alice@example.com", scope)
	p.nobody, errs[4] = pii.SealEmail(ctx, "nobody@example.com", scope)
	return p, errors.Join(errs[:]...)
}

// labels returns the replacements by which the output is the same in each run.
func (p person) labels(smtpAddr string) *strings.Replacer {
	text := func(v interface{ MarshalText() ([]byte, error) }) string {
		b, _ := v.MarshalText()
		return string(b)
	}
	return strings.NewReplacer(text(p.phone), "‹sealed phone›", text(p.unserved), "‹sealed phone›", text(p.email), "‹sealed address›", text(p.nobody), "‹sealed address›",
		smtpAddr, "smtp.example")
}

// A teller writes the output.
type teller struct {
	out  io.Writer
	hide *strings.Replacer
}

func (t *teller) say(text string) { fmt.Fprintln(t.out, text) }

func (t *teller) line(who, text string) {
	fmt.Fprintf(t.out, "   %-13s%s\n", who, t.hide.Replace(text))
}

// tell writes the values that the gateways got, and the answer that the program got.
func (t *teller) tell(g *gateways, answer string, err error) {
	for _, got := range g.received() {
		t.line("gateway got", got)
	}
	if err != nil {
		t.line("error", err.Error())
	} else {
		t.line("program got", answer)
	}
}
