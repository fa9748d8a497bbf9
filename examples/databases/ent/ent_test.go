package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"

	"github.com/onlyfor/onlyfor/examples/databases/ent/ent"
	"github.com/onlyfor/onlyfor/examples/databases/ent/ent/predicate"
	"github.com/onlyfor/onlyfor/examples/databases/ent/ent/user"
	"github.com/onlyfor/onlyfor/examples/databases/internal/scenario"
	"github.com/onlyfor/onlyfor/examples/databases/internal/testdb"
)

func TestProgram(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out))
	require.Equal(t, "pii.Email(security) is A•••@e•••.com\n", out.String())
}

// The debug driver prints arguments as they came: labels.
func TestScenario(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		scenario.Run(t, db, users{open(t, db)}, scenario.Known{Logs: scenario.Statements})
		require.NotContains(t, db.Log.String(), "pii1.email.security")
	})
}

func open(t *testing.T, db *testdb.DB) *ent.Client {
	t.Helper()
	driver := entsql.OpenDB(map[testdb.Dialect]string{
		testdb.SQLite: dialect.SQLite, testdb.Postgres: dialect.Postgres, testdb.MySQL: dialect.MySQL,
	}[db.Dialect], db.DB)
	client := ent.NewClient(ent.Driver(dialect.Debug(driver, func(args ...any) { fmt.Fprintln(db.Log, args...) })))
	require.NoError(t, client.Schema.Create(t.Context()))
	return client
}

type users struct{ client *ent.Client }

func (s users) create(u scenario.User) *ent.UserCreate {
	create := s.client.User.Create().SetID(u.ID).SetEmail(u.Email).SetEmailIndex(u.EmailIndex).SetNillablePhone(u.Phone)
	if u.Recovery.Valid {
		create.SetRecovery(u.Recovery.V)
	}
	return create
}

func (s users) Insert(ctx context.Context, u scenario.User) error { return s.create(u).Exec(ctx) }

func (s users) InsertAll(ctx context.Context, all []scenario.User) error {
	return s.client.User.MapCreateBulk(all, func(c *ent.UserCreate, i int) { *c = *s.create(all[i]) }).Exec(ctx)
}

func (s users) Update(ctx context.Context, u scenario.User) error {
	update := s.client.User.UpdateOneID(u.ID).SetEmail(u.Email).SetEmailIndex(u.EmailIndex)
	if u.Phone != nil {
		update.SetPhone(*u.Phone)
	} else {
		update.ClearPhone()
	}
	if u.Recovery.Valid {
		update.SetRecovery(u.Recovery.V)
	} else {
		update.ClearRecovery()
	}
	return update.Exec(ctx)
}

func (s users) find(ctx context.Context, where predicate.User) ([]scenario.User, error) {
	found, err := s.client.User.Query().Where(where).All(ctx)
	all := make([]scenario.User, len(found))
	for i, u := range found {
		all[i] = convert(u)
	}
	return all, err
}

func convert(u *ent.User) scenario.User {
	out := scenario.User{ID: u.ID, Email: u.Email, EmailIndex: u.EmailIndex, Phone: u.Phone}
	if u.Recovery != nil {
		out.Recovery = sql.Null[pii.Email]{V: *u.Recovery, Valid: true}
	}
	return out
}

func (s users) Get(ctx context.Context, id int64) (scenario.User, error) {
	u, err := s.client.User.Get(ctx, id)
	if err != nil {
		return scenario.User{}, err
	}
	return convert(u), nil
}

func (s users) FindByIndex(ctx context.Context, x pii.Index) ([]scenario.User, error) {
	return s.find(ctx, user.EmailIndex(x))
}

func (s users) FindByIndexes(ctx context.Context, indexes []pii.Index) ([]scenario.User, error) {
	return s.find(ctx, user.EmailIndexIn(indexes...))
}

func (s users) FindByEmail(ctx context.Context, e pii.Email) ([]scenario.User, error) {
	return s.find(ctx, user.Email(e))
}

func (s users) Row(ctx context.Context, id int64) (any, error) {
	u, err := s.client.User.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return u, nil
}
