package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// oneKey has the arguments of a command about one key.
type oneKey struct {
	Purpose string `arg:"" help:"The name of the purpose."`
	Key     string `arg:"" help:"The id of the key: 8 hexadecimal digits."`
}

// find returns the key.
func (c *oneKey) find(ctx context.Context, at *site, p purpose.Purpose) (vault.Key, error) {
	id, err := strconv.ParseUint(c.Key, 16, 32)
	if err != nil || len(c.Key) != 8 {
		return vault.Key{}, misuse("the id of a key is 8 hexadecimal digits: onlyfor keys lists them")
	}
	keys, err := at.admin.Keys(ctx, p)
	if err != nil {
		return vault.Key{}, err
	}
	i := slices.IndexFunc(keys, func(k vault.Key) bool { return k.ID == uint32(id) })
	if i < 0 {
		return vault.Key{}, misuse("%v has no key of that id: onlyfor keys lists them", p)
	}
	return keys[i], nil
}

type promoteCmd struct {
	oneKey
	Reason string `placeholder:"TEXT" help:"Why, for the audit log."`
}

func (c *promoteCmd) Run(ctx context.Context, s *session) error {
	return s.change(ctx, c.Purpose, c.Reason, func(ctx context.Context, at *site, p purpose.Purpose) (string, error) {
		k, err := c.find(ctx, at, p)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("Key %s of %v is primary.", keyName(k.ID), p), at.admin.Promote(ctx, p, k.ID)
	})
}

type retireCmd struct {
	oneKey
	Anyway bool   `help:"Also while values need the key: they do not open until it is reinstated."`
	Reason string `placeholder:"TEXT" help:"Why, for the audit log."`
}

func (c *retireCmd) Run(ctx context.Context, s *session) error {
	return s.change(ctx, c.Purpose, c.Reason, func(ctx context.Context, at *site, p purpose.Purpose) (string, error) {
		k, err := c.find(ctx, at, p)
		if err != nil {
			return "", err
		}
		if k.Status == vault.Active && k.PrimaryAt.IsZero() && !c.Anyway {
			if err := at.needless(ctx, p, k); err != nil {
				return "", err
			}
		}
		return fmt.Sprintf("Retired key %s of %v. onlyfor keys reinstate brings it back.", keyName(k.ID), p), at.admin.Retire(ctx, p, k.ID)
	})
}

// needless returns a refusal if a value of a table, or the key of a person, needs key k.
// It moves the keys of persons to the primary key as far as that is possible.
func (at *site) needless(ctx context.Context, p purpose.Purpose, k vault.Key) error {
	if k.Role == vault.RoleIndex {
		return nil // an index is computed from its value at any time
	}
	byKey, unreadable, err := at.uses(ctx, p)
	if err != nil {
		return err
	}
	if uses := byKey[k.ID]; len(uses) > 0 {
		return refuse("key %s of %v is needed by %d values: %s", keyName(k.ID), p, total(uses), places(uses)).
			hinting("onlyfor migrate reseal moves them to the primary key.")
	}
	if unreadable > 0 {
		return refuse("%d sealed values of the tables can't be read, and may need the key", unreadable).
			hinting("onlyfor migrate verify lists them.")
	}
	if k.Role != vault.RoleSeal {
		return nil
	}
	var progress vault.Progress
	err = at.admin.RewrapSubjects(ctx, p, "", func(now vault.Progress) error { progress = now; return nil })
	if progress.Corrupt > 0 || errors.Is(err, vault.ErrRetired) {
		return refuse("the keys of %d persons or more under %v do not open, and may be wrapped by key %s", max(progress.Corrupt, 1), p, keyName(k.ID)).
			hinting("Reinstate the key, and try again: the keys of persons are moved then.")
	}
	return err
}

type reinstateCmd struct {
	oneKey
	Reason string `placeholder:"TEXT" help:"Why, for the audit log."`
}

func (c *reinstateCmd) Run(ctx context.Context, s *session) error {
	return s.change(ctx, c.Purpose, c.Reason, func(ctx context.Context, at *site, p purpose.Purpose) (string, error) {
		k, err := c.find(ctx, at, p)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("Key %s of %v is in use again.", keyName(k.ID), p), at.admin.Reinstate(ctx, p, k.ID)
	})
}

type destroyCmd struct {
	oneKey
	approved
	Reason string `required:"" placeholder:"TEXT" help:"Why, for the audit log."`
}

func (c *destroyCmd) Run(ctx context.Context, s *session) error {
	if strings.TrimSpace(c.Reason) == "" {
		return misuse("--reason is empty: it is for whoever reads the audit log")
	}
	return s.change(ctx, c.Purpose, c.Reason, func(ctx context.Context, at *site, p purpose.Purpose) (string, error) {
		k, err := c.find(ctx, at, p)
		if err != nil {
			return "", err
		}
		if err := c.check(ctx, at, "destroy", p, keyName(k.ID)); err != nil {
			return "", err
		}
		if k.Status == vault.Retired {
			if err := at.needless(ctx, p, k); err != nil {
				return "", err
			}
		}
		return fmt.Sprintf("Destroyed key %s of %v. Backups of data with values under it do not open any more.", keyName(k.ID), p), at.admin.Destroy(ctx, p, k.ID)
	})
}
