// Package undeclared sends sealed text where no rule of its transport declares it.
package undeclared

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/egress"
	"github.com/onlyfor/onlyfor/vault"
)

type sender struct{ client *http.Client }

func open(security *vault.Reader) (*sender, error) {
	t, err := egress.NewTransport(nil, egress.Rule{
		Host: "api.sms.example", Method: "POST", Path: "/v1/messages",
		Fields: []egress.Field{egress.Form[pii.Phone]("To"), egress.Header[pii.Email]("X-Reply-To")},
		Reader: security,
	}, egress.Rule{
		Host: "api.mail.example", Method: "POST", Path: "/v3/mail/send",
		Fields: []egress.Field{egress.JSON[pii.Email]("/to")},
		Reader: security,
	}, egress.Rule{
		Host: "api.fax.example", Method: "POST", Path: "/fax",
		Fields: []egress.Field{egress.Multipart[pii.Phone]("number")},
		Reader: security,
	})
	if err != nil {
		return nil, err
	}
	return &sender{&http.Client{Transport: t}}, nil
}

func (s *sender) forms(phone pii.Phone) {
	to, err := phone.MarshalText()
	if err != nil {
		return
	}
	_, _ = s.client.PostForm("https://api.sms.example/v1/messages", url.Values{"To": {string(to)}, "Body": {"Hello " + string(to)}}) // want `a sealed value in form field Body, which no rule of the transport declares: the transport refuses the request`
	values := url.Values{"Number": {string(to)}}
	values.Add("To", string(to))
	_, _ = s.client.Post("https://api.sms.example/v1/messages", "application/x-www-form-urlencoded", strings.NewReader(values.Encode())) // want `in form field Number`
	_, _ = s.client.PostForm("https://api.other.example/v1/messages", url.Values{"To": {string(to)}})                                    // want `no rule of the transport is for`
	_, _ = s.client.PostForm("https://api.sms.example/v2/messages", url.Values{"To": {string(to)}})                                      // want `no rule of the transport is for`
	_, _ = s.client.PostForm("https://api.mail.example/v3/mail/send", url.Values{"To": {string(to)}})                                    // want `in form field To, which no rule`
}

func (s *sender) urls(ctx context.Context, phone pii.Phone) {
	to, err := phone.AppendText(nil)
	if err != nil {
		return
	}
	_, _ = s.client.Get("https://api.sms.example/v1/messages?to=" + string(to)) // want `a sealed value in a request that no rule`
	req, err := http.NewRequestWithContext(ctx, "POST", fmt.Sprintf("https://api.sms.example/%s", to), nil)
	if err != nil {
		return
	}
	_, _ = s.client.Do(req) // want `a sealed value in URL, which no rule`
	req, err = http.NewRequestWithContext(ctx, "POST", "https://api.sms.example/v1/messages", nil)
	if err != nil {
		return
	}
	query := url.Values{}
	query.Set("to", string(to))
	req.URL.RawQuery = query.Encode()
	_, _ = s.client.Do(req) // want `a sealed value in URL, which no rule`
}

func (s *sender) headers(email pii.Email) {
	text, err := email.MarshalText()
	if err != nil {
		return
	}
	req, err := http.NewRequest("POST", "https://api.sms.example/v1/messages", nil)
	if err != nil {
		return
	}
	req.Header.Set("X-Reply-To", string(text))
	req.Header.Add("x-from", string(text))
	_, _ = s.client.Do(req) // want `a sealed value in header X-From, which no rule`
}

type mail struct {
	To    pii.Email `json:"to"`
	Cc    []pii.Email
	inner string
	No    pii.Email `json:"-"`
	Text  string    `json:"text,omitempty"`
}

func (s *sender) jsons(email pii.Email, all mail) {
	text, err := json.Marshal(mail{To: email, inner: "a", No: email})
	if err != nil {
		return
	}
	_, _ = s.client.Post("https://api.mail.example/v3/mail/send", "application/json", bytes.NewReader(text))
	text, err = json.Marshal(all)
	if err != nil {
		return
	}
	_, _ = s.client.Post("https://api.mail.example/v3/mail/send", "application/json", bytes.NewReader(text)) // want `a sealed value in JSON value /Cc/\*, which no rule`
	sealed, err := email.MarshalText()
	if err != nil {
		return
	}
	text, err = json.Marshal(&mail{To: email, Text: "Hello " + string(sealed)})
	if err != nil {
		return
	}
	_, _ = s.client.Post("https://api.mail.example/v3/mail/send", "application/json", bytes.NewReader(text)) // want `in JSON value /text, which no rule`
	text, err = json.Marshal(map[string]any{"to": email, "a/b": email})
	if err != nil {
		return
	}
	_, _ = s.client.Post("https://api.mail.example/v3/mail/send", "application/json", bytes.NewReader(text)) // want `in JSON value /a~1b, which no rule`
}

func (s *sender) multiparts(phone pii.Phone) {
	to, err := phone.MarshalText()
	if err != nil {
		return
	}
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	if w.WriteField("number", string(to)) != nil || w.WriteField("note", string(to)) != nil {
		return
	}
	_, _ = s.client.Post("https://api.fax.example/fax", w.FormDataContentType(), &body) // want `in multipart field note, which no rule`
}

// labels sends the label of a value, which is the same for all people.
func (s *sender) labels(phone pii.Phone) {
	_, _ = s.client.PostForm("https://api.sms.example/v1/messages", url.Values{"To": {fmt.Sprint(phone)}}) // want `the label of a sealed value in form field To, where the transport takes sealed text: use MarshalText`
	_, _ = s.client.PostForm("https://api.sms.example/v1/messages", url.Values{"Body": {fmt.Sprint(phone)}})
}

// allowed tests that a refusal is one.
func (s *sender) allowed(phone pii.Phone) {
	to, err := phone.MarshalText()
	if err != nil {
		return
	}
	_, _ = s.client.PostForm("https://api.sms.example/v1/messages", url.Values{"Body": {string(to)}}) //piivet:allow egress it is refused, and that is tested
}

// A tree has many ways through its own type, and a web through the types of others.
type tree struct {
	Phone                                                                                                                                                                                                  pii.Phone
	A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, B0, B1, B2, B3, B4, B5, B6, B7, B8, B9, C0, C1, C2, C3, C4, C5, C6, C7, C8, C9, D0, D1, D2, D3, D4, D5, D6, D7, D8, D9, E0, E1, E2, E3, E4, E5, E6, E7, E8, E9 *tree
}

type web struct{ A, B, C, D *web1 }
type web1 struct{ A, B, C, D, E, F, G, H, I, J *web2 }
type web2 struct{ A, B, C, D, E, F, G, H, I, J *web3 }
type web3 struct{ A, B, C, D, E, F, G, H, I, J *web4 }
type web4 struct{ A, B, C, D, E, F, G, H, I, J map[string]*web5 }
type web5 struct{ A, B, C, D, E, F, G, H, I, J []web6 }
type web6 struct{ A, B, C, D, E, F, G, H, I, J []string }

func (s *sender) large(t *tree, w *web) {
	text, err := json.Marshal(t)
	if err != nil {
		return
	}
	_, _ = s.client.Post("https://api.mail.example/v3/mail/send", "application/json", bytes.NewReader(text)) // want `in JSON value /Phone, which no rule`
	text, err = json.Marshal(w)
	if err != nil {
		return
	}
	_, _ = s.client.Post("https://api.mail.example/v3/mail/send", "application/json", bytes.NewReader(text))
}

type loop struct{ *loop }

// odd code is followed without a crash.
func (s *sender) odd(v any, l loop, phone pii.Phone, key string, req *http.Request) {
	text, _ := json.Marshal(l)
	_, _ = s.client.Post("%", "", bytes.NewReader(text))
	text, _ = json.Marshal(v)
	_, _ = s.client.Post("", "", bytes.NewReader(text))
	_, _ = s.client.PostForm("://", nil)
	_, _ = s.client.PostForm("https://api.sms.example", url.Values{key: {fmt.Sprint(v)}})
	_, _ = s.client.Do(req)
	_, _ = s.client.Do(nil)
	_, _ = (*http.Client)(nil).Do(&http.Request{})
	var again *http.Request
	for range 3 {
		again = again.WithContext(again.Context())
	}
	_, _ = s.client.Transport.RoundTrip(again)
	do := s.client.Do
	_, _ = do(req)
}
