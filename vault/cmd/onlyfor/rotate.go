package main

import (
	"context"
	"fmt"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/config"
)

// rotation has the flags of both rotations.
type rotation struct {
	Purpose   string `arg:"" help:"The name of the purpose."`
	OlderThan string `placeholder:"TIME" help:"Do nothing if there is a younger key, as in 90d. With --run: 1d."`
	Run       bool   `help:"Go through the whole rotation with all tables, and retire the old keys."`
	Reason    string `placeholder:"TEXT" help:"Why, for the audit log."`
}

type rotateCmd struct {
	rotation
	Role string `enum:"seal,collect" default:"seal" help:"seal, or collect for the key of collectors."`
}

func (c *rotateCmd) Run(ctx context.Context, s *session) error {
	return c.rotation.run(ctx, s, vault.Role(c.Role))
}

type rotateIndexCmd struct{ rotation }

func (c *rotateIndexCmd) Run(ctx context.Context, s *session) error {
	return c.rotation.run(ctx, s, vault.RoleIndex)
}

func (c *rotation) run(ctx context.Context, s *session, role vault.Role) error {
	var age time.Duration
	if c.OlderThan != "" {
		var err error
		if age, err = config.ParseDuration(c.OlderThan); err != nil || age == 0 {
			return misuse("--older-than is no time such as 90d")
		}
	}
	if c.Run {
		return c.runPlan(ctx, s, role, age)
	}
	return s.change(ctx, c.Purpose, c.Reason, func(ctx context.Context, at *site, p purpose.Purpose) (string, error) {
		rotated := true
		var err error
		if age > 0 {
			rotated, err = at.admin.RotateIfOlder(ctx, p, role, age)
		} else {
			err = at.admin.Rotate(ctx, p, role)
		}
		switch {
		case err != nil:
			return "", err
		case !rotated:
			return fmt.Sprintf("The %s key of %v is not older than that: nothing was rotated.", role, p), nil
		}
		key, err := at.newest(ctx, p, role)
		if err != nil {
			return "", err
		}
		done := fmt.Sprintf("Published key %s of %v.", keyName(key.ID), p)
		if !key.PrimaryAt.IsZero() {
			done += fmt.Sprintf(" It becomes primary at %s, when all processes know it.", key.PrimaryAt.Format(time.RFC3339))
		}
		return done, nil
	})
}

// newest returns the key of a role that was published last or, if none waits to become
// primary, the primary key.
func (at *site) newest(ctx context.Context, p purpose.Purpose, role vault.Role) (vault.Key, error) {
	keys, err := at.admin.Keys(ctx, p)
	if err != nil {
		return vault.Key{}, err
	}
	var newest vault.Key
	for _, k := range keys {
		if k.Role == role && (k.Status == vault.Primary && newest.PrimaryAt.IsZero() || k.PrimaryAt.After(newest.PrimaryAt)) {
			newest = k
		}
	}
	return newest, nil
}
