package main

import (
	"context"
	"testing"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/onlyfor/onlyfor/vault"

	"github.com/onlyfor/onlyfor/examples/databases/internal/scenario"
	"github.com/onlyfor/onlyfor/examples/databases/internal/testdb"
)

func TestUpserts(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		scenario.RunUpserts(t, db, upserts{users{open(t, db, gorm.Config{}, talkative)}})
	})
}

type upserts struct{ users }

func (s upserts) Upsert(ctx context.Context, u scenario.User) error {
	user := User(u)
	return s.db.WithContext(ctx).Clauses(clause.OnConflict{
		Columns: []clause.Column{{Name: "email_index"}}, DoUpdates: clause.AssignmentColumns([]string{"email"}),
	}).Create(&user).Error
}

func (s upserts) Save(ctx context.Context, security *vault.Scope, id int64, address string) (int64, error) {
	return save(ctx, s.db, security, id, address)
}
