// Command wire gives a mailer its transport, which declares another field than the mailer
// fills.
package main

import (
	"context"
	"net/http"

	"example.com/egress/mailer"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/egress"
	"github.com/onlyfor/onlyfor/vault"
)

func main() {
	var security *vault.Reader
	t, err := egress.NewTransport(nil, egress.Rule{
		Host: "api.sms.example", Method: "POST", Path: "/v1/messages",
		Fields: []egress.Field{egress.Form[pii.Phone]("To")},
		Reader: security,
	}, egress.Rule{
		Host: "api.mail.example", Method: "POST", Path: "/",
		Fields: []egress.Field{egress.JSON[pii.Phone]("/to")},
		Reader: security,
	})
	if err != nil {
		return
	}
	client := &http.Client{Transport: t}
	m := mailer.New(client) // want `a sealed value in form field Number, which no rule of the transport declares: the transport refuses the request \(through mailer.Mailer.Send, mailer.go:\d+\)`
	_ = m.Send(context.Background(), pii.Phone{}, "123456")
	_ = mailer.Push(client, pii.Phone{}) // want `a sealed value in form field Sender, which no rule .*through mailer.Push`
	_ = mailer.Push(http.DefaultClient, pii.Phone{})
}
