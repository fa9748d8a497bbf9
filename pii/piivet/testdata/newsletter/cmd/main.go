// Package main is the shop.
package main

import (
	"context"

	"example.com/newsletter/mailer"
	"example.com/newsletter/newsletter"
	"example.com/newsletter/purposes"
	"example.com/newsletter/users"
	"github.com/onlyfor/onlyfor/vault"
)

func main() {
	ctx := context.Background()
	v, err := vault.Open(ctx, vault.Dir("keys"), vault.LocalKEK("kek"), nil)
	if err != nil {
		panic(err)
	}
	security, err := v.Scope(ctx, purposes.Security)
	if err != nil {
		panic(err)
	}
	s := &users.Store{Security: security}
	if err := remind(ctx, s); err != nil {
		panic(err)
	}
	if err := newsletter.Upload(ctx, s, "1"); err != nil {
		panic(err)
	}
	if err := newsletter.Ask(ctx, s, "1"); err != nil {
		panic(err)
	}
}

func remind(ctx context.Context, s *users.Store) error {
	address, err := s.Address(ctx, "1")
	if err != nil {
		return err
	}
	return mailer.Send(address, "Hello")
}
