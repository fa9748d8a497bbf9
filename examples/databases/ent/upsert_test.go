package main

import (
	"context"
	"testing"

	"github.com/onlyfor/onlyfor/vault"

	"github.com/onlyfor/onlyfor/examples/databases/ent/ent"
	"github.com/onlyfor/onlyfor/examples/databases/ent/ent/user"
	"github.com/onlyfor/onlyfor/examples/databases/internal/scenario"
	"github.com/onlyfor/onlyfor/examples/databases/internal/testdb"
)

func TestUpserts(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		scenario.RunUpserts(t, db, upserts{users{open(t, db)}})
	})
}

type upserts struct{ users }

func (s upserts) Upsert(ctx context.Context, u scenario.User) error {
	return s.create(u).OnConflictColumns(user.FieldEmailIndex).
		Update(func(u *ent.UserUpsert) { u.UpdateEmail() }).Exec(ctx)
}

func (s upserts) Save(ctx context.Context, security *vault.Scope, id int64, address string) (int64, error) {
	return save(ctx, s.client, security, id, address)
}
