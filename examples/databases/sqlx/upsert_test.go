package main

import (
	"context"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/onlyfor/onlyfor/vault"

	"github.com/onlyfor/onlyfor/examples/databases/internal/scenario"
	"github.com/onlyfor/onlyfor/examples/databases/internal/testdb"
)

func TestUpserts(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		db.CreateUsers(t)
		driver := map[testdb.Dialect]string{testdb.SQLite: "sqlite", testdb.Postgres: "pgx", testdb.MySQL: "mysql"}[db.Dialect]
		scenario.RunUpserts(t, db, upserts{users{sqlx.NewDb(db.DB, driver)}})
	})
}

type upserts struct{ users }

func (s upserts) Upsert(ctx context.Context, u scenario.User) error {
	conflict := " ON CONFLICT (email_index) DO UPDATE SET email = EXCLUDED.email"
	if s.db.DriverName() == "mysql" {
		conflict = " ON DUPLICATE KEY UPDATE email = VALUES(email)"
	}
	_, err := s.db.NamedExecContext(ctx, insert+conflict, User(u))
	return err
}

func (s upserts) Save(ctx context.Context, security *vault.Scope, id int64, address string) (int64, error) {
	return save(ctx, s.db, security, id, address)
}
