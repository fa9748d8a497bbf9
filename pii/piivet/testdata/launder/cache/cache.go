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

// An Outbox has a number that it indexes later.
type Outbox struct {
	Ads    *vault.Scope
	Number string
}

// Flush indexes the number.
func (o *Outbox) Flush(ctx context.Context) { o.index(ctx, o.Number) }

func (o *Outbox) index(ctx context.Context, number string) {
	_, _ = pii.IndexPhone(ctx, number, o.Ads)
}
