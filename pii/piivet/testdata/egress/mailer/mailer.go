// Package mailer sends messages with a client that it is given.
package mailer

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/egress"
)

// A Mailer sends messages.
type Mailer struct{ client *http.Client }

// New returns a mailer.
func New(client *http.Client) *Mailer { return &Mailer{client} }

// Send sends a code to a number.
func (m *Mailer) Send(ctx context.Context, phone pii.Phone, code string) error {
	to, err := phone.MarshalText()
	if err != nil {
		return err
	}
	_, err = m.client.PostForm("https://api.sms.example/v1/messages", url.Values{"Number": {string(to)}, "Body": {code}})
	return err
}

// Post sends a map. The package that makes the mailer gives it the transport, so the map
// has no labels.
func (m *Mailer) Post(ctx context.Context, phone pii.Phone) error {
	text, err := json.Marshal(map[string]any{"to": phone})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(egress.WithSubject(ctx, "user-1"), "POST", "https://api.mail.example/", bytes.NewReader(text))
	if err != nil {
		return err
	}
	_, err = m.client.Do(req)
	return err
}

// Push sends a code with a client of its caller.
func Push(client *http.Client, phone pii.Phone) error {
	to, err := phone.MarshalText()
	if err != nil {
		return err
	}
	_, err = client.PostForm("https://api.sms.example/v1/messages", url.Values{"To": {string(to)}, "Sender": {string(to)}})
	return err
}
