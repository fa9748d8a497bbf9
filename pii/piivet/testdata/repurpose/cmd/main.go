// Command cmd gives a service its scopes, and so decides what it does.
package main

import (
	"context"

	"example.com/purposes"
	"example.com/repurpose/lib"
	"github.com/onlyfor/onlyfor/vault"
)

func main() {
	ctx := context.Background()
	v, _ := vault.Open(ctx, vault.Memory(), vault.LocalKEK("kek"), nil)
	security, _ := v.Scope(ctx, purposes.Security)
	ads, _ := v.Scope(ctx, purposes.Advertising)
	_ = lib.New(security, ads, security) // want `revealed for security, indexed for advertising: ask for consent and Extend \(in example.com/repurpose/lib, lib.go:46, with the scopes that are given here\)`
}
