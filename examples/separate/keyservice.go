package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kms"
	"github.com/onlyfor/onlyfor/vault/kms/hcvault"
)

// A server keeps KEKs in the transit engine of HashiCorp Vault or OpenBao. There is a
// key for each purpose, and a token for each service, with a policy for its own keys.
type server struct {
	client *api.Client // with the token of the user who started the program
	keys   kms.Template
	tokens []string // the services' tokens
}

func newServer(template string) (*server, error) {
	client, err := api.NewClient(nil) // VAULT_ADDR, VAULT_TOKEN and the rest
	if err != nil {
		return nil, errors.New("no client of a key service can be made from the environment")
	}
	if err := kms.Check(kms.Template(template), kms.HCVault); err != nil {
		return nil, err
	}
	return &server{client: client, keys: kms.Template(template)}, nil
}

// kek makes the missing transit keys.
func (s *server) kek(ctx context.Context, purposes ...purpose.Purpose) (vault.KEK, error) {
	for _, p := range purposes {
		key, err := s.keys.Key(p)
		if err != nil {
			return nil, err
		}
		if _, err := s.client.Logical().WriteWithContext(ctx, key.Name(), map[string]any{}); err != nil {
			return nil, fmt.Errorf("making %s: %w", key, err)
		}
	}
	return hcvault.New(ctx, s.keys, &hcvault.Options{Client: s.client})
}

// grant writes a policy that opens the keys of the purposes, and makes a token with
// this policy and the server's "default". The check at start needs the latter, which
// lets a token look itself up.
func (s *server) grant(ctx context.Context, role string, g *grant, purposes ...purpose.Purpose) error {
	request := &api.TokenCreateRequest{Policies: []string{"default"}, TTL: (2 * maxRun).String()}
	if len(purposes) > 0 {
		opens := purpose.NewSet(purposes...)
		policy, err := kms.HCVaultPolicy(s.keys, kms.Role{Name: role, Opens: opens})
		if err != nil {
			return err
		}
		name := "separate-" + role + "-opens-" + strings.ReplaceAll(opens.String(), "+", "-and-")
		if err := s.client.Sys().PutPolicyWithContext(ctx, name, policy); err != nil {
			return err
		}
		request.Policies = []string{name}
	}
	secret, err := s.client.Auth().Token().CreateWithContext(ctx, request)
	if err != nil {
		return err
	}
	token, err := secret.TokenID()
	if err != nil || token == "" {
		return errors.New("the key service gave no token")
	}
	s.tokens = append(s.tokens, token)
	g.KMS, g.Token = string(s.keys), token
	return nil
}

// close revokes the tokens. If that fails, they expire by themselves.
func (s *server) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, token := range s.tokens {
		s.client.Auth().Token().RevokeTreeWithContext(ctx, token)
	}
}
