package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/egress"
	"github.com/onlyfor/onlyfor/vault"
)

// An SMS is the gateway of a provider that sends text messages.
type SMS struct {
	client *http.Client // fills the field To with the number
	url    string       // "" sends nothing
}

func newSMS(base *http.Transport, address string, security *vault.Reader) (*SMS, error) {
	var rules []egress.Rule
	if address != "" {
		u, err := url.Parse(address)
		if err != nil {
			return nil, err
		}
		rules = append(rules, egress.Rule{
			Host: u.Host, Method: http.MethodPost, Path: u.Path,
			Fields: []egress.Field{egress.Form[pii.Phone]("To")},
			Reader: security,
		})
	}
	transport, err := egress.NewTransport(base, rules...)
	if err != nil {
		return nil, err
	}
	return &SMS{client: &http.Client{Transport: transport}, url: address}, nil
}

// Send sends a text message.
func (s *SMS) Send(ctx context.Context, to pii.Phone, message string) error {
	if s.url == "" {
		return nil
	}
	sealed, err := to.MarshalText()
	if err != nil {
		return err
	}
	form := url.Values{"To": {string(sealed)}, "Body": {message}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusMultipleChoices {
		return errors.New("sms: " + resp.Status)
	}
	return nil
}
