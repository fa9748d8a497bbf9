// Package gateway sends values to gateways, which a transport of package egress reveals.
package gateway

import (
	"context"

	"example.com/purposes"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/egress"
	"github.com/onlyfor/onlyfor/vault"
)

const smsHost = "api.sms.example"

// New makes a transport for a gateway that is known from the code.
//
//register:uses open security
//register:uses send security host=api.sms.example email=header-X-Reply-To phone=form-field-To
//register:uses send ? host=api.push.example phone=JSON-value-/to
func New(ctx context.Context, v *vault.Vault, any any) (*egress.Transport, error) {
	security, err := v.Reader(ctx, purposes.Security)
	if err != nil {
		return nil, err
	}
	return egress.NewTransport(nil, egress.Rule{
		Host: smsHost, Method: "POST", Path: "/v1/messages",
		Fields: []egress.Field{egress.Form[pii.Phone]("To"), egress.Header[pii.Email]("x-reply-to")},
		Reader: security,
	}, egress.Rule{
		Host: "api.status.example", Method: "GET", Path: "/", // which gets no value
	}, egress.Rule{
		Host: "api.push.example", Method: "POST", Path: "/",
		Fields: []egress.Field{egress.JSON[pii.Phone]("/to")},
		Reader: any.(*vault.Reader),
	})
}

// mail makes a rule for a gateway that is known when the program runs, with a reader of its
// caller.
//
//register:uses send security host=a-host-that-is-not-constant email=JSON-value-/personalizations/*/to/*/email
func mail(host string, reader *vault.Reader) egress.Rule {
	return egress.Rule{
		Host: host, Method: "POST", Path: "/v3/mail/send",
		Fields: []egress.Field{egress.JSON[pii.Email]("/personalizations/*/to/*/email")},
		Reader: reader,
	}
}

// wire gives mail its reader, so the value is sent for it as well.
//
//register:uses open security
//register:uses send security host=a-host-that-is-not-constant email=JSON-value-/personalizations/*/to/*/email
func wire(ctx context.Context, v *vault.Vault, host string) egress.Rule {
	security, err := v.Reader(ctx, purposes.Security)
	if err != nil {
		return egress.Rule{}
	}
	return mail(host, security)
}

// later sets the parts of a rule one by one. Its purposes are those of all readers that
// rules are given.
//
//register:uses send security host=api.late.example
//register:uses send ? host=api.late.example
//register:uses hand-over security to=egress.Rule.Reader
func later(ctx context.Context, security *vault.Reader) egress.Rule {
	var r egress.Rule
	r.Host = "api.late.example"
	r.Reader = security
	return r
}

// relay makes a mailer for a server that is known from the code.
//
//register:uses open security
//register:uses send security host=smtp.mail.example email=recipients-of-mail
func relay(ctx context.Context, v *vault.Vault) (*egress.Mailer, error) {
	security, err := v.Reader(ctx, purposes.Security)
	if err != nil {
		return nil, err
	}
	return egress.NewMailer(egress.Relay{Host: "smtp.mail.example", Reader: security})
}

// relayLater sets the parts of a relay one by one.
//
//register:uses send security host=smtp.late.example
//register:uses hand-over security to=egress.Relay.Reader
func relayLater(security *vault.Reader) (*egress.Mailer, error) {
	r := &egress.Relay{StartTLS: true}
	r.Host, r.Reader = "smtp.late.example", security
	return egress.NewMailer(*r)
}

// use calls the others.
//
//register:uses open security
//register:uses send security host=a-host-that-is-not-constant email=JSON-value-/personalizations/*/to/*/email
//register:uses hand-over security to=egress.Relay.Reader,egress.Rule.Reader
func use(ctx context.Context, v *vault.Vault, host string) []egress.Rule {
	security, err := v.Reader(ctx, purposes.Security)
	if err != nil {
		return nil
	}
	relay(ctx, v)
	relayLater(security)
	return []egress.Rule{wire(ctx, v, host), mail(host, security), later(ctx, security)}
}
