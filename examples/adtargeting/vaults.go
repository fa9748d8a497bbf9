package main

import (
	"context"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"

	"github.com/onlyfor/onlyfor/examples/adtargeting/purposes"
)

// makeKeys lets each team make the keys of its own purpose. The keys are in a key
// store that all teams share, and a KEK in the team's own directory wraps them.
func makeKeys(ctx context.Context, s *state, auditor audit.Auditor) error {
	for _, p := range []purpose.Purpose{purposes.Security, purposes.Advertising} {
		admin, err := vault.OpenAdmin(ctx, vault.Dir(s.keys()), vault.LocalKEK(s.kek(p)), &vault.Options{Audit: auditor})
		if err != nil {
			return err
		}
		if err := admin.Generate(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// teamVault opens the vault as a process of one team does. The KEK directory has the
// file of one purpose, so no other purpose's keys unwrap.
func teamVault(ctx context.Context, s *state, p purpose.Purpose, auditor audit.Auditor) (*vault.Vault, error) {
	return vault.Open(ctx, vault.Dir(s.keys()), vault.LocalKEK(s.kek(p)), &vault.Options{Audit: auditor})
}

// companyVault opens the vault as the sign-up service does, which has a grant for
// both purposes.
func companyVault(ctx context.Context, s *state, auditor audit.Auditor) (*vault.Vault, error) {
	kek := vault.KEKFunc(func(ctx context.Context, p purpose.Purpose) (vault.AEAD, error) {
		return vault.LocalKEK(s.kek(p)).For(ctx, p)
	})
	return vault.Open(ctx, vault.Dir(s.keys()), kek, &vault.Options{Audit: auditor})
}
