package web

import (
	"context"

	"example.com/shop/mail"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

type TaxID struct{ pii.Sealed[taxID] }

type taxID struct{}

func (taxID) Kind() vault.Kind              { return vault.Kind{} }
func (taxID) Parse(s string) (string, bool) { return s, true }
func (taxID) Canonical(s string) string     { return s }
func (taxID) Mask(s string) string          { return s[:1] }

type User struct {
	pii.Email
	ID TaxID
}

type revealer interface {
	Reveal(context.Context, *vault.Scope) (string, error)
}

type other interface {
	Reveal(card int) string
}

func reveals[R revealer](ctx context.Context, e pii.Email, u *User, s *vault.Scope, k vault.Kind, v vault.Sealed, r revealer, t R, o other) {
	e.Reveal(ctx, s)              // want `Reveal in example.com/shop/web, which is not in the list "reveal" of .piivet.json: hand the sealed value to a package that is, or have this one added`
	u.Reveal(ctx, s)              // want `Reveal in example.com/shop/web`
	u.ID.Reveal(ctx, s)           // want `Reveal in example.com/shop/web`
	s.Reveal(ctx, k, v)           // want `Reveal in example.com/shop/web`
	f := e.Reveal                 // want `Reveal in example.com/shop/web`
	g := pii.Phone.Reveal         // want `Reveal in example.com/shop/web`
	r.Reveal(ctx, s)              // want `Reveal in example.com/shop/web`
	t.Reveal(ctx, s)              // want `Reveal in example.com/shop/web`
	revealer.Reveal(r, ctx, s)    // want `Reveal in example.com/shop/web`
	func() { e.Reveal(ctx, s) }() // want `Reveal in example.com/shop/web`
	_, _ = f, g

	e.Hint(ctx, s)
	mail.Send(ctx, e, s)
	o.Reveal(1)
	e.Reveal(ctx, s) //piivet:allow revealer the account page shows people their own address
}
