package main

import (
	"context"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"

	"github.com/onlyfor/onlyfor/examples/databases/internal/scenario"
	"github.com/onlyfor/onlyfor/examples/databases/internal/testdb"
)

func TestProgram(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out))
	require.Equal(t, "pii.Email(security) is A•••@e•••.com\n", out.String())
}

func TestScenario(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		db.CreateUsers(t)
		driver := map[testdb.Dialect]string{testdb.SQLite: "sqlite", testdb.Postgres: "pgx", testdb.MySQL: "mysql"}[db.Dialect]
		scenario.Run(t, db, users{sqlx.NewDb(db.DB, driver)}, scenario.Known{})
	})
}

func TestMain(m *testing.M) {
	sqlx.BindDriver("sqlite", sqlx.QUESTION) // of modernc.org, which sqlx does not know
	m.Run()
}

type users struct{ db *sqlx.DB }

func (s users) Insert(ctx context.Context, u scenario.User) error {
	_, err := s.db.NamedExecContext(ctx, insert, User(u))
	return err
}

func (s users) InsertAll(ctx context.Context, all []scenario.User) error {
	users := make([]User, len(all))
	for i, u := range all {
		users[i] = User(u)
	}
	_, err := s.db.NamedExecContext(ctx, insert, users)
	return err
}

func (s users) Update(ctx context.Context, u scenario.User) error {
	_, err := s.db.NamedExecContext(ctx, `UPDATE users SET email = :email, email_index = :email_index,
		phone = :phone, recovery = :recovery WHERE id = :id`, User(u))
	return err
}

func (s users) find(ctx context.Context, where string, arg any) ([]scenario.User, error) {
	query, args, err := sqlx.In("SELECT * FROM users WHERE "+where, arg)
	if err != nil {
		return nil, err
	}
	var found []User
	err = s.db.SelectContext(ctx, &found, s.db.Rebind(query), args...)
	all := make([]scenario.User, len(found))
	for i, u := range found {
		all[i] = scenario.User(u)
	}
	return all, err
}

func (s users) get(ctx context.Context, id int64) (User, error) {
	var u User
	err := s.db.GetContext(ctx, &u, s.db.Rebind("SELECT * FROM users WHERE id = ?"), id)
	return u, err
}

func (s users) Get(ctx context.Context, id int64) (scenario.User, error) {
	u, err := s.get(ctx, id)
	return scenario.User(u), err
}

func (s users) FindByIndex(ctx context.Context, x pii.Index) ([]scenario.User, error) {
	return s.find(ctx, "email_index = ?", x)
}

func (s users) FindByIndexes(ctx context.Context, indexes []pii.Index) ([]scenario.User, error) {
	return s.find(ctx, "email_index IN (?)", indexes)
}

func (s users) FindByEmail(ctx context.Context, e pii.Email) ([]scenario.User, error) {
	return s.find(ctx, "email = ?", e)
}

func (s users) Row(ctx context.Context, id int64) (any, error) { return s.get(ctx, id) }
