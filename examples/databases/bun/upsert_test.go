package main

import (
	"context"
	"testing"

	"github.com/uptrace/bun/dialect"

	"github.com/onlyfor/onlyfor/vault"

	"github.com/onlyfor/onlyfor/examples/databases/internal/scenario"
	"github.com/onlyfor/onlyfor/examples/databases/internal/testdb"
)

func TestUpserts(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		db.CreateUsers(t)
		scenario.RunUpserts(t, db, upserts{users{open(db)}})
	})
}

type upserts struct{ users }

func (s upserts) Upsert(ctx context.Context, u scenario.User) error {
	user := User(u)
	insert := s.db.NewInsert().Model(&user)
	if s.db.Dialect().Name() == dialect.MySQL {
		insert.On("DUPLICATE KEY UPDATE").Set("email = VALUES(email)")
	} else {
		insert.On("CONFLICT (email_index) DO UPDATE").Set("email = EXCLUDED.email")
	}
	_, err := insert.Exec(ctx)
	return err
}

func (s upserts) Save(ctx context.Context, security *vault.Scope, id int64, address string) (int64, error) {
	return save(ctx, s.db, security, id, address)
}
