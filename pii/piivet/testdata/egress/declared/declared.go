// Package declared sends sealed text where the rules of its transport declare it, as the
// examples of package egress do.
package declared

import (
	"bytes"
	"context"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/egress"
	"github.com/onlyfor/onlyfor/vault"
)

const host = "https://api.sms.example"

type message struct {
	To   []recipient `json:"to"`
	Text string      `json:"text"`
}

type recipient struct {
	Email pii.Email `json:"email"`
}

func transport(security *vault.Reader) *egress.Transport {
	multipartRule := egress.Rule{Host: "api.fax.example", Method: "POST", Path: "/fax", Fields: []egress.Field{egress.Multipart[pii.Phone]("number")}, Reader: security}
	t, err := egress.NewTransport(nil, egress.Rule{
		Host: "api.sms.example", Method: "POST", Path: "/v1/messages",
		Fields: []egress.Field{egress.Form[pii.Phone]("To"), egress.Header[pii.Email]("X-Reply-To")},
		Reader: security,
	}, jsonRule(security), multipartRule)
	if err != nil {
		return nil
	}
	return t
}

func jsonRule(security *vault.Reader) egress.Rule {
	return egress.Rule{
		Host: "api.mail.example", Method: "POST", Path: "/v3/*",
		Fields: []egress.Field{egress.JSON[pii.Email]("/to/*/email"), egress.JSON[pii.Email]("/from")},
		Reader: security,
	}
}

func forms(security *vault.Reader, phone pii.Phone, email pii.Email) error {
	client := &http.Client{Transport: transport(security)}
	to, err := phone.MarshalText()
	if err != nil {
		return err
	}
	if _, err := client.PostForm(host+"/v1/messages", url.Values{"To": {string(to)}, "Body": {"Your code is 123456"}}); err != nil {
		return err
	}
	values := url.Values{}
	values.Set("To", string(to))
	values.Set("Body", "Hello")
	if _, err := client.Post(host+"/v1/messages", "application/x-www-form-urlencoded", strings.NewReader(values.Encode())); err != nil {
		return err
	}
	reply, err := email.MarshalText()
	if err != nil {
		return err
	}
	req, err := http.NewRequest("POST", host+"/v1/messages", strings.NewReader(values.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("x-reply-to", string(reply))
	_, err = client.Do(req)
	return err
}

func jsons(ctx context.Context, security *vault.Reader, email pii.Email) error {
	client := &http.Client{Transport: transport(security)}
	text, err := json.Marshal(message{To: []recipient{{email}}, Text: "Hello"})
	if err != nil {
		return err
	}
	if _, err := client.Post("https://api.mail.example/v3/send", "application/json", bytes.NewReader(text)); err != nil {
		return err
	}
	// A map of values of any type, which has labels for rule label, is sealed text here.
	text, err = json.Marshal(map[string]any{"from": email, "to": []map[string]any{{"email": email}}, "text": "Hello"})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(egress.WithSubject(ctx, "user-1"), "POST", "https://api.mail.example/v3/send", bytes.NewReader(text))
	if err != nil {
		return err
	}
	if _, err := transport(security).RoundTrip(req); err != nil {
		return err
	}
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(map[string]any{"from": email}); err != nil {
		return err
	}
	req, err = http.NewRequestWithContext(ctx, "POST", "https://api.mail.example/v3/send", &body)
	if err != nil {
		return err
	}
	_, err = client.Do(req)
	return err
}

func multiparts(security *vault.Reader, phone pii.Phone) error {
	client := &http.Client{Transport: transport(security)}
	to, err := phone.MarshalText()
	if err != nil {
		return err
	}
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	if err := w.WriteField("number", string(to)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_, err = client.Post("https://api.fax.example/fax", w.FormDataContentType(), &body)
	return err
}

// others are requests without a transport, which take sealed text anywhere.
func others(phone pii.Phone) error {
	to, err := phone.MarshalText()
	if err != nil {
		return err
	}
	_, err = http.Get("https://internal.example/?to=" + string(to))
	return err
}

// unknown has a rule that is not known from the code.
func unknown(security *vault.Reader, phone pii.Phone, fields []egress.Field) error {
	t, err := egress.NewTransport(nil, egress.Rule{Host: "api.sms.example", Method: "POST", Path: "/", Fields: fields, Reader: security})
	if err != nil {
		return err
	}
	to, err := phone.MarshalText()
	if err != nil {
		return err
	}
	_, err = (&http.Client{Transport: t}).PostForm("https://api.sms.example/", url.Values{"Number": {string(to)}})
	return err
}
