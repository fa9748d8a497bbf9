// Command wire puts everything together.
package main

import (
	"context"

	"example.com/purposes"
	"example.com/register/ads"
	"example.com/register/auth"
	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/vault"
)

//register:uses open security advertising
//register:uses hand-over security to=migrate.Table.Scopes
func main() {
	ctx := context.Background()
	v, err := vault.Open(ctx, vault.Memory(), nil, nil)
	if err != nil {
		return
	}
	security, err := v.Scope(ctx, purposes.Security)
	if err != nil {
		return
	}
	auth.New(security)
	if _, err := ads.Take(ctx, v); err != nil {
		return
	}
	if _, err := v.Scope(ctx, purposes.Advertising); err != nil {
		return
	}
	_ = migrate.Table{Scopes: []*vault.Scope{security}}
}
