// Package cache uses the library.
package cache

import (
	"context"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// A Contacts holds revealed numbers.
type Contacts struct {
	Scope *vault.Scope
	byID  map[string]string
}

// Load reveals a number.
func (c *Contacts) Load(ctx context.Context, id string, p pii.Phone) error {
	number, err := p.Reveal(ctx, c.Scope)
	if err != nil {
		return err
	}
	if c.byID == nil {
		c.byID = map[string]string{}
	}
	c.byID[id] = number
	return nil
}

// Find returns a number.
func (c *Contacts) Find(id string) string { return c.byID[id] }
