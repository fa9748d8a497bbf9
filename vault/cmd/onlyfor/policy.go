package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/config"
	"github.com/onlyfor/onlyfor/vault/kms"
)

// policyCmd writes the policy of a role in the language of the key service.
type policyCmd struct {
	Role string `arg:"" optional:"" help:"The name of a role. Default: all roles, which only Google Cloud takes at once."`
}

func (c *policyCmd) Run(_ context.Context, s *session) error {
	conf, err := s.config()
	if err != nil {
		return err
	}
	var keys kms.Keys
	switch {
	case conf.KEK.Service != "":
		keys = kms.Template(conf.KEK.Service)
	case len(conf.KEK.Keys) > 0:
		keys = kms.URIs(config.ByPurpose(conf.KEK.Keys))
	default:
		return misuse("[kek] of the configuration is no key service, and has no policies")
	}
	service, err := serviceOf(keys, conf.Purposes)
	if err != nil {
		return err
	}
	var roles []kms.Role
	for _, r := range conf.Roles {
		if c.Role == "" || r.Name == c.Role {
			roles = append(roles, kms.Role{Name: r.Name, Opens: purpose.NewSet(r.Opens...), Manages: purpose.NewSet(r.Manages...), Member: r.Member})
		}
	}
	if len(roles) == 0 {
		return misuse("the configuration has no such [[role]]")
	}
	if len(roles) > 1 && service != kms.GCP {
		return misuse("name one of the roles: each has a policy of its own")
	}
	var text string
	switch service {
	case kms.AWS:
		text, err = kms.AWSPolicy(keys, roles[0])
	case kms.GCP:
		text, err = kms.GCPCommands(keys, roles...)
	default:
		text, err = kms.HCVaultPolicy(keys, roles[0])
	}
	if err != nil {
		return err
	}
	return s.print(map[string]string{"policy": text}, func(w io.Writer, _ int) { fmt.Fprintln(w, strings.TrimRight(text, "\n")) })
}
