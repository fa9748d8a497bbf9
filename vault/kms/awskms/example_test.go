package awskms_test

import (
	"context"
	"log"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kms"
	"github.com/onlyfor/onlyfor/vault/kms/awskms"
)

// A process that has the grants of one role opens its purposes at start, and
// refuses to run if it could open another's.
func ExampleNew() {
	ctx := context.Background()
	security, advertising := purpose.MustParse("security"), purpose.MustParse("advertising")

	kek, err := awskms.New(ctx, kms.Template("aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/onlyfor-{purpose}"), nil)
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
