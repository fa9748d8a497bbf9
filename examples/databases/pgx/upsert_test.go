package main

import (
	"context"
	"testing"

	"github.com/onlyfor/onlyfor/vault"

	"github.com/onlyfor/onlyfor/examples/databases/internal/scenario"
	"github.com/onlyfor/onlyfor/examples/databases/internal/testdb"
)

func TestUpserts(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			db := testdb.OpenPostgres(t)
			db.CreateUsers(t)
			scenario.RunUpserts(t, db, upserts{users{connect(t, db, mode)}})
		})
	}
}

type upserts struct{ users }

func (s upserts) Upsert(ctx context.Context, u scenario.User) error {
	_, err := s.Exec(ctx, insert+" ON CONFLICT (email_index) DO UPDATE SET email = EXCLUDED.email", arguments(u)...)
	return err
}

func (s upserts) Save(ctx context.Context, security *vault.Scope, id int64, address string) (int64, error) {
	return save(ctx, s.Pool, security, id, address)
}
