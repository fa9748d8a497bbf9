package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/hashicorp/vault/api"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kms"
	"github.com/onlyfor/onlyfor/vault/kms/hcvault"
	"github.com/onlyfor/onlyfor/vault/sqlstore"
)

// A grant has everything that a service gets when it starts. It comes over a pipe:
// other users can see arguments, and processes of one user each other's environment.
type grant struct {
	User       uint32   // the user that the service runs as, 0 for this program's user
	Dir        string   // the service's own directory
	Database   string   // the database of all services
	Collectors []string // the texts of collectors, which are no secret

	// The KEKs are in files or in a key service.
	KEKs       string // directory with a file for each purpose
	KMS, Token string // URI template of keys in a key service, and the token for it

	Unchecked bool   // start without the proof that the grant is not too much
	Coveted   string // KEK file of another service, which this service tries to read
}

// kek returns the KEK that opens the keys of the granted purposes.
func (g grant) kek(ctx context.Context) (vault.KEK, error) {
	if g.KMS == "" {
		return vault.LocalKEK(g.KEKs), nil
	}
	client, err := api.NewClient(nil) // VAULT_ADDR, VAULT_CACERT and the rest
	if err != nil {
		return nil, errors.New("no client of a key service can be made from the environment")
	}
	client.SetToken(g.Token)
	return hcvault.New(ctx, kms.Template(g.KMS), &hcvault.Options{Client: client})
}

// open returns the vault of a service. First it proves that the service can open the
// keys of its own purposes, if it has any, and can't open the keys of other purposes.
func (g grant) open(ctx context.Context, db *sql.DB, own []purpose.Purpose, others ...purpose.Purpose) (*vault.Vault, error) {
	store, err := sqlstore.New(db, sqlstore.SQLite, nil)
	if err != nil {
		return nil, err
	}
	kek, err := g.kek(ctx)
	if err != nil {
		return nil, err
	}
	v, err := vault.Open(ctx, store, kek, nil)
	if err != nil {
		return nil, err
	}
	for _, p := range own {
		if _, err := v.Scope(ctx, p); err != nil {
			return nil, err
		}
	}
	if g.Unchecked {
		return v, nil
	}
	if err := v.CheckDenied(ctx, others...); err != nil {
		return nil, fmt.Errorf("refusing to start: %w", err)
	}
	return v, nil
}
