// Package main is the shop.
package main

import (
	"context"

	"example.com/shop/newsletter"
	"example.com/shop/purposes"
	"example.com/shop/users"
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
	if err := newsletter.Upload(ctx, s, "1"); err != nil {
		panic(err)
	}
}
