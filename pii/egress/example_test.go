package egress_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/egress"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A security code goes to an SMS gateway. The program never holds the number.
func Example() {
	ctx := context.Background()
	v, done := exampleVault()
	defer done()
	security := purpose.MustParse("security")
	scope, _ := v.Scope(ctx, security)
	phone, _ := pii.SealPhone(ctx, "+14155552671", scope) // at sign-up

	gateway := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("the gateway got", r.FormValue("To"))
		fmt.Fprintf(w, `{"status":"queued","to":%q}`, r.FormValue("To"))
	}))
	defer gateway.Close()

	reader, err := v.Reader(ctx, security)
	if err != nil {
		fmt.Println(err)
		return
	}
	transport, err := egress.NewTransport(gateway.Client().Transport.(*http.Transport), egress.Rule{
		Host: strings.TrimPrefix(gateway.URL, "https://"), Method: "POST", Path: "/v1/messages",
		Fields: []egress.Field{egress.Form[pii.Phone]("To")},
		Reader: reader,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: transport}

	to, _ := phone.MarshalText()
	resp, err := client.PostForm(gateway.URL+"/v1/messages", url.Values{"To": {string(to)}, "Body": {"Your code is 123456"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println("the program got", strings.ReplaceAll(string(body), string(to), "the sealed text"))

	// Sealed text in free text stays closed, and the message does not leave.
	_, err = client.PostForm(gateway.URL+"/v1/messages", url.Values{"To": {string(to)}, "Body": {"Hello " + string(to)}})
	fmt.Println(errors.Is(err, egress.ErrUndeclared))
	// Output:
	// the gateway got +14155552671
	// the program got {"status":"queued","to":"the sealed text"}
	// true
}

// A mail API takes JSON with many recipients. A person's own value needs the person's id.
func ExampleWithSubject() {
	ctx := context.Background()
	v, done := exampleVault()
	defer done()
	security := purpose.MustParse("security")
	scope, _ := v.Scope(ctx, security)
	email, _ := pii.SealEmail(ctx, "alice@example.com", scope.For("user-1"))

	api := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Println(string(body))
	}))
	defer api.Close()

	reader, _ := v.Reader(ctx, security)
	transport, err := egress.NewTransport(api.Client().Transport.(*http.Transport), egress.Rule{
		Host: strings.TrimPrefix(api.URL, "https://"), Method: "POST", Path: "/v3/mail/send",
		Fields: []egress.Field{egress.JSON[pii.Email]("/personalizations/*/to/*/email")},
		Reader: reader,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	to, _ := email.MarshalText()
	for _, user := range []string{"user-1", "user-2"} {
		message := `{"personalizations":[{"to":[{"email":"` + string(to) + `"}]}],"subject":"Your code"}`
		req, _ := http.NewRequestWithContext(egress.WithSubject(ctx, user), "POST", api.URL+"/v3/mail/send", strings.NewReader(message))
		req.Header.Set("Content-Type", "application/json")
		_, err := transport.RoundTrip(req)
		fmt.Println(errors.Is(err, vault.ErrCorrupt))
	}
	// Output:
	// {"personalizations":[{"to":[{"email":"alice@example.com"}]}],"subject":"Your code"}
	// false
	// true
}

// A code goes out by mail. The program composes the message with the sealed text, and never
// holds the address.
func ExampleMailer() {
	ctx := context.Background()
	v, done := exampleVault()
	defer done()
	security := purpose.MustParse("security")
	scope, _ := v.Scope(ctx, security)
	email, _ := pii.SealEmail(ctx, "alice@example.com", scope)

	server := exampleMailServer()
	defer server.Close()
	reader, _ := v.Reader(ctx, security)
	mailer, err := egress.NewMailer(egress.Relay{Host: server.Host, TLS: server.TLS, Reader: reader})
	if err != nil {
		fmt.Println(err)
		return
	}
	to, _ := email.MarshalText()
	send := func(subject string) error {
		message := "From: shop@shop.example\r\nTo: " + string(to) + "\r\nSubject: " + subject + "\r\n\r\nYour code is 123456\r\n"
		return mailer.Send(ctx, egress.Mail{From: "shop@shop.example", To: []pii.Email{email}, Message: []byte(message)})
	}
	fmt.Println(send("Your code"))
	fmt.Println(errors.Is(send("Hello "+string(to)), egress.ErrUndeclared))

	server.Refuse("550 5.1.1 <alice@example.com>: no such user")
	var refused *egress.RecipientsError
	if errors.As(send("Your code"), &refused) {
		answer := refused.Refused[0].Answer
		fmt.Println(answer.Status, strings.ReplaceAll(answer.Text, string(to), "the sealed text"))
	}
	// Output:
	// RCPT TO:<alice@example.com>
	// To: alice@example.com
	// <nil>
	// true
	// 5.1.1 <the sealed text>: no such user
}
