package vault_test

import (
	"context"
	"fmt"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A service that is ready can work for a while longer: its keys do not lapse within the
// hour. It is not ready while it has opened no keys. A readiness check like this takes a
// process out of service before its operations fail; an alert on RenewErr is many hours
// earlier.
func ExampleVault_Status() {
	ready := func(v *vault.Vault) error {
		status := v.Status()
		if len(status) == 0 {
			return fmt.Errorf("no keys are open")
		}
		for _, keys := range status {
			if time.Until(keys.Lapses) < time.Hour {
				return fmt.Errorf("keys of %s lapse soon: %w", keys.Purpose, keys.RenewErr)
			}
			for _, key := range keys.Primary {
				if time.Since(key.Created) > 365*24*time.Hour {
					fmt.Println("rotate", key.Role, "of", keys.Purpose)
				}
			}
		}
		return nil
	}

	ctx := context.Background()
	security := purpose.MustParse("security")
	admin, err := vault.OpenAdmin(ctx, vault.Memory(), vault.SharedKEK(exampleAEAD()), nil)
	if err != nil {
		panic(err)
	}
	defer admin.Close()
	if err := admin.Generate(ctx, security); err != nil {
		panic(err)
	}
	v := admin.Vault()
	fmt.Println(ready(v))
	if _, err := v.Scope(ctx, security); err != nil {
		panic(err)
	}
	fmt.Println(ready(v))
	fmt.Println(v.Stats().Operations["open"].Allowed)
	// Output:
	// no keys are open
	// <nil>
	// 1
}
