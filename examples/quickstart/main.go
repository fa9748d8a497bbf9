// Quickstart seals an address for one purpose and tries it under another.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

var security, advertising = purpose.MustParse("security"), purpose.MustParse("advertising")

func main() {
	dir, err := os.MkdirTemp("", "onlyfor-quickstart-") // a service keeps its keys
	if err == nil {
		err = run(context.Background(), dir)
		os.RemoveAll(dir)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dir string) error {
	admin, err := vault.OpenAdmin(ctx, vault.Dir(filepath.Join(dir, "keys")), vault.LocalKEK(filepath.Join(dir, "kek")), nil)
	if err != nil {
		return err
	}
	if err := admin.Generate(ctx, security, advertising); err != nil {
		return err
	}
	account, err := admin.Vault().Scope(ctx, security) // real services: one process for each scope
	if err != nil {
		return err
	}
	ads, err := admin.Vault().Scope(ctx, advertising)
	if err != nil {
		return err
	}

	email, index, err := pii.SealEmailIndexed(ctx, "Alice@example.com", account) // these two are stored
	if err != nil {
		return err
	}
	fmt.Println("printed:             ", email)
	address, err := email.Reveal(ctx, account)
	fmt.Println("opened for security: ", address, err) //piivet:allow leak a made-up address
	address, err = email.Reveal(ctx, ads)
	fmt.Printf("opened for ads:       %q %v\n", address, err) //piivet:allow leak it is empty
	signIn, err := pii.IndexEmail(ctx, "alice@EXAMPLE.com", account)
	fmt.Println("found at sign-in:    ", signIn.Equal(index), err)
	uploaded, err := pii.IndexEmail(ctx, "alice@example.com", ads) // from an advertiser's list
	fmt.Println("found by advertisers:", uploaded.Equal(index), err)
	return nil
}
