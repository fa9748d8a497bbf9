package main

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/mysqldialect"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/extra/bundebug"
	"github.com/uptrace/bun/schema"

	"github.com/onlyfor/onlyfor/pii"

	"github.com/onlyfor/onlyfor/examples/databases/internal/scenario"
	"github.com/onlyfor/onlyfor/examples/databases/internal/testdb"
)

func TestProgram(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out))
	require.Equal(t, "pii.Email(security) is A•••@e•••.com\n", out.String())
}

// bun writes arguments into the statement, in the log and on the wire.
func TestScenario(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		db.CreateUsers(t)
		scenario.Run(t, db, users{open(db)}, scenario.Known{Logs: scenario.Indexes, PoisonInSQL: true})
	})
}

func open(db *testdb.DB) *bun.DB {
	opened := bun.NewDB(db.DB, map[testdb.Dialect]schema.Dialect{
		testdb.SQLite:   sqlitedialect.New(),
		testdb.Postgres: pgdialect.New(),
		testdb.MySQL:    mysqldialect.New(),
	}[db.Dialect])
	return opened.WithQueryHook(bundebug.NewQueryHook(bundebug.WithVerbose(true), bundebug.WithWriter(db.Log)))
}

type users struct{ db *bun.DB }

func (s users) Insert(ctx context.Context, u scenario.User) error {
	user := User(u)
	_, err := s.db.NewInsert().Model(&user).Exec(ctx)
	return err
}

func (s users) InsertAll(ctx context.Context, all []scenario.User) error {
	users := make([]User, len(all))
	for i, u := range all {
		users[i] = User(u)
	}
	_, err := s.db.NewInsert().Model(&users).Exec(ctx)
	return err
}

func (s users) Update(ctx context.Context, u scenario.User) error {
	user := User(u)
	_, err := s.db.NewUpdate().Model(&user).WherePK().Exec(ctx)
	return err
}

func (s users) find(ctx context.Context, condition string, arg any) ([]scenario.User, error) {
	var found []User
	err := s.db.NewSelect().Model(&found).Where(condition, arg).Scan(ctx)
	all := make([]scenario.User, len(found))
	for i, u := range found {
		all[i] = scenario.User(u)
	}
	return all, err
}

func (s users) Get(ctx context.Context, id int64) (scenario.User, error) {
	u := User{ID: id}
	err := s.db.NewSelect().Model(&u).WherePK().Scan(ctx)
	return scenario.User(u), err
}

func (s users) FindByIndex(ctx context.Context, x pii.Index) ([]scenario.User, error) {
	return s.find(ctx, "email_index = ?", x)
}

func (s users) FindByIndexes(ctx context.Context, indexes []pii.Index) ([]scenario.User, error) {
	return s.find(ctx, "email_index IN (?)", bun.List(indexes))
}

func (s users) FindByEmail(ctx context.Context, e pii.Email) ([]scenario.User, error) {
	return s.find(ctx, "email = ?", e)
}

func (s users) Row(ctx context.Context, id int64) (any, error) {
	u := User{ID: id}
	err := s.db.NewSelect().Model(&u).WherePK().Scan(ctx)
	return u, err
}
