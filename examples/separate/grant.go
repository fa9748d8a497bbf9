package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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
	KEKs       string // directory with a file for each granted purpose
	Operator   string // directory with all files, which no service can open, or ""
	KMS, Token string // URI template of keys in a key service, and the token for it

	Unchecked bool   // start without the proof that the grant is not too much
	Coveted   string // KEK file of another service, which this service tries to read
}

// kek returns the KEK that opens the keys of the granted purposes.
func (g grant) kek(ctx context.Context) (vault.KEK, error) {
	if g.KMS == "" {
		return vault.KEKFunc(g.keyFile), nil
	}
	client, err := api.NewClient(nil) // VAULT_ADDR, VAULT_CACERT and the rest
	if err != nil {
		return nil, errors.New("no client of a key service can be made from the environment")
	}
	client.SetToken(g.Token)
	return hcvault.New(ctx, kms.Template(g.KMS), &hcvault.Options{Client: client})
}

// keyFile returns the AEAD of the key file of p. A file that was not granted is the
// operator's: that it exists, and does not open for this process, is the proof that
// CheckDenied wants.
func (g grant) keyFile(ctx context.Context, p purpose.Purpose) (vault.AEAD, error) {
	dir := g.KEKs
	_, err := os.Lstat(filepath.Join(dir, p.String()+".kek"))
	if errors.Is(err, fs.ErrNotExist) && g.Operator != "" {
		dir = g.Operator
	}
	return vault.LocalKEK(dir).For(ctx, p)
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
	for _, p := range others {
		err := v.CheckDenied(ctx, p)
		if g.KMS == "" && g.User == 0 && errors.Is(err, vault.ErrUnavailable) {
			continue // files prove nothing to a process of the user that owns all of them
		}
		if err != nil {
			return nil, fmt.Errorf("refusing to start: %w", err)
		}
	}
	return v, nil
}
