package hcvault_test

import (
	"context"
	"log"

	"github.com/hashicorp/vault/api"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kms"
	"github.com/onlyfor/onlyfor/vault/kms/hcvault"
)

// A process that has the token of one role opens its purposes at start, and
// refuses to run if it could open another's.
func ExampleNew() {
	ctx := context.Background()
	security, advertising := purpose.MustParse("security"), purpose.MustParse("advertising")

	client, err := api.NewClient(nil) // VAULT_ADDR, VAULT_TOKEN and the rest
	if err != nil {
		log.Fatal(err)
	}
	keys := kms.Template("hcvault://vault.example.com:8200/transit/keys/onlyfor-{purpose}")
	kek, err := hcvault.New(ctx, keys, &hcvault.Options{Client: client})
	if err != nil {
		log.Fatal(err)
	}
	v, err := vault.OpenAdmin(ctx, vault.Dir("keys"), kek, nil)
	if err != nil {
		log.Fatal(err)
	}
	scope, err := v.Scope(ctx, security)
	if err != nil {
		log.Fatal(err)
	}
	if err := v.CheckDenied(ctx, advertising); err != nil {
		log.Fatal(err)
	}
	log.Print(scope)
}
