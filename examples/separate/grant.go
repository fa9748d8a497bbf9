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

// A grant is all that a service is given when it starts. It comes over a pipe,
// since others can see arguments and, of their own user, the environment.
type grant struct {
	User       uint32   // that the service runs as, 0 for whoever starts it
	Dir        string   // of its own
	Database   string   // of all services
	Collectors []string // their texts, which are no secret

	// What opens keys is one of these.
	KEKs       string // directory of files, one a purpose
	KMS, Token string // URI template of keys in a key service, and what to say there

	Unchecked bool   // start without proof that it is not too much
	Coveted   string // somebody else's KEK file, to try to read
}

// kek returns what opens the keys of the purposes that were granted.
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

// open returns the vault of a service, once it is proven that the service can
// open its own keys, if it has any, and cannot open those of the others.
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
