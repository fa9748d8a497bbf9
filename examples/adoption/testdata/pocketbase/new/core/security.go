package core

import (
	"context"
	"path/filepath"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// PurposeSecurity is the purpose that the e-mail addresses of auth records are collected for.
var PurposeSecurity = purpose.MustParse("security")

// SignUpBasis is the basis of an address that a person or a superuser typed.
var SignUpBasis = purpose.Basis{Legal: purpose.Contract, Notice: "sign-up"}

// Security returns the scope that the addresses of auth records are sealed under.
func (app *BaseApp) Security() *vault.Scope {
	return app.config.Security
}

// OpenSecurity opens the keys of an app that was configured without a scope. They are beside the data directory, and
// not inside it, as backups have all of that directory.
func OpenSecurity(ctx context.Context, dataDir string) (*vault.Scope, error) {
	dir := filepath.Clean(dataDir)
	admin, err := vault.OpenAdmin(ctx, vault.Dir(dir+"_keys"), vault.LocalKEK(dir+"_kek"), nil)
	if err != nil {
		return nil, err
	}
	if err := admin.Generate(ctx, PurposeSecurity); err != nil {
		return nil, err
	}
	return admin.Vault().Scope(ctx, PurposeSecurity)
}
