package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/config"
	"github.com/onlyfor/onlyfor/vault/kms"
	"github.com/onlyfor/onlyfor/vault/sqlstore"
)

// policyCmd writes the policy of a role in the language of the key service, or its grants
// on the table of the key store.
type policyCmd struct {
	Role string `arg:"" optional:"" help:"The name of a role. Default: all roles, which only Google Cloud and --sql take at once."`
	SQL  bool   `name:"sql" help:"Print the grants on the table of the key store instead."`
}

func (c *policyCmd) Help() string {
	return "The owner of the table runs the statements of --sql, for all roles at once. Accounts exist before that. A role without purposes is an auditor, and reads."
}

func (c *policyCmd) Run(_ context.Context, s *session) error {
	conf, err := s.config()
	if err != nil {
		return err
	}
	var roles []config.Role
	for _, r := range conf.Roles {
		if c.Role == "" || r.Name == c.Role {
			roles = append(roles, r)
		}
	}
	if c.SQL {
		return printGrants(s, conf, roles)
	}
	text, err := servicePolicy(conf, roles)
	if err != nil {
		return err
	}
	return s.print(map[string]string{"policy": text}, func(w io.Writer, _ int) { fmt.Fprintln(w, strings.TrimRight(text, "\n")) })
}

var errNoRole = misuse("the configuration has no such [[role]]")

// servicePolicy returns the policy of roles for the key service.
func servicePolicy(conf *config.Config, named []config.Role) (string, error) {
	var keys kms.Keys
	switch {
	case conf.KEK.Service != "":
		keys = kms.Template(conf.KEK.Service)
	case len(conf.KEK.Keys) > 0:
		keys = kms.URIs(config.ByPurpose(conf.KEK.Keys))
	default:
		return "", misuse("[kek] of the configuration is no key service, and has no policies").hinting("onlyfor policy --sql prints the grants on a key store in a database.")
	}
	service, err := serviceOf(keys, conf.Purposes)
	if err != nil {
		return "", err
	}
	var roles []kms.Role
	for _, r := range named {
		if r.Usable().IsZero() && len(named) > 1 {
			continue // an auditor needs no key
		}
		roles = append(roles, kms.Role{Name: r.Name, Opens: purpose.NewSet(r.Opens...), Manages: purpose.NewSet(r.Manages...), Member: r.Member})
	}
	if len(roles) == 0 {
		return "", errNoRole
	}
	if len(roles) > 1 && service != kms.GCP {
		return "", misuse("name one of the roles: each has a policy of its own")
	}
	switch service {
	case kms.AWS:
		return kms.AWSPolicy(keys, roles[0])
	case kms.GCP:
		return kms.GCPCommands(keys, roles...)
	default:
		return kms.HCVaultPolicy(keys, roles[0])
	}
}

// printGrants prints the statements of sqlstore.Grants, on PostgreSQL as one transaction.
func printGrants(s *session, conf *config.Config, roles []config.Role) error {
	if conf.Store.Database == "" {
		return misuse("[store] of the configuration is no database, and has no grants")
	}
	if len(roles) == 0 {
		return errNoRole
	}
	d, _ := conf.Database(conf.Store.Database)
	var statements []string
	for _, r := range roles {
		some, err := sqlstore.Grants(dialects[d.Kind].store, conf.Store.Table, grantsOf(r))
		switch {
		case errors.Is(err, vault.ErrInvalid):
			return &problem{code: hindered, text: "role " + r.Name + ": " + plain(err), hint: "See the rights in the README of sqlstore. A role has an account, and a view on MySQL and MariaDB."}
		case err != nil:
			return err
		}
		statements = append(statements, some...)
	}
	return s.print(map[string]any{"statements": statements}, func(w io.Writer, _ int) {
		if d.Kind == "postgres" {
			statements = append(append([]string{"BEGIN"}, statements...), "COMMIT")
		}
		for _, statement := range statements {
			fmt.Fprintln(w, statement+";")
		}
	})
}

// grantsOf returns the role of a configuration in the database of the key store.
func grantsOf(r config.Role) sqlstore.Role {
	account := r.Account
	if account == "" {
		account = r.Name
	}
	return sqlstore.Role{Account: account, View: r.View,
		Opens: purpose.NewSet(r.Opens...), Erases: purpose.NewSet(r.Erases...), Manages: purpose.NewSet(r.Manages...)}
}
